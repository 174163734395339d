"""A real Alertmanager with the shipped configuration, and those it tells: who hears of a shipped alert, and how.

Only what it must be is different: the addresses lie on loopback, mail goes there without TLS, nothing is waited for.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.e2e.servers import free_port, installed, poll, start
from tests.stack.rules import PROMETHEUS, alerts
from tests.stack.sinks import Sinks, Told, sinks

pytestmark = pytest.mark.e2e

SECRETS: Final = {
    "smtp_password": "mail-5e",
    "pagerduty_key": "pager-5e",
    "ticket_token": "ticket-5e",
    "deadmansswitch_token": "switch-5e",
}


@dataclass(frozen=True, slots=True)
class Office:
    """The Alertmanager and everybody it can reach."""

    port: int
    sinks: Sinks

    def fire(self, *alerts: Mapping[str, object]) -> None:
        """Tell Alertmanager of alerts, as Prometheus does."""
        url = f"http://127.0.0.1:{self.port}/api/v2/alerts"
        httpx.post(url, json=alerts, trust_env=False).raise_for_status()

    def about(self, name: str, feature: str) -> list[Told]:
        """Return the notifications of an alert so far."""
        told = list(self.sinks.told)
        return [one for one in told if name in str(one.body) and feature in str(one.body)]

    def heard(self, name: str, feature: str, *where: str) -> list[Told]:
        """Wait until those places have heard of it; returns what they were told, in this order."""

        def all_told() -> list[Told]:
            known = {one.where: one for one in self.about(name, feature)}
            return [known[place] for place in where] if set(where) <= known.keys() else []

        found: list[Told] = poll(f"{where} to hear of {name}", all_told)
        return found


def on_loopback(text: str, secrets: Path, told: Sinks) -> str:
    """Return the shipped configuration for this test."""
    here = f"http://127.0.0.1:{told.http}"
    for old, new in (
        ("/etc/alertmanager/secrets", str(secrets)),
        ("mail.example.com:587", f"127.0.0.1:{told.smtp}\n  smtp_require_tls: false"),
        ("global:", f"global:\n  pagerduty_url: {here}/pager"),
        ("http://tickets.example.com", here),
        ("http://deadmansswitch.example.com", f"{here}/switch"),
    ):
        assert old in text
        text = text.replace(old, new)
    return re.sub(r"group_wait: \d+s", "group_wait: 0s", text)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A running Alertmanager."""
    binary = shutil.which("alertmanager") or installed("prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("delivery")
    with sinks() as told:
        for name, value in (SECRETS | {"slack_url": f"http://127.0.0.1:{told.http}/slack"}).items():
            (folder / name).write_text(value)
        shutil.copytree(PROMETHEUS / "templates", folder / "templates")
        config = folder / "alertmanager.yml"
        shipped = (PROMETHEUS / config.name).read_text("utf-8")
        config.write_text(on_loopback(shipped, folder, told), "utf-8")
        port = free_port()
        command = [
            binary,
            f"--config.file={config}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        server = start(command, folder / "alertmanager.log", [port])
        try:
            yield Office(port, told)
        finally:
            server.stop()


def shipped(name: str, **labels: str) -> dict[str, object]:
    """Return a shipped alert as Prometheus sends it when it fires."""
    (rule,) = (one for one in alerts() if one["alert"] == name)
    return {
        "labels": {"alertname": name, "environment": "prod", **rule["labels"], **labels},
        "annotations": rule["annotations"],
        "startsAt": "2026-11-21T02:00:00Z",
    }


def test_a_page_rings_and_is_in_the_chat(office: Office) -> None:
    office.fire(shipped("LLMQualityLow", feature="page"))
    pager, chat = office.heard("LLMQualityLow", "page", "/pager", "/slack")
    assert pager.body["routing_key"] == "pager-5e"
    assert pager.body["event_action"] == "trigger"
    assert pager.body["payload"]["summary"] == "PAGE LLMQualityLow in prod"
    links = {link["text"]: link["href"] for link in pager.body["links"]}
    assert "/d/llm-investigate?from=1795222800000" in links["Investigate"]
    assert links["Runbook"].endswith("/runbooks/quality-drop.md")
    assert chat.body["channel"] == "#llm-incidents"


def test_a_warning_is_in_the_chat_alone(office: Office) -> None:
    office.fire(shipped("LLMLatencyP50High", feature="warning"))
    (chat,) = office.heard("LLMLatencyP50High", "warning", "/slack")
    (message,) = chat.body["attachments"]
    assert message["title"] == "WARNING LLMLatencyP50High in prod"
    assert "&var-feature=warning" in message["title_link"]
    assert "Threshold: " in message["text"]
    assert len(office.about("LLMLatencyP50High", "warning")) == 1


def test_a_ticket_about_money_is_mailed_and_filed(office: Office) -> None:
    office.fire(shipped("LLMCostPerCallDrift", feature="ticket"))
    mail, ticket = office.heard("LLMCostPerCallDrift", "ticket", "mail", "/alertmanager")
    assert mail.secret.split("\0") == ["", "otelcol-llm@example.com", "mail-5e"]
    assert "Subject: TICKET LLMCostPerCallDrift in prod" in mail.body
    assert "To: llm-costs@example.com" in mail.body
    assert ticket.secret == "Bearer ticket-5e"
    assert ticket.body["receiver"] == "tickets"


def test_a_ticket_about_a_prompt_goes_to_its_owners(office: Office) -> None:
    office.fire(shipped("LLMPromptCostRegression", feature="owners"))
    (chat,) = office.heard("LLMPromptCostRegression", "owners", "/slack")
    assert chat.body["channel"] == "#llm-prompts"


def test_nobody_is_woken_for_staging(office: Office) -> None:
    office.fire(shipped("LLMQualityLow", feature="rehearsal", environment="staging"))
    office.heard("LLMQualityLow", "rehearsal", "/slack")
    assert [one.where for one in office.about("LLMQualityLow", "rehearsal")] == ["/slack"]


def test_the_watchdog_reaches_the_dead_mans_switch(office: Office) -> None:
    office.fire(shipped("Watchdog", feature="switch"))
    (told,) = office.heard("Watchdog", "switch", "/switch/otelcol-llm")
    assert told.secret == "Bearer switch-5e"


def test_the_higher_threshold_speaks_for_both(office: Office) -> None:
    """And what is not about the same thing is still heard."""
    office.fire(shipped("LLMErrorRateCritical", provider="acme"))
    office.heard("LLMErrorRateCritical", "acme", "/pager")
    office.fire(
        shipped("LLMErrorRateHigh", provider="acme"),
        shipped("LLMErrorRateHigh", provider="other", environment="production"),
    )
    office.heard("LLMErrorRateHigh", "other", "/slack")
    assert office.about("LLMErrorRateHigh", "acme") == []
