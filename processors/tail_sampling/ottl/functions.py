"""The functions of conditions by name: contrib `pkg/ottl/ottlfuncs` v0.158, those that look at a value or convert it.

Each gets its arguments evaluated and raises `ConditionFailed` for what it cannot read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

from processors import go_regexp
from processors.tail_sampling.ottl.values import (
    Any_,
    ConditionFailed,
    Duration,
    Texts,
    Time,
    compare,
    int64,
    kind,
    text_of,
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its parameters in order, how many of them must be given, and what it does."""

    parameters: tuple[str, ...]
    apply: Callable[..., Any_]
    required: int = -1
    """-1: all."""
    kinds: str = ""
    """A letter for each parameter that does not take every constant: see the compiler."""


def to_text(value: Any_) -> str:
    """Read a text. Raises: `ConditionFailed`."""
    if isinstance(value, str):
        return value
    raise ConditionFailed(f"expected string but got {kind(value)}")


def to_whole(value: Any_) -> int:
    """Read an integer. Raises: `ConditionFailed`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConditionFailed(f"expected int64 but got {kind(value)}")


def to_list(value: Any_) -> list[Any_]:
    """Read a list. Raises: `ConditionFailed`."""
    if isinstance(value, list):
        return value
    raise ConditionFailed(f"expected a list but got {kind(value)}")


def to_duration(value: Any_) -> Duration:
    """Read a length of time. Raises: `ConditionFailed`."""
    if isinstance(value, Duration):
        return value
    raise ConditionFailed(f"expected a duration but got {kind(value)}")


@lru_cache(maxsize=256)
def pattern(text: str) -> Any:
    """Compile an RE2 pattern. Raises: `ConditionFailed`."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise ConditionFailed(go_regexp.sentence(error)) from None


def _is_match(target: Any_, regex: Any_) -> bool:
    text = text_of(target)
    return text is not None and pattern(to_text(regex)).search(text) is not None


def _int(value: Any_) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return int(value) if abs(value) < 2**63 else -(2**63)
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value):
        number = int(value)
        return number if int64(number) == number else None
    if isinstance(value, str):
        return None
    raise ConditionFailed(f"cannot convert {kind(value)} to an integer")


def to_double(value: Any_) -> float | None:
    """Convert to a double; nil stays nil. Raises: `ConditionFailed`."""
    if value is None:
        return None
    if isinstance(value, (bool, int, float)):
        return float(value)
    if isinstance(value, str) and _GO_FLOAT.fullmatch(value):
        number = float.fromhex(value) if "x" in value.lower() else float(value)
        if math.isfinite(number) or "n" in value.lower():
            return number
    raise ConditionFailed(f"cannot convert {kind(value)} to a double")


_GO_FLOAT: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan"
    r"|0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?[0-9]+)",
    re.IGNORECASE,
)


def _bool(value: Any_) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value != 0
    if isinstance(value, str) and value in _GO_BOOLEANS:
        return _GO_BOOLEANS[value]
    raise ConditionFailed(f"cannot convert {kind(value)} to a boolean")


_GO_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _len(value: Any_) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (bytes, list, dict)):
        return len(value)
    raise ConditionFailed(f"{kind(value)} has no length")


def _parse_json(value: Any_) -> Any_:
    try:
        parsed = json.loads(
            to_text(value), parse_int=_number, parse_float=_number, parse_constant=_number
        )
    except (ValueError, RecursionError):
        raise ConditionFailed("could not parse JSON") from None
    if not isinstance(parsed, (dict, list)):
        raise ConditionFailed("could not parse JSON: expected an object or an array")
    return parsed


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no JSON number")
    return number


def _concat(values: Any_, delimiter: Any_) -> str:
    texts = (text_of(value) for value in to_list(values))
    return to_text(delimiter).join("<nil>" if text is None else text for text in texts)


def _substring(target: Any_, start: Any_, length: Any_) -> str:
    raw, begin, size = to_text(target).encode(), to_whole(start), to_whole(length)
    if begin < 0 or size <= 0 or begin + size > len(raw):
        raise ConditionFailed("invalid range for substring function")
    return raw[begin : begin + size].decode("utf-8", "replace")


def _contains_value(target: Any_, item: Any_) -> bool:
    return any(compare("==", value, item) for value in to_list(target))


def _index(target: Any_, value: Any_) -> int:
    if isinstance(target, list):
        return next((i for i, item in enumerate(target) if compare("==", item, value)), -1)
    return to_text(target).encode().find(to_text(value).encode())


def _duration(value: Any_) -> Duration:
    text = to_text(value)
    if not _GO_DURATION.fullmatch(text):
        raise ConditionFailed("invalid duration")
    sign = -1 if text.startswith("-") else 1
    total = sum(float(n) * _UNITS[unit] for n, unit in _GO_PART.findall(text))
    return Duration(sign * round(total))


