"""The scalar types of protobuf, between JSON and the wire."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from processors.wire import varint


class Bad(Exception):
    """Something in the document is wrong; the path grows on the way up."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.path = ""

    def inside(self, step: str) -> Bad:
        joint = "" if not self.path or self.path.startswith("[") else "."
        self.path = f"{step}{joint}{self.path}"
        return self


def _kind_of(value: Any) -> str:
    names: dict[type, str] = {
        type(None): "null",
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
    }
    return names.get(type(value), "a number")


def expected(what: str, value: Any) -> Bad:
    """Say that another type was expected, without quoting the value."""
    return Bad(f"expected {what}, got {_kind_of(value)}")


def read_text(value: Any) -> bytes:
    """Read a string as UTF-8; lone surrogates become U+FFFD."""
    if type(value) is not str:
        raise expected("a string", value)
    try:
        return value.encode()
    except UnicodeEncodeError:  # lone surrogates
        units = value.encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace").encode()


def read_hex(value: Any) -> bytes:
    """Read an id, in any case."""
    if type(value) is not str:
        raise expected("a hex string", value)
    try:
        found = bytes.fromhex(value)
    except ValueError:
        raise Bad("expected a hex string, two digits a byte") from None
    if 2 * len(found) != len(value):  # fromhex allows white space
        raise Bad("expected a hex string without spaces")
    return found


def read_base64(value: Any) -> bytes:
    """Read bytes, in the standard or the URL-safe alphabet, padded or not."""
    if type(value) is not str:
        raise expected("a base64 string", value)
    standard = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except ValueError:
        raise Bad("expected a base64 string") from None


def _integer(low: int, high: int) -> Callable[[Any], int]:
    """Make a reader of integers in [low, high], from numbers or decimal strings."""

    def read(value: Any) -> int:
        number = _whole(value)
        if not low <= number <= high:
            raise Bad(f"expected an integer from {low} to {high}")
        return number

    return read


_LONGEST_INTEGER: Final = 20


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and len(value) <= _LONGEST_INTEGER:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit():
            return int(value)
    raise Bad(f"expected an integer, got {_kind_of(value)}")


_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _double(value: Any) -> float:
    if type(value) is str:
        if value in _WORDS:
            return _WORDS[value]
        try:
            value = float(value)
        except ValueError:
            raise Bad("expected a number, got a string") from None
    elif type(value) not in (int, float):
        raise expected("a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number) or math.isnan(number):
        raise Bad("expected a number that fits a double")
    return number


def _bool(value: Any) -> int:
    if type(value) is not bool:
        raise expected("a boolean", value)
    return int(value)


def enum_scalar(members: EnumDescriptor) -> Scalar:
    """Make the scalar of an enum: read from numbers, also unknown ones, or names; shown as a number."""
    names = {name: value.number for name, value in members.values_by_name.items()}

    def read(value: Any) -> int:
        if type(value) is str and value in names:
            return names[value]
        if type(value) is str and not value.removeprefix("-").isdigit():
            raise Bad(f"expected a member of the enum {members.name}")
        return _I32(value)

    return _varint_scalar(read, _same, unpack=_signed_32)


def _show_double(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return number >> 1 if not number & 1 else -(number >> 1) - 1


def _signed(number: int) -> int:
    """Read a varint as int64; what goes beyond 64 bits is cut off, as every parser does."""
    number &= _BITS_64
    return number - (1 << 64) if number >> 63 else number


def _signed_32(number: int) -> int:
    number &= _BITS_32
    return number - (1 << 32) if number >> 31 else number


def _unsigned(number: int) -> int:
    return number & _BITS_64


def _unsigned_32(number: int) -> int:
    return number & _BITS_32


_BITS_32: Final = (1 << 32) - 1
_BITS_64: Final = (1 << 64) - 1


def _same(value: Any) -> Any:
    return value


class Scalar(NamedTuple):
    """A scalar type: JSON → Python → wire, and back."""

    parse: Callable[[Any], Any]
    pack: Callable[[Any], bytes]
    unpack: Callable[[Any], Any]
    """From the raw varint, or from the fixed-width number."""
    show: Callable[[Any], Any]
    fixed: Struct | None = None


def _varint_scalar(
    parse: Callable[[Any], int],
    show: Callable[[int], Any],
    pack: Callable[[int], bytes] = varint,
    unpack: Callable[[int], int] = _same,
) -> Scalar:
    return Scalar(parse, pack, unpack, show)


def _fixed_scalar(layout: str, parse: Callable[[Any], Any], show: Callable[[Any], Any]) -> Scalar:
    struct = Struct(layout)
    return Scalar(parse, struct.pack, _same, show, struct)


_I32 = _integer(-(1 << 31), (1 << 31) - 1)
_U32 = _integer(0, (1 << 32) - 1)
_I64 = _integer(-(1 << 63), (1 << 63) - 1)
_U64 = _integer(0, (1 << 64) - 1)


def _pack_zigzag(number: int) -> bytes:
    return varint(_zigzag(number))


_F: Final = FieldDescriptor
SCALARS: Final[Mapping[int, Scalar]] = {
    _F.TYPE_BOOL: _varint_scalar(_bool, bool),
    _F.TYPE_INT32: _varint_scalar(_I32, _same, unpack=_signed_32),
    _F.TYPE_UINT32: _varint_scalar(_U32, _same, unpack=_unsigned_32),
    _F.TYPE_SINT32: _varint_scalar(_I32, _same, _pack_zigzag, _unzigzag),
    _F.TYPE_INT64: _varint_scalar(_I64, str, unpack=_signed),
    _F.TYPE_UINT64: _varint_scalar(_U64, str, unpack=_unsigned),
    _F.TYPE_SINT64: _varint_scalar(_I64, str, _pack_zigzag, _unzigzag),
    _F.TYPE_FIXED32: _fixed_scalar("<I", _U32, _same),
    _F.TYPE_FIXED64: _fixed_scalar("<Q", _U64, str),
    _F.TYPE_SFIXED32: _fixed_scalar("<i", _I32, _same),
    _F.TYPE_SFIXED64: _fixed_scalar("<q", _I64, str),
    _F.TYPE_DOUBLE: _fixed_scalar("<d", _double, _show_double),
}
