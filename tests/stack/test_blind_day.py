"""Questions that the boards were not made for: each must be answered by a panel, with the culprit first.

`blind_day` says what happened when. A question that no panel answers is a row that is missing.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.e2e.servers import Prometheus
from tests.stack import blind_day
from tests.stack.test_week_boards import Glance, number, seen, split

pytestmark = pytest.mark.e2e


def _at(hour: float) -> float:
    return blind_day.DAY + hour / 24


QUIET: Final = _at(2)
"""Before the first incident."""
BEATEN: Final = {"feature": "chat", "prompt_sha": "c0ffee000002"}
ANTHROPIC: Final = {"provider": "anthropic"}

GLANCES: Final = (
    Glance(
        "who fills the cache for nothing?", "llm-tokens", "Cache by tenant: who writes more",
        _at(4), {"tenant": "gamma"}, hours=2, stands_out=5,
    ),
    Glance(
        "which model is throttled?", "llm-overview", "Providers that fail or slow down",
        _at(6), {"model": "claude-haiku"}, hours=2, query=1, stands_out=20,
    ),
    Glance(
        "which model is throttled?", "llm-errors", "429 ratio",
        _at(6), ANTHROPIC, hours=1, stands_out=10,
    ),
    Glance(
        "who began to think twice as long?", "llm-tokens",
        "Reasoning tokens per call: now / baseline", _at(8),
        {"feature": "summarize", "model": "claude-sonnet"}, hours=2, stands_out=1.8,
    ),
    Glance(
        "who began to think twice as long?", "llm-tokens",
        "Reasoning share of the output by feature and model", _at(7.9), {"feature": "summarize"},
        hours=2, stands_out=1.8,
    ),
    Glance(
        "which prompt is rejected by the guardrails?", "llm-errors", "Guardrail ratio by prompt",
        _at(10), BEATEN, hours=1, stands_out=5,
    ),
    Glance(
        "which of two texts of one version is worse?", "llm-focus-prompt", "Prompts side by side",
        _at(10), BEATEN, hours=4, query=5, stands_out=2,
    ),
    Glance(
        "which of two texts of one version is worse?", "llm-focus-prompt", "Bad answers",
        _at(10), BEATEN, hours=1, stands_out=2,
    ),
    Glance(
        "which prompt is rejected by the guardrails?", "llm-overview",
        "Features: now against the baseline", _at(10), {"feature": "chat"}, hours=1, query=8,
        stands_out=2,
    ),
    Glance(
        "who is slow, and makes us try again?", "llm-errors", "Retries per call",
        _at(12), ANTHROPIC, hours=1, stands_out=20,
    ),
    Glance(
        "who is slow, and makes us try again?", "llm-errors", "Total latency p95 by provider",
        _at(12), ANTHROPIC, hours=1, stands_out=2,
    ),
    Glance(
        "who is slow, and makes us try again?", "llm-overview",
        "Providers that fail or slow down", _at(12), ANTHROPIC, hours=2, query=2, stands_out=2,
    ),
    Glance(
        "who is slow, and makes us try again?", "llm-overview",
        "Providers that fail or slow down", _at(12), ANTHROPIC, hours=2, query=3, stands_out=20,
    ),
    Glance(
        "whose calls fail, when the provider is well?", "llm-errors",
        "Who is affected: failed calls by feature and tenant", _at(14),
        {"feature": "search", "tenant": "gamma"}, hours=2, stands_out=5,
    ),
    Glance(
        "which tool breaks, seldom as it is called?", "llm-latency", "Tools that fail or slow down",
        _at(22), {"feature": "extract", "tool": "send_mail"}, hours=2, stands_out=20,
    ),
    Glance(
        "do users see failures, or is it a test?", "llm-errors",
        "Who is affected: failed calls by feature and tenant", _at(18),
        {"environment": "staging", "feature": "search"}, hours=2, stands_out=5,
    ),
    Glance(
        "which feature breaks its budget?", "llm-cost", "Budget used, last 24 h, by feature",
        _at(20), {"feature": "search"},
    ),
    Glance(
        "which feature breaks its budget?", "llm-overview",
        "Features: now against the baseline", _at(20), {"feature": "search"}, stands_out=5,
    ),
    Glance(
        "which feature breaks its budget?", "llm-overview",
        "Features: now against the baseline", _at(20), {"feature": "search"}, query=1,
        stands_out=3,
    ),
)  # fmt: skip


@pytest.mark.parametrize("glance", GLANCES, ids=str)
def test_a_panel_answers_a_question_nobody_had_in_mind(blind: Prometheus, glance: Glance) -> None:
    found = seen(blind, glance)
    mine, others = split(found, glance.culprit)
    assert mine, "the culprit is not there"
    assert min(mine) >= glance.stands_out * max(others, default=0), found
    assert min(mine) > 0


@pytest.mark.parametrize("glance", GLANCES, ids=str)
def test_the_panel_accused_nobody_before(blind: Prometheus, glance: Glance) -> None:
    before = Glance(
        glance.incident, glance.uid, glance.title, QUIET, glance.culprit, hours=2, query=glance.query
    )  # fmt: skip
    innocent, _ = split(seen(blind, before), glance.culprit)
    guilty, _ = split(seen(blind, glance), glance.culprit)
    assert 1.5 * max(innocent, default=0) <= min(guilty)


def test_a_glance_tells_that_an_incident_is_over(blind: Prometheus) -> None:
    """Half an hour later the six hours still look bad."""
    now, range_ = "Success now (5 min)", "Success ratio"
    during, after = _at(13.9), _at(14.5)
    assert number(blind, "llm-overview", now, during) < 0.98
    assert number(blind, "llm-overview", range_, after) < 0.99
    assert number(blind, "llm-overview", now, after) > 0.99


def test_a_rollback_that_missed_a_fifth_is_not_complete(blind: Prometheus) -> None:
    title = "Share of its feature's calls, by prompt"
    shares = {}
    for hour in (10, 20):
        glance = Glance("rollback", "llm-focus-prompt", title, _at(hour), BEATEN, hours=1)
        ((shares[hour],), _) = split(seen(blind, glance), BEATEN)
    assert shares == pytest.approx({10: 1.0, 20: blind_day.MISSED}, abs=0.06)


def test_the_cost_board_tells_what_an_incident_has_cost(blind: Prometheus) -> None:
    """Six hours with five times the calls: four times an ordinary six hours too much."""
    asked = {"environment": "prod", "feature": "search"}
    more, times = (
        number(blind, "llm-cost", "Against the baseline", _at(20), nth, **asked) for nth in (0, 1)
    )
    spent = number(blind, "llm-cost", "Spend in range", _at(20), **asked)
    assert times == pytest.approx(5, rel=0.1)
    assert more == pytest.approx(0.8 * spent, rel=0.1)
