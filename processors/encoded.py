"""Encoded requests of one signal, taken apart and put together as bytes.

For components that keep or cut items and look at few of them: no `Batch` is made, no item is decoded. Frames and
envelopes are what `batch` calls them, and here, too, the bytes MUST be well-formed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from processors.items import Item
from processors.views import PARSE
from processors.wire import fields, read_varint, skip, varint

_Piece: TypeAlias = "bytes | memoryview"
_TRACES: Final = PARSE["Traces"]
_WHOLE_TRACES: Final = PARSE["WholeTraces"]


def split(raw: bytes) -> Iterator[tuple[bytes, bytes, Sequence[bytes]]]:
    """Yield (resource envelope, scope envelope, encoded items) for every scope group of an encoded request.

    For components that keep items as bytes: one copy of each and 0.15 µs, against 1 µs for `Batch.groups`.
    """
    for resource, scope, places in outline(raw):
        yield resource, scope, tuple([raw[body:behind] for _, body, behind in places])


def span_views(raw: bytes, *, whole: bool = False) -> Iterator[Sequence[Any]]:
    """Yield views of the spans of every scope group of an encoded traces request, in step with `split`.

    `whole`: with lists of their events and links. One parse for all of them: they share memory, so that of all of them
    is kept while one is.
    """
    for group in (_WHOLE_TRACES if whole else _TRACES)(raw).groups:
        for scope in group.scopes:
            yield scope.items


def outline(raw: bytes) -> Iterator[tuple[bytes, bytes, Sequence[tuple[int, int, int]]]]:
    """Yield (resource envelope, scope envelope, places of items) for every scope group of an encoded request.

    For who cuts a request: a place is where an item's frame and its body begin, and where both end.
    """
    for tag, _, start, end in fields(raw, 0, len(raw)):
        if tag == 0x0A:
            resource, scopes = _dissect(raw, start, end)
            for _, scope_start, scope_end in scopes:
                yield resource, *_dissect(raw, scope_start, scope_end)


def trace_id_at(raw: bytes, start: int, end: int) -> bytes:
    """Return the trace id of the encoded span in raw[start:end]."""
    if raw[start : start + 2] == b"\x0a\x10":  # first in every encoder
        return raw[start + 2 : start + 18]
    return bytes(PARSE["SpanHead"](raw[start:end]).trace_id)


def _dissect(raw: bytes, at: int, end: int) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Return a group's envelope, as it came, and the places of its children (field 2), as `outline` has them."""
    rest: list[bytes] = []
    children: list[tuple[int, int, int]] = []
    while at < end:
        if raw[at] != 0x12:
            behind = skip(raw, at)
            rest.append(raw[at:behind])
            at = behind
            continue
        size, body = raw[at + 1], at + 2
        if size > 127:
            high = raw[body]
            if high < 128:
                size, body = size - 128 + (high << 7), body + 1
            else:
                size, body = read_varint(raw, at + 1)
        behind = body + size
        children.append((at, body, behind))
        at = behind
    return b"".join(rest), children


def without_schema_url(envelope: bytes) -> bytes:
    """Return the envelope of a resource or scope group without its schema URL; the rest stays in the order it came."""
    view = PARSE["Schema"](envelope)
    view.ClearField("schema_url")
    rest: bytes = view.SerializeToString()
    return rest


def frame_head(item: bytes) -> bytes:
    """Return what makes a frame, as `assemble` takes them, of the encoded item behind it."""
    return Item.TAG + varint(len(item))


def assemble(frames: Mapping[tuple[bytes, bytes], Sequence[_Piece]]) -> bytes:
    """Encode a request from item frames by (resource envelope, scope envelope), in the mapping's order.

    A frame may come in pieces: only the last join copies. Scope groups of equal resource envelopes that follow each
    other share one resource group.
    """
    parts: list[_Piece] = []
    current: bytes | None = None
    scopes: list[_Piece] = []
    for (resource, scope), items in frames.items():
        if resource != current:
            if current is not None:
                parts += _group(current, scopes)
            current, scopes = resource, []
        scopes += (b"\x12" + varint(len(scope) + sum(map(len, items))), scope, *items)
    if current is not None:
        parts += _group(current, scopes)
    return b"".join(parts)


def _group(resource: bytes, scopes: Sequence[_Piece]) -> tuple[_Piece, ...]:
    """Return the pieces of a resource group."""
    return (b"\x0a" + varint(len(resource) + sum(map(len, scopes))), resource, *scopes)
