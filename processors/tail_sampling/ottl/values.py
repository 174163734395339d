"""Values of conditions and how they compare, calculate and turn into each other: contrib `pkg/ottl` v0.158.

Besides those of attributes there are points and lengths of time and ids, which equal nothing but their own kind.
"""

from __future__ import annotations

import json
import math
import operator
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from processors.tail_sampling.traces import Envelope

_WRAP: Final = 1 << 64
_SIGN: Final = 1 << 63


class ConditionFailed(Exception):
    """A condition cannot be told for this span: a function got what it cannot read, a key is missing."""


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """A point in time, Unix nanoseconds."""

    ns: int


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in nanoseconds."""

    ns: int


@dataclass(frozen=True, slots=True)
class Id:
    """A trace id (16 bytes) or span id (8)."""

    raw: bytes


Any_: TypeAlias = Any
"""None, bool, int, float, str, bytes, list, dict, Time, Duration or Id."""


class Texts(list[str]):
    """What `Split` returns: a list that equals no other list."""


@dataclass(slots=True)
class Subject:
    """What a condition is asked about: views of a span and perhaps of one of its events."""

    span: Any
    envelope: Envelope
    event: Any = None
    event_index: int = 0


_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED: Final = (bool, str, bytes, Time, Duration)


def compare(sign: str, left: Any_, right: Any_) -> bool:
    """Values of different kinds are unequal and in no order; integers and doubles are one kind, nil is its own."""
    if isinstance(left, bytes) or isinstance(right, bytes):
        left, right = _or_nil(left), _or_nil(right)
    if left is None or right is None:
        return (left is right) == (sign in ("==", "<=", ">=")) if left is right else sign == "!="
    if _is_number(left) and _is_number(right):
        if isinstance(left, float) or isinstance(right, float):
            left, right = float(left), float(right)
        return _ORDER[sign](left, right)
    if type(left) is type(right) and isinstance(left, _ORDERED):
        return _ORDER[sign](left, right)
    if sign == "==":
        return _equal(left, right)
    return sign == "!=" and not _equal(left, right)


def _or_nil(value: Any_) -> Any_:
    """No bytes are nil."""
    return None if value == b"" else value


def _equal(left: Any_, right: Any_) -> bool:
    """Compare ids, lists and maps, whose parts must be of the same kind: integers and doubles are two there."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return bool(left == right)


def _same(left: Any_, right: Any_) -> bool:
    return type(left) is type(right) and (_equal(left, right) if left is not None else True)


def _is_number(value: Any_) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def int64(number: int) -> int:
    """Wrap around as 64-bit integers do."""
    return (number + _SIGN) % _WRAP - _SIGN


def calculate(sign: str, left: Any_, right: Any_) -> Any_:
    """Apply `+ - * /`. Raises: `ConditionFailed`."""
    if _is_number(left) and _is_number(right):
        if isinstance(left, int) and isinstance(right, int):
            return _calculate_integers(sign, left, right)
        return _calculate_floats(sign, float(left), float(right))
    if sign in "+-":
        moved = _calculate_times(sign, left, right)
        if moved is not None:
            return moved
    raise ConditionFailed(f"cannot calculate {kind(left)} {sign} {kind(right)}")


def _calculate_integers(sign: str, left: int, right: int) -> int:
    if sign != "/":
        return int64(_ARITHMETIC[sign](left, right))
    if not right:
        raise ConditionFailed("attempted to divide by 0")
    quotient = abs(left) // abs(right)  # towards zero, as in Go
    return int64(quotient if (left < 0) == (right < 0) else -quotient)


def _calculate_floats(sign: str, left: float, right: float) -> float:
    if sign == "/" and not right:
        raise ConditionFailed("attempted to divide by 0")
    try:
        return float(_ARITHMETIC[sign](left, right))
    except OverflowError:
        return float("inf")


def _calculate_times(sign: str, left: Any_, right: Any_) -> Time | Duration | None:
    if not isinstance(left, (Time, Duration)) or not isinstance(right, (Time, Duration)):
        return None
    if isinstance(right, Time):
        if isinstance(left, Time):
            return Duration(left.ns - right.ns) if sign == "-" else None
        return Time(left.ns + right.ns) if sign == "+" else None
    return type(left)(_ARITHMETIC[sign](left.ns, right.ns))


_ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def kind(value: Any_) -> str:
    """Name the kind of a value, for messages: values themselves are never quoted."""
    return "nil" if value is None else type(value).__name__.lower()


def text_of(value: Any_) -> str | None:
    """Write a value as OTTL does where a text is wanted; nil stays nil."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return _text_of_float(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Id):
        return json.dumps(list(value.raw), separators=(",", ":"))
    if isinstance(value, (list, dict)):
        return _text_of_parts(value)
    raise ConditionFailed(f"cannot write {kind(value)} as text")


def _text_of_float(value: float) -> str:
    """Write a double as Go's JSON does."""
    if not math.isfinite(value):
        raise ConditionFailed("cannot write what is no finite number as text")
    if value.is_integer() and abs(value) < 1e21:
        return f"{value:.0f}"
    return repr(value)


def _text_of_parts(value: Any_) -> str:
    """Write a list or map as Go's JSON does."""
    text = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_UNSAFE: Final = re.compile("[<>&\u2028\u2029]")


def _plain(value: Any_) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and _text_of_float(value).lstrip("-").isdigit():
        return int(value)
    return value


def index(value: Any_, key: str | int) -> Any_:
    """Look inside a list or map. Raises: `ConditionFailed`."""
    if isinstance(key, str) and isinstance(value, dict):
        if key not in value:
            raise ConditionFailed("key not found in map")
        return value[key]
    if isinstance(key, int) and isinstance(value, list):
        if not 0 <= key < len(value):
            raise ConditionFailed("index out of bounds")
        return value[key]
    raise ConditionFailed(f"{kind(value)} cannot be indexed by {kind(key)}")
