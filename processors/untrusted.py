"""Walks bytes that nobody has proved yet: every bound is checked, every varint is finite.

Stricter than protobuf in two things that no encoder produces: a tag is written in as few bytes as possible, and there
are no groups. The walkers of `batch` compare tag bytes: what they do not recognise must not be an attribute to others.
"""

from __future__ import annotations

from collections.abc import Iterator

from processors.errors import Malformed


def varint(buf: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the varint at `at` and the offset behind it. Raises: `Malformed`."""
    n = shift = 0
    while at < end and shift < 70:
        byte = buf[at]
        at += 1
        n |= (byte & 127) << shift
        if byte < 128:
            return n, at
        shift += 7
    raise Malformed("the request is cut off, or holds a number of more than 64 bits")


def field(buf: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return tag, start of the body and end of the field at `at`. Raises: `Malformed`."""
    tag, body = varint(buf, at, end)
    kind = tag & 7
    if tag < 8 or (tag < 128 and body - at > 1):
        raise Malformed("the request holds a field with an invalid tag")
    if kind == 2:
        size, body = varint(buf, body, end)
        behind = body + size
    elif kind == 0:
        _, behind = varint(buf, body, end)
    elif kind == 1:
        behind = body + 8
    elif kind == 5:
        behind = body + 4
    else:
        raise Malformed(f"the request holds a field of wire type {kind}, which OTLP does not use")
    if behind > end:
        raise Malformed("the request is cut off: a field is longer than what holds it")
    return tag, body, behind


def fields(buf: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, start, start of the body and end of every field. Raises: `Malformed`."""
    while at < end:
        tag, body, behind = field(buf, at, end)
        yield tag, at, body, behind
        at = behind
