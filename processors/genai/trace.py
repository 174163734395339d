"""What the ledger remembers of one trace: who is whose child, and the records of its model calls.

Most traces never need the tree: while all calls have one parent and one scope nothing can repeat anything. So links are
kept as 17 bytes a span and turned into maps only when a question about them comes up.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from processors.genai.scopes import ScopeProfile
from processors.genai.usage import Usage

NO_PARENT: Final = bytes(8)
_RECORD: Final = 17
TRANSPARENT: Final = b"\x00"
"""Sort of spans between a client and its server: HTTP, anything that is not GenAI."""
SOLID: Final = b"\x01"
"""Sort of tools, aggregates and model calls."""

_TRACE_BYTES: Final = 700
_CALL_BYTES: Final = 700
_INDEX_BYTES: Final = 260
"""Measured with tracemalloc on CPython 3.11, rounded up."""

COUNTED: Final = ""
"""The verdict of a record that stands for its call; other verdicts are values of `app.llm.cost.skip_reason`."""


class Call:
    """One record of a model call, or of an agent or workflow that reports usage. Times are Unix nanoseconds."""

    __slots__ = (
        "adds", "agent", "aggregate", "client", "end", "loop", "models", "parent", "request_id", "response_id", "scope",
        "server", "since_ns", "span_id", "stands_for_one", "start", "uncovered", "usage", "verdict",
    )  # fmt: skip

    def __init__(
        self,
        span_id: bytes,
        parent: bytes,
        scope: ScopeProfile,
        usage: Usage,
        models: frozenset[str],
        response_id: str | None,
        start: int,
        end: int,
        kind: int,
    ) -> None:
        self.span_id = span_id
        self.parent = parent
        self.scope = scope
        self.usage = usage
        self.models = models
        self.response_id = response_id
        self.start = start
        self.end = end
        self.server = kind == 2
        self.client = kind == 3
        self.request_id: str | None = None
        self.aggregate = False
        self.adds: Usage | None = None
        """What it adds to an earlier running total that counted; None: all of its usage."""
        self.loop = False
        """Its emitter reports running totals over a tool loop."""
        self.agent: str | None = None
        """Name of the agent, where the emitter's totals run over the agent's life."""
        self.verdict: str | None = None
        """None while it is open."""
        self.since_ns = 0
        """When it began to wait, on the pipeline's clock."""
        self.uncovered = False
        """An aggregate whose totals exceed what was counted below it."""
        self.stands_for_one = False
        """It was counted before the record below it came, which is the duplicate then: one, no more."""

    @property
    def has_usage(self) -> bool:
        return self.usage.known

    @property
    def is_server_side(self) -> bool:
        """Whether it was recorded by a gateway or by the model's server."""
        return self.server or self.scope.level == 1

    @property
    def counts(self) -> tuple[int, int]:
        return self.usage.input or 0, self.usage.output or 0


class Tree:
    """Who is whose child, and which spans are solid; filled from links."""

    __slots__ = ("_read", "children", "parents", "solid")

    def __init__(self) -> None:
        self.parents: dict[bytes, bytes] = {}
        self.children: dict[bytes, list[bytes]] = {}
        self.solid: set[bytes] = set()
        self._read = 0

    def grow(self, links: bytearray) -> None:
        """Read the links that were added since the last time."""
        if self._read == len(links):
            return
        fresh = bytes(links[self._read :])
        self._read = len(links)
        for at in range(0, len(fresh), _RECORD):
            span_id, parent = fresh[at : at + 8], fresh[at + 8 : at + 16]
            if span_id not in self.parents and parent != NO_PARENT:
                self.children.setdefault(parent, []).append(span_id)
            self.parents[span_id] = parent
            if fresh[at + 16]:
                self.solid.add(span_id)


