"""What a sampler would have done with captured traffic, in numbers.

Time is that of the spans: a request came when its last span ended, never before the one in front of it. So the result
depends on the capture alone, not on the machine. Money and errors of a trace are read here, apart from the sampler, so
that what it loses is counted too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Final

from processors.batch import Batch, Signal
from processors.encoded import split
from processors.ports import Context
from processors.tail_sampling.calls import Calls, add_up, note_cost
from processors.tail_sampling.config import Config
from processors.tail_sampling.probability import adjusted_count
from processors.tail_sampling.processor import TailSampling
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import NOT_SAMPLED, Verdict
from processors.views import PARSE, status_code

_STEP_NS: Final = 100_000_000
_ERROR: Final = 2
_SLOW_NS: Final = 5_000_000_000
_EXPENSIVE_USD: Final = 0.10


@dataclass(slots=True)
class Fate:
    """One trace: what it was and what became of it."""

    error: bool = False
    start_ns: int = 0
    end_ns: int = 0
    calls: Calls = field(default_factory=Calls)
    verdict: Verdict = NOT_SAMPLED
    stored_bytes: int = 0

    @property
    def usd(self) -> float:
        return add_up(self.calls.priced)

    @property
    def slow(self) -> bool:
        """Over five seconds."""
        return bool(self.start_ns) and self.end_ns - self.start_ns > _SLOW_NS

    @property
    def expensive(self) -> bool:
        """Ten cents or more."""
        return self.usd >= _EXPENSIVE_USD

    def see(self, span: bytes) -> None:
        """Take down one span."""
        view = PARSE["Span"](span)
        self.error = self.error or status_code(view) == _ERROR
        if view.start_ns and (view.start_ns < self.start_ns or not self.start_ns):
            self.start_ns = view.start_ns
        self.end_ns = max(self.end_ns, view.end_ns)
        note_cost(self.calls, view.span_id, view.attributes, _ignore)


class Replay:
    """Runs a sampler over a capture. `fates` says what became of every trace, in the order they began."""

    def __init__(self, config: Config, context: Context) -> None:
        """Nothing is read from disk or kept there. Raises: `InvalidConfig`."""
        self.fates: dict[bytes, Fate] = {}
        self.policies = [
            policy.name for policy in sorted(config.policies, key=lambda p: p.position)
        ]
        self._sampler = _Sampler(replace(config, storage="", dry_run=False), context, self.fates)
        self._name = context.id.partition("/")[2]
        self._now_ns = 0

    def feed(self, raw: bytes) -> None:
        """Play one encoded request."""
        latest = items = 0
        for _, _, spans in split(raw):
            items += len(spans)
            for span in spans:
                head = PARSE["SpanHead"](span)
                latest = max(latest, head.end_ns)
                self.fates.setdefault(head.trace_id, Fate()).see(span)
        self._pass_time(latest)
        batch = Batch(Signal.TRACES, raw, received_ns=self._now_ns, items=items)
        self._count([self._sampler.process(batch)])

    def finish(self) -> None:
        """Play the end of the traffic: what waits is decided when its time has come."""
        while self._sampler.waiting:
            self._tick(self._now_ns + _STEP_NS)
        self._count(self._sampler.close())
        while self._sampler.behind:
            self._count(self._sampler.close())

    def votes(self, policy: str) -> int:
        """Return how many traces a policy voted to keep."""
        name = f"{self._name}.{policy}" if self._name else policy
        metric = "otelcol_processor_tail_sampling_count_traces_sampled_total"
        return int(self._sampler.stats.counters[metric, name, "true", "sampled"])

    def _pass_time(self, until_ns: int) -> None:
        """Tick as a running collector would, as long as something waits."""
        while self._sampler.waiting and self._now_ns + _STEP_NS <= until_ns:
            self._tick(self._now_ns + _STEP_NS)
        self._tick(max(until_ns, self._now_ns))

    def _tick(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._count(self._sampler.tick(now_ns))
        while self._sampler.behind:
            self._count(self._sampler.tick(now_ns))

    def _count(self, batches: Iterable[Batch | None]) -> None:
        for batch in batches:
            for _, _, spans in split(batch.encode() if batch is not None else b""):
                for span in spans:
                    self.fates[PARSE["SpanHead"](span).trace_id].stored_bytes += len(span)


class _Sampler(TailSampling):
    """A sampler that tells its verdicts."""

    def __init__(self, config: Config, context: Context, fates: dict[bytes, Fate]) -> None:
        super().__init__(config, context)
        self._fates = fates

    @property
    def waiting(self) -> int:
        return self._table.waiting

    def _announce(self, trace: Trace, verdict: Verdict) -> None:
        self._fates[trace.id].verdict = verdict
        super()._announce(trace, verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one policy decided."""

    policy: str
    votes: int
    decides: int
    share: float
    """Of all traces, in percent."""
    usd: float
    stored_bytes: int
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A replay in numbers. Money of skeletons is stored, but without content."""

    rows: tuple[Row, ...]
    traces: int
    usd: float
    not_kept: int
    usd_not_kept: float
    lost_errors: int
    lost_slow: int
    lost_expensive: int
    estimated_usd: float | None
    """From the adjusted counts of the kept traces; None where one of them has none."""
    estimated_sigma: float | None

    @property
    def kept_usd(self) -> float:
        """Of traces stored with their content."""
        return sum(row.usd for row in self.rows if row.tier == "full")

    @property
    def skeleton_usd(self) -> float:
        return sum(row.usd for row in self.rows if row.tier == "skeleton")

    @property
    def stored_bytes(self) -> int:
        return sum(row.stored_bytes for row in self.rows)


def summarise(replay: Replay) -> Summary:
    """Return the numbers of a finished replay."""
    fates = list(replay.fates.values())
    lost = [fate for fate in fates if not fate.verdict.kept]
    rows = [
        _row(name, tier, replay) for name in (*replay.policies, "") for tier in ("full", "skeleton")
    ]
    estimate, sigma = _estimate(fates)
    return Summary(
        rows=tuple(row for row in rows if row.decides or (row.policy and row.tier == "full")),
        traces=len(fates),
        usd=sum(fate.usd for fate in fates),
        not_kept=len(lost),
        usd_not_kept=sum(fate.usd for fate in lost),
        lost_errors=sum(fate.error for fate in lost),
        lost_slow=sum(fate.slow for fate in lost),
        lost_expensive=sum(fate.expensive for fate in lost),
        estimated_usd=estimate,
        estimated_sigma=sigma,
    )


def _row(name: str, tier: str, replay: Replay) -> Row:
    mine = [
        fate
        for fate in replay.fates.values()
        if fate.verdict.kept and fate.verdict.policy == name and fate.verdict.tier == tier
    ]
    return Row(
        policy=name,
        votes=replay.votes(name) if name else 0,
        decides=len(mine),
        share=100 * len(mine) / len(replay.fates) if replay.fates else 0.0,
        usd=sum(fate.usd for fate in mine),
        stored_bytes=sum(fate.stored_bytes for fate in mine),
        tier=tier,
    )


def _estimate(fates: Iterable[Fate]) -> tuple[float | None, float | None]:
    """Return the spend that the kept traces stand for, and its standard deviation (Horvitz-Thompson)."""
    total = variance = 0.0
    for fate in fates:
        if fate.verdict.kept:
            if fate.verdict.threshold is None:
                return None, None
            count = adjusted_count(fate.verdict.threshold)
            total += fate.usd * count
            variance += fate.usd**2 * count * (count - 1)
    return total, sqrt(variance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What one replay keeps that another does not."""

    gained: int
    lost: int
    lost_errors: int
    lost_slow: int
    bytes_share: float | None
    """Change of the stored bytes in percent; None where there were none."""
    usd_share: float | None


def compare(new: Replay, old: Replay) -> Difference:
    """Return what changes from the old replay of a capture to the new one."""
    lost = [
        fate
        for trace_id, fate in new.fates.items()
        if old.fates[trace_id].verdict.kept and not fate.verdict.kept
    ]
    gained = [
        trace_id
        for trace_id, fate in new.fates.items()
        if fate.verdict.kept and not old.fates[trace_id].verdict.kept
    ]
    before, after = summarise(old), summarise(new)
    return Difference(
        gained=len(gained),
        lost=len(lost),
        lost_errors=sum(fate.error for fate in lost),
        lost_slow=sum(fate.slow for fate in lost),
        bytes_share=_change(before.stored_bytes, after.stored_bytes),
        usd_share=_change(before.kept_usd, after.kept_usd),
    )


def _change(before: float, after: float) -> float | None:
    return 100 * (after - before) / before if before else None


def _ignore(what: str) -> None:
    """The sampler counts what cannot be read."""
