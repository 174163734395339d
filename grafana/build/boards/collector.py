"""`llm-collector`: is the telemetry itself healthy? The program's own metrics, from its second port."""

from __future__ import annotations

from typing import Any, Final

from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import by_label, increase, one, quantile, rate, ratio

_TAIL: Final = "otelcol_processor_tail_sampling"
_OURS: Final = "otelcol_llm_tail_sampling"


def _rates(
    title: str, unit: str, why: str, act: str, *lines: tuple[str, str, str], **rest: Any
) -> Panel:
    """Return a panel of summed rates: (metric, labels, what the legend begins with)."""
    queries = tuple(
        Query(expr=rate(metric, "", by), legend=" ".join(filter(None, (what, _legend(by)))))
        for metric, by, what in lines
    )
    fields: dict[str, Any] = {"links": ("llm-overview",), "runbook": "telemetry-loss"} | rest
    return Panel(
        title=title, viz="timeseries", unit=unit, why=why, act=act, queries=queries, **fields
    )


def _legend(by: str) -> str:
    return " ".join("{{" + label.strip() + "}}" for label in by.split(",") if by)


def _gauges(
    title: str, unit: str, why: str, act: str, *lines: tuple[str, str], **rest: Any
) -> Panel:
    """Return a panel of gauges: (expression, legend)."""
    queries = tuple(Query(expr=expr, legend=legend) for expr, legend in lines)
    fields: dict[str, Any] = {
        "viz": "timeseries", "links": ("llm-overview",), "runbook": "telemetry-loss"
    } | rest  # fmt: skip
    return Panel(title=title, unit=unit, why=why, act=act, queries=queries, **fields)


_PIPELINE: Final = Row(
    title="Pipeline",
    panels=(
        _rates(
            "Spans accepted and refused", "count:spans/s",
            "Are we losing at the door?",
            "Refused spans come back later: memory or a full queue. For long: give it more, or more of it.",
            ("otelcol_receiver_accepted_spans_total", "receiver", "accepted"),
            ("otelcol_receiver_refused_spans_total", "receiver", "refused"),
        ),
        _rates(
            "Export sent and failed", "count:spans/s",
            "Is the backend taking them?",
            "Failed spans are lost. The log names the reason; below is the count by reason.",
            ("otelcol_exporter_sent_spans_total", "exporter", "sent"),
            ("otelcol_exporter_send_failed_spans_total", "exporter", "failed"),
        ),
        _gauges(
            "Export queue fill", "percentunit",
            "How long until we drop?",
            "Filling means the backend is slower than the traffic: look there before the queue is full.",
            (
                "max by (exporter, instance) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                "{{exporter}} {{instance}}",
            ),
            thresholds={"green": None, "yellow": 0.5, "red": 0.8},
        ),
        _rates(
            "Export: lost by reason, retries", "count:items/s",
            "Why was something not delivered?",
            "retries_exhausted: the backend was away. invalid or permanent: it refused, look at the log.",
            ("otelcol_llm_exporter_dropped_items_total", "exporter, reason", "lost"),
            ("otelcol_llm_exporter_retries_total", "exporter", "retries"),
            empty="Nothing lost",
        ),
        _gauges(
            "Bytes in flight", "bytes",
            "How near is the bound at which requests are refused?",
            "At the bound senders are told to come back: more collectors, or a higher bound and more memory.",
            ("sum by (instance) (otelcol_llm_in_flight_bytes)", "in flight {{instance}}"),
            ("sum by (instance) (otelcol_llm_in_flight_bytes_limit)", "bound {{instance}}"),
        ),
        _rates(
            "CPU by processor", "percentunit",
            "Which processor uses the CPU?",
            "Seconds of work per second. One far ahead of its neighbours: its configuration, often patterns.",
            ("otelcol_processor_internal_duration_seconds_total", "processor", ""),
            stacked=True,
        ),
    ),
)  # fmt: skip

_UNDERSTANDING: Final = Row(
    title="Understanding",
    panels=(
        _rates(
            "GenAI records by class", "count:records/s",
            "What is in the traffic: model calls, agents, tools?",
            "No model calls although the applications call models: their dialect is not understood.",
            ("otelcol_llm_genai_records_total", "class", ""),
            stacked=True,
        ),
        _rates(
            "Records not counted, by reason", "count:records/s",
            "What is the same call reported twice?",
            "Expected with a gateway and a client both instrumented; each call is counted once.",
            ("otelcol_llm_genai_skipped_records_total", "reason", ""),
        ),
        _rates(
            "Calls by what became of their price", "count:calls/s",
            "Is everything priced?",
            "unpriced: see the integrity row of the cost board for the models.",
            ("otelcol_llm_cost_calls_total", "status", ""),
            links=("llm-cost",),
            runbook="unpriced-model",
            stacked=True,
        ),
    ),
)  # fmt: skip

