"""Add to a few spans of a request that nobody decoded: the rest is copied in runs, as it came.

For processors that have little to say: no `Span` is made, all views come from one parse, and what was not amended is
not looked at twice. The bytes MUST be well-formed, as everywhere behind `admission`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from processors.views import PARSE
from processors.wire import read_varint, skip, varint


class Body(bytes):
    """An encoded span, to stand in place of the one that came."""

    __slots__ = ()


Look: TypeAlias = "Callable[[Any, bytes, int, int], bytes | None]"
"""Gets the view of a span and where its body stands (the request, start and end); returns encoded fields to be put
behind it, a `Body` to replace it, or None to leave it as it came."""

_Amended: TypeAlias = "tuple[int, Sequence[bytes | memoryview]]"
"""An encoded body: its size, and the pieces to be joined."""
_Piece: TypeAlias = "bytes | memoryview"

_GROUP: Final = b"\x0a"
_CHILD: Final = b"\x12"


def amend_spans(raw: bytes, look: Look) -> bytes:
    """Return an encoded traces request with what `look` says on its spans; `raw` itself if that is nothing.

    1 µs a span that is left alone, parse included, against 3 µs through the views of `Batch.spans`; 1 µs more for one
    that grows.
    """
    came = memoryview(raw)

    def scope(view: Any, start: int, end: int) -> _Amended | None:
        return _amend_items(view.items, look, raw, came, start, end)

    def group(view: Any, start: int, end: int) -> _Amended | None:
        return _amend(view.scopes, _CHILD, scope, raw, came, start, end)

    amended = _amend(_TRACES(raw).groups, _GROUP, group, raw, came, 0, len(raw))
    return raw if amended is None else b"".join(amended[1])


def _amend(
    children: Iterable[Any],
    tag: bytes,
    look: Callable[[Any, int, int], _Amended | None],
    raw: bytes,
    came: memoryview,
    at: int,
    end: int,
) -> _Amended | None:
    """Look at the groups of the message in raw[at:end]; return its new body, None if it stays as it is."""
    pieces: list[_Piece] = []
    kept_from, first, total = at, tag[0], end - at
    for child in children:
        while raw[at] != first:
            at = skip(raw, at)
        size, body = read_varint(raw, at + 1)
        behind = body + size
        amended = look(child, body, behind)
        if amended is not None:
            size, new = amended
            head = tag + varint(size)
            pieces += (came[kept_from:at], head, *new)
            total += len(head) + size - (behind - at)
            kept_from = behind
        at = behind
    if not pieces:
        return None
    pieces.append(came[kept_from:end])
    return total, pieces


def _amend_items(
    spans: Iterable[Any], look: Look, raw: bytes, came: memoryview, at: int, end: int
) -> _Amended | None:
    """Look at the spans of the scope group in raw[at:end]; return its new body, None if it stays as it is."""
    pieces: list[_Piece] = []
    kept_from, total = at, end - at
    for span in spans:
        while raw[at] != 0x12:
            at = skip(raw, at)
        size, body = raw[at + 1], at + 2
        if size > 127:
            more = raw[body]
            if more < 128:  # most spans are this long: spares a call
                size, body = size & 127 | more << 7, body + 1
            else:
                size, body = read_varint(raw, at + 1)
        behind = body + size
        said = look(span, raw, body, behind)
        if said is not None:
            if kept_from < at:
                pieces.append(came[kept_from:at])
            if said.__class__ is Body:
                body = behind
            size = behind - body + len(said)
            head = _CHILD + varint(size)
            pieces += (head, came[body:behind], said)
            total += len(head) + size - (behind - at)
            kept_from = behind
        at = behind
    if not pieces:
        return None
    pieces.append(came[kept_from:end])
    return total, pieces


_TRACES: Final = PARSE["Traces"]