class Trace:
    """One trace. `seen_ns` is when its last span came.

    There are many, and most stay plain: what only others need is made when it is needed.
    """

    __slots__ = (
        "_families", "_first", "_grouped", "_links", "_mixed", "_tree", "calls", "delivered", "logs", "open", "seen_ns",
        "size", "tools",
    )  # fmt: skip

    def __init__(self, delivered: bytes) -> None:
        self.calls: dict[bytes, Call] = {}
        self.delivered = delivered
        """Span ids that were counted before the trace was forgotten."""
        self.logs: tuple[Call, ...] = ()
        """Records of logs that were counted and that no span has repeated yet."""
        self.open: tuple[Call, ...] = ()
        """Records without a verdict."""
        self.tools: tuple[tuple[bytes, int, int], ...] = ()
        """(parent, start, end) of tool spans, kept for emitters with running totals."""
        self.seen_ns = 0
        self.size = 0
        """Estimated bytes in memory, as of the last `grown`."""
        self._links = bytearray()
        self._tree: Tree | None = None
        self._families: dict[bytes, list[Call]] | None = None
        self._grouped = 0
        self._first: Call | None = None
        self._mixed = False

    # -- growing

    def link(self, span_id: bytes, parent: bytes, sort: bytes) -> None:
        """Remember whose child a span is, and whether it is SOLID or TRANSPARENT."""
        record = span_id + (parent or NO_PARENT) + sort
        if len(record) == _RECORD:  # ids of another length are invalid and belong to nobody
            self._links += record

    def add(self, call: Call) -> None:
        """Remember a record of a span."""
        first = self._first
        if first is None:
            self._first = call
        elif call.parent != first.parent or call.scope is not first.scope:
            self._mixed = True
        if call.aggregate or call.loop:
            self._mixed = True
        self.calls[call.span_id] = call

    def was_delivered(self, span_id: bytes) -> bool:
        """Whether this very span was here before."""
        if span_id in self.calls:
            return True
        ids = self.delivered
        return any(ids[at : at + 8] == span_id for at in range(0, len(ids), 8))

    @property
    def is_plain(self) -> bool:
        """Whether no record can repeat another: one parent, one scope, no aggregates, nothing counted from logs."""
        return not self._mixed and not self.logs

    def grown(self) -> int:
        """Return by how many bytes (estimated) it has grown since this was asked last."""
        size = _TRACE_BYTES + len(self._links) + _CALL_BYTES * len(self.calls)
        if self._tree is not None or self.logs or self.delivered:
            size += _CALL_BYTES * len(self.logs) + len(self.delivered)
            size += _INDEX_BYTES * (len(self._tree.parents) if self._tree else 0)
        before, self.size = self.size, size
        return size - before

    # -- the tree

    @property
    def tree(self) -> Tree:
        """The links so far, as maps."""
        if self._tree is None:
            self._tree = Tree()
        self._tree.grow(self._links)
        return self._tree

    def ancestors(self, call: Call) -> Iterator[bytes]:
        """Yield the ids above a call, nearest first, as far as they have come."""
        above, parents = call.parent, self.tree.parents
        for _ in range(len(parents) + 1):  # a cycle (invalid) ends as well
            if not above or above == NO_PARENT:
                return
            yield above
            above = parents.get(above, b"")

    def has(self, span_id: bytes) -> bool:
        """Whether the span has come."""
        return span_id in self.tree.parents

    def records_above(self, call: Call) -> Iterator[Call]:
        """Yield the records above a call, nearest first."""
        for span_id in self.ancestors(call):
            if (found := self.calls.get(span_id)) is not None and found is not call:
                yield found

    def client_of(self, call: Call) -> Call | None:
        """Return the record that the first tool, aggregate or model call above this one left, if it is a record."""
        solid = self.tree.solid
        for span_id in self.ancestors(call):
            if span_id in solid:
                return self.calls.get(span_id)
        return None

    def records_below(self, call: Call) -> Iterator[Call]:
        """Yield the records below a call, in no particular order."""
        children = self.tree.children
        stack, seen = [call.span_id], {call.span_id}
        while stack:
            for span_id in children.get(stack.pop(), ()):
                if span_id not in seen:
                    seen.add(span_id)
                    stack.append(span_id)
                    if (found := self.calls.get(span_id)) is not None:
                        yield found

    def depth(self, call: Call) -> int:
        """Return how many spans are known above a call."""
        return sum(1 for _ in self.ancestors(call))

    def siblings(self, call: Call) -> list[Call]:
        """Return all records with the same parent, the call's own included."""
        if self._families is None:
            self._families = {}
        fresh = len(self.calls) - self._grouped
        for record in islice(reversed(self.calls.values()), fresh):
            self._families.setdefault(record.parent, []).append(record)
        self._grouped += fresh
        return self._families[call.parent]
