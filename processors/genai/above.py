"""Records that counted before others below them came, and hold these: as the same call, or as the sum of them."""

from __future__ import annotations

from processors.genai.call import Call, lies_inside
from processors.genai.reasons import DUPLICATE_OF_ANCESTOR, STANDING, undecided
from processors.genai.trace import Trace


class Above:
    """What counted before above the open records of a trace; for one round of judging.

    How many open records there are below each, and what they add up to, is kept up to date while these get their
    verdicts: asked anew for each of them it would cost the square of their number.
    """

    __slots__ = ("_calls", "_parts", "_trace")

    def __init__(self, trace: Trace, calls: list[Call]) -> None:
        """`calls` are those to be judged."""
        self._trace = trace
        self._calls = calls
        self._parts: dict[Call, tuple[int, int, int]] | None = None
        """Number, input and output of the open records below; made when it is asked for first, which is seldom."""

    def close(self, call: Call, verdict: str) -> None:
        """Give a record its verdict; if it was open, it is a part no longer."""
        if self._parts is not None and call.verdict is None:
            self._add(self._parts, call, -1)
        call.verdict = verdict

    def verdict_on(self, call: Call) -> str | None:
        """Say whether a record above that counted holds this one."""
        for above in self._trace.records_above(call):
            if above.verdict not in STANDING:
                continue
            if above.aggregate or (above.has_usage and self._stands_for(above, call)):
                return DUPLICATE_OF_ANCESTOR
        return None

    def _stands_for(self, above: Call, call: Call) -> bool:
        """Whether a record holds this one: as the same call, or as the sum of all that are open below it."""
        if same_nested(above, call):
            same_id = above.response_id != 0 and above.response_id == call.response_id
            first = not above.stands_for_one
            above.stands_for_one = True
            return same_id or first
        number, *added = self._open_below(above)
        if number < 2 or tuple(added) != above.counts:
            return False
        for part in self._trace.records_below(above.span_id):
            if part.verdict is None and not part.aggregate and part.models & above.models:
                self.close(part, DUPLICATE_OF_ANCESTOR)
        return True

    def _open_below(self, above: Call) -> tuple[int, int, int]:
        if self._parts is None:
            self._parts = {}
            for call in undecided(self._calls):
                self._add(self._parts, call, 1)
        return self._parts.get(above, (0, 0, 0))

    def _add(self, parts: dict[Call, tuple[int, int, int]], call: Call, number: int) -> None:
        for above in self._trace.records_above(call):
            if above.verdict in STANDING and above.models & call.models:
                before, given, said = parts.get(above, (0, 0, 0))
                parts[above] = (
                    before + number,
                    given + number * call.counts[0],
                    said + number * call.counts[1],
                )


def same_nested(outer: Call, inner: Call) -> bool:
    """Whether a record and one below it report the same call."""
    if outer.response_id and outer.response_id == inner.response_id:
        return True
    return (
        outer.counts == inner.counts
        and bool(outer.models & inner.models)
        and lies_inside(outer, inner)
    )
