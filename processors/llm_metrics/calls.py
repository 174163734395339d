"""Counted model calls. This is the hot path: a few look-ups, then a note at the call's kind.

What a call has in common with others of its kind was worked out before (see `kinds`); its numbers are added to the
series together with those of others (see `settling`). What few calls tell is counted at once. On a view's attributes
`key in` and `[key]` cost 0.03 and 0.05 µs, `get` 0.1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from processors.llm_metrics import bindings
from processors.llm_metrics.bindings import Binding, Bindings, Read
from processors.llm_metrics.catalogue import (
    COST_ESTIMATED,
    COST_REPORTED,
    REQUESTS,
    TOKENS_IN,
    TOKENS_OUT,
    UNPRICED_REQUESTS,
    UNPRICED_TOKENS,
)
from processors.llm_metrics.exemplars import Exemplars
from processors.llm_metrics.kinds import (
    CACHE_WRITE,
    COST,
    LATENCY,
    REASON,
    REASONING,
    REPORTED,
    TTFT,
    Kind,
    Kinds,
    Noted,
)
from processors.llm_metrics.labels import clean, number
from processors.llm_metrics.money import atto_usd
from processors.llm_metrics.notes import REFUSAL, Notes, is_true
from processors.llm_metrics.outcomes import PLAIN
from processors.llm_metrics.quotas import Quotas
from processors.llm_metrics.settling import settle
from processors.llm_metrics.users import Users, user_of

_MAX_WAITING: Final = 8192
"""Calls noted before they are added to the series."""
_MAX_SIZES: Final = 16_384
_MAX_COUNT: Final = 16
"""Bytes of an encoded number that is worth remembering; all integers are shorter."""
_SLOW_S: Final = 5.0
"""Calls that take longer are always candidates for exemplars."""
_SHORTEST_S: Final = 0.001

REASONS: Final = frozenset(
    ("unknown_provider", "unknown_model", "no_usage", "inconsistent_usage", "no_rate")
)


class Calls:
    """Counts model calls into the series of their bindings."""

    def __init__(
        self, bindings: Bindings, kinds: Kinds, exemplars: Exemplars, users: Users
    ) -> None:
        self._bindings = bindings
        self._kinds = kinds
        self._exemplars = exemplars
        self.notes = Notes(bindings)
        self._users = users if users.wanted else None
        self._quotas = Quotas(bindings)
        self._inputs = _Sizes(TOKENS_IN)
        self._outputs = _Sizes(TOKENS_OUT)
        self._noting: list[Kind] = []
        self._settled: dict[Binding, None] = {}
        self._waiting = 0

    def count(
        self,
        present: tuple[str, ...],
        read: Read,
        edits: Read,
        environment: str,
        code: int,
        seconds: float | None,
        end_ns: int,
        view: Any,
    ) -> Binding:
        """Count one call and return its binding. `present`: the keys of `read`. A log record has no `seconds`."""
        kind = self._kinds.find(present, read, edits, environment, code)
        shape, noted = kind.shape, kind.noted
        fresh = not noted
        if fresh:
            self._noting.append(kind)
            self._quotas.note(kind.binding, view.attributes)
        if shape.latency:
            seconds = number(read[LATENCY])
        elif seconds is not None and seconds < 0:
            seconds = None
        usd = None
        if kind.billed:
            usd = edits[COST] if COST in edits else read[COST] if shape.priced else None
            if usd.__class__ is not float:
                usd = number(usd)
        counts = shape.counts(read)
        input_at, output_at, reads_at = shape.places
        call = (
            self._inputs[counts[input_at]] if input_at >= 0 else None,
            self._outputs[counts[output_at]] if output_at >= 0 else None,
            self._inputs[counts[reads_at]] if reads_at >= 0 else None,
            usd,
            seconds,
        )
        noted.append(call)
        if fresh or kind.rare or (seconds is not None and seconds >= _SLOW_S):
            self._look_closer(kind, call, read, edits, end_ns, view)
        if self._users is not None and usd is not None:
            self._users.spend(kind.binding, user_of(view.attributes, edits), usd)
        self._waiting += 1
        if self._waiting >= _MAX_WAITING:
            self.settle()
        return kind.binding

    def settle(self) -> None:
        """Add what was noted to the series."""
        noting, self._noting = self._noting, []
        self._waiting = 0
        for kind in noting:
            settle(kind)
            self._settled[kind.binding] = None

    def queue(self) -> None:
        """Have the book tell what the calls since the last time changed."""
        self.settle()
        for binding in self._settled:
            self._bindings.queue(binding)
        self._settled.clear()

    def _look_closer(
        self, kind: Kind, call: Noted, read: Read, edits: Read, end_ns: int, view: Any
    ) -> None:
        """Count what few calls tell, and offer the call as an exemplar."""
        asked, said, _, usd, seconds = call
        tokens_in, tokens_out = asked[0] if asked else 0, said[0] if said else 0
        binding = kind.binding
        ttft = rate = None
        if kind.shape.more:
            ttft = self._more(binding, read)
        if ttft is not None:
            rate = _stream(binding, tokens_out, seconds, ttft)
        if not kind.billed:
            self._unbilled(kind, read, edits, tokens_in + tokens_out)
        if kind.outcome is not PLAIN:
            self._unusual(kind, read)
        if len(kind.noted) == 1 or kind.outcome is not PLAIN or (seconds or 0) >= _SLOW_S:
            self._exemplars.offer(binding, view.trace_id, end_ns, usd, seconds, ttft, rate)

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
        for key, slot in _MORE_TOKENS:
            if key in read:
                binding.open(slot).value += int(number(read[key]) or 0)
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


class _Sizes(dict[Any, tuple[int, int]]):
    """Token counts by how they came, and the bucket they belong in; what is no count counts nothing."""

    def __init__(self, buckets: Sequence[float]) -> None:
        super().__init__()
        self._buckets = buckets

    def __missing__(self, raw: Any) -> tuple[int, int]:
        tokens = int(number(raw) or 0)
        found = (tokens, bisect_left(self._buckets, tokens))
        if isinstance(raw, bytes) and len(raw) <= _MAX_COUNT:  # a written True would be found as 1
            if len(self) >= _MAX_SIZES:
                self.clear()
            self[raw] = found
        return found


_MORE_TOKENS: Final = (
    (CACHE_WRITE, bindings.CACHE_WRITE), (REASONING, bindings.REASONING),
)  # fmt: skip
