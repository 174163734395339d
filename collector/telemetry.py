"""The collector's own metrics, one table: what exists, its kind, unit, labels and meaning.

Names are the Go Collector's where it has one, `otelcol_llm_*` otherwise. Components count plain numbers into their
`stats` (`processors.stats`) under these names; `self_metrics` reads them at a scrape. A name that is counted and has no
row here is an error of that scrape, which the tests look for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from processors.batch import Signal

MetricKind = Literal["counter", "gauge", "histogram"]
COUNTER: Final[MetricKind] = "counter"
GAUGE: Final[MetricKind] = "gauge"
HISTOGRAM: Final[MetricKind] = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric: its row is what `/metrics`, the documentation and the dashboard tests read."""

    name: str
    kind: MetricKind
    help: str
    unit: str = "1"
    labels: tuple[str, ...] = ()
    """Labels a component counts by, in the order of its keys."""
    owner: str = ""
    """Label that carries the component's id; empty where the Collector has none (several components then add up)."""


def _per_signal(name: str, kind: MetricKind, help_text: str, **rest: object) -> Iterator[Metric]:
    for signal in Signal:
        yield Metric(
            name=name.format(items=signal.items),
            kind=kind,
            unit=signal.items,
            help=help_text.format(items=signal.items.replace("_", " ")),
            **rest,  # type: ignore[arg-type] # the fields of Metric
        )


METRICS: Final[tuple[Metric, ...]] = (
    *_per_signal(
        "otelcol_receiver_accepted_{items}_total",
        COUNTER,
        "{items} taken into the pipelines.",
        labels=("transport",),
        owner="receiver",
    ),
    *_per_signal(
        "otelcol_receiver_refused_{items}_total",
        COUNTER,
        "{items} refused for want of room, to be sent again.",
        labels=("transport",),
        owner="receiver",
    ),
    *_per_signal(
        "otelcol_llm_receiver_rejected_{items}_total",
        COUNTER,
        "{items} left out of a request that was taken, told as partial success.",
        labels=("transport",),
        owner="receiver",
    ),
    Metric(
        name="otelcol_llm_receiver_rejected_requests_total",
        kind=COUNTER,
        labels=("signal", "transport"),
        owner="receiver",
        help="Requests that will never be taken: malformed or against a limit.",
    ),
    Metric(
        name="otelcol_llm_receiver_refused_requests_total",
        kind=COUNTER,
        labels=("signal",),
        owner="receiver",
        help="Requests refused before their body was read.",
    ),
    Metric(
        name="otelcol_llm_receiver_repaired_strings_total",
        kind=COUNTER,
        labels=("signal", "transport"),
        owner="receiver",
        help="Strings that were no UTF-8, delivered with replacement characters.",
    ),
    Metric(
        name="otelcol_processor_incoming_items_total",
        kind=COUNTER,
        labels=("otel_signal", "pipeline"),
        owner="processor",
        help="Items that entered a processor.",
    ),
    Metric(
        name="otelcol_processor_outgoing_items_total",
        kind=COUNTER,
        labels=("otel_signal", "pipeline"),
        owner="processor",
        help="Items that left a processor.",
    ),
    Metric(
        name="otelcol_processor_internal_duration_seconds_total",
        kind=COUNTER,
        unit="s",
        labels=("otel_signal", "pipeline"),
        owner="processor",
        help="Time spent inside a processor.",
    ),
    Metric(
        name="otelcol_llm_processor_failed_items_total",
        kind=COUNTER,
        labels=("otel_signal", "pipeline"),
        owner="processor",
        help="Items of batches in which a processor failed; what became of them is its failure policy.",
    ),
    Metric(
        name="otelcol_llm_pipeline_waiting_items",
        kind=GAUGE,
        labels=("otel_signal", "pipeline"),
        help="Items that a processor released and that wait for room in an exporter's queue.",
    ),
    Metric(
        name="otelcol_llm_in_flight_bytes",
        kind=GAUGE,
        unit="By",
        help="Bytes of requests that are being read or processed.",
    ),
    Metric(
        name="otelcol_llm_in_flight_bytes_limit",
        kind=GAUGE,
        unit="By",
        help="The bound of otelcol_llm_in_flight_bytes.",
    ),
    *_per_signal(
        "otelcol_processor_memory_limiter_refused_{items}_total",
        COUNTER,
        "{items} refused because memory was short.",
        owner="processor",
    ),
    Metric(
        name="otelcol_llm_memory_limiter_limited",
        kind=GAUGE,
        owner="processor",
        help="1 while the memory limiter refuses data.",
    ),
    Metric(
        name="otelcol_llm_config_last_reload_successful",
        kind=GAUGE,
        help="1 when the configuration that was loaded last is the one in force, 0 when it was broken.",
    ),
    Metric(
        name="otelcol_llm_config_last_reload_success_timestamp_seconds",
        kind=GAUGE,
        unit="s",
        help="When the configuration in force was loaded.",
    ),
    Metric(
        name="otelcol_process_uptime_seconds_total",
        kind=COUNTER,
        unit="s",
        help="Time since the start.",
    ),
    Metric(
        name="otelcol_process_cpu_seconds_total",
        kind=COUNTER,
        unit="s",
        help="CPU time, user and system.",
    ),
    Metric(name="otelcol_process_memory_rss", kind=GAUGE, unit="By", help="Resident memory."),
    Metric(
        name="llm_cardinality_overflow_total",
        kind=COUNTER,
        unit="values",
        labels=("label",),
        help="Label values of the LLM metrics that became 'other' because their label had no room.",
    ),
    Metric(
        name="otelcol_llm_metrics_series",
        kind=GAUGE,
        unit="series",
        owner="connector",
        help="Series that llm_metrics keeps.",
    ),
    Metric(
        name="otelcol_llm_metrics_series_overflow_total",
        kind=COUNTER,
        unit="series",
        labels=("metric",),
        owner="connector",
        help="Label sets that became 'other' because their metric had no room for one more series.",
    ),
    Metric(
        name="otelcol_llm_metrics_waiting_exemplars",
        kind=GAUGE,
        unit="traces",
        owner="connector",
        help="Traces that may become exemplars and wait for the sampler to decide.",
    ),
    Metric(
        name="otelcol_llm_prometheus_series",
        kind=GAUGE,
        unit="series",
        owner="exporter",
        help="Series that a prometheus exporter keeps, expired ones included.",
    ),
    Metric(
        name="otelcol_llm_prometheus_dropped_points_total",
        kind=COUNTER,
        unit="points",
        labels=("reason",),
        owner="exporter",
        help="Points that are not shown: their type contradicts an earlier one, or there is no room for the series.",
    ),
)
