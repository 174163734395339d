"""One encoded OTLP request on its way out, and how requests are joined and cut.

Requests of one signal are joined by concatenation (protobuf merges repeated fields), so joining never decodes.
Cutting decodes once and copies the encoded items; a single item is never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from processors.batch import Batch, Signal, assemble, count_points

MAX_REQUEST_BYTES: Final = 64 << 20
"""A client MUST NOT send more (OTLP specification 1.11, "OTLP message size limits")."""
USUAL_REQUEST_BYTES: Final = 4 << 20
"""What gRPC servers take by default, the Collector and Tempo among them; larger requests are cut."""


class Request(NamedTuple):
    """An encoded request of one signal. `items` counts spans, log records or data points."""

    signal: Signal
    raw: bytes
    items: int


_Envelopes: TypeAlias = tuple[bytes, bytes]
"""Resource and scope, as `processors.batch.assemble` takes them."""


class _Entry(NamedTuple):
    """An encoded item with its envelopes."""

    envelopes: _Envelopes
    frame: bytes
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
    entries = list(_entries(request))
    middle = len(entries) // 2
    return tuple(
        _request(request.signal, half) for half in (entries[:middle], entries[middle:]) if half
    )


def cut(request: Request, *, most_items: int = 0, most_bytes: int = 0) -> list[Request]:
    """Cut a request into as few as keep the limits (0 = no limit), in order; a single item may exceed them."""
    fits_items = not most_items or request.items <= most_items
    if fits_items and (not most_bytes or len(request.raw) <= most_bytes):
        return [request]
    pieces: list[list[_Entry]] = [[]]
    items = size = 0
    for entry in _entries(request):
        cost = _cost(entry, pieces[-1])
        too_many = most_items and items + entry.items > most_items
        if pieces[-1] and (too_many or (most_bytes and size + cost > most_bytes)):
            pieces.append([])
            items, size, cost = 0, 0, _cost(entry, [])
        pieces[-1].append(entry)
        items, size = items + entry.items, size + cost
    return [_request(request.signal, piece) for piece in pieces if piece]


_GROUP_OVERHEAD: Final = 12
"""Tags and lengths of a resource group and a scope group, at most 6 bytes each."""


def _cost(entry: _Entry, piece: Sequence[_Entry]) -> int:
    """Return by how many bytes the entry makes the piece longer, at most."""
    if piece and piece[-1].envelopes == entry.envelopes:
        return len(entry.frame)
    return len(entry.frame) + sum(map(len, entry.envelopes)) + _GROUP_OVERHEAD


def _entries(request: Request) -> Iterator[_Entry]:
    count = _points if request.signal is Signal.METRICS else _one
    for group in Batch(request.signal, request.raw).groups:
        resource = group.envelope()
        for scope in group.scopes:
            envelopes = (resource, scope.envelope())
            for item in scope.items:
                yield _Entry(envelopes, item.frame(), count(item.body))


def _one(body: Callable[[], bytes]) -> int:
    return 1


def _points(body: Callable[[], bytes]) -> int:
    return count_points(body())


def _request(signal: Signal, entries: Iterable[_Entry]) -> Request:
    frames: dict[_Envelopes, list[bytes]] = {}
    items = 0
    for entry in entries:
        frames.setdefault(entry.envelopes, []).append(entry.frame)
        items += entry.items
    return Request(signal, assemble(frames), items)