_SAMPLING: Final = Row(
    title="Sampling",
    panels=(
        _rates(
            "Policy votes", "count:votes/s",
            "Which policy keeps what?",
            "A policy that never votes to keep is dead; one that always does is the storage bill.",
            (f"{_TAIL}_count_traces_sampled_total", "policy, decision", ""),
        ),
        Panel(
            title="Keep ratio",
            viz="stat",
            unit="percentunit",
            why="What share of the traces is stored? It is the storage bill of the traces.",
            act="Change it in sampling.yaml; metrics do not change with it, they see all traffic.",
            queries=one(
                ratio(
                    rate(
                        f"{_TAIL}_global_count_traces_sampled_total",
                        'decision="sampled"',
                        window="$__range",
                    ),
                    rate(f"{_TAIL}_global_count_traces_sampled_total", "", window="$__range"),
                )
            ),
            links=("llm-overview",),
            runbook="telemetry-loss",
            single=True,
        ),
        _gauges(
            "Traces held, and decided too early", "short",
            "Is the buffer big enough?",
            "Too early means decided before the root came, for want of room: raise buffer.max_bytes.",
            (f"sum by (instance) ({_TAIL}_sampling_traces_on_memory)", "held {{instance}}"),
            (
                f"sum by (instance) (rate({_TAIL}_sampling_trace_dropped_too_early_total[$__rate_interval]))",
                "too early/s {{instance}}",
            ),
        ),
        _rates(
            "Decisions by policy and what made it time", "count:traces/s",
            "Which policy decided, and why just then?",
            "Many by timeout: roots do not arrive. Many by memory: the buffer is too small.",
            (f"{_OURS}_decisions_total", "policy, decision, trigger", ""),
        ),
        _rates(
            "Stored bytes by policy", "Bps",
            "Which policy pays for the storage?",
            "Multiply by the retention of the store; lower the one that keeps what nobody opens.",
            (f"{_OURS}_stored_bytes_total", "policy", ""),
            stacked=True,
        ),
        _gauges(
            "Decision delay p95", "s",
            "How long do traces wait?",
            "The wait after the root, plus what slow roots take. It is the delay of the trace search, too.",
            (quantile(0.95, f"{_OURS}_decision_delay_seconds", "", "trigger"), "{{trigger}}"),
        ),
        _gauges(
            "Held spans and bytes", "bytes",
            "How much memory do undecided traces take?",
            "Bounded by buffer.max_bytes; at the bound the oldest are decided early.",
            (f"sum by (instance) ({_OURS}_held_bytes)", "bytes {{instance}}"),
        ),
        _rates(
            "Late spans", "count:spans/s",
            "Do spans come after the decision?",
            "They follow the verdict while it is remembered. Many: raise decision_wait_after_root_received.",
            (f"{_OURS}_late_spans_total", "decision", ""),
        ),
        _rates(
            "Cost of kept and dropped traces (USD/s)", "currencyUSD",
            "How much of the money can be looked at in traces?",
            "Expensive traces should be on the kept side: that is what the policy is for.",
            (f"{_OURS}_cost_usd_total", "decision", ""),
            stacked=True,
            links=("llm-cost",),
        ),
    ),
)  # fmt: skip

_PRIVACY: Final = Row(
    title="Privacy",
    panels=(
        _rates(
            "Redactions by entity", "count:finds/s",
            "Is redaction working at all?",
            "Zero for a day in production is suspicious: are prompts captured, is the processor in the pipeline?",
            ("llm_redactions_total", "detector, entity", ""),
            stacked=True,
        ),
        _rates(
            "Redactions by place and action", "count:finds/s",
            "Where is personal data found, and what becomes of it?",
            "Found in names or attributes that should hold none: fix the application, too.",
            ("llm_redactions_total", "place, action", ""),
        ),
        _rates(
            "Texts replaced whole", "count:texts/s",
            "Did a detector fail? It fails closed: content is lost, not leaked.",
            "Any is worth a look: the log names the detector; a budget exceeded is a text of nothing but candidates.",
            ("otelcol_llm_redaction_errors_total", "detector", "failed"),
            ("otelcol_llm_redaction_budget_exceeded_total", "", "over budget"),
        ),
        _rates(
            "Bytes looked at", "Bps",
            "How much text is scanned?",
            "It is the main cost of redaction: exclude attributes that never hold text.",
            ("otelcol_llm_redaction_scanned_bytes_total", "processor", ""),
        ),
    ),
)  # fmt: skip

