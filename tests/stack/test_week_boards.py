"""The planted week on the boards: whoever opens one after an alert sees the culprit first, and what it did.

Panels are asked their own queries, for the hours in which somebody would look at them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from grafana.reading import filled
from tests.e2e.servers import Prometheus
from tests.stack import week
from tests.stack.boards import panels
from tests.stack.rules import PROMETHEUS, alerts
from tests.stack.served import ask
from tests.stack.test_runbooks import blocks
from tests.stack.test_week import STEP_S, fired

pytestmark = pytest.mark.e2e


@dataclass(frozen=True, slots=True)
class Glance:
    """A look at one panel: at the end of some hours, as somebody who was alerted then would."""

    incident: str
    uid: str
    title: str
    day: float
    culprit: Mapping[str, str]
    """The labels of the first one."""
    first: str = "highest"
    """What the eye takes first: see `EYES`."""
    stands_out: float = 1.5
    """So many times the second, at least."""
    hours: int = 6
    query: int = 0

    def __str__(self) -> str:
        return f"{self.incident}: {self.uid}: {self.title}"


EYES: Final = {
    "highest": lambda values: values[-1],
    "lowest": lambda values: 1 / values[-1],
    "fallen": lambda values: values[0] / max(values[-1], 1e-9),
    "minus": lambda values: -values[-1],
}
"""From the values of a series to a number: the one that is looked at first has the largest."""

SUMMARIZE: Final = {"feature": "summarize", "prompt_sha": "5a0000000002"}
GLANCES: Final = (
    Glance(
        "a prompt version costs 1.8 times as much", "llm-cost",
        "Cost per call against the baseline, by prompt (ratio)", 9.5, SUMMARIZE,
    ),
    Glance(
        "a prompt version costs 1.8 times as much", "llm-investigate",
        "Top movers by prompt_version (delta USD)", 9.5, SUMMARIZE,
    ),
    Glance(
        "a prompt version costs 1.8 times as much", "llm-investigate",
        "Top movers by feature (delta USD)", 9.5, {"feature": "summarize"},
    ),
    Glance(
        "a prompt version costs 1.8 times as much", "llm-overview",
        "Features: now against the baseline", 9.5, {"feature": "summarize"}, stands_out=5,
    ),
    Glance(
        "a prompt version costs 1.8 times as much", "llm-overview",
        "Features: now against the baseline", 9.5, {"feature": "summarize"}, query=2,
    ),
    Glance(
        "a prompt version costs 1.8 times as much", "llm-overview", "Prompts that cost more", 9.5,
        SUMMARIZE,
    ),
    Glance(
        "a provider is down", "llm-overview", "Providers that fail or slow down", 10.44,
        {"provider": "anthropic"}, stands_out=20, hours=1,
    ),
    Glance(
        "a cache is invalidated", "llm-overview", "Features: now against the baseline", 11.5,
        {"feature": "chat"}, first="minus", query=4,
    ),
    Glance(
        "a tenant abuses a feature", "llm-overview", "Tenants that cost more", 12.7,
        {"tenant": "mallory"}, stands_out=5,
    ),
    Glance(
        "first tokens come later every hour", "llm-overview",
        "Features: now against the baseline", 13.5, {"feature": "search"}, query=5,
    ),
    Glance(
        "a provider is down", "llm-errors", "API error ratio by provider", 10.44,
        {"provider": "anthropic"}, stands_out=20, hours=1,
    ),
    Glance(
        "a provider is down", "llm-errors", "Server errors and timeouts by provider", 10.44,
        {"provider": "anthropic"}, stands_out=20, hours=1,
    ),
    Glance(
        "a provider is down", "llm-errors", "Success ratio by provider and model", 10.44,
        {"provider": "anthropic"}, first="lowest", stands_out=1, hours=1,
    ),
    Glance(
        "a cache is invalidated", "llm-tokens", "Cache hit rate change against baseline", 11.5,
        {"feature": "chat"}, first="minus",
    ),
    Glance(
        "a cache is invalidated", "llm-tokens",
        "Cache hit rate by feature and model (token-weighted)", 11.1,
        {"feature": "chat", "model": "gpt-4o"}, first="fallen", stands_out=5,
    ),
    Glance(
        "a tenant abuses a feature", "llm-cost", "Spend by tenant (range)", 12.7,
        {"tenant": "mallory"}, stands_out=5,
    ),
    Glance(
        "a tenant abuses a feature", "llm-investigate", "Top movers by tenant (delta USD)", 12.7,
        {"tenant": "mallory"}, stands_out=5,
    ),
    Glance(
        "first tokens come later every hour", "llm-latency", "TTFT p50 / p95 / p99 by feature",
        13.5, {"feature": "search"}, query=1,
    ),
    Glance(
        "first tokens come later every hour", "llm-overview", "TTFT p50 / p95 / p99 by feature",
        13.5, {"feature": "search"}, query=1,
    ),
    Glance(
        "answers get worse", "llm-overview", "Features: now against the baseline", 14.5,
        {"feature": "extract"}, first="lowest", query=9,
    ),
    Glance(
        "answers get worse", "llm-drift", "Eval score mean by prompt and model", 14.5,
        {"feature": "extract", "prompt_sha": "e00000000002"}, first="lowest",
    ),
)  # fmt: skip

FILTERS: Final = ("environment", "feature", "prompt_version", "tenant", "provider", "model")
"""Labels of alerts that templates/llm.tmpl puts into links."""


def query_of(uid: str, title: str, number: int, hours: int, **chosen: str) -> tuple[str, str]:
    """Return the kind of a panel and one of its queries, with the board's filters chosen."""
    (shown,) = (one for one in panels(uid) if one.panel["title"] == title)
    variables = {
        "__rate_interval": "4m",
        "__range": f"{hours}h",
        "baseline": "7d",
        "data_mode": "real",
    }
    return shown.panel["type"], filled(shown.expressions()[number], variables | chosen)


