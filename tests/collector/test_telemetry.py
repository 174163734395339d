"""The table of metrics is complete: everything that is counted anywhere has a row, and rows are well-formed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from collector.self_metrics import SelfTelemetry, process_stats
from collector.telemetry import COUNTER, METRICS
from processors.batch import Signal
from processors.stats import Histogram, Stats

REPOSITORY = Path(__file__).resolve().parents[2]
_METRIC = re.compile(r"(otelcol_|llm_redactions)[a-z_]+[a-z]")
NAMES = {metric.name for metric in METRICS}


SAMPLER = {
    # what /metrics of the Go Collector v0.158.0 has of its tail sampler, and its labels
    "count_traces_sampled": ("counter", ("policy", "sampled", "decision")),
    "global_count_traces_sampled": ("counter", ("sampled", "decision")),
    "new_trace_id_received": ("counter", ()),
    "early_releases_from_cache_decision": ("counter", ("sampled",)),
    "sampling_policy_execution_count": ("counter", ("policy",)),
    "sampling_policy_evaluation_error": ("counter", ()),
    "sampling_trace_dropped_too_early": ("counter", ()),
    "traces_dropped_too_large": ("counter", ()),
    "count_spans_with_unparseable_tracestate": ("counter", ()),
    "sampling_traces_on_memory": ("gauge", ()),
    "sampling_late_span_age": ("histogram", ()),
    "sampling_trace_removal_age": ("histogram", ()),
}
"""Without what asks a clock while it decides (`sampling_decision_timer_latency`, `sampling_policy_execution_time_sum`)
and what is behind a gate of its own there (`count_spans_sampled`, `count_bytes_sampled`)."""
SUFFIXES = {"counter": "_total", "gauge": "", "histogram": "_seconds"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield the modules that may count."""
    for package in ("processors", "collector"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            if path.name != "telemetry.py" and "demo" not in path.parts:
                yield str(path.relative_to(REPOSITORY)), ast.parse(path.read_text("utf-8"))


def counted() -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every text constant in the sources that looks like a metric of ours."""
    for where, module in sources():
        for node in ast.walk(module):
            name = node.value if isinstance(node, ast.Constant) else None
            if isinstance(name, str) and _METRIC.fullmatch(name):
                yield where, name


def patterns() -> Iterator[str]:
    """Yield what every text in the sources may be: constants, and what is put together of them and of anything."""
    for _, module in sources():
        constants = {
            node.target.id: node.value.value
            for node in module.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(module):
            if isinstance(node, ast.Constant):
                yield re.escape(str(node.value))
            elif isinstance(node, ast.JoinedStr):
                yield "".join(_part(part, constants) for part in node.values)


def _part(part: ast.expr, constants: Mapping[str, object]) -> str:
    if isinstance(part, ast.Constant):
        return re.escape(str(part.value))
    name = (
        part.value.id
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name)
        else ""
    )
    return re.escape(str(constants[name])) if name in constants else "[a-z_]+"


def test_everything_counted_has_a_row() -> None:
    known = NAMES | {"otelcol_llm"}  # the name of the logger and of the entry points
    assert [(where, name) for where, name in counted() if name not in known] == []


def test_every_row_is_counted_somewhere() -> None:
    """A row that nobody counts promises a figure that never comes."""
    texts = [text for text in set(patterns()) if text.startswith(("otelcol_", "llm_"))]
    assert [name for name in sorted(NAMES) if not any(re.fullmatch(t, name) for t in texts)] == []


def test_names_are_unique_and_say_their_kind() -> None:
    assert len(NAMES) == len(METRICS)
    for metric in METRICS:
        if metric.name.endswith("_total"):
            assert metric.kind == COUNTER, metric.name
        assert metric.help.endswith("."), metric.name


@pytest.mark.parametrize("signal", Signal, ids=lambda signal: signal.label)
def test_the_collectors_own_names_are_there(signal: Signal) -> None:
    for pattern in (
        "otelcol_receiver_accepted_{}_total",
        "otelcol_receiver_refused_{}_total",
        "otelcol_exporter_sent_{}_total",
        "otelcol_exporter_send_failed_{}_total",
        "otelcol_exporter_enqueue_failed_{}_total",
    ):
        assert pattern.format(signal.items) in NAMES


def test_the_sampler_has_the_collectors_names_and_labels() -> None:
    prefix = "otelcol_processor_tail_sampling_"
    rows = {row.name: (row.kind, row.labels) for row in METRICS if row.name.startswith(prefix)}
    assert rows == {f"{prefix}{name}{SUFFIXES[row[0]]}": row for name, row in SAMPLER.items()}


def test_components_of_one_type_are_told_apart_by_their_id() -> None:
    first, second = Stats(), Stats()
    first.counters["otelcol_receiver_accepted_spans_total", "grpc"] = 3
    second.counters["otelcol_receiver_accepted_spans_total", "grpc"] = 4
    scraped = SelfTelemetry(METRICS, {"site": "x"}, lambda: [("otlp", first), ("otlp/b", second)])
    (family,) = scraped.collect()
    assert {tuple(sorted(s.labels.items())): s.value for s in family.samples} == {
        (("receiver", "otlp"), ("site", "x"), ("transport", "grpc")): 3,
        (("receiver", "otlp/b"), ("site", "x"), ("transport", "grpc")): 4,
    }


def test_a_name_without_a_row_costs_nothing_else() -> None:
    stats = Stats()
    stats.counters["somebody_elses_total",] = 1
    stats.histograms["somebody_elses_seconds",] = Histogram([1.0])
    stats.gauges["otelcol_llm_in_flight_bytes",] = lambda: 5
    families = list(SelfTelemetry(METRICS, {}, lambda: [("", stats)]).collect())
    assert [family.name for family in families] == ["otelcol_llm_in_flight_bytes"]


def test_histograms_of_several_components_add_up() -> None:
    name = "otelcol_processor_tail_sampling_sampling_late_span_age_seconds"
    parts = []
    for value in (0.5, 3.0):
        stats = Stats()
        stats.histograms[name,] = Histogram([1.0, 2.0])
        stats.histograms[name,].observe(value)
        parts.append(("", stats))
    (family,) = SelfTelemetry(METRICS, {}, lambda: parts).collect()
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert buckets == {"1.0": 1, "2.0": 1, "+Inf": 2}


def test_the_process_is_measured() -> None:
    gauges = {key[0]: read() for key, read in process_stats().gauges.items()}
    assert gauges["otelcol_process_memory_rss"] > 1 << 20
    assert gauges["otelcol_process_cpu_seconds_total"] > 0
