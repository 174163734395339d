"""Receivers and exporters show what they may count at 0 before they count it: of their transports and signals alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from collector import handover
from collector.clock import Clock
from collector.component import Limits
from collector.config.load import load
from collector.errors import Rejected
from collector.graph import Graph
from collector.intake import Gate, InFlight
from collector.state import State
from processors.base import Stateless
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from tests.telemetry import span, traces

CONFIG = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}}
exporters:
  otlp:
    endpoint: "127.0.0.1:9"
    tls: {insecure: true}
    sending_queue: {queue_size: 1, sizer: items}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp]}
"""
LOGS = "    logs: {receivers: [otlp], exporters: [otlp]}\n"
RECEIVED = {
    ("otelcol_receiver_accepted_spans_total", "http"),
    ("otelcol_receiver_refused_spans_total", "http"),
    ("otelcol_llm_receiver_rejected_spans_total", "http"),
    ("otelcol_llm_receiver_rejected_requests_total", "traces", "http"),
    ("otelcol_llm_receiver_repaired_strings_total", "traces", "http"),
    ("otelcol_llm_receiver_refused_requests_total", "traces"),
}
SENT = {
    ("otelcol_exporter_sent_spans_total",),
    ("otelcol_exporter_send_failed_spans_total",),
    ("otelcol_exporter_enqueue_failed_spans_total",),
    ("otelcol_llm_exporter_retries_total",),
}


def graph(folder: Path, config: str, previous: Graph | None = None) -> Graph:
    path = folder / "collector.yaml"
    path.write_text(config)
    state = previous.state if previous else State(Gate(Clock(), InFlight(1 << 20)))
    made = Graph(load([str(path)]).config, state, previous)
    handover.take_over(made, previous)
    return made


def test_before_anything_came_counters_of_configured_ways_are_0(tmp_path: Path) -> None:
    made = graph(tmp_path, CONFIG)
    assert made.intakes["otlp"].stats.counters == dict.fromkeys(RECEIVED, 0)
    assert made.exporters["otlp"].stats.counters == dict.fromkeys(SENT, 0)


def test_a_burst_of_what_goes_wrong_begins_no_series(tmp_path: Path) -> None:
    made = graph(tmp_path, CONFIG)
    intake, counted = made.intakes["otlp"], made.intakes["otlp"].stats.counters
    one, without_id = traces(span(1)), traces({"number": 0, "trace": 0})
    no_text = traces(span(1, name="??")).replace(b"??", b"\xff\xff")

    for raw in (one, one, without_id, b"no request", no_text):
        with suppress(Overloaded, Rejected):
            intake.consume(Signal.TRACES, raw, Limits(), "http")
    for error in (Overloaded("full"), Rejected("no gzip"), ValueError("a bug")):
        intake.turned_away(Signal.TRACES, error, "http")

    assert counted["otelcol_receiver_refused_spans_total", "http"] == 2
    assert counted["otelcol_llm_receiver_rejected_spans_total", "http"] == 1
    assert counted["otelcol_llm_receiver_rejected_requests_total", "traces", "http"] == 2
    assert counted["otelcol_llm_receiver_refused_requests_total", "traces"] == 1
    assert counted["otelcol_llm_receiver_repaired_strings_total", "traces", "http"] == 1
    assert set(counted) == RECEIVED
    assert made.exporters["otlp"].stats.counters["otelcol_exporter_enqueue_failed_spans_total",]
    assert set(made.exporters["otlp"].stats.counters) == SENT


def test_a_reload_shows_what_a_new_signal_may_count_and_keeps_what_was_counted(
    tmp_path: Path,
) -> None:
    old = graph(tmp_path, CONFIG)
    accepted = ("otelcol_receiver_accepted_spans_total", "http")
    old.intakes["otlp"].stats.counters[accepted] += 7

    new = graph(tmp_path, CONFIG + LOGS, old)

    received, sent = new.intakes["otlp"].stats.counters, new.exporters["otlp"].stats.counters
    assert received[accepted] == 7
    assert ("otelcol_receiver_refused_log_records_total", "http") in received
    assert ("otelcol_exporter_send_failed_log_records_total",) in sent
    assert {number for key, number in received.items() if key != accepted} == {0}


def test_a_receiver_that_is_replaced_is_counted_on(tmp_path: Path) -> None:
    old = graph(tmp_path, CONFIG)
    old.intakes["otlp"].stats.counters["otelcol_receiver_accepted_spans_total", "http"] += 7

    both = CONFIG.replace("protocols: {", 'protocols: {grpc: {endpoint: "127.0.0.1:0"}, ')
    new = graph(tmp_path, both, old)
    received = new.intakes["otlp"].stats.counters
    assert new.receivers["otlp"] is not old.receivers["otlp"]
    assert received["otelcol_receiver_accepted_spans_total", "http"] == 7
    assert ("otelcol_receiver_accepted_spans_total", "grpc") in received

    old.intakes["otlp"].stats.counters["otelcol_receiver_accepted_spans_total", "http"] += 1
    assert received["otelcol_receiver_accepted_spans_total", "http"] == 8  # which it still read


class Broken(Stateless):
    """A connector that fails."""

    def process(self, batch: Batch) -> Batch:
        raise ValueError("a bug")


FORWARDING = (
    "connectors: {forward: {}}\n"
    + CONFIG.replace("queue_size: 1,", "queue_size: 9,").replace("[otlp]}\n", "[forward]}\n")
    + "    traces/2: {receivers: [forward], exporters: [otlp]}\n"
)


def failed_in_connectors(shown: Graph) -> dict[str, int | float]:
    failed = ("otelcol_llm_connector_failed_items_total",)
    return {
        name: stats.counters[failed] for name, stats in shown.sources() if failed in stats.counters
    }


def let_forward_fail(shown: Graph) -> None:
    """Let the connector fail on two spans."""
    shown.connector_stages["forward"].processor = Broken()
    shown.intakes["otlp"].open()
    shown.intakes["otlp"].consume(Signal.TRACES, traces(span(1), span(2)), Limits(), "http")


def test_what_fails_in_a_connector_is_counted_from_0(tmp_path: Path) -> None:
    made = graph(tmp_path, FORWARDING)
    assert failed_in_connectors(made) == {"forward": 0}
    let_forward_fail(made)
    assert failed_in_connectors(made) == {"forward": 2}


def test_a_reload_keeps_what_failed_in_a_connector(tmp_path: Path) -> None:
    old = graph(tmp_path, FORWARDING)
    let_forward_fail(old)
    new = graph(tmp_path, FORWARDING, old)
    assert failed_in_connectors(new) == {"forward": 2}
    let_forward_fail(new)
    assert failed_in_connectors(new) == {"forward": 4}
