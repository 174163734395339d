"""OTLP names and units → Prometheus names, as the OpenTelemetry specification and the Go Collector spell them.

Sources: opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics (2026-08), unit tables of the Go
`otlptranslator`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_UNITS: Final[Mapping[str, str]] = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds",
    "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
    "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER: Final[Mapping[str, str]] = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"
}  # fmt: skip

_METRIC_NAME: Final = "__name__"
"""The label that holds a metric's name: a scrape in which a series has it twice is refused whole."""

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS: Final = re.compile(r"[^a-zA-Z0-9_]")


def metric_name(name: str, unit: str, kind: str, namespace: str, *, suffixes: bool) -> str:
    """Return the exposed name. `kind` is the Prometheus type; `suffixes`: add unit and `_total`."""
    words = [word for word in _NOT_IN_NAMES.split(name) if word]
    if suffixes:
        words = _suffixed(words, unit, kind)
        plain = "_".join(words)
    else:
        plain = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
    if namespace:
        plain = f"{label_name(namespace)}_{plain}"
    return f"_{plain}" if plain[:1].isdigit() else plain


def _suffixed(words: list[str], unit: str, kind: str) -> list[str]:
    main, _, per = (part.strip() for part in unit.partition("/"))
    main_word, per_word = _unit_word(main, _UNITS), _unit_word(per, _PER)
    if main_word and main_word not in words:
        words = [*words, main_word]
    if per_word and per_word not in words:
        words = [*words, "per", per_word]
    if kind == "counter":
        words = [*(word for word in words if word != "total"), "total"]
    elif kind == "gauge" and unit == "1":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    return words


def _unit_word(unit: str, known: Mapping[str, str]) -> str:
    """Return what a unit adds to a name; annotations in braces add nothing."""
    if "{" in unit:
        return ""
    return "_".join(word for word in _NOT_IN_NAMES.split(known.get(unit, unit)) if word)


def label_name(name: str) -> str:
    """Return an attribute key as a label name."""
    cleaned = _NOT_IN_LABELS.sub("_", name)
    if not cleaned or cleaned[0].isdigit():
        return f"key_{cleaned}"
    if cleaned == _METRIC_NAME or (cleaned.startswith("_") and not cleaned.startswith("__")):
        return f"key{cleaned}"
    return cleaned
