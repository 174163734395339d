"""Add to a few spans of a request that nobody decoded: the rest is copied in runs, as it came.

For processors that have little to say: no `Span` is made, all views come from one parse, and what was not amended is
not looked at twice. The bytes MUST be well-formed, as everywhere behind `admission`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from processors.views import PARSE
from processors.wire import read_varint, skip, varint

Amended: TypeAlias = "tuple[int, Sequence[bytes | memoryview]]"
"""An encoded body: its size, and the pieces to be joined."""
Look: TypeAlias = Callable[[Any, memoryview, int, int], "Amended | None"]
"""Gets the view of a message and where its body stands (the request, start and end); returns another body, or None to
leave the message as it came."""

_GROUP: Final = b"\x0a"
_CHILD: Final = b"\x12"


def amend_spans(raw: bytes, look: Look) -> bytes:
    """Return an encoded traces request with what `look` says in place of its spans; `raw` itself if that is nothing.

    1.2 µs a span that is left alone, parse included, against 3 µs through the views of `Batch.spans`.
    """

    def scope(view: Any, _: memoryview, start: int, end: int) -> Amended | None:
        return _amend(view.items, _CHILD, look, raw, start, end)

    def group(view: Any, _: memoryview, start: int, end: int) -> Amended | None:
        return _amend(view.scopes, _CHILD, scope, raw, start, end)

    amended = _amend(_TRACES(raw).groups, _GROUP, group, raw, 0, len(raw))
    return raw if amended is None else b"".join(amended[1])


def _amend(
    children: Iterable[Any], tag: bytes, look: Look, raw: bytes, at: int, end: int
) -> Amended | None:
    """Look at the children of the message in raw[at:end]; return its new body, None if it stays as it is."""
    pieces: list[bytes | memoryview] = []
    came = memoryview(raw)
    kept_from, first, total = at, tag[0], end - at
    for child in children:
        while raw[at] != first:
            at = skip(raw, at)
        size, body = raw[at + 1], at + 2
        if size > 127:
            more = raw[body]
            if more < 128:  # most spans are this long: spares a call
                size, body = size & 127 | more << 7, body + 1
            else:
                size, body = read_varint(raw, at + 1)
        behind = body + size
        amended = look(child, came, body, behind)
        if amended is not None:
            if kept_from < at:
                pieces.append(came[kept_from:at])
            size, new = amended
            head = tag + varint(size)
            pieces += (head, *new)
            total += len(head) + size - (behind - at)
            kept_from = behind
        at = behind
    if not pieces:
        return None
    pieces.append(came[kept_from:end])
    return total, pieces


_TRACES: Final = PARSE["Traces"]
