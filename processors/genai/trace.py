"""What the ledger remembers of one trace: who is whose child, and the records of its model calls.

Traces become such objects when their records could repeat each other; others stay folded (`folded`). Links are kept as
17 bytes a span, 33 for a tool's, and turned into maps only when a question about them comes up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from processors.genai.alike import Alike
from processors.genai.call import NO_PARENT, Call

LINK_BYTES: Final = 17
TRANSPARENT: Final = b"\x00"
"""Sort of spans between a client and its server: HTTP, anything that is not GenAI."""
SOLID: Final = b"\x01"
"""Sort of aggregates and model calls."""
TOOL: Final = b"\x03"
"""Sort of tools: solid as well, and followed by when they ran, which running totals are told apart by."""
TIMES_BYTES: Final = 16
_TIMES: Final = struct.Struct("<QQ")
_pack_times: Final = _TIMES.pack

_DEEPEST: Final = 128
"""Spans that are more levels apart are not compared: no program nests its calls so deep, and a chain that was made to
would cost the square of its length."""

_TRACE_BYTES: Final = 700
_CALL_BYTES: Final = 1050
_INDEX_BYTES: Final = 260
_TOOL_BYTES: Final = 350
_FAMILY_BYTES: Final = 210
_ALIKE_BYTES: Final = 1000
"""Measured with tracemalloc on CPython 3.11, rounded up."""


def tool_link(span_id: bytes, parent: bytes, start: int, end: int) -> bytes:
    """Say whose child a tool's span is, and when it ran."""
    return span_id + (parent or NO_PARENT) + TOOL + _pack_times(start, end)


def link_size(sort: int) -> int:
    """Return how many bytes a link of this sort takes."""
    return LINK_BYTES + TIMES_BYTES if sort == TOOL[0] else LINK_BYTES


def is_link(link: bytes) -> bool:
    """Whether it is as long as its sort takes; ids of another length are invalid, and such spans belong to nobody."""
    return len(link) >= LINK_BYTES and len(link) == link_size(link[LINK_BYTES - 1])


