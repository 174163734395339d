"""Sends probes, looks for them, and counts what came of it. Knows no clock and no thread: `send` and `look` say when.

Both times are of one clock, the caller's: what is measured cannot be wrong by a difference of clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from collector.extensions.freshness.config import Config
from collector.extensions.freshness.eyes import Eye, Unreachable
from collector.extensions.freshness.probe import Probe
from processors.stats import Histogram, Stats

Result = Literal["ok", "late", "lost"]
RESULTS: Final[tuple[Result, ...]] = ("ok", "late", "lost")
SECONDS: Final = "llm_freshness_seconds"
PROBES: Final = "llm_freshness_probes_total"
LAST_SUCCESS: Final = "llm_freshness_last_success_timestamp_seconds"
BOUNDS: Final = (5, 10, 15, 30, 60, 120, 180, 300, 600, 900)
"""Seconds; holds the objective of five minutes and the end of patience as they are configured by default."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A probe that one eye looks for."""

    probe: Probe
    signal: str
    mark: float
    sent_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a probe for one signal."""

    signal: str
    result: Result
    seconds: float
    trace_id: str
    why: str = ""
    """Who did not answer when it was looked for last."""


class Prober:
    """The bookkeeping of probes under way."""

    def __init__(
        self,
        config: Config,
        eyes: Mapping[str, Eye],
        deliver: Callable[[Probe], None],
        wall_clock: Callable[[], float],
    ) -> None:
        """`deliver` sends a probe and raises `Unreachable`; `wall_clock` is Unix seconds, for the time of successes."""
        self.stats = Stats()
        self.pending: list[Pending] = []
        self._config = config
        self._eyes = eyes
        self._deliver = deliver
        self._wall_clock = wall_clock
        self._problems: dict[str, str] = {}
        began = wall_clock()
        self._last_success = dict.fromkeys(eyes, began)
        for signal in eyes:
            self._start_series(signal)

    def _start_series(self, signal: str) -> None:
        """Show every series from the start: an alert must see the first loss and a success that never comes."""
        self.stats.histograms[SECONDS, signal] = Histogram(BOUNDS)
        self.stats.gauges[LAST_SUCCESS, signal] = lambda: self._last_success[signal]
        self.stats.from_zero(PROBES, [signal], RESULTS)

    def send(self, probe: Probe, now_s: float) -> list[Outcome]:
        """Send a probe. Returns its outcomes when it was refused: it is lost at once then."""
        sent = []
        for signal, eye in self._eyes.items():
            outstanding = sum(pending.signal == signal for pending in self.pending)
            sent.append(Pending(probe, signal, eye.expect(outstanding), now_s))
        try:
            self._deliver(probe)
        except Unreachable as why:
            return [self._conclude(pending, "lost", 0.0, str(why)) for pending in sent]
        self.pending += sent
        return []

    def look(self, now_s: float) -> list[Outcome]:
        """Look for every probe under way; returns what was found out."""
        outcomes = list(self._found(now_s))
        known = {(outcome.trace_id, outcome.signal) for outcome in outcomes}
        self.pending = [
            pending
            for pending in self.pending
            if (pending.probe.trace_id.hex(), pending.signal) not in known
        ]
        return outcomes

    def _found(self, now_s: float) -> Iterator[Outcome]:
        for pending in self.pending:
            took = now_s - pending.sent_s
            if self._sees(pending):
                result: Result = "ok" if took <= self._config.target_s else "late"
                self.stats.histograms[SECONDS, pending.signal].observe(took)
                self._last_success[pending.signal] = self._wall_clock()
                yield self._conclude(pending, result, took)
            elif took >= self._config.timeout_s:
                why = self._problems.get(pending.signal, "")
                yield self._conclude(pending, "lost", took, why)

    def _sees(self, pending: Pending) -> bool:
        try:
            seen = self._eyes[pending.signal].sees(pending.probe, pending.mark)
        except Unreachable as why:
            self._problems[pending.signal] = str(why)
            return False
        self._problems.pop(pending.signal, None)
        return seen

    def _conclude(self, pending: Pending, result: Result, took: float, why: str = "") -> Outcome:
        self.stats.counters[PROBES, pending.signal, result] += 1
        return Outcome(pending.signal, result, took, pending.probe.trace_id.hex(), why)
