"""A good week in which no alert fires, and a bad one in which each names its culprit.

Both are backfilled into a real Prometheus, with the noise and the rhythm of real traffic; the alerts' own queries are
asked for every fourth minute of the week.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests.e2e.servers import Prometheus
from tests.stack import week
from tests.stack.rules import alerts
from tests.stack.served import ask

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


def test_nothing_fires_in_a_good_week(good: Prometheus) -> None:
    assert judge(good) == {}


def test_each_incident_of_a_bad_week_names_its_culprit(bad: Prometheus) -> None:
    found = judge(bad)
    assert found.keys() == CULPRITS.keys() | FOLLOWS.keys()
    for name, culprit in CULPRITS.items():
        assert [{k: labels[k] for k in culprit} for labels in found[name]] == [culprit], name
    for name, features in FOLLOWS.items():
        assert {labels.get("feature", "") for labels in found[name]} == features
