"""The collector's own metrics, one table: what exists, its kind, unit, labels and meaning.

Names are the Go Collector's where it has one, `otelcol_llm_*` otherwise. Components count plain numbers into their
`stats` (`processors.stats`) under these names; `self_metrics` reads them at a scrape. What is counted under a name that
has no row here is not shown; a test looks for such names.
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


def _sampler(name: str, kind: MetricKind, help_text: str, *labels: str, unit: str = "1") -> Metric:
    """A metric of the tail sampler: the Collector's carry no component, its policies' names do."""
    ours = name.startswith("otelcol_llm")
    owner = "processor" if ours else ""
    return Metric(name=name, kind=kind, help=help_text, unit=unit, labels=labels, owner=owner)


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
        help="Requests refused for want of room before their items were counted.",
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
        name="otelcol_llm_connector_failed_items_total",
        kind=COUNTER,
        owner="connector",
        help="Items of batches in which a connector failed; of llm_metrics: calls that are not counted.",
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
        name="otelcol_llm_genai_records_total",
        kind=COUNTER,
        unit="records",
        labels=("class",),
        owner="processor",
        help="GenAI spans and log records that were normalised, by app.llm.span.class.",
    ),
    Metric(
        name="otelcol_llm_genai_skipped_records_total",
        kind=COUNTER,
        unit="records",
        labels=("reason",),
        owner="processor",
        help="Records of calls that are counted by another record or never billed, by app.llm.cost.skip_reason.",
    ),
    Metric(
        name="otelcol_llm_genai_invalid_counts_total",
        kind=COUNTER,
        unit="values",
        owner="processor",
        help="Values that stood where a token count should and were none: negative, a fraction, true.",
    ),
    Metric(
        name="otelcol_llm_genai_uncovered_aggregates_total",
        kind=COUNTER,
        unit="spans",
        owner="processor",
        help="Agents and workflows whose own totals exceed the calls below them by more than 5 %.",
    ),
    Metric(
        name="otelcol_llm_genai_held_spans",
        kind=GAUGE,
        unit="spans",
        owner="processor",
        help="Spans that wait until it is known whether they count.",
    ),
    Metric(
        name="otelcol_llm_genai_ledger_bytes",
        kind=GAUGE,
        unit="By",
        owner="processor",
        help="Estimated memory of the ledger and the spans that wait; bounded by ledger.max_bytes.",
    ),
    Metric(
        name="otelcol_llm_genai_ledger_traces",
        kind=GAUGE,
        unit="traces",
        owner="processor",
        help="Traces that the ledger remembers.",
    ),
    Metric(
        name="otelcol_llm_genai_ledger_evicted_traces_total",
        kind=COUNTER,
        unit="traces",
        owner="processor",
        help="Traces that were forgotten before their time because the ledger was full.",
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
        name="otelcol_llm_metrics_users_left_out_total",
        kind=COUNTER,
        unit="calls",
        owner="connector",
        help="Priced calls of users that llm_metrics did not tell, because the user is no pseudonym of redaction.",
    ),
    Metric(
        name="otelcol_llm_metrics_waiting_exemplars",
        kind=GAUGE,
        unit="traces",
        owner="connector",
        help="Traces that may become exemplars and wait for the sampler to decide.",
    ),
    *_per_signal(
        "otelcol_exporter_sent_{items}_total",
        COUNTER,
        "{items} that the destination took.",
        owner="exporter",
    ),
    *_per_signal(
        "otelcol_exporter_send_failed_{items}_total",
        COUNTER,
        "{items} that could not be delivered and are lost.",
        owner="exporter",
    ),
    *_per_signal(
        "otelcol_exporter_enqueue_failed_{items}_total",
        COUNTER,
        "{items} for which the sending queue had no room; their sender was told to come back.",
        owner="exporter",
    ),
    Metric(
        name="otelcol_exporter_queue_size",
        kind=GAUGE,
        owner="exporter",
        help="What waits in the sending queue or is on its way, in the queue's unit.",
    ),
    Metric(
        name="otelcol_exporter_queue_capacity",
        kind=GAUGE,
        owner="exporter",
        help="The bound of otelcol_exporter_queue_size.",
    ),
    Metric(
        name="otelcol_exporter_in_flight_requests",
        kind=GAUGE,
        unit="requests",
        owner="exporter",
        help="Requests on their way, those that wait for another attempt included.",
    ),
    Metric(
        name="otelcol_exporter_queue_batch_send_size",
        kind=HISTOGRAM,
        unit="items",
        owner="exporter",
        help="Items of a load as it left the sending queue.",
    ),
    Metric(
        name="otelcol_llm_exporter_dropped_items_total",
        kind=COUNTER,
        unit="items",
        labels=("otel_signal", "reason"),
        owner="exporter",
        help="Items that could not be delivered, by reason: invalid, permanent, retries_exhausted, partial_success, "
        "too_large, shutdown, internal_error.",
    ),
    Metric(
        name="otelcol_llm_exporter_retries_total",
        kind=COUNTER,
        unit="requests",
        owner="exporter",
        help="Attempts that failed and were followed by another.",
    ),
    Metric(
        name="otelcol_llm_storage_commit_seconds",
        kind=HISTOGRAM,
        unit="s",
        labels=("file",),
        owner="extension",
        help="Time of a commit; everything that waits at a moment shares one.",
    ),
    Metric(
        name="otelcol_llm_storage_failed_commits_total",
        kind=COUNTER,
        unit="commits",
        labels=("file", "error"),
        owner="extension",
        help="Commits and write-backs that failed, by SQLite's name of the error; nothing of them is on disk.",
    ),
    Metric(
        name="otelcol_llm_storage_refused_total",
        kind=COUNTER,
        unit="rows",
        labels=("file",),
        owner="extension",
        help="Rows refused because the storage could not be written; their senders were told to send them again.",
    ),
    Metric(
        name="otelcol_llm_storage_damaged_total",
        kind=COUNTER,
        labels=("file", "what"),
        owner="extension",
        help="Rows, logs and files that were found damaged.",
    ),
    Metric(
        name="otelcol_llm_storage_limited",
        kind=GAUGE,
        owner="extension",
        help="1 while the disk is full or cannot be written: nothing new is stored, what is there is still delivered.",
    ),
    Metric(
        name="llm_freshness_seconds",
        kind=HISTOGRAM,
        unit="s",
        labels=("signal",),
        help="Time from sending a synthetic call to its being seen where the dashboards look.",
    ),
    Metric(
        name="llm_freshness_probes_total",
        kind=COUNTER,
        unit="probes",
        labels=("signal", "result"),
        help="Synthetic calls by whether they were seen: ok is in time, late after the target, lost never.",
    ),
    Metric(
        name="llm_freshness_last_success_timestamp_seconds",
        kind=GAUGE,
        unit="s",
        labels=("signal",),
        help="When a synthetic call was seen last; before the first one, when probing began.",
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
        help="Points that are not shown: another type than before, not to be spelled, or no room for the series.",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_count_traces_sampled_total",
        COUNTER,
        "Votes of each policy.",
        "policy",
        "sampled",
        "decision",
        unit="traces",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_global_count_traces_sampled_total",
        COUNTER,
        "Traces by what was decided about them.",
        "sampled",
        "decision",
        unit="traces",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_new_trace_id_received_total",
        COUNTER,
        "Traces whose first span came.",
        unit="traces",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_early_releases_from_cache_decision_total",
        COUNTER,
        "Late spans that followed a remembered decision.",
        "sampled",
        unit="spans",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_sampling_policy_execution_count_total",
        COUNTER,
        "How often each policy was asked.",
        "policy",
        unit="executions",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_sampling_policy_evaluation_error_total",
        COUNTER,
        "Votes that failed and did not count.",
        unit="errors",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_sampling_late_span_age_seconds",
        HISTOGRAM,
        "Time from the decision on a trace to a span that came after it.",
        unit="s",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total",
        COUNTER,
        "Traces that were decided before their time because the buffer was full.",
        unit="traces",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_sampling_trace_removal_age_seconds",
        HISTOGRAM,
        "Time from the first span of a trace to its removal from the buffer.",
        unit="s",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_sampling_traces_on_memory",
        GAUGE,
        "Traces in the buffer.",
        unit="traces",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_traces_dropped_too_large_total",
        COUNTER,
        "Traces above maximum_trace_size_bytes.",
        unit="traces",
    ),
    _sampler(
        "otelcol_processor_tail_sampling_count_spans_with_unparseable_tracestate_total",
        COUNTER,
        "Kept spans whose trace state could not be read and was left as it is.",
        unit="spans",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_repaired_strings_total",
        COUNTER,
        "Strings that were no UTF-8 in what was released, handed on with replacement characters.",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_decisions_total",
        COUNTER,
        "Traces by the policy that decided, what is stored of them, and what made it time to decide.",
        "policy",
        "decision",
        "trigger",
        unit="traces",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_spans_total",
        COUNTER,
        "The ledger of spans: received is the sum of what was released, dropped and is held.",
        "outcome",
        unit="spans",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_stored_bytes_total",
        COUNTER,
        "Bytes of released spans.",
        "policy",
        "decision",
        unit="By",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_cost_usd_total",
        COUNTER,
        "Cost of the decided traces by what was stored of them.",
        "decision",
        unit="USD",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_held_spans",
        GAUGE,
        "Spans that wait for the decision on their trace.",
        unit="spans",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_held_bytes",
        GAUGE,
        "What waits, with bookkeeping; bounded by buffer.max_bytes.",
        unit="By",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_decision_delay_seconds",
        HISTOGRAM,
        "Time from the first span of a trace to its decision.",
        "trigger",
        unit="s",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_late_spans_total",
        COUNTER,
        "Spans that came after the decision on their trace, by what became of them.",
        "decision",
        unit="spans",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_budget_refused_total",
        COUNTER,
        "Traces that a tenant budget lowered to a skeleton or dropped.",
        "policy",
        unit="traces",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_invalid_cost_total",
        COUNTER,
        "Spans whose app.llm.cost_usd is no amount of money; their cost counts as unknown.",
        unit="spans",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_invalid_tokens_total",
        COUNTER,
        "Token counts that are no numbers of tokens and were left out.",
        unit="values",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_invalid_threshold_total",
        COUNTER,
        "Spans whose sampling threshold contradicts their randomness; it was erased.",
        unit="spans",
    ),
    _sampler(
        "otelcol_llm_tail_sampling_journal_damaged_total",
        COUNTER,
        "Records of the journal, or parts of its file, that could not be read at a start; traces go on without them.",
        unit="records",
    ),
    Metric(
        name="llm_redactions_total",
        kind=COUNTER,
        unit="values",
        labels=("detector", "entity", "place", "action"),
        help="Personal data and secrets that were found, by what was done about them.",
    ),
    Metric(
        name="otelcol_llm_redaction_errors_total",
        kind=COUNTER,
        unit="values",
        labels=("detector",),
        owner="processor",
        help="Texts that could not be judged and were replaced whole: a detector raised or ran over its budget.",
    ),
    Metric(
        name="otelcol_llm_redaction_budget_exceeded_total",
        kind=COUNTER,
        unit="values",
        owner="processor",
        help="Texts with more candidates than anybody's data has; they were replaced whole.",
    ),
    Metric(
        name="otelcol_llm_redaction_scanned_bytes_total",
        kind=COUNTER,
        unit="By",
        owner="processor",
        help="Bytes of requests that were looked at.",
    ),
    Metric(
        name="otelcol_llm_cost_calls_total",
        kind=COUNTER,
        unit="requests",
        labels=("status",),
        owner="processor",
        help="Model calls by what became of their price: priced, reported, cached or unpriced.",
    ),
    Metric(
        name="otelcol_llm_cost_unpriced_total",
        kind=COUNTER,
        unit="requests",
        labels=("reason",),
        owner="processor",
        help="Model calls without a price, by reason.",
    ),
    Metric(
        name="otelcol_llm_cost_matches_total",
        kind=COUNTER,
        unit="requests",
        labels=("source", "match"),
        owner="processor",
        help="Priced calls by where the price came from and how the model's name was found.",
    ),
    Metric(
        name="otelcol_llm_cost_rate_defaults_total",
        kind=COUNTER,
        unit="requests",
        labels=("rate",),
        owner="processor",
        help="Uses of another rate for one that a price does not have, as input for cache_read.",
    ),
    Metric(
        name="otelcol_llm_cost_unpriced_variants_total",
        kind=COUNTER,
        unit="requests",
        labels=("dimension",),
        owner="processor",
        help="Calls with a service tier, region or the like for which their price has no variant.",
    ),
    Metric(
        name="otelcol_llm_cost_unused_prices",
        kind=GAUGE,
        unit="prices",
        owner="processor",
        help="Prices of the pricing file that no call has matched since the start.",
    ),
    Metric(
        name="otelcol_llm_cost_price_list_info",
        kind=GAUGE,
        labels=("source", "version"),
        owner="processor",
        help="The price lists in use, base and overlay; always 1.",
    ),
    Metric(
        name="otelcol_llm_cost_price_list_age_seconds",
        kind=GAUGE,
        unit="s",
        labels=("source",),
        owner="processor",
        help="Time since the newest dated price of a list came into force.",
    ),
    Metric(
        name="otelcol_llm_cost_conversations",
        kind=GAUGE,
        unit="conversations",
        owner="processor",
        help="Conversations whose tokens are being added up.",
    ),
)