_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9
}  # fmt: skip
_GO_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_GO_DURATION: Final = re.compile(rf"[+-]?(?:{_GO_PART.pattern})+|[+-]?0")


def _in_whole(unit: int) -> Callable[[Any_], int]:
    def convert(value: Any_) -> int:
        ns = to_duration(value).ns
        return ns // unit if ns >= 0 else -(-ns // unit)

    return convert


def _in_units(unit: int) -> Callable[[Any_], float]:
    return lambda value: to_duration(value).ns / unit


def _unix(unit: int) -> Callable[[Any_], int]:
    def convert(value: Any_) -> int:
        if not isinstance(value, Time):
            raise ConditionFailed(f"expected a time but got {kind(value)}")
        return value.ns // unit

    return convert


def _is(*types: type) -> Callable[[Any_], bool]:
    return lambda value: type(value) in types


_ONE: Final = ("target",)
_LENGTH: Final = ("duration",)

FUNCTIONS: Final[Mapping[str, Function]] = {
    "Bool": Function(_ONE, _bool),
    "Concat": Function(("vals", "delimiter"), _concat, kinds="Ls"),
    "ContainsValue": Function(("target", "item"), _contains_value, kinds="l"),
    "Double": Function(_ONE, to_double),
    "Duration": Function(_LENGTH, _duration, kinds="s"),
    "HasPrefix": Function(
        ("target", "prefix"), lambda t, p: to_text(t).startswith(to_text(p)), kinds="ss"
    ),
    "HasSuffix": Function(
        ("target", "suffix"), lambda t, s: to_text(t).endswith(to_text(s)), kinds="ss"
    ),
    "Hours": Function(_LENGTH, _in_units(_UNITS["h"]), kinds="d"),
    "Index": Function(("target", "value"), _index),
    "Int": Function(_ONE, _int),
    "IsBool": Function(_ONE, _is(bool), kinds="b"),
    "IsDouble": Function(_ONE, _is(float), kinds="f"),
    "IsInt": Function(_ONE, _is(int), kinds="i"),
    "IsList": Function(_ONE, _is(list, Texts)),
    "IsMap": Function(_ONE, _is(dict), kinds="m"),
    "IsMatch": Function(("target", "pattern"), _is_match, kinds="*s"),
    "IsString": Function(_ONE, _is(str), kinds="s"),
    "Len": Function(_ONE, _len),
    "Microseconds": Function(_LENGTH, _in_whole(_UNITS["us"]), kinds="d"),
    "Milliseconds": Function(_LENGTH, _in_whole(_UNITS["ms"]), kinds="d"),
    "Minutes": Function(_LENGTH, _in_units(_UNITS["m"]), kinds="d"),
    "Nanoseconds": Function(_LENGTH, _in_whole(_UNITS["ns"]), kinds="d"),
    "ParseJSON": Function(_ONE, _parse_json, kinds="s"),
    "Seconds": Function(_LENGTH, _in_units(_UNITS["s"]), kinds="d"),
    "Split": Function(
        ("target", "delimiter"), lambda t, d: _split(to_text(t), to_text(d)), kinds="ss"
    ),
    "String": Function(_ONE, text_of),
    "Substring": Function(("target", "start", "length"), _substring, kinds="sii"),
    "ToLowerCase": Function(_ONE, lambda target: to_text(target).lower(), kinds="s"),
    "ToUpperCase": Function(_ONE, lambda target: to_text(target).upper(), kinds="s"),
    "Trim": Function(
        ("target", "replacement"),
        lambda t, r=" ": to_text(t).strip(to_text(r)),
        required=1,
        kinds="sS",
    ),
    "TrimPrefix": Function(
        ("target", "prefix"), lambda t, p: to_text(t).removeprefix(to_text(p)), kinds="ss"
    ),
    "TrimSuffix": Function(
        ("target", "suffix"), lambda t, s: to_text(t).removesuffix(to_text(s)), kinds="ss"
    ),
    "UnixMicro": Function(("time",), _unix(_UNITS["us"]), kinds="t"),
    "UnixMilli": Function(("time",), _unix(_UNITS["ms"]), kinds="t"),
    "UnixNano": Function(("time",), _unix(_UNITS["ns"]), kinds="t"),
    "UnixSeconds": Function(("time",), _unix(_UNITS["s"]), kinds="t"),
}
"""`IsRootSpan()` is the compiler's: it looks at the span."""


def _split(text: str, delimiter: str) -> Texts:
    return Texts(text.split(delimiter) if delimiter else text)
