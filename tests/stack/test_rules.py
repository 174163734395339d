"""The rules of Prometheus: they load, name what exists, lead somewhere, and fire when they should."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from collector.slo.objectives import load
from collector.slo.rules import write
from tests.e2e.servers import REPOSITORY
from tests.stack.rules import (
    BOARDS,
    PROMETHEUS,
    RULE_FILES,
    TEST_FILES,
    alerts,
    groups,
    known_metrics,
    metrics_of,
    read,
    rules,
    run,
)

USERS_THRESHOLDS = {
    "LLMErrorRateHigh": "> 0.02",
    "LLMErrorRateCritical": "> 0.05",
    "LLMProviderOutage": "> 0.5",
    "LLMRateLimitedEarly": "> 0.01",
    "LLMRateLimitPressure": "> 0.03",
    "LLMRateLimitExhausted": "> 0.05",
    "LLMQuotaHigh": "> 0.8",
    "LLMQuotaNearlyExhausted": "> 0.95",
    "LLMLatencyP50High": "> 2",
    "LLMLatencyP50Critical": "> 5",
    "LLMLatencyP95High": "> 8",
    "LLMLatencyP95Critical": "> 15",
    "LLMTTFTSlow": "> 2",
    "LLMCostRateWarning": "1.2 * max",
    "LLMCostRateHigh": "1.5 * max",
    "LLMBudgetWarning": "0.8 <=",
    "LLMBudgetCritical": "0.95 <=",
    "LLMBudgetExceeded": ">= 1",
    "LLMPromptCostRegression": "> 1.5 *",
    "LLMCacheHitRateDrop": "< 0.8 *",
    "LLMQualityWarning": "< 0.7",
    "LLMQualityLow": "< 0.6",
    "LLMQualityCritical": "< 0.5",
    "LLMFreshnessSLOBreached": "> 300",
}


def test_promtool_finds_nothing_to_say_about_the_rules() -> None:
    run("promtool", "check", "rules", "--lint=all", *map(str, RULE_FILES))


def test_promtool_takes_the_configuration() -> None:
    run("promtool", "check", "config", "--syntax-only", "prometheus.yml")


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_planted_incidents_fire_their_alerts_and_no_others(file: Path) -> None:
    run("promtool", "test", "rules", str(file))


def test_every_alert_is_fired_by_an_incident() -> None:
    fired = set()
    for file in TEST_FILES:
        fired |= set(re.findall(r'labels: .*?alertname="(\w+)"', file.read_text()))
    assert {alert["alert"] for alert in alerts()} - fired == set()


def test_recordings_run_before_what_reads_them_in_tests() -> None:
    """promtool runs groups in any order: the groups a test does not list come first."""
    recorded_in = {
        rule["record"]: group["name"]
        for group in groups()
        for rule in group["rules"]
        if "record" in rule and not rule["record"].startswith("slo:")
    }
    for file in TEST_FILES:
        document = read(file)
        order = document.get("group_eval_order", [])
        loaded = [
            group for name in document["rule_files"] for group in read(file.parent / name)["groups"]
        ]
        assert sorted(order) == sorted(group["name"] for group in loaded), file.name
        for group in loaded:
            for rule in group["rules"]:
                for source in metrics_of(rule["expr"]) & recorded_in.keys():
                    assert order.index(recorded_in[source]) <= order.index(group["name"]), file


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_ask_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert metrics_of(rule["expr"]) - known_metrics() == set()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_alerts_say_how_bad_they_are_and_lead_to_a_board_and_a_runbook(
    alert: dict[str, Any],
) -> None:
    told = alert["annotations"]
    assert alert["labels"]["severity"] in {"page", "warning", "ticket", "none"}
    assert alert["labels"]["category"]
    assert told["summary"]
    assert told["description"]
    assert told["threshold"]
    assert told["dashboard_path"].removeprefix("/d/") in BOARDS
    name = told["runbook_url"].rpartition("/")[2]
    assert (PROMETHEUS / "runbooks" / name).is_file()


@pytest.mark.parametrize("name", USERS_THRESHOLDS)
def test_thresholds_are_the_users(name: str) -> None:
    (alert,) = [alert for alert in alerts() if alert["alert"] == name]
    assert USERS_THRESHOLDS[name] in alert["expr"]


def test_alerts_about_traffic_look_at_real_traffic_only() -> None:
    for rule in rules():
        for name, matchers in re.findall(r"\b(llm_\w+)(\{[^}]*\})?", rule["expr"]):
            if metrics_of(name) & known_metrics() and not name.startswith(
                ("llm_budget", "llm_freshness", "llm_cardinality", "llm_redactions")
            ):
                assert 'data_mode="real"' in matchers or 'data_mode=~"real|"' in matchers, rule


def test_groups_run_often_enough_to_leave_no_gaps() -> None:
    assert {group.get("interval", "30s") for group in groups()} <= {"30s", "2m"}


def test_generated_rules_are_those_of_the_file_of_objectives() -> None:
    promises = load(REPOSITORY / "configs" / "slo.yaml")
    written = (PROMETHEUS / "rules" / "slo.yml").read_text("utf-8")
    assert write(promises, "configs/slo.yaml") == written
