"""The protobuf wire format, as far as OTLP needs it: varints, fields, AnyValue, KeyValue.

Everything here trusts its input: lengths are in bounds because `admission` proved it or because we encoded the bytes
ourselves. Tags are the encoded byte(s), for example 0x4A = field 9, length-delimited.
Source: protobuf.dev/programming-guides/encoding (2026-08), opentelemetry/proto/common/v1/common.proto 1.10.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import Final, TypeAlias

Value: TypeAlias = "str | bool | int | float | bytes | list[Value] | dict[str, Value] | None"
"""A decoded AnyValue; None is the empty value. A dict is a kvlist: a key that occurs twice keeps the last value."""

_DOUBLE: Final = Struct("<d")
_SINGLE: Final = tuple(bytes((n,)) for n in range(128))

STRING, BOOL, INT, DOUBLE, ARRAY, KVLIST, BYTES = 0x0A, 0x10, 0x18, 0x21, 0x2A, 0x32, 0x3A
"""Tags of the members of AnyValue."""


def varint(n: int) -> bytes:
    """Encode an unsigned integer; a negative one as its 64-bit two's complement, as protobuf does for int64."""
    if 0 <= n < 128:
        return _SINGLE[n]
    if 0 < n < 16_384:
        return bytes((n & 127 | 128, n >> 7))
    if 0 < n < 2_097_152:
        return bytes((n & 127 | 128, n >> 7 & 127 | 128, n >> 14))
    if n < 0:
        n += 1 << 64
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def read_varint(buf: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned varint at `at` and the offset behind it."""
    n = buf[at]
    at += 1
    if n < 128:
        return n, at
    n &= 127
    shift = 7
    while True:
        byte = buf[at]
        at += 1
        n |= (byte & 127) << shift
        if byte < 128:
            return n, at
        shift += 7


def skip(buf: bytes, at: int) -> int:
    """Return the offset behind the field whose tag begins at `at`."""
    kind = buf[at] & 7
    if buf[at] < 128:
        at += 1
    else:
        _, at = read_varint(buf, at)
    if kind == 2:
        n, at = read_varint(buf, at)
        return at + n
    if kind == 1:
        return at + 8
    if kind == 5:
        return at + 4
    if (
        kind == 3
    ):  # a group, which OTLP does not use and parsers accept as unknown: it ends with tag kind 4
        while buf[at] & 7 != 4:
            at = skip(buf, at)
    _, at = read_varint(buf, at)
    return at


def delimited(tag: bytes, body: bytes) -> bytes:
    """Encode one length-delimited field."""
    return tag + varint(len(body)) + body


# ------------------------------------------------------------------ AnyValue


def decode_value(buf: bytes, at: int, end: int) -> Value:
    """Decode the AnyValue in buf[at:end]. Members that OTLP does not know (also `string_value_strindex`) are None."""
    value: Value = None
    while at < end:
        tag = buf[at]
        if tag == STRING:
            n, at = read_varint(buf, at + 1)
            value = buf[at : at + n].decode("utf-8", "replace")
            at += n
        elif tag == INT:
            n, at = read_varint(buf, at + 1)
            value = n - (1 << 64) if n >> 63 else n
        elif tag == DOUBLE:
            value = _DOUBLE.unpack_from(buf, at + 1)[0]
            at += 9
        elif tag == BOOL:
            n, at = read_varint(buf, at + 1)
            value = n != 0
        elif tag == ARRAY:
            n, at = read_varint(buf, at + 1)
            value = _decode_array(buf, at, at + n)
            at += n
        elif tag == KVLIST:
            n, at = read_varint(buf, at + 1)
            value = _decode_kvlist(buf, at, at + n)
            at += n
        elif tag == BYTES:
            n, at = read_varint(buf, at + 1)
            value = buf[at : at + n]
            at += n
        else:
            at = skip(buf, at)
    return value


def _decode_array(buf: bytes, at: int, end: int) -> list[Value]:
    items: list[Value] = []
    while at < end:
        if buf[at] == 0x0A:
            n, at = read_varint(buf, at + 1)
            items.append(decode_value(buf, at, at + n))
            at += n
        else:
            at = skip(buf, at)
    return items


def _decode_kvlist(buf: bytes, at: int, end: int) -> dict[str, Value]:
    members: dict[str, Value] = {}
    while at < end:
        if buf[at] == 0x0A:
            n, at = read_varint(buf, at + 1)
            key, start, stop = key_value(buf, at, at + n)
            members[key.decode("utf-8", "replace")] = decode_value(buf, start, stop)
            at += n
        else:
            at = skip(buf, at)
    return members


def key_value(buf: bytes, at: int, end: int) -> tuple[bytes, int, int]:
    """Return key, start and end of the AnyValue of the KeyValue in buf[at:end]; start == end when it has no value."""
    key, start, stop = b"", end, end
    while at < end:
        tag = buf[at]
        if tag == 0x0A:
            n, at = read_varint(buf, at + 1)
            key = buf[at : at + n]
            at += n
        elif tag == 0x12:
            n, start = read_varint(buf, at + 1)
            at = stop = start + n
        else:
            at = skip(buf, at)
    return key, start, stop


def encode_value(value: Value) -> bytes:
    """Encode an AnyValue. Integers outside int64 are refused by `OverflowError`."""
    if isinstance(value, str):
        return _text_value(value) if len(value) <= _SHORT else _long_text_value(value)
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError(f"an OTLP integer has 64 bits, got one of {value.bit_length()}")
        return b"\x18" + varint(value)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    if isinstance(value, bytes):
        return delimited(b"\x3a", value)
    if isinstance(value, list):
        return delimited(b"\x2a", b"".join([delimited(b"\x0a", encode_value(v)) for v in value]))
    if isinstance(value, dict):
        members = [delimited(b"\x0a", encode_key_value(k, v)) for k, v in value.items()]
        return delimited(b"\x32", b"".join(members))
    return b""


_SHORT: Final = 64
"""Texts that are written are names and words of few lists: up to so many characters they are remembered."""


def _long_text_value(text: str) -> bytes:
    return delimited(b"\x0a", text.encode("utf-8", "replace"))


_text_value: Final = lru_cache(maxsize=4096)(_long_text_value)


def encode_key_value(key: str, value: Value) -> bytes:
    """Encode the body of a KeyValue."""
    return _key_field(key) + delimited(b"\x12", encode_value(value))


@lru_cache(maxsize=4096)
def _key_field(key: str) -> bytes:
    return delimited(b"\x0a", key.encode("utf-8", "replace"))


def fields(buf: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag byte, start of the field, start of its body (length-delimited fields) and end, for every field."""
    while at < end:
        tag = buf[at]
        if tag < 128 and tag & 7 == 2:
            n = buf[at + 1]
            body = at + 2
            if n > 127:
                n, body = read_varint(buf, at + 1)
            yield tag, at, body, body + n
            at = body + n
        else:
            behind = skip(buf, at)
            yield tag, at, at, behind
            at = behind
