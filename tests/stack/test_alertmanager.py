"""Alertmanager: who hears of what, what is muted by what, and where its links lead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.stack.rules import PROMETHEUS, alerts, run

FILES = ("alertmanager.yml", "alertmanager.local.yml")
TEMPLATES = f"--template.glob={PROMETHEUS / 'templates' / '*.tmpl'}"

ROUTES = [
    ({"alertname": "Watchdog", "severity": "none"}, "deadmansswitch"),
    ({"severity": "page"}, "pager,chat"),
    ({"severity": "page", "environment": "production"}, "pager,chat"),
    ({"severity": "page", "environment": "unknown"}, "pager,chat"),
    ({"severity": "page", "environment": "staging"}, "chat"),
    ({"severity": "warning", "environment": "prod"}, "chat"),
    ({"severity": "ticket", "category": "cost"}, "finance,tickets"),
    ({"severity": "ticket", "category": "cost", "owner": "prompt"}, "prompt-owners"),
    ({"severity": "ticket", "category": "quality"}, "prompt-owners"),
    ({"severity": "ticket", "category": "drift"}, "prompt-owners"),
    ({"severity": "ticket", "category": "telemetry"}, "tickets"),
]


def read(name: str) -> dict[str, Any]:
    """Return a configuration."""
    document: dict[str, Any] = yaml.safe_load((PROMETHEUS / name).read_text("utf-8"))
    return document


@pytest.mark.parametrize("file", FILES)
def test_amtool_takes_the_configuration(file: str) -> None:
    run("amtool", "check-config", file)


@pytest.mark.parametrize(("labels", "receivers"), ROUTES)
def test_alerts_reach_those_they_concern(labels: dict[str, str], receivers: str) -> None:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    told = run("amtool", "config", "routes", "test", "--config.file=alertmanager.yml", *pairs)
    assert told.strip() == receivers


def test_the_local_configuration_differs_in_receivers_alone() -> None:
    real, local = map(read, FILES)
    assert real["route"] == local["route"]
    assert real["inhibit_rules"] == local["inhibit_rules"]
    names = [{receiver["name"] for receiver in one["receivers"]} for one in (real, local)]
    assert names[0] == names[1]
    assert all(receiver.keys() == {"name"} for receiver in local["receivers"])


def test_secrets_are_files() -> None:
    text = (PROMETHEUS / "alertmanager.yml").read_text("utf-8")
    for key in ("smtp_auth_password", "slack_api_url", "api_url", "routing_key", "credentials"):
        assert f" {key}:" not in text
    assert text.count("/etc/alertmanager/secrets/") == 5


def test_inhibitions_name_alerts_that_exist() -> None:
    known = {alert["alert"] for alert in alerts()}
    for rule in read("alertmanager.yml")["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, value = matcher.replace("!=", "=").replace("=~", "=").partition("=")
            if name == "alertname":
                assert {v for v in value.strip('"').split("|") if "*" not in v} <= known


def render(template: str, data: dict[str, Any], folder: Path) -> str:
    """Return what a template makes of a notification."""
    file = folder / "data.json"
    file.write_text(json.dumps(data))
    return run(
        "amtool",
        "template",
        "render",
        TEMPLATES,
        "--template.type=text",
        f"--template.data={file}",
        f'--template.text={{{{ with index .Alerts 0 }}}}{{{{ template "{template}" . }}}}{{{{ end }}}}',
    ).strip()


def notification(path: str, **labels: str) -> dict[str, Any]:
    """Return the data of a notification about one alert."""
    return {
        "status": "firing",
        "alerts": [
            {
                "labels": labels,
                "annotations": {"dashboard_path": path},
                "startsAt": "2026-11-21T02:00:00Z",
            }
        ],
    }


def test_links_carry_the_time_and_the_filters(tmp_path: Path) -> None:
    data = notification(
        "/d/llm-errors",
        alertname="LLMErrorRateCritical",
        environment="prod",
        feature="checkout ai & summary",
        severity="page",
    )
    board = urlsplit(render("llm.board", data, tmp_path))
    assert board.path == "/d/llm-errors"
    assert parse_qs(board.query) == {
        "from": ["1795222800000"],
        "to": ["1795228200000"],
        "var-data_mode": ["real"],
        "var-environment": ["prod"],
        "var-feature": ["checkout ai & summary"],
    }
    investigation = urlsplit(render("llm.investigate", data, tmp_path))
    assert investigation.path == "/d/llm-investigate"
    assert parse_qs(investigation.query)["var-alert"] == ["LLMErrorRateCritical"]


def test_a_path_with_a_query_goes_on_with_an_ampersand(tmp_path: Path) -> None:
    link = render("llm.board", notification("/d/llm-slo?var-slo=x", alertname="A"), tmp_path)
    assert "/d/llm-slo?var-slo=x&from=" in link
