"""Durations and sizes as users write them, as whole nanoseconds and bytes.

Durations follow Go's `time.ParseDuration` (1m30s, 250ms, 1.5h; documentation of Go 1.25): what a Collector user writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

NANOSECONDS: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, micro sign
    "μs": 1_000,  # U+03BC, Greek mu: Go takes both
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
BYTES: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_LARGEST: Final = 2**63 - 1

_NUMBER: Final = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_PART: Final = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)")
_DURATION: Final = re.compile(rf"([+-]?)((?:{_PART.pattern})+|0)")
_SIZE: Final = re.compile(rf"({_NUMBER})\s*([a-z]*)")


def parse_duration(value: str | int | float) -> int:
    """Return nanoseconds. A bare number is nanoseconds, as in the Collector. Raises: ValueError, a sentence."""
    if not isinstance(value, str):
        return _bounded(int(value), value)
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"expected a duration such as 30s, 1m30s or 250ms, got {value!r}")
    parts = _PART.findall(match[2])
    total = sum((Decimal(number) * NANOSECONDS[unit] for number, unit in parts), Decimal(0))
    return _bounded(int(-total if match[1] == "-" else total), value)


def parse_size(value: str | int | float) -> int:
    """Return bytes. A bare number is bytes; units are KB … TB (1000) and KiB … TiB (1024). Raises: ValueError."""
    if not isinstance(value, str):
        return _bounded(int(value), value)
    match = _SIZE.fullmatch(value.strip().lower())
    if match is None or match[2] not in BYTES:
        raise ValueError(
            f"expected a size such as 64MiB, 500KB or a number of bytes, got {value!r}"
        )
    return _bounded(int(Decimal(match[1]) * BYTES[match[2]]), value)


def write_unit(kind: str, number: int) -> str:
    """Write nanoseconds (`duration`) or bytes (`size`) with the largest unit that keeps them whole."""
    units = _WRITTEN[kind]
    unit = max(
        (u for u in units if number and number % units[u] == 0), key=units.__getitem__, default=""
    )
    return f"{number // units[unit]}{unit}" if unit else str(number)


_WRITTEN: Final[Mapping[str, Mapping[str, int]]] = {
    "duration": {
        "ns": 1,
        "us": 1_000,
        "ms": 1_000_000,
        "s": 10**9,
        "m": 60 * 10**9,
        "h": 3600 * 10**9,
    },
    "size": {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30},
}


def _bounded(number: int, written: str | int | float) -> int:
    if abs(number) > _LARGEST:
        raise ValueError(f"expected less than 2^63 nanoseconds or bytes, got {written!r}")
    return number


PARSERS: Final[Mapping[str, Callable[[str | int | float], int]]] = {
    "duration": parse_duration,
    "size": parse_size,
}
"""JSON Schema `format` → its parser. Keys with these formats take text and numbers, and components get integers."""