def seen(prometheus: Prometheus, glance: Glance) -> list[dict[str, Any]]:
    """Return what a panel shows, in the order in which it is looked at; each with its `weight`."""
    kind, query = query_of(glance.uid, glance.title, glance.query, glance.hours)
    end = week.START_S + glance.day * week.DAY_S
    if kind == "timeseries":
        when = {"start": end - glance.hours * 3600, "end": end, "step": STEP_S}
        found = ask(prometheus, "query_range", query=query, **when)
    else:
        found = ask(prometheus, "query", query=query, time=end)
    for series in found:
        values = [float(value) for _, value in series.get("values", [series.get("value")])]
        assert not any(map(math.isnan, values)), f"{glance}: {series['metric']} is no number"
        series["weight"] = EYES[glance.first](values)
    return sorted(found, key=lambda series: -series["weight"])


def split(
    found: list[dict[str, Any]], culprit: Mapping[str, str]
) -> tuple[list[float], list[float]]:
    """Return the weights of the culprit's series and those of all others."""
    mine = [one["weight"] for one in found if culprit.items() <= one["metric"].items()]
    others = [one["weight"] for one in found if not culprit.items() <= one["metric"].items()]
    return mine, others


@pytest.mark.parametrize("glance", GLANCES, ids=str)
def test_a_panel_shows_the_culprit_first(bad: Prometheus, glance: Glance) -> None:
    found = seen(bad, glance)
    assert glance.culprit.items() <= found[0]["metric"].items()
    mine, others = split(found, glance.culprit)
    assert min(mine) >= glance.stands_out * max(others, default=0)
    assert min(mine) > 0


@pytest.mark.parametrize("glance", GLANCES, ids=str)
def test_a_panel_accuses_nobody_in_the_same_hours_of_a_good_week(
    good: Prometheus, bad: Prometheus, glance: Glance
) -> None:
    innocent, _ = split(seen(good, glance), glance.culprit)
    guilty, _ = split(seen(bad, glance), glance.culprit)
    assert 1.5 * max(innocent, default=0) <= min(guilty)


STEPS: Final = (
    # (runbook, its nth query, day, culprit, what the eye takes first)
    ("cost-spike", 0, 9.5, {"feature": "summarize"}, "highest"),
    ("cost-spike", 1, 12.6, {"feature": "search"}, "highest"),
    ("cost-spike", 2, 9.5, SUMMARIZE, "highest"),
    ("cost-spike", 3, 12.6, {"tenant": "mallory"}, "highest"),
    ("cost-spike", 4, 12.6, {"model": "gpt-4o-mini"}, "highest"),
    ("prompt-regression", 0, 9.5, SUMMARIZE, "highest"),
    ("provider-outage", 0, 10.44, {"provider": "anthropic"}, "highest"),
    ("error-rate", 0, 10.44, {"provider": "anthropic"}, "highest"),
    ("abuse", 0, 12.505, {"tenant": "mallory"}, "highest"),
    ("rate-limit", 2, 12.52, {"tenant": "mallory"}, "highest"),
    ("latency-spike", 0, 13.5, {"feature": "search"}, "highest"),
    ("drift", 2, 9.9, {"feature": "summarize"}, "highest"),
    ("quality-drop", 0, 14.5, {"feature": "extract"}, "lowest"),
    ("quality-drop", 1, 14.5, {"feature": "extract"}, "lowest"),
)