def _each(links: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(links):
        behind = at + link_size(links[at + LINK_BYTES - 1])
        yield links[at:behind]
        at = behind


class Tree:
    """Who is whose child, which spans are solid, and when tools ran; filled from links."""

    __slots__ = ("_read", "children", "parents", "solid", "timed", "tools")

    def __init__(self) -> None:
        self.parents: dict[bytes, bytes] = {}
        self.children: dict[bytes, list[bytes]] = {}
        self.solid: set[bytes] = set()
        self.tools: dict[bytes, list[tuple[int, int]]] = {}
        """(start, end) of tools' spans by their parents."""
        self.timed = 0
        """How many these are."""
        self._read = 0

    def grow(self, links: bytearray) -> None:
        """Read the links that were added since the last time."""
        if self._read == len(links):
            return
        fresh = bytes(links[self._read :])
        self._read = len(links)
        for one in _each(fresh):
            span_id, parent, sort = one[:8], one[8:16], one[16:LINK_BYTES]
            if span_id not in self.parents and parent != NO_PARENT:
                self.children.setdefault(parent, []).append(span_id)
            self.parents[span_id] = parent
            if sort != TRANSPARENT:
                self.solid.add(span_id)
            if sort == TOOL:
                start, end = _TIMES.unpack(one[LINK_BYTES:])
                self.tools.setdefault(parent, []).append((start, end))
                self.timed += 1

    @property
    def size(self) -> int:
        """Estimated bytes in memory."""
        return _INDEX_BYTES * len(self.parents) + _TOOL_BYTES * self.timed


class Trace:
    """One trace. `seen_ns` is when its last span came. What only some need is made when it is needed."""

    __slots__ = (
        "_decided", "_families", "_first", "_grouped", "_latest", "_links", "_mixed", "_told", "_tree", "calls",
        "forgotten", "logs", "open", "seen_ns", "size",
    )  # fmt: skip

    def __init__(self, *, forgotten: bool = False) -> None:
        self.calls: dict[bytes, Call] = {}
        self.forgotten = forgotten
        """Calls of it were counted before it was forgotten."""
        self.logs = Alike()
        """Records of logs that were counted and that no span has repeated yet."""
        self.open: tuple[Call, ...] = ()
        """Records without a verdict."""
        self.seen_ns = 0
        self.size = 0
        """Estimated bytes in memory, as of the last `grown`."""
        self._links = bytearray()
        self._told = 0
        self._decided: tuple[bytes, ...] = ()
        self._tree: Tree | None = None
        self._families: dict[bytes, list[Call]] | None = None
        self._grouped = 0
        self._latest: Alike | None = None
        self._first: Call | None = None
        self._mixed = False

    # -- growing

    def link(self, links: bytes) -> None:
        """Remember whose children spans are that left no record: span id, parent, TRANSPARENT or SOLID, for each; or
        its `tool_link`."""
        self._links += links

    def links_without_record(self) -> bytes:
        """Return the links of spans that left no record."""
        return b"".join(one for one in _each(bytes(self._links)) if one[:8] not in self.calls)

    def add(self, call: Call) -> None:
        """Remember a record of a span."""
        first = self._first
        if first is None:
            self._first = call
        elif call.parent != first.parent or call.scope != first.scope:
            self._mixed = True
        if call.aggregate or call.loop:
            self._mixed = True
        self.calls[call.span_id] = call
        link = call.span_id + call.parent + SOLID
        if is_link(link):
            self._links += link

    @property
    def is_plain(self) -> bool:
        """Whether no record can repeat another: one parent, one scope, no aggregates, nothing counted from logs."""
        return not self._mixed and not self.logs

    def grown(self) -> int:
        """Return by how many bytes (estimated) it has grown since this was asked last."""
        size = _TRACE_BYTES + len(self._links) + _CALL_BYTES * (len(self.calls) + len(self.logs))
        if self._tree is not None:
            size += self._tree.size
        if self._families is not None:
            size += _FAMILY_BYTES * len(self._families)
        size += _ALIKE_BYTES * (len(self.logs) + len(self._latest or ()))
        before, self.size = self.size, size
        return size - before

    def leave_open(self, judged: Sequence[Call]) -> None:
        """Keep those records open that got no verdict; the others are news to them."""
        self.open = tuple(call for call in judged if call.verdict is None)
        if self.open:
            self._decided = tuple(call.span_id for call in judged if call.verdict is not None)

    def take_news(self) -> set[bytes]:
        """Return, once, the ids of spans that came and of records that were decided."""
        links = (one[:8] for one in _each(bytes(self._links[self._told :])))
        self._told = len(self._links)
        decided, self._decided = self._decided, ()
        return {*decided, *links}

    @property
    def latest(self) -> Alike:
        """The latest records, found by what they have in common with those of logs."""
        if self._latest is None:
            self._latest = Alike()
        for record in self._since(self._latest.added):
            self._latest.add(record)
        return self._latest

    def _since(self, number: int) -> list[Call]:
        """Return the records that came after so many others."""
        return list(islice(reversed(self.calls.values()), len(self.calls) - number))[::-1]

    # -- the tree

    @property
    def tree(self) -> Tree:
        """The links so far, as maps."""
        if self._tree is None:
            self._tree = Tree()
        self._tree.grow(self._links)
        return self._tree

    def line(self, span_id: bytes) -> list[bytes]:
        """Return the ids of a span that has come and of those above it, nearest first."""
        return [span_id, *self._above(self.tree.parents.get(span_id, NO_PARENT))]

    def ancestors(self, call: Call) -> list[bytes]:
        """Return the ids above a call, nearest first, as far as they have come and are compared."""
        return self._above(call.parent)

    def _above(self, above: bytes) -> list[bytes]:
        parents, found = self.tree.parents, []
        for _ in range(_DEEPEST):  # a cycle (invalid) ends as well
            if not above or above == NO_PARENT:
                break
            found.append(above)
            above = parents.get(above, b"")
        return found

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

    def records_below(self, span_id: bytes) -> Iterator[Call]:
        """Yield the records below a span, nearest first."""
        children, calls = self.tree.children, self.calls
        level = [span_id]
        for _ in range(_DEEPEST):
            level = [
                below
                for above in level
                for below in children.get(above, ())
                if below != span_id  # a cycle (invalid)
            ]
            if not level:
                return
            for below in level:
                if (found := calls.get(below)) is not None:
                    yield found

    def records_right_below(self, call: Call) -> Iterator[Call]:
        """Yield the records that have this one as the first above them: those whose `client_of` it is."""
        children, solid = self.tree.children, self.tree.solid
        level = children.get(call.span_id, [])
        for _ in range(_DEEPEST):
            for span_id in level:
                if span_id in solid and (found := self.calls.get(span_id)) is not None:
                    yield found
            level = [b for a in level if a not in solid for b in children.get(a, ())]
            if not level:
                return

    def depth(self, call: Call) -> int:
        """Return how many spans are known above a call, as far as they are compared."""
        return len(self.ancestors(call))

    def deepest_first(self, calls: Iterable[Call]) -> list[Call]:
        """Return calls in the order in which wrappers are compared with what they wrap."""
        return sorted(calls, key=lambda c: (-self.depth(c), c.start, c.span_id))

    def family(self, parent: bytes) -> list[Call]:
        """Return all records with the same parent."""
        if self._families is None:
            self._families = {}
        for record in self._since(self._grouped):
            self._families.setdefault(record.parent, []).append(record)
        self._grouped = len(self.calls)
        return self._families.get(parent, [])
