"""Messages between JSON and the wire, by tables made from descriptors.

Wire types: 0 varint, 1 eight bytes, 2 length-delimited, 3 group, 5 four bytes. Repeated numbers are written packed and
read either way; a known field of another wire type is an unknown one (protobuf.dev/programming-guides/encoding,
2026-08).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from collector.otlp_json.scalars import (
    SCALARS,
    Bad,
    Scalar,
    enum_scalar,
    expected,
    read_base64,
    read_hex,
    read_text,
)
from processors.wire import delimited, read_varint, skip, varint

MAX_LEVELS: Final = 130
"""Levels of nested messages on the way in: 40 of nested kvlists take 120. Spares the interpreter's stack."""

_HEX: Final = frozenset(("trace_id", "span_id", "parent_span_id"))

Descriptor: TypeAlias = Any
"""A message's descriptor, of whichever implementation protobuf runs on."""
_Write: TypeAlias = Callable[[Any, int], bytes]
"""(JSON value, level) → the encoded value, without tag."""
_Show: TypeAlias = Callable[[bytes], Any]
"""Body of a length-delimited value → JSON value."""


def write_message(kind: Descriptor, value: Any, level: int = 0) -> bytes:
    """Encode a JSON object. Raises: `Bad`."""
    if type(value) is not dict:
        raise expected("an object", value)
    if level > MAX_LEVELS:
        raise Bad("nested too deeply")
    pieces = []
    for field in _fields(kind):
        member = value.get(field.name)
        if member is not None:
            try:
                pieces.append(field.write(member, level))
            except Bad as bad:
                raise bad.inside(field.name) from None
    return b"".join(pieces)


def show_message(kind: Descriptor, raw: bytes) -> dict[str, Any]:
    """Return the JSON object of an encoded message, which MUST be well-formed."""
    shown: dict[str, Any] = {}
    fields = _by_number(kind)
    for number, wire_type, value in _walk(raw):
        field = fields.get(number)
        if field is None or wire_type not in field.wire_types:
            continue
        if field.repeated:
            shown.setdefault(field.name, []).extend(field.show_all(value))
        else:
            shown[field.name] = field.show(value)
    return shown


def _walk(raw: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield field number, wire type and value: an int for varints, bytes for all others."""
    at, end = 0, len(raw)
    while at < end:
        begin = at
        tag, at = read_varint(raw, at)
        kind = tag & 7
        if kind == 0:
            number, at = read_varint(raw, at)
            yield tag >> 3, kind, number
            continue
        if kind == 3:
            at = skip(raw, begin)
            continue
        if kind == 2:
            size, at = read_varint(raw, at)
        else:
            size = 8 if kind == 1 else 4
        yield tag >> 3, kind, raw[at : at + size]
        at += size


class _Field:
    """One field of a message type."""

    __slots__ = ("name", "number", "repeated", "show", "show_all", "wire_types", "write")

    def __init__(self, field: Descriptor, *, repeated: bool) -> None:
        self.name = field.json_name
        self.number = field.number
        self.repeated = repeated
        scalar = _scalar(field)
        self.write: _Write
        self.show: Callable[[Any], Any]
        self.show_all: Callable[[Any], list[Any]]
        self.wire_types: tuple[int, ...]
        if scalar is None:
            self._delimited(field)
        else:
            self._number(field, scalar)

    def _delimited(self, field: Descriptor) -> None:
        tag = varint(field.number << 3 | 2)
        self.wire_types = (2,)
        write, show = _body(field)
        one = _one_delimited(tag, write, keep_empty=field.has_presence or self.repeated)
        self.write = _each(one) if self.repeated else one
        self.show = show
        self.show_all = lambda body: [show(body)]

    def _number(self, field: Descriptor, scalar: Scalar) -> None:
        kind = 0 if scalar.fixed is None else 1 if scalar.fixed.size == 8 else 5
        self.wire_types = (kind, 2) if self.repeated else (kind,)
        if self.repeated:
            self.write = _packed(varint(field.number << 3 | 2), scalar)
        else:
            tag = varint(field.number << 3 | kind)
            self.write = _one_number(tag, scalar, keep_zero=field.has_presence)
        self.show = lambda value: _shown(scalar, value)
        self.show_all = lambda value: _unpacked(scalar, value)


@cache
def _fields(kind: Descriptor) -> tuple[_Field, ...]:
    """Return the fields in the order of their numbers, which is how every encoder writes them."""
    described = DescriptorProto()
    kind.CopyToProto(described)
    repeated = {
        field.number
        for field in described.field
        if field.label == FieldDescriptorProto.LABEL_REPEATED
    }
    fields = sorted(kind.fields, key=lambda field: field.number)
    return tuple(_Field(field, repeated=field.number in repeated) for field in fields)


@cache
def _by_number(kind: Descriptor) -> Mapping[int, _Field]:
    return {field.number: field for field in _fields(kind)}


def _scalar(field: Descriptor) -> Scalar | None:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_scalar(field.enum_type)
    return SCALARS.get(field.type)


def _body(field: Descriptor) -> tuple[_Write, _Show]:
    """Return how the value of a length-delimited field is written and shown."""
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        kind = field.message_type
        return (
            lambda value, level: write_message(kind, value, level + 1),
            lambda body: show_message(kind, body),
        )
    if field.type == FieldDescriptor.TYPE_STRING:
        return (lambda value, level: read_text(value)), _show_text
    if field.name in _HEX:
        return (lambda value, level: read_hex(value)), bytes.hex
    return (lambda value, level: read_base64(value)), _show_base64


def _show_text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _show_base64(body: bytes) -> str:
    return binascii.b2a_base64(body, newline=False).decode()


def _one_delimited(tag: bytes, write: _Write, *, keep_empty: bool) -> _Write:
    def field(value: Any, level: int) -> bytes:
        body = write(value, level)
        return delimited(tag, body) if body or keep_empty else b""

    return field


def _one_number(tag: bytes, scalar: Scalar, *, keep_zero: bool) -> _Write:
    def field(value: Any, level: int) -> bytes:
        number = scalar.parse(value)
        return tag + scalar.pack(number) if number or keep_zero else b""

    return field


def _each(one: _Write) -> _Write:
    """Make a repeated field of single ones."""
    return lambda value, level: b"".join(_members(value, lambda member: one(member, level)))


def _packed(tag: bytes, scalar: Scalar) -> _Write:
    def field(value: Any, level: int) -> bytes:
        body = b"".join(_members(value, lambda member: scalar.pack(scalar.parse(member))))
        return delimited(tag, body) if body else b""

    return field


def _members(value: Any, one: Callable[[Any], bytes]) -> Iterator[bytes]:
    if type(value) is not list:
        raise expected("an array", value)
    for index, member in enumerate(value):
        try:
            yield one(member)
        except Bad as bad:
            raise bad.inside(f"[{index}]") from None


def _shown(scalar: Scalar, value: Any) -> Any:
    if scalar.fixed is not None:
        (value,) = scalar.fixed.unpack(value)
    return scalar.show(scalar.unpack(value))


def _unpacked(scalar: Scalar, value: Any) -> list[Any]:
    """Return the numbers of one occurrence of a repeated field: packed or a single one."""
    if scalar.fixed is not None:
        return [scalar.show(number) for (number,) in scalar.fixed.iter_unpack(value)]
    if not isinstance(value, bytes):
        return [_shown(scalar, value)]
    numbers = []
    at = 0
    while at < len(value):
        number, at = read_varint(value, at)
        numbers.append(_shown(scalar, number))
    return numbers
