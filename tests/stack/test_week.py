"""A good week in which no alert fires, and a bad one in which each names its culprit.

Both are backfilled into a real Prometheus, with the noise and the rhythm of real traffic; the alerts' own queries are
asked for every fourth minute of the week, and the panels' for the hours in which somebody would look at them.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from grafana.reading import filled
from tests.e2e.servers import Prometheus, free_port, installed
from tests.stack import week
from tests.stack.boards import panels
from tests.stack.rules import PROMETHEUS, alerts

pytestmark = pytest.mark.e2e

STEP_S: Final = 240
JUDGED_S: Final = week.START_S + 8 * week.DAY_S
"""What compares with a week ago and the day after has something to compare with from here on."""

CULPRITS: Final = {
    "LLMPromptCostRegression": {"feature": "summarize", "prompt_sha": "5a0000000002"},
    "LLMInputLengthShift": {"feature": "summarize"},
    "LLMProviderOutage": {"provider": "anthropic"},
    "LLMErrorRateHigh": {"provider": "anthropic"},
    "LLMErrorRateCritical": {"provider": "anthropic"},
    "LLMCacheHitRateDrop": {"feature": "chat"},
    "LLMTenantConcentration": {"tenant": "mallory"},
    "LLMTTFTSlow": {"feature": "search"},
    "LLMQualityWarning": {"feature": "extract"},
    "LLMQualityLow": {"feature": "extract"},
    "LLMQualityCritical": {"feature": "extract"},
}
FOLLOWS: Final = {
    "LLMCostPerCallDrift": {"summarize", "chat"},
    "LLMLatencyP50High": {"summarize", "search"},
    "LLMCostRateWarning": {""},
    "LLMCostRateHigh": {""},
    "LLMBudgetWarning": {""},
    "LLMBudgetCritical": {""},
    "LLMBudgetExceeded": {""},
    "LLMMonthBudgetForecast": {""},
}
"""What the incidents cause beside: longer answers take longer, a tenant's abuse costs money. By feature."""


def _hold_s(alert: dict[str, Any]) -> int:
    text = alert.get("for", "0m")
    return int(text[:-1]) * {"m": 60, "h": 3600}[text[-1]]


def _longest_s(values: list[list[Any]]) -> int:
    """Return for how long a query had a result without a gap."""
    longest = start = last = 0
    for at, _ in values:
        if at - last > STEP_S:
            start = at
        last = at
        longest = max(longest, last - start)
    return longest


def ask(prometheus: Prometheus, kind: str, **asked: str | float) -> list[dict[str, Any]]:
    """Return what a `query` or a `query_range` finds; an error fails."""
    url = f"http://127.0.0.1:{prometheus.port}/api/v1/{kind}"
    answer = httpx.post(url, data=asked, timeout=120, trust_env=False).json()
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def fired(prometheus: Prometheus, alert: dict[str, Any]) -> list[dict[str, str]]:
    """Return the labels of everything for which an alert would have fired in the judged week."""
    when = {"start": JUDGED_S, "end": week.END_S, "step": STEP_S}
    return [
        series["metric"]
        for series in ask(prometheus, "query_range", query=alert["expr"], **when)
        if _longest_s(series["values"]) >= _hold_s(alert)
    ]


def judge(prometheus: Prometheus) -> dict[str, list[dict[str, str]]]:
    """Return everything that fires in a week; what stands for absent programs is left out."""
    judged = [
        alert
        for alert in alerts()
        if alert["alert"] != "Watchdog" and not alert["alert"].startswith("LLMSLO")
    ]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda alert: fired(prometheus, alert), judged)
    return {alert["alert"]: labels for alert, labels in zip(judged, found, strict=True) if labels}


def record(folder: Path) -> None:
    """Backfill the recordings too."""
    rules = PROMETHEUS / "rules" / "recording.yml"
    for _ in range(2):  # what reads recordings needs a second round
        prometheus = Prometheus(folder, [free_port()]).start()
        try:
            week.record(folder, prometheus.port, rules, week.START_S + week.DAY_S)
        finally:
            stop(prometheus)


def made_once(factory: pytest.TempPathFactory, *, plant: bool) -> Path:
    """Return a folder with the database of the weeks; the workers of one run make it once for all."""
    here = factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    folder = shared / ("bad-week" if plant else "good-week")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = factory.mktemp("week")
            week.backfill(making, plant=plant)
            record(making)
            making.rename(folder)
    return folder


def serve(folder: Path, mine: Path) -> Iterator[Prometheus]:
    """Run a Prometheus on a copy of a database."""
    shutil.copytree(folder / "prometheus", mine / "prometheus")
    prometheus = Prometheus(mine, [free_port()]).start()
    try:
        yield prometheus
    finally:
        stop(prometheus)


def stop(prometheus: Prometheus) -> None:
    """End it."""
    if prometheus.server is not None:
        prometheus.server.stop()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The week without incidents."""
    installed("promtool")
    folder = made_once(tmp_path_factory, plant=False)
    yield from serve(folder, tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The week with an incident a day."""
    installed("promtool")
    folder = made_once(tmp_path_factory, plant=True)
    yield from serve(folder, tmp_path_factory.mktemp("bad"))


def test_nothing_fires_in_a_good_week(good: Prometheus) -> None:
    assert judge(good) == {}


def test_each_incident_of_a_bad_week_names_its_culprit(bad: Prometheus) -> None:
    found = judge(bad)
    assert found.keys() == CULPRITS.keys() | FOLLOWS.keys()
    for name, culprit in CULPRITS.items():
        assert [{k: labels[k] for k in culprit} for labels in found[name]] == [culprit], name
    for name, features in FOLLOWS.items():
        assert {labels.get("feature", "") for labels in found[name]} == features


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
        "answers get worse", "llm-drift", "Eval score mean by prompt and model", 14.5,
        {"feature": "extract", "prompt_sha": "e00000000002"}, first="lowest",
    ),
)  # fmt: skip


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


def number(prometheus: Prometheus, uid: str, title: str, day: float, **chosen: str) -> float:
    """Return the number that a panel shows."""
    _, query = query_of(uid, title, 0, 6, **chosen)
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
