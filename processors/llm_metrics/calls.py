"""Counted model calls: a note at the call's kind, and what few calls tell. Plain calls are noted by the connector.

What a call has in common with others of its kind was worked out before (see `kinds`); its numbers are added to the
series together with those of others (see `settling`). What few calls tell is counted at once. On a view's attributes
`key in` and `[key]` cost 0.03 and 0.05 µs, `get` 0.1.
"""

from __future__ import annotations

from typing import Any, Final

from processors.batch import Item
from processors.llm_metrics import bindings
from processors.llm_metrics.bindings import Binding, Bindings, Read
from processors.llm_metrics.catalogue import (
    COST_ESTIMATED,
    COST_REPORTED,
    REQUESTS,
    UNPRICED_REQUESTS,
    UNPRICED_TOKENS,
)
from processors.llm_metrics.exemplars import Exemplars
from processors.llm_metrics.kinds import (
    COST,
    INPUT,
    LATENCY,
    OUTPUT,
    REASON,
    REPORTED,
    TTFT,
    Kind,
    Shape,
    overlaid,
)
from processors.llm_metrics.labels import clean, number
from processors.llm_metrics.money import SURE_USD, atto_usd
from processors.llm_metrics.notes import REFUSAL, Notes, is_true
from processors.llm_metrics.outcomes import PLAIN
from processors.llm_metrics.quotas import Quotas
from processors.llm_metrics.settling import open_counters, settle, tokens
from processors.llm_metrics.users import Users, user_of

_MAX_WAITING: Final = 16_384
"""Spans looked at before their calls are added to the series; a call takes 300 bytes until then."""
SLOW_S: Final = 5.0
"""Calls that take longer are always candidates for exemplars."""
_SHORTEST_S: Final = 0.001

REASONS: Final = frozenset(
    ("unknown_provider", "unknown_model", "no_usage", "inconsistent_usage", "no_rate")
)


class Calls:
    """Counts model calls into the series of their bindings."""

    def __init__(self, bindings: Bindings, exemplars: Exemplars, users: Users) -> None:
        self._bindings = bindings
        self._exemplars = exemplars
        self.notes = Notes(bindings)
        self._users = users if users.wanted else None
        self._quotas = Quotas(bindings)
        self._noting: list[Kind] = []
        self._waiting = 0

    def count(
        self,
        shape: Shape,
        kind: Kind,
        source: Any,
        read: Read,
        edits: Read,
        seconds: float | None,
        end_ns: int,
        item: Item,
    ) -> None:
        """Count one call, which `expect` was told of. `seconds` is None where nobody knows, as of a log record."""
        noted = kind.noted
        fresh = not noted
        if shape.latency:
            seconds = number(edits[LATENCY] if LATENCY in edits else read[LATENCY])
        usd = None
        if kind.billed:
            usd = edits[COST] if shape.cost_written else read[COST] if shape.cost_came else None
            if usd.__class__ is not float or not 0.0 <= usd < SURE_USD:
                usd = number(usd)
        usage = item.usage
        noted += shape.counts(source) if usage is None else shape.counts_used(usage)
        if shape.mixed:
            noted += shape.counts_written(edits)
        noted += (usd, seconds)
        if fresh:
            self._enter(kind, item, usd is not None)
        if fresh or kind.rare or (seconds is not None and seconds >= SLOW_S):
            if shape.mixed:
                read = overlaid(read, edits)
            self._look_closer(kind, read, edits, fresh, usd, seconds, end_ns, item)
        if self._users is not None and usd is not None:
            self._users.spend(kind.binding, user_of(item.view.attributes, item.edits), usd)

    def begin(self, kind: Kind, item: Item, usd: float, seconds: float) -> None:
        """Note the first call, since the last ones were added to the series, of a kind that is `plain`."""
        self._enter(kind, item, True)
        view = item.view
        self._exemplars.offer(kind.binding, view.trace_id, view.end_ns, usd, seconds, None, None)

    def _enter(self, kind: Kind, item: Item, priced: bool) -> None:
        """Do what is done once for the calls of a kind that are settled together."""
        self._noting.append(kind)
        self._quotas.note(kind.binding, item.view.attributes)
        if not kind.opened:
            open_counters(kind, priced)

    def expect(self, number: int) -> None:
        """Make room for up to so many calls."""
        self._waiting += number
        if self._waiting > _MAX_WAITING:
            self.settle()
            self._waiting = number

    def settle(self) -> None:
        """Add what was noted to the series, which are told at the next flush."""
        noting, self._noting = self._noting, []
        self._waiting = 0
        settle(noting)
        for kind in noting:
            self._bindings.note_served(kind.binding)

    def _look_closer(
        self,
        kind: Kind,
        read: Read,
        edits: Read,
        fresh: bool,
        usd: float | None,
        seconds: float | None,
        end_ns: int,
        item: Item,
    ) -> None:
        """Count what few calls tell, and offer the call as an exemplar."""
        binding = kind.binding
        ttft = rate = None
        if kind.shape.more:
            ttft = self._more(binding, read)
        if ttft is not None:
            rate = _stream(binding, tokens(read.get(OUTPUT)), seconds, ttft)
        if not kind.billed:
            self._unbilled(kind, read, edits, tokens(read.get(INPUT)) + tokens(read.get(OUTPUT)))
        if kind.outcome is not PLAIN:
            self._unusual(kind, read)
        if fresh or kind.outcome is not PLAIN or (seconds or 0) >= SLOW_S:
            self._exemplars.offer(binding, item.view.trace_id, end_ns, usd, seconds, ttft, rate)

    def _unusual(self, kind: Kind, read: Read) -> None:
        """Count what failed, was filtered or refused."""
        binding, became = kind.binding, kind.outcome
        if not kind.success:
            self._bindings.rare(binding, REQUESTS, status=became.status).value += 1
        self.notes.failed(binding, became)
        if became.refused and not is_true(read.get(REFUSAL)):
            self.notes.refused(binding, read)

    def _unbilled(self, kind: Kind, read: Read, edits: Read, tokens: int) -> None:
        """Count what is told of the money of a call without a price."""
        rare, binding = self._bindings.rare, kind.binding
        if kind.estimated:
            cost = number(edits[COST] if COST in edits else read.get(COST))
            if cost is not None:
                rare(binding, COST_ESTIMATED).value += atto_usd(cost)
        if kind.unpriced:
            reason = clean(edits[REASON] if REASON in edits else read.get(REASON))
            known = reason if reason in REASONS else "unknown_model"
            rare(binding, UNPRICED_REQUESTS, reason=known).value += 1
            if tokens:
                rare(binding, UNPRICED_TOKENS).value += tokens

    def _more(self, binding: Binding, read: Read) -> float | None:
        """Count what few calls tell; return the time to the first token."""
        if REPORTED in read:
            reported = number(read[REPORTED])
            self._bindings.rare(binding, COST_REPORTED).value += atto_usd(reported or 0.0)
        self.notes.call(binding, read)
        return number(read[TTFT]) if TTFT in read else None


def _stream(binding: Binding, tokens_out: int, seconds: float | None, ttft: float) -> float | None:
    """Count the timing of a streamed answer; return the output tokens per second after the first token."""
    binding.open(bindings.TTFT).observe(ttft)
    if seconds is None or seconds < ttft or tokens_out <= 1:
        return None
    rate = tokens_out / max(seconds - ttft, _SHORTEST_S)
    binding.open(bindings.DECODE).observe(rate)
    binding.open(bindings.TPOT).observe((seconds - ttft) / (tokens_out - 1))
    return rate
