"""One record of a model call, as the ledger knows it.

Names of scopes and models, and ids, are only compared for equality: digests stand for them (`hash` is keyed SipHash,
PEP 456). Inside one trace; but for the ids of responses and requests, by which log records find their spans.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from processors.genai.usage import Usage

NO_PARENT: Final = bytes(8)

COUNTED: Final = ""
"""The verdict of a record that stands for its call; other verdicts are values of `app.llm.cost.skip_reason`."""

_NESTING_TOLERANCE_NS: Final = 1_000_000

_SERVER: Final = 2
_CLIENT: Final = 3

Report = tuple[bytes, bytes, int, Usage, int, int, int, int, int, int, bool]
"""What a span says of a call: the arguments of `Call`. A plain tuple, since one is made for every call."""


def digest(text: str | None) -> int:
    """Return what stands for an id: the hash of its UTF-8, 0 for none."""
    return hash(text.encode("utf-8", "surrogatepass")) if text is not None else 0


class Call:
    """One record of a model call, or of an agent or workflow that reports usage. Times are Unix nanoseconds."""

    __slots__ = (
        "adds", "agent", "aggregate", "cached", "client", "counts", "end", "has_usage", "loop", "models", "parent",
        "request_id", "response_id", "scope", "server", "since_ns", "span_id", "stands_for_one", "start", "uncovered",
        "usage", "verdict", "waits",
    )  # fmt: skip

    def __init__(
        self,
        span_id: bytes,
        parent: bytes,
        scope: int,
        usage: Usage,
        models: int,
        response_id: int,
        request_id: int,
        start: int,
        end: int,
        kind: int,
        cached: bool,
    ) -> None:
        """`scope` is the mark of a `ScopeProfile`, `models` those of an `Identity`; ids are digests."""
        self.span_id = span_id
        self.parent = parent or NO_PARENT
        self.scope = scope
        self.usage = usage
        self.has_usage = usage.known
        self.counts = usage.input or 0, usage.output or 0
        """Input and output tokens."""
        self.models = _apart(models)
        self.response_id = response_id
        self.request_id = request_id
        self.start = start
        self.end = end
        self.server = kind == _SERVER
        self.client = kind == _CLIENT
        self.cached = cached
        """A gateway answered from its cache, with the ids and counts of the call that filled it."""
        self.aggregate = False
        self.adds: Usage | None = None
        """What it adds to an earlier running total that counted; None: all of its usage."""
        self.loop = False
        """Its emitter reports running totals over a tool loop."""
        self.agent: str | None = None
        """Name of the agent, where the emitter's totals run over the agent's life."""
        self.verdict: str | None = None
        """None while it is open."""
        self.waits = False
        """While it is open it will be so till the end, unless it turns out to repeat another."""
        self.since_ns = 0
        """When it began to wait, on the pipeline's clock."""
        self.uncovered = False
        """An aggregate whose totals exceed what was counted below it."""
        self.stands_for_one = False
        """It was counted before the record below it came, which is the duplicate then: one, no more."""

    @property
    def report(self) -> Report:
        """What the span said."""
        kind = _SERVER if self.server else _CLIENT if self.client else 0
        models = _together(self.models)
        return (
            self.span_id, self.parent, self.scope, self.usage, models, self.response_id, self.request_id,
            self.start, self.end, kind, self.cached,
        )  # fmt: skip

    @property
    def level(self) -> int:
        """How near to the vendor its scope sits: a `Level`."""
        return self.scope & 0xF

    @property
    def family(self) -> int:
        """Place of its scope among the families, the preferred one first."""
        return self.scope >> 4 & 0xF

    @property
    def is_server_side(self) -> bool:
        """Whether it was recorded by a gateway or by the model's server."""
        return self.server or self.level == 1


def lies_inside(outer: Call, inner: Call) -> bool:
    """Whether a call ran while another did, as far as their clocks agree."""
    return (
        outer.start - _NESTING_TOLERANCE_NS <= inner.start
        and inner.end <= outer.end + _NESTING_TOLERANCE_NS
    )


def total(calls: Iterable[Call]) -> tuple[int, int]:
    """Return the input and output tokens of all calls."""
    counts = [call.counts for call in calls]
    return sum(i for i, _ in counts), sum(o for _, o in counts)


def _apart(models: int) -> frozenset[int]:
    low, high = models & 0xFFFF_FFFF, models >> 32
    return frozenset((low, high) if high else (low,) if low else ())


def _together(models: Iterable[int]) -> int:
    return sum(model << 32 * place for place, model in enumerate(sorted(models)))
