"""Runbooks: every alert has one, and each step is a link that leads somewhere or a query that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.stack.rules import BOARDS, PROMETHEUS, alerts, known_metrics, metrics_of

BOOKS = sorted((PROMETHEUS / "runbooks").glob("*.md"))
NAMES = [
    "abuse", "budget", "cache-drop", "cardinality", "cost-spike", "drift", "error-rate", "freshness",
    "latency-spike", "prompt-regression", "provider-outage", "quality-drop", "rate-limit",
    "refusal-spike", "telemetry-loss", "unpriced-model", "watchdog",
]  # fmt: skip
BY_PROMETHEUS = {"prometheus_notifications_dropped_total"}

_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_WINDOW = re.compile(r"(\w+)(?:\{[^}]*\})?\[(\d+)([mhd])\]")
_MINUTES = {"m": 1, "h": 60, "d": 1440}
_LINK = re.compile(r"\]\(([^)]+)\)")


def blocks(book: Path, language: str) -> list[str]:
    """Return the blocks of code in this language."""
    return [text for name, text in _BLOCK.findall(book.read_text("utf-8")) if name == language]


def section(book: Path, title: str) -> str:
    """Return a section without its title."""
    return book.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_runbooks_are_those_that_alerts_link_to() -> None:
    assert [book.stem for book in BOOKS] == NAMES
    linked = {alert["annotations"]["runbook_url"].rpartition("/")[2] for alert in alerts()}
    assert linked == {f"{name}.md" for name in NAMES}


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_runbook_names_its_alerts(book: Path) -> None:
    mine = {
        alert["alert"]
        for alert in alerts()
        if alert["annotations"]["runbook_url"].endswith(f"/{book.name}")
    }
    named = set(re.findall(r"`(\w+)`", book.read_text("utf-8").split("**Expected**")[0]))
    assert named - {"LLMTTFTCritical"} == mine  # fires when slo.yaml sets a limit for it


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_every_step_is_a_link_a_query_or_a_command(book: Path) -> None:
    steps = re.split(r"^\d+\. ", section(book, "Find the cause"), flags=re.MULTILINE)[1:]
    assert len(steps) >= 4
    for step in steps:
        assert _LINK.search(step) or "```" in step, step
    assert len(re.findall(r"^- \*\*[A-D]\*\*", section(book, "Contain"), re.MULTILINE)) == 4
    assert len(re.findall(r"^- \*\*L[1-3]\*\*", section(book, "Escalate"), re.MULTILINE)) == 3


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_links_lead_to_boards_and_runbooks_that_exist(book: Path) -> None:
    for link in _LINK.findall(book.read_text("utf-8")):
        if "/d/" in link:
            uid, _, query = link.partition("/d/")[2].partition("?")
            assert uid in BOARDS
            assert query.startswith("from=now-")
            assert "var-data_mode=real" in query
        else:
            assert (book.parent / link).is_file(), link


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_queries_ask_for_metrics_that_exist(book: Path) -> None:
    for query in blocks(book, "promql"):
        assert metrics_of(query) - known_metrics() - BY_PROMETHEUS == set(), query


def windows(query: str) -> dict[str, int]:
    """Return how many minutes back a query looks at each metric, at most."""
    found: dict[str, int] = {}
    for metric, number, unit in _WINDOW.findall(query):
        found[metric] = max(found.get(metric, 0), int(number) * _MINUTES[unit])
    return found


@pytest.mark.parametrize("name", ["cardinality", "telemetry-loss"])
def test_queries_for_failures_look_back_as_far_as_their_alerts(name: str) -> None:
    """What rang for a burst a while ago must not look as if it had never been."""
    book = PROMETHEUS / "runbooks" / f"{name}.md"
    rang: dict[str, int] = {}
    for alert in alerts():
        if alert["annotations"]["runbook_url"].endswith(f"/{book.name}"):
            for metric, minutes in windows(alert["expr"]).items():
                rang[metric] = max(rang.get(metric, 0), minutes)
    for query in blocks(book, "promql"):
        for metric, minutes in windows(query).items():
            assert minutes >= rang.get(metric, 0), query


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_trace_queries_compare_money_with_decimals(book: Path) -> None:
    """TraceQL finds nothing, without an error, when a double is compared with an integer."""
    for query in blocks(book, "traceql"):
        assert not re.search(r"cost_usd\s*(?:[<>!]?=|[<>])\s*\d+(?![\d.])", query)
        assert query.count("{") == query.count("}") == 1