_SAFETY: Final = Row(
    title="Safety",
    panels=(
        _rates(
            "Label values folded into 'other'", "count:values/s",
            "Which label outgrew its limit?",
            "An identifier became a label value (a prompt version per call, a tenant per user): fix its source.",
            ("llm_cardinality_overflow_total", "label", ""),
            runbook="cardinality",
        ),
        _gauges(
            "Series of the LLM metrics", "short",
            "How many series does the catalogue have?",
            "Prometheus pays per series; the limit per metric is max_series_per_metric.",
            ("sum by (instance) (otelcol_llm_metrics_series)", "{{instance}}"),
            (
                "sum by (metric) (rate(otelcol_llm_metrics_series_overflow_total[$__rate_interval]))",
                "no room in {{metric}}",
            ),
            runbook="cardinality",
        ),
        Panel(
            title="Sidecars up",
            viz="stat",
            unit="short",
            why="Is anyone blind? Two targets a sidecar: the LLM metrics and its own.",
            act="A target down: the process, its port or the network; nothing of its applications is counted.",
            queries=(
                Query(expr='sum(up{job="otelcol-llm"})', legend="up"),
                Query(
                    expr='count(up{job="otelcol-llm"} == 0) or vector(0)',
                    legend="down",
                    thresholds={"green": None, "red": 1},
                ),
            ),
            links=("llm-overview",),
            runbook="telemetry-loss",
        ),
        _gauges(
            "Sidecar memory", "bytes",
            "Under its limit?",
            "Rising without rising traffic: note the processors' gauges above and report it.",
            ("max by (instance) (otelcol_process_memory_rss)", "{{instance}}"),
        ),
        _gauges(
            "Sidecar CPU", "percentunit",
            "How busy is each sidecar? 1 is a whole core.",
            "Near 1 for minutes: another process, sharded by trace id.",
            ("sum by (instance) (rate(otelcol_process_cpu_seconds_total[$__rate_interval]))", "{{instance}}"),
        ),
        _gauges(
            "Last configuration accepted", "short",
            "Is what is in the files what is running?",
            "0: the last change was refused and the old one runs; otelcol-llm validate says why.",
            ("min by (instance) (otelcol_llm_config_last_reload_successful)", "{{instance}}"),
            viz="stat",
            thresholds={"red": None, "green": 1},
        ),
    ),
)  # fmt: skip

_BACKEND: Final = Row(
    title="Backend",
    panels=(
        _rates(
            "Tempo: truncated attributes, discarded spans", "short",
            "Are prompts cut or spans lost after the acknowledgement?",
            "Truncated: raise max_attribute_bytes. Discarded: the reason names the limit.",
            ("tempo_distributor_attributes_truncated_total", "", "truncated"),
            ("tempo_discarded_spans_total", "reason", "discarded"),
            width=24,
            empty="The trace store is not scraped",
        ),
    ),
)  # fmt: skip

_PROBES: Final = "llm_freshness_probes_total"
_FRESHNESS: Final = Row(
    title="Freshness",
    panels=(
        Panel(
            title="Freshness p50 / p95 (24 h)",
            viz="stat",
            unit="s",
            why="Is the 95th percentile within 300 s?",
            act="Traces wait for the sampler and the store's search; metrics only for a scrape.",
            queries=tuple(
                Query(
                    expr=quantile(q, "llm_freshness_seconds", "", "signal", window="1d"),
                    legend=f"p{q * 100:.0f} {{{{signal}}}}",
                )
                for q in (0.5, 0.95)
            ),
            links=("llm-overview",),
            thresholds={"green": None, "yellow": 120, "red": 300},
            runbook="freshness",
            width=8,
        ),
        Panel(
            title="Probes visible within 5 min",
            viz="stat",
            unit="percentunit",
            why="Is the objective of 95 % kept?",
            act="Late ones: backpressure. Lost ones: a gap in the path, begin at the sidecar.",
            queries=by_label(
                ratio(increase(_PROBES, 'result="ok"', "signal"), increase(_PROBES, "", "signal")),
                "signal",
            ),
            links=("llm-slo",),
            thresholds={"red": None, "green": 0.95},
            runbook="freshness",
            width=8,
        ),
        Panel(
            title="Seconds since the last visible probe",
            viz="stat",
            unit="s",
            why="Are the dashboards alive right now?",
            act="Above 900 s nothing on any board can be trusted.",
            queries=one(
                "time() - max by (signal) (llm_freshness_last_success_timestamp_seconds)",
                "{{signal}}",
            ),
            links=("llm-overview",),
            thresholds={"green": None, "yellow": 300, "red": 900},
            runbook="freshness",
            width=8,
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-collector",
    title="LLM collector",
    about="The telemetry's own health: door, understanding, sampling, privacy, limits, backend, freshness.",
    rows=(_PIPELINE, _UNDERSTANDING, _SAMPLING, _PRIVACY, _SAFETY, _BACKEND, _FRESHNESS),
)