@pytest.mark.parametrize(("book", "nth", "day", "culprit", "first"), STEPS)
def test_a_step_of_a_runbook_names_the_culprit(
    bad: Prometheus, book: str, nth: int, day: float, culprit: dict[str, str], first: str
) -> None:
    query = blocks(PROMETHEUS / "runbooks" / f"{book}.md", "promql")[nth]
    found = ask(bad, "query", query=query, time=week.START_S + day * week.DAY_S)
    leader = max(found, key=lambda one: EYES[first]([float(one["value"][1])]))
    assert culprit.items() <= leader["metric"].items()


def number(
    prometheus: Prometheus, uid: str, title: str, day: float, nth: int = 0, **chosen: str
) -> float:
    """Return the number that a panel shows, or the end of its only line."""
    _, query = query_of(uid, title, nth, 6, **chosen)
    (found,) = ask(prometheus, "query", query=query, time=week.START_S + day * week.DAY_S)
    return float(found["value"][1])


@pytest.mark.parametrize(
    ("uid", "day", "chosen", "times"),
    [
        ("llm-focus-prompt", 9.5, {"feature": "summarize", "prompt_version": "v2"}, 1.8),
        ("llm-focus-feature", 9.5, {"feature": "summarize"}, 1.8),
        ("llm-focus-feature", 9.5, {"feature": "chat"}, 1.0),
        ("llm-focus-feature", 11.5, {"feature": "chat"}, 1.93),
        ("llm-focus-tenant", 12.7, {"feature": "search", "tenant": "acme"}, 1.0),
    ],
)
def test_the_focused_board_tells_how_much_dearer_a_call_became(
    bad: Prometheus, uid: str, day: float, chosen: dict[str, str], times: float
) -> None:
    found = number(bad, uid, "Cost per call: now / baseline", day, **chosen)
    assert found == pytest.approx(times, rel=0.05)


@pytest.mark.parametrize(
    ("day", "feature", "driver", "times"),
    [
        (9.5, "summarize", "Token driver: tokens per request", 1.8),
        (11.5, "chat", "Price driver: USD per token", 1.93),
        (12.7, "search", "Volume driver: requests", 20.0),
    ],
)
def test_the_largest_of_three_ratios_is_the_driver(
    bad: Prometheus, day: float, feature: str, driver: str, times: float
) -> None:
    """As the note on the board says: the three multiply to the ratio of the cost."""
    titles = [
        one.panel["title"] for one in panels("llm-investigate") if "driver:" in one.panel["title"]
    ]
    found = {title: number(bad, "llm-investigate", title, day, feature=feature) for title in titles}
    assert max(found, key=lambda title: found[title]) == driver
    assert found.pop(driver) == pytest.approx(times, rel=0.15)
    assert all(one == pytest.approx(1, rel=0.1) for one in found.values())


@pytest.mark.parametrize(
    ("name", "day", "title", "query", "shown"),
    [
        ("LLMPromptCostRegression", 9.5, "Cost per call: now / baseline", 0, 1.8),
        ("LLMInputLengthShift", 9.5, "Input length p50 / p95 / p99 over baseline", 0, 6300),
        ("LLMErrorRateCritical", 10.44, "API error ratio by provider", 0, 0.7),
        ("LLMProviderOutage", 10.44, "Server errors and timeouts by provider", 0, 0.7),
        ("LLMCacheHitRateDrop", 11.5, "Cache hit rate change against baseline", 0, -0.875),
        ("LLMTenantConcentration", 12.7, "Cost per call", 0, 0.00325),
        ("LLMTTFTSlow", 13.5, "TTFT p50 / p95 / p99 by feature", 1, 1.9),
        ("LLMQualityLow", 14.5, "Eval score mean by prompt and model", 0, 0.42),
    ],
)
def test_the_link_of_an_alert_leads_to_the_number_behind_it(
    bad: Prometheus, name: str, day: float, title: str, query: int, shown: float
) -> None:
    """To the board that the alert names, with the filters that its labels become in the link."""
    (alert,) = (one for one in alerts() if one["alert"] == name)
    (labels,) = fired(bad, alert)
    chosen = {label: value for label, value in labels.items() if label in FILTERS}
    uid = alert["annotations"]["dashboard_path"].removeprefix("/d/")
    assert number(bad, uid, title, day, query, **chosen) == pytest.approx(shown, rel=0.1)
