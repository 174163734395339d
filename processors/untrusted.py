"""Walks bytes that nobody has proved yet: every bound is checked, every varint is finite.

`fields` is stricter than protobuf in two things that no encoder produces: a tag is written in as few bytes as possible,
and there are no groups. The walkers of `batch` compare tag bytes: what they do not recognise must not be a span to
others. `any_fields` takes what the parser takes.
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
    """Return tag, start of the body and end of the field at `at`, which is not the end. Raises: `Malformed`."""
    tag, body = buf[at], at + 1
    if tag > 127:
        tag, body = varint(buf, at, end)
    if tag < 8 or (tag < 128 and body - at > 1):
        raise Malformed("the request holds a field with an invalid tag")
    return tag, *_extent(buf, tag & 7, body, end)


def fields(buf: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, start, start of the body and end of every field. Raises: `Malformed`."""
    while at < end:
        tag, body, behind = field(buf, at, end)
        yield tag, at, body, behind
        at = behind


def any_field(buf: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return the same of a field as the parser takes it. Raises: `Malformed`."""
    tag, body = varint(buf, at, end)
    if tag & 7 == _GROUP:
        return tag, body, _behind_group(buf, tag >> 3, body, end)
    return tag, *_extent(buf, tag & 7, body, end)


def any_fields(buf: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the same of every field as the parser takes it. Raises: `Malformed`."""
    while at < end:
        tag, body, behind = any_field(buf, at, end)
        yield tag, at, body, behind
        at = behind


_GROUP, _END_OF_GROUP = 3, 4


def _extent(buf: bytes, kind: int, at: int, end: int) -> tuple[int, int]:
    """Return start of the body and end of a field whose tag ends at `at`."""
    if kind == 2:
        size, at = varint(buf, at, end)
        behind = at + size
    elif kind == 0:
        _, behind = varint(buf, at, end)
    elif kind == 1:
        behind = at + 8
    elif kind == 5:
        behind = at + 4
    else:
        raise Malformed(f"the request holds a field of wire type {kind}, which OTLP does not use")
    if behind > end:
        raise Malformed("the request is cut off: a field is longer than what holds it")
    return at, behind


def _behind_group(buf: bytes, number: int, at: int, end: int) -> int:
    """Return the end of a group of which the first tag ends at `at`."""
    inside = [number]
    while inside:
        tag, at = varint(buf, at, end)
        if tag & 7 == _GROUP:
            inside.append(tag >> 3)
        elif tag & 7 != _END_OF_GROUP:
            _, at = _extent(buf, tag & 7, at, end)
        elif inside.pop() != tag >> 3:
            raise Malformed("the request holds a group that ends as another one")
    return at
