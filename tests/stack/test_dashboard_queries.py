"""Every query of every board against a real Prometheus that scrapes the running collector."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from grafana.reading import filled
from tests.e2e.servers import Collector, Prometheus, poll
from tests.stack import traffic
from tests.stack.boards import REPOSITORY, Shown, everything, load
from tests.stack.test_runbooks import BOOKS, blocks

pytestmark = pytest.mark.e2e

VARIABLES = {
    "__rate_interval": "5s",
    "__interval": "5s",
    "__range": "10s",
    "baseline": "8s",
    "data_mode": "real",
}
"""What Grafana would fill in, for a Prometheus that is half a minute old; every filter is All."""

ELSEWHERE = re.compile(r"\b(?:tempo_|llm_freshness_)|LLMSLO")
"""Series of the trace store, the freshness probe, and alerts that need longer to fire."""

NEEDS_DAYS = re.compile(r"\[\d+d:\d+[dm]\]|slo:period_error_budget")
"""Subqueries whose steps are midnights or full five minutes, and what is recorded from such."""

QUIET = {
    # metrics of what does not happen in this scenario: failures of the collector itself
    "otelcol_receiver_refused_spans_total",
    "otelcol_exporter_send_failed_spans_total",
    "otelcol_exporter_queue_size",  # the embedded configuration writes files: no queue
    "otelcol_llm_exporter_dropped_items_total",
    "otelcol_llm_exporter_retries_total",
    "otelcol_llm_genai_skipped_records_total",
    "otelcol_llm_redaction_errors_total",
    "otelcol_llm_redaction_budget_exceeded_total",
    "otelcol_llm_tail_sampling_late_spans_total",
    "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total",
    "otelcol_llm_metrics_series_overflow_total",
    "llm_cardinality_overflow_total",
    "llm_cost_estimated_usd_total",
}
OF_THE_STACK = re.compile(r"\b(?:prometheus|alertmanager)_|job=\"alertmanager\"")
"""What Prometheus and Alertmanager say of themselves: here nobody scrapes them."""
BEFORE = re.compile(r" offset |:ratio7d\b")
STEPS = [(book.stem, query) for book in BOOKS for query in blocks(book, "promql")]
PROMETHEUS = [one for one in everything() if one.source == "prometheus"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A Prometheus, asked as of the end of the traffic, however long the tests take."""

    server: Prometheus
    end: float

    def series(self, expr: str) -> list[dict[str, Any]]:
        """Return what a range query over the last seconds finds; an error fails."""
        return self._ask(expr, "query_range", start=self.end - 20, end=self.end, step=1)

    def now(self, expr: str) -> list[dict[str, Any]]:
        """Return what an instant query finds."""
        return self._ask(expr, "query", time=self.end)

    def _ask(self, expr: str, kind: str, **when: float) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.server.port}/api/v1/{kind}"
        data = {"query": expr, **when}
        answer = httpx.post(url, data=data, timeout=20, trust_env=False).json()
        assert answer["status"] == "success", f"{expr}\n{answer}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def hasty_rules(folder: Path) -> list[Path]:
    """Return the shipped rules, evaluated each second instead of every few minutes."""
    copies = []
    for rules in sorted((REPOSITORY / "prometheus" / "rules").glob("*.yml")):
        copy = folder / rules.name
        text = rules.read_text("utf-8")
        copy.write_text(re.sub(r"^( +interval:) .*$", r"\1 1s", text, flags=re.M), "utf-8")
        copies.append(copy)
    return copies


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A Prometheus that has scraped a collector for half a minute."""
    folder = tmp_path_factory.mktemp("dashboards")
    (folder / "collector").mkdir()
    running: list[Any] = []
    try:
        collector = Collector(folder / "collector", settings=list(traffic.SETTINGS)).start()
        running.append(collector)
        targets = [collector.metrics, collector.own]
        prometheus = Prometheus(folder, targets, rules=hasty_rules(folder)).start()
        running.append(prometheus)
        shop = traffic.Shop()
        for passed in traffic.send(collector.http, shop, seconds=24):
            shop.dear = passed > 6
            shop.outage = "anthropic" if 14 < passed < 18 else ""
        end = time.time()
        poll("the last scrape", lambda: prometheus.query(f"timestamp(up) > {end}"))
        yield Asked(prometheus, end)
    finally:
        for one in reversed(running):
            one.server.stop()


@pytest.mark.parametrize("shown", PROMETHEUS, ids=str)
def test_a_panel_runs_and_shows_what_happened(asked: Asked, shown: Shown) -> None:
    for expr in shown.expressions():
        found = asked.series(filled(expr, VARIABLES))
        silent = bool(NEEDS_DAYS.search(expr)) or any(metric in expr for metric in QUIET)
        expected = not ELSEWHERE.search(expr) and not silent
        assert found or not expected, expr
        values = [float(value) for one in found for _, value in one["values"]]
        assert not found or not all(map(math.isnan, values)), f"NaN only: {expr}"


@pytest.mark.parametrize(("book", "query"), STEPS)
def test_a_step_of_a_runbook_runs_and_finds_something(asked: Asked, book: str, query: str) -> None:
    """Unless it compares with another day, or counts failures that there are none of."""
    silent = any(metric in query for metric in QUIET) or BEFORE.search(query)
    elsewhere = ELSEWHERE.search(query) or OF_THE_STACK.search(query)
    assert asked.now(query) or silent or elsewhere, query


@pytest.mark.parametrize(
    "mark", load("llm-overview")["annotations"]["list"], ids=lambda m: m["name"]
)
def test_marks_run(asked: Asked, mark: dict[str, Any]) -> None:
    if "expr" in mark:
        asked.series(filled(mark["expr"], VARIABLES))


def test_a_new_prompt_version_is_marked(asked: Asked) -> None:
    """The shipped mark looks a day back, five minutes ago; here five seconds ago were before the new version."""
    mark = load("llm-overview")["annotations"]["list"][0]
    expr = filled(mark["expr"].replace("[1d] offset 5m", "[6s] offset 4s"), VARIABLES)
    assert {
        (one["metric"]["feature"], one["metric"]["prompt_version"]) for one in asked.series(expr)
    } >= {("summaries", "v2")}


@pytest.mark.parametrize("uid", ["llm-overview", "llm-focus-tenant"])
def test_the_filters_have_values(asked: Asked, uid: str) -> None:
    found = {}
    for variable in load(uid)["templating"]["list"]:
        asked_for = variable.get("query")
        text = asked_for["query"] if isinstance(asked_for, dict) else ""
        match = re.fullmatch(r"label_values\((llm_.*), (\w+)\)", text)
        if match:
            expr = filled(f"count by ({match[2]}) ({match[1]})", VARIABLES)
            found[match[2]] = {one["metric"].get(match[2], "") for one in asked.series(expr)}
    assert found["environment"] == {"production"}
    assert found["tenant"] == set(traffic.TENANTS)
    assert found["feature"] == {one.name for one in traffic.FEATURES}
    assert found["prompt_version"] == {"v1", "v2"}


def culprit(asked: Asked, uid: str, title: str, label: str) -> str:
    """Return the label value that a panel shows first."""
    shown = next(one for one in PROMETHEUS if one.uid == uid and one.panel["title"] == title)
    found = asked.now(filled(shown.expressions()[0], VARIABLES))
    return str(max(found, key=lambda one: float(one["value"][1]))["metric"][label])


def test_the_dear_prompt_is_found_by_name(asked: Asked) -> None:
    """Twice the input and no cache: v2 of summaries."""
    cost = culprit(asked, "llm-cost", "Spend by prompt_version (range)", "prompt_version")
    assert cost == "v2"
    assert culprit(asked, "llm-cost", "Spend by feature (range)", "feature") == "summaries"
    assert culprit(asked, "llm-cost", "Spend by team (range)", "team") == "assist"


def test_links_carry_the_clicked_value_to_a_query_that_finds_it(asked: Asked) -> None:
    """What the first bar of the cost board fills in, the focus board can filter by."""
    tenant = culprit(asked, "llm-cost", "Spend by tenant (range)", "tenant")
    focus = next(one for one in PROMETHEUS if one.uid == "llm-focus-tenant")
    alone, all_of_them = (
        float(asked.now(filled(focus.expressions()[0], VARIABLES | chosen))[0]["value"][1])
        for chosen in ({"tenant": tenant}, {})
    )
    assert 0 < alone < all_of_them
