"""Alerts on counters of ours ring at the first burst; Prometheus sees no increase in a series that begins so.

Two ring only when it goes on: what is refused comes again, and nobody is woken for a single text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from collector.clock import Clock
from collector.config.load import load
from collector.graph import Graph
from collector.intake import Gate, InFlight
from collector.self_metrics import SelfTelemetry
from collector.state import State
from collector.telemetry import COUNTER, METRICS
from tests.stack.rules import PROMETHEUS, alerts, metrics_of, run

CONFIG = """
extensions:
  freshness: {metrics: {endpoint: "http://127.0.0.1:9"}, traces: {endpoint: "http://127.0.0.1:9"}}
receivers:
  otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}
processors:
  genai: {}
  llm_cost: {}
  redaction: {entities: [EMAIL], pseudonym_keys: []}
  tail_sampling: {policies: [{name: all, type: always_sample}]}
connectors: {llm_metrics: {}}
exporters:
  otlp: {endpoint: "127.0.0.1:9", tls: {insecure: true}}
  prometheus: {endpoint: "127.0.0.1:0"}
service:
  extensions: [freshness]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces:
      receivers: [otlp]
      processors: [genai, llm_cost, redaction, tail_sampling]
      exporters: [otlp, llm_metrics]
    metrics: {receivers: [llm_metrics], exporters: [prometheus]}
"""
OURS = {row.name for row in METRICS if row.kind == COUNTER}
WATCHED = {alert["alert"]: metrics_of(alert["expr"]) & OURS for alert in alerts()}
"""The counters of ours that alerts rest on, by alert."""
WHEN_IT_GOES_ON = {"LLMSpansRefused", "LLMRedactionFailing"}

Shown = Mapping[str, float]
"""Values by series, as PromQL writes it."""


def graph(folder: Path, config: str, previous: Graph | None = None) -> Graph:
    path = folder / "collector.yaml"
    path.write_text(config)
    state = previous.state if previous else State(Gate(Clock(), InFlight(1 << 20)))
    return Graph(load([str(path)]).config, state, previous)


def scrape(shown: Graph) -> Shown:
    """Return the counters that somebody sees who asks for `/metrics` now."""
    registry = CollectorRegistry()
    registry.register(SelfTelemetry(METRICS, {}, shown.sources))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        sample.name + "{" + ",".join(f"{k}={json.dumps(v)}" for k, v in sample.labels.items()) + "}": sample.value
        for family in families
        if family.type == "counter"
        for sample in family.samples
    }  # fmt: skip


def names(shown: Iterable[str]) -> set[str]:
    return {series.partition("{")[0] for series in shown}


@pytest.mark.parametrize("alert", [name for name, counters in WATCHED.items() if counters])
def test_what_an_alert_rests_on_is_shown_at_0_before_anything_came(
    alert: str, tmp_path: Path
) -> None:
    shown = scrape(graph(tmp_path, CONFIG))
    assert WATCHED[alert] - names(shown) == set()
    assert {value for series, value in shown.items() if names([series]) & WATCHED[alert]} == {0.0}


@pytest.mark.parametrize(
    ("values", "silent"), [("0x40 5000x80", WHEN_IT_GOES_ON), ("0x40 0+9x80", set())]
)
def test_a_first_burst_between_two_scrapes_rings(
    values: str, silent: set[str], tmp_path: Path
) -> None:
    """The series are those of a collector to which nothing has come yet: one burst, and one that goes on."""
    all_of_them = [name for name, counters in WATCHED.items() if counters]
    watched = set().union(*WATCHED.values())
    series = [
        {"series": one, "values": values}
        for one in scrape(graph(tmp_path, CONFIG))
        if names([one]) & watched
    ]
    expected = {
        "expr": f"group by (alertname) (ALERTS{{alertstate='firing',alertname=~'{'|'.join(all_of_them)}'}})",
        "eval_time": "22m",
        "exp_samples": [
            {"labels": f'{{alertname="{name}"}}', "value": 1}
            for name in all_of_them
            if name not in silent
        ],
    }
    burst = {
        "rule_files": [str(PROMETHEUS / "rules" / "telemetry.yml")],
        "evaluation_interval": "30s",
        "tests": [{"interval": "15s", "input_series": series, "promql_expr_test": [expected]}],
    }
    file = tmp_path / "burst.yml"
    file.write_text(json.dumps(burst))
    run("promtool", "test", "rules", str(file))
