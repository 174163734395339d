"""The ledger of spans and decisions. Between two calls of the sampler, and whenever one yields a batch, in spans:

    received = released_full + released_skeleton + dropped + late_released + late_dropped + held

What is refused never came in. Names of the Collector where it has one; what it measures with a clock of its own (time
spent on decisions) the core cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

from processors.stats import Histogram, Stats
from processors.tail_sampling.calls import add_up
from processors.tail_sampling.traces import Table, Trace
from processors.tail_sampling.verdict import NOT_SAMPLED, Trigger, Verdict

_THEIRS: Final = "otelcol_processor_tail_sampling_"
_OURS: Final = "otelcol_llm_tail_sampling_"
_GLOBAL: Final = f"{_THEIRS}global_count_traces_sampled_total"
_DECISIONS: Final = f"{_OURS}decisions_total"
_TOO_EARLY: Final = f"{_THEIRS}sampling_trace_dropped_too_early_total"
_COST: Final = f"{_OURS}cost_usd_total"
_SPANS: Final = f"{_OURS}spans_total"
_NEW: Final = f"{_THEIRS}new_trace_id_received_total"
_TOO_LARGE: Final = f"{_THEIRS}traces_dropped_too_large_total"
_FAILED: Final = f"{_THEIRS}sampling_policy_evaluation_error_total"
_REPAIRED: Final = f"{_OURS}repaired_strings_total"
_NS: Final = 1_000_000_000
AGES_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
DELAYS_S: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300)


class Ledger:
    """Counts into a component's stats."""

    def __init__(self, stats: Stats, table: Table) -> None:
        self._counters = stats.counters
        for name in (_NEW, _TOO_EARLY, _TOO_LARGE, _FAILED):  # as the Collector does it
            stats.from_zero(name)
        stats.from_zero(_REPAIRED)
        self._ages = self._histogram(stats, f"{_THEIRS}sampling_late_span_age_seconds", AGES_S)
        self._removals = self._histogram(
            stats, f"{_THEIRS}sampling_trace_removal_age_seconds", AGES_S
        )
        self._verdict = NOT_SAMPLED
        self._trigger: Trigger = "wait"
        self._alike = 0
        self._dropped = 0
        """Spans not entered yet as dropped; a scrape in between finds them held."""
        self._removed: list[int] = []
        self._waited: dict[Trigger, list[int]] = {trigger: [] for trigger in get_args(Trigger)}
        """Nanoseconds that decided traces waited, not entered yet."""
        self._delays = {
            trigger: self._histogram(stats, f"{_OURS}decision_delay_seconds", DELAYS_S, trigger)
            for trigger in get_args(Trigger)
        }
        stats.gauges[f"{_THEIRS}sampling_traces_on_memory",] = lambda: len(table.traces)
        stats.gauges[f"{_OURS}held_spans",] = lambda: table.spans + self._dropped
        stats.gauges[f"{_OURS}held_bytes",] = lambda: table.size

    def spans(self, outcome: str, number: int) -> None:
        """Enter spans under one of the terms of the equation."""
        if number:
            self._counters[_SPANS, outcome] += number

    def opened(self, traces: int) -> None:
        if traces:
            self._counters[_NEW,] += traces

    def decided(self, trace: Trace, verdict: Verdict, trigger: Trigger, now_ns: int) -> None:
        """Enter a verdict; the trace still knows its spans."""
        if verdict is not self._verdict or trigger != self._trigger:
            self._end_run()
            self._verdict, self._trigger = verdict, trigger
        self._alike += 1
        if trace.calls is not None and trace.calls.costs:
            self._counters[_COST, verdict.word] += add_up(trace.calls.priced)
        self._waited[trigger].append(now_ns - trace.first_ns)

    def dropped(self, trace: Trace) -> None:
        """Enter that all spans of a trace are dropped."""
        self._dropped += trace.spans

    def flush(self) -> None:
        """Enter what was noted since the last time. Most traces of a tick fare alike, so they are counted together."""
        self._end_run()
        self.spans("dropped", self._dropped)
        self._dropped = 0
        for trigger, waited in self._waited.items():
            _enter(waited, self._delays[trigger])
        _enter(self._removed, self._removals)

    def _end_run(self) -> None:
        verdict, trigger, alike = self._verdict, self._trigger, self._alike
        if alike:
            counters = self._counters
            counters[_GLOBAL, *verdict.labels] += alike
            counters[_DECISIONS, verdict.policy, verdict.word, trigger] += alike
            if trigger == "evicted":
                counters[_TOO_EARLY,] += alike
            self._alike = 0

    def removed(self, trace: Trace, now_ns: int) -> None:
        """Enter that a trace left the table."""
        self._removed.append(now_ns - trace.first_ns)

    def too_large(self) -> None:
        self._counters[_TOO_LARGE,] += 1

    def stored(self, verdict: Verdict, spans: int, size: int) -> None:
        """Enter what leaves of a decided trace, a share of it or all."""
        self.spans(f"released_{verdict.tier}", spans)
        self._counters[f"{_OURS}stored_bytes_total", verdict.policy, verdict.word] += size

    def repaired(self, strings: int) -> None:
        """Enter texts that were no UTF-8."""
        if strings:
            self._counters[_REPAIRED,] += strings

    def odd_state(self, what: str) -> None:
        """Enter a span whose trace state could not be brought up to date, or whose threshold was broken upstream."""
        if what == "unparseable":
            self._counters[f"{_THEIRS}count_spans_with_unparseable_tracestate_total",] += 1
        else:
            self._counters[f"{_OURS}{what}_total",] += 1

    def remembered(self, kept: bool) -> None:
        """Enter a late span whose trace was found in the memory of decisions."""
        sampled = "true" if kept else "false"
        self._counters[f"{_THEIRS}early_releases_from_cache_decision_total", sampled] += 1

    def late(self, kept: bool, age_s: float | None) -> None:
        """Enter one late span; its age where it is known."""
        self.spans("late_released" if kept else "late_dropped", 1)
        self._counters[f"{_OURS}late_spans_total", "kept" if kept else "dropped"] += 1
        if age_s is not None:
            self._ages.observe(age_s)

    def count(self, name: str, *labels: str) -> None:
        """Add one to a counter of ours."""
        self._counters[f"{_OURS}{name}", *labels] += 1

    @staticmethod
    def _histogram(stats: Stats, name: str, bounds: Sequence[float], *labels: str) -> Histogram:
        histogram = stats.histograms[name, *labels] = Histogram(bounds)
        return histogram


def _enter(ages_ns: list[int], histogram: Histogram) -> None:
    """Move ages into a histogram, in seconds."""
    if ages_ns:
        histogram.observe_all([max(0, age_ns) / _NS for age_ns in ages_ns])
        ages_ns.clear()
