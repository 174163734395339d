"""Label values: cleaned, shortened, and no more of them than each label may have.

A value is data from outside: it must not decide how much memory we need. Slots are first come; `forget` gives back
those that no live series carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from processors.llm_metrics.catalogue import LABELS, OTHER
from processors.stats import Stats
from processors.wire import Value, decode_value

MAX_LENGTH: Final = 128
"""Bytes of a label value."""
SHA_LENGTH: Final = 12
"""Characters of a hash that identify a prompt well enough."""

TOO_LARGE: Final = 1e18
_OVERFLOW: Final = "llm_cardinality_overflow_total"
_CONTROL: Final = dict.fromkeys((*range(32), *range(127, 160)))


class LabelValues:
    """Which values each open label has so far."""

    def __init__(self, limits: Mapping[str, int], stats: Stats) -> None:
        """`limits`: what differs from the catalogue's limits."""
        open_labels = {
            name: label.limit for name, label in LABELS.items() if label.limit is not None
        }
        self._limits = {**open_labels, **limits}
        self._values: dict[str, set[str]] = {name: set() for name in self._limits}
        self._stats = stats
        stats.from_zero(_OVERFLOW, self._limits)

    def admit(self, label: str, value: Value | bytes) -> str:
        """Return what the label says for a value as it came: the default, the value itself, or `other`."""
        text = clean(value)
        if not text:
            return LABELS[label].default
        values = self._values[label]
        if text not in values:
            if len(values) >= self._limits[label]:
                self._stats.counters[_OVERFLOW, label] += 1
                return OTHER
            values.add(text)
        return text

    def adopt(self, predecessor: LabelValues) -> None:
        """Know the values that another one knew, whatever the limits are now: series carry them."""
        for label, values in predecessor._values.items():
            self._values[label] |= values

    def forget(self, label: str, live: Iterable[str]) -> None:
        """Keep only the live values of a label."""
        self._values[label] &= set(live)

    @property
    def names(self) -> Iterable[str]:
        """The open labels."""
        return self._values


def plain(value: Value | bytes) -> Value:
    """Return the value itself where it came as an encoded AnyValue."""
    return decode_value(value, 0, len(value)) if isinstance(value, bytes) else value


def number(value: Value | bytes) -> float | None:
    """Return a number that is not negative and none too large; None for anything else."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < TOO_LARGE else None


def clean(value: Value | bytes) -> str:
    """Return a scalar as text without control characters, cut to `MAX_LENGTH` bytes; "" for what is no scalar."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value).translate(_CONTROL).strip()
    if len(text) <= MAX_LENGTH // 4:
        return text
    return text.encode("utf-8", "replace")[:MAX_LENGTH].decode("utf-8", "ignore")
