"""Visits every string inside an encoded AnyValue, and changes it there while all other bytes stay.

Lists and maps are followed to any depth the wire allows (`admission` bounds it); a string inside a map is visited under
the map's key, one inside a list under the list's. Bytes are visited like strings. Numbers and booleans are not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from processors.wire import ARRAY, BYTES, KVLIST, STRING, delimited, key_value, read_varint, skip

Visit: TypeAlias = Callable[[bytes, int, int, bytes], bytes | None]
"""Called with (buf, start, end, key) for the string in buf[start:end] that stands under `key`; returns its new text, or
None to leave it."""


def edit_value(buf: bytes, start: int, end: int, key: bytes, visit: Visit) -> bytes | None:
    """Return the new encoding of the AnyValue in buf[start:end], None when nothing in it changes."""
    pieces: list[bytes] = []
    at = kept = start
    while at < end:
        tag = buf[at]
        if tag not in _FOLLOWED:
            at = skip(buf, at)
            continue
        size, body = read_varint(buf, at + 1)
        behind = body + size
        if tag == ARRAY:
            new = _edit_list(buf, body, behind, key, visit)
        elif tag == KVLIST:
            new = _edit_map(buf, body, behind, visit)
        else:
            new = visit(buf, body, behind, key)
        if new is not None:
            pieces += (buf[kept:at], delimited(buf[at : at + 1], new))
            kept = behind
        at = behind
    return b"".join((*pieces, buf[kept:end])) if pieces else None


_FOLLOWED: Final = frozenset((STRING, ARRAY, KVLIST, BYTES))


def _edit_list(buf: bytes, start: int, end: int, key: bytes, visit: Visit) -> bytes | None:
    pieces: list[bytes] = []
    at = kept = start
    while at < end:
        behind = skip(buf, at)
        if buf[at] == 0x0A:
            _, body = read_varint(buf, at + 1)
            new = edit_value(buf, body, behind, key, visit)
            if new is not None:
                pieces += (buf[kept:at], delimited(b"\x0a", new))
                kept = behind
        at = behind
    return b"".join((*pieces, buf[kept:end])) if pieces else None


def _edit_map(buf: bytes, start: int, end: int, visit: Visit) -> bytes | None:
    pieces: list[bytes] = []
    at = kept = start
    while at < end:
        behind = skip(buf, at)
        if buf[at] == 0x0A:
            _, body = read_varint(buf, at + 1)
            new = edit_pair(buf, body, behind, visit)
            if new is not None:
                pieces += (buf[kept:at], delimited(b"\x0a", new))
                kept = behind
        at = behind
    return b"".join((*pieces, buf[kept:end])) if pieces else None


def edit_pair(buf: bytes, start: int, end: int, visit: Visit) -> bytes | None:
    """Return the new encoding of the KeyValue in buf[start:end], None when nothing in it changes.

    The key is visited as well, under an empty key: personal data turns up there too.
    """
    key, first, last = key_value(buf, start, end)
    value = edit_value(buf, first, last, key, visit)
    at = buf.find(key, start, end)
    name = visit(buf, at, at + len(key), b"") if key else None
    if value is None and name is None:
        return None
    return delimited(b"\x0a", key if name is None else name) + delimited(
        b"\x12", buf[first:last] if value is None else value
    )
