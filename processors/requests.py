"""Encoded OTLP requests, and how they are joined and cut.

Requests of one signal are joined by concatenation (protobuf merges repeated fields), so joining never decodes.
Cutting looks where the items are and copies them into one piece after the other, when it is asked for; a single item is
never cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from processors.batch import Signal, count_points
from processors.encoded import assemble, outline, trace_id_at

MAX_REQUEST_BYTES: Final = 64 << 20
"""A client MUST NOT send more (OTLP specification 1.11, "OTLP message size limits")."""
USUAL_REQUEST_BYTES: Final = 4 << 20
"""What gRPC servers take by default, the Collector and Tempo among them; larger requests are cut."""


class Request(NamedTuple):
    """An encoded request of one signal. `items` counts spans, log records or data points."""

    signal: Signal
    raw: bytes
    items: int


def join(requests: Sequence[Request]) -> Request:
    """Return one request with the content of all, in order. All MUST have the same signal."""
    if len(requests) == 1:
        return requests[0]
    return Request(
        requests[0].signal,
        b"".join([request.raw for request in requests]),
        sum(request.items for request in requests),
    )


def halves(request: Request) -> tuple[Request, ...]:
    """Cut a request in the middle, by its number of spans, records or metrics; one of them alone stays whole."""
    layout = _Layout(request)
    entries = list(layout.entries())
    middle = len(entries) // 2
    pieces = []
    for half in (entries[:middle], entries[middle:]):
        piece = _Piece()
        for entry in half:
            piece.add(entry)
        if half:
            pieces.append(layout.encode(piece))
    return tuple(pieces)


def cut(request: Request, *, most_items: int = 0, most_bytes: int = 0) -> Iterator[Request]:
    """Cut a request into as few as keep the limits (0 = no limit), in order; a single item may exceed them."""
    most_items, most_bytes = most_items or _NO_LIMIT, most_bytes or _NO_LIMIT
    if request.items <= most_items and len(request.raw) <= most_bytes:
        yield request
        return
    layout = _Layout(request, most_bytes)
    piece = _Piece()
    for entry in layout.entries():
        if not piece.takes(entry, most_items, most_bytes):
            yield layout.encode(piece)
            piece = _Piece()
        piece.add(entry)
    if piece.runs:
        yield layout.encode(piece)


class Portions:
    """A request in pieces within the limits, the spans of a trace in one if they fit; each is copied in its turn.

    Spans of a trace, and items of other signals, stay in order; a single item may exceed the limits. A request whose
    resources are so large that the pieces, each with its own copy of them, were more than twice its size stays whole.
    """

    def __init__(self, request: Request, most_items: int, most_bytes: int) -> None:
        self._request = request
        self._layout = _Layout(request, most_bytes)
        pieces = [_Piece()]
        for part in _by_trace(request, self._layout, most_items, most_bytes):
            if not pieces[-1].has_room(part, most_items, most_bytes):
                pieces.append(_Piece())
            pieces[-1].merge(part)
        too_much = sum(piece.size for piece in pieces) > 2 * len(request.raw)
        self._pieces = [] if too_much else pieces

    def __len__(self) -> int:
        return len(self._pieces) or 1

    def __iter__(self) -> Iterator[Request]:
        if not self._pieces:
            yield self._request
        for piece in self._pieces:
            yield self._layout.encode(piece)


def _by_trace(
    request: Request, layout: _Layout, most_items: int, most_bytes: int
) -> Sequence[_Piece]:
    """Return the spans of each trace as a piece, of a long trace as several; other signals know no traces."""
    parts: list[_Piece] = []
    open_parts: dict[bytes, _Piece] = {}
    trace_id, traces = b"", request.signal is Signal.TRACES
    for entry in layout.entries():
        if traces:
            trace_id = trace_id_at(request.raw, entry[2], entry[3])
        part = open_parts.get(trace_id)
        if part is None or not part.takes(entry, most_items, most_bytes):
            part = open_parts[trace_id] = _Piece()
            parts.append(part)
        part.add(entry)
    return parts


_NO_LIMIT: Final = 1 << 62
_Entry: TypeAlias = tuple[int, int, int, int, int, int]
"""Where an item is: number of its group, start of its frame and of its body, their end; then what it counts for, and
the bytes that its group costs."""


class _Piece:
    """What of a request goes together."""

    __slots__ = ("costs", "items", "runs", "size")

    def __init__(self) -> None:
        self.items = 0
        self.size = 0
        """Bytes of the items, and what their groups cost."""
        self.costs: dict[int, int] = {}
        """By group: what it costs."""
        self.runs: dict[int, list[int]] = {}
        """By group: start and end of items that are neighbours, one pair after another."""

    def takes(self, entry: _Entry, most_items: int, most_bytes: int) -> bool:
        """Whether the limits are kept with another item; an empty piece takes any."""
        group, start, _, end, items, group_cost = entry
        runs = self.runs
        if self.items + items > most_items:
            return not runs
        size = self.size + end - start
        return size + (0 if group in runs else group_cost) <= most_bytes or not runs

    def add(self, entry: _Entry) -> None:
        group, start, _, end, items, group_cost = entry
        self.items += items
        self.size += end - start
        run = self.runs.get(group)
        if run is None:
            self.runs[group] = [start, end]
            self.costs[group] = group_cost
            self.size += group_cost
        elif run[-1] == start:
            run[-1] = end
        else:
            run += (start, end)

    def has_room(self, other: _Piece, most_items: int, most_bytes: int) -> bool:
        """Whether the limits are kept with another piece; an empty one has room for any."""
        if not self.runs:
            return True
        if self.items + other.items > most_items:
            return False
        return self.size + self._growth(other) <= most_bytes

    def merge(self, other: _Piece) -> None:
        """Take what is in another piece of the same request."""
        self.items += other.items
        self.size += self._growth(other)
        self.costs |= other.costs
        for group, run in other.runs.items():
            mine = self.runs.setdefault(group, [])
            if mine and mine[-1] == run[0]:
                mine[-1:] = run[1:]
            else:
                mine += run

    def _growth(self, other: _Piece) -> int:
        """Return by how much another piece would make this one larger: groups that both have are written once."""
        shared = [cost for group, cost in other.costs.items() if group in self.costs]
        return other.size - sum(shared)


class _Layout:
    """Where the items of a request are."""

    def __init__(self, request: Request, most_bytes: int = _NO_LIMIT) -> None:
        self._request = request
        self._most_cost = most_bytes // 2
        """A group costs at most half of a piece: a larger resource would come again with every few items."""
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        """Resource and scope envelope → number of the group; the mapping keeps them in order."""

    def entries(self) -> Iterator[_Entry]:
        """Yield where each item is."""
        raw, metrics = self._request.raw, self._request.signal is Signal.METRICS
        numbers = self._numbers
        for resource, scope, places in outline(raw):
            group = numbers.setdefault((resource, scope), len(numbers))
            cost = min(len(resource) + len(scope) + _GROUP_OVERHEAD, self._most_cost)
            for frame, start, end in places:
                items = count_points(raw[start:end]) if metrics else 1
                yield group, frame, start, end, items, cost

    def encode(self, piece: _Piece) -> Request:
        """Copy the items of a piece out of the request."""
        came = memoryview(self._request.raw)
        envelopes = list(self._numbers)
        frames = {
            envelopes[group]: [came[at:end] for at, end in zip(run[::2], run[1::2], strict=True)]
            for group, run in piece.runs.items()
        }
        return Request(self._request.signal, assemble(frames), piece.items)


_GROUP_OVERHEAD: Final = 12
"""Tags and lengths of a resource group and a scope group, at most 6 bytes each."""
