"""Prices as they are stated: dated entries with tiers, windows, variants and fees. Shared by base data and overlay.

Nothing here depends on a span: `tariff` turns an entry, a time and a context into integers.
Rates are `Decimal` USD per million tokens, fees `Decimal` USD per one, times Unix nanoseconds (UTC).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from processors.llm_cost.money import decimal, times

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND
BEGINNING: Final = -(1 << 63)
END: Final = 1 << 64
"""Bounds that no OTLP time reaches."""

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday."""

Rates = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Card:
    """Rates by tier: ascending (threshold, rates); the first threshold is -1. Total input above it selects a step."""

    steps: tuple[tuple[int, Rates], ...]

    def at(self, total: int) -> tuple[int, Rates]:
        """Return the step for a total input: the highest threshold that it exceeds."""
        found = self.steps[0]
        for step in self.steps[1:]:
            if total <= step[0]:
                break
            found = step
        return found

    def under(self, over: Card) -> Card:
        """Lay `over` on top, rate by rate, keeping the tiers of both."""
        starts = sorted({start for start, _ in (*self.steps, *over.steps)})
        return Card(tuple((s, {**self.at(s + 1)[1], **over.at(s + 1)[1]}) for s in starts))

    def scaled(self, factor: Decimal) -> Card:
        return Card(
            tuple((s, {k: times(r, factor) for k, r in rates.items()}) for s, rates in self.steps)
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What a window or a variant does: multiply all rates, or, with a card, put others in their place."""

    factor: Decimal
    card: Card | None

    def apply(self, card: Card, *, partial: bool = False) -> Card:
        if self.card is None:
            return card.scaled(self.factor)
        return card.under(self.card) if partial else self.card


@dataclass(frozen=True, slots=True)
class Range:
    """A daily range [start, end) in nanoseconds of the day; it wraps midnight when the end is not behind the start."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """Daily ranges with prices of their own, on the days on which they begin."""

    ranges: tuple[Range, ...]
    days: frozenset[int]
    change: Change

    def holds(self, at: int) -> Range | None:
        """Return the range that contains the time."""
        day, of_day = divmod(at, DAY)
        for span in self.ranges:
            wraps = span.end <= span.start
            if of_day >= span.start and (wraps or of_day < span.end):
                begun = day
            elif wraps and of_day < span.end:
                begun = day - 1
            else:
                continue
            if (begun + EPOCH_WEEKDAY) % 7 in self.days:
                return span
        return None


@dataclass(frozen=True, slots=True)
class Variant:
    """Prices of a service tier, processing, speed or region. `when` maps a dimension to the lower-case values."""

    when: Mapping[str, frozenset[str]]
    change: Change
    partial: bool
    """Replaces single rates, the first match per rate (base data), instead of the whole card."""
    since: int

    def matches(self, context: Mapping[str, str], at: int) -> bool:
        return at >= self.since and all(context.get(k) in v for k, v in self.when.items())


@dataclass(frozen=True, slots=True)
class Price:
    """One dated price; `stated` is its `from` as written."""

    start: int
    end: int
    stated: str | None
    card: Card
    fees: Mapping[str, Decimal]
    windows: tuple[Window, ...]
    variants: tuple[Variant, ...]

    @property
    def empty(self) -> bool:
        """Whether it prices nothing that a span can report."""
        return not self.fees and not any(rates for _, rates in self.card.steps)


@dataclass(frozen=True, slots=True)
class Entry:
    """A priced model: `name` is `provider/model`, prices in the order in which they were written."""

    name: str
    prices: tuple[Price, ...]
    source: Literal["overlay", "base"]

    def in_force(self, at: int) -> Price | None:
        """Return the last price whose [from, until) contains the time."""
        for price in reversed(self.prices):
            if price.start <= at < price.end:
                return price
        return None

    def interval(self, at: int) -> tuple[int, int]:
        """Return the longest [start, end) around the time in which nothing about this entry changes by date."""
        edges = {BEGINNING, END}
        for price in self.prices:
            edges |= {price.start, price.end, *(v.since for v in price.variants)}
        return between(sorted(edges), at)


def between(edges: list[int], at: int) -> tuple[int, int]:
    """Return the neighbours of `at` among ascending edges: the last that is not above it, and the next."""
    position = bisect_right(edges, at)
    return edges[position - 1], edges[position]


def window_interval(windows: Iterable[Window], at: int) -> tuple[int, int]:
    """Return [start, end) around the time in which no window begins or ends."""
    midnight = at - at % DAY
    edges = {midnight - DAY, midnight + 2 * DAY}
    for window in windows:
        for span in window.ranges:
            for day in (midnight - DAY, midnight, midnight + DAY):
                edges |= {day + span.start, day + span.end}
    return between(sorted(edges), at)


# -- reading


def prices_of(listed: Iterable[Mapping[str, Any]]) -> tuple[Price, ...]:
    """Read `prices[]` of an entry (schema-checked)."""
    return tuple(map(price_of, listed))


def price_of(row: Mapping[str, Any]) -> Price:
    """Read one price."""
    return Price(
        start=_since(row),
        end=moment(row["until"]) if "until" in row else END,
        stated=row.get("from"),
        card=_card(row),
        fees={name: decimal(fee) for name, fee in row.get("fees", {}).items()},
        windows=tuple(_window(window) for window in row.get("windows", ())),
        variants=tuple(_variant(variant) for variant in row.get("variants", ())),
    )


def newest(listed: Iterable[Mapping[str, Any]]) -> int:
    """Return the latest `from` of prices as written, 0 without one."""
    return max((moment(row["from"]) for row in listed if "from" in row), default=0)


def moment(text: str) -> int:
    """Return the nanoseconds of a UTC date (its midnight) or time. Raises: `ValueError`."""
    stamp = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    return int(stamp.timestamp()) * SECOND


def _since(row: Mapping[str, Any]) -> int:
    return moment(row["from"]) if "from" in row else BEGINNING


def _card(row: Mapping[str, Any]) -> Card:
    steps = [(-1, _rates(row["rates"]))]
    steps += [(tier["above"], _rates(tier["rates"])) for tier in row.get("tiers", ())]
    return Card(tuple(steps))


def _rates(rates: Mapping[str, Any]) -> Rates:
    return {name: decimal(rate) for name, rate in rates.items()}


def _change(row: Mapping[str, Any]) -> Change:
    if "multiplier" in row:
        return Change(decimal(row["multiplier"]), None)
    return Change(Decimal(1), _card(row))


def _window(row: Mapping[str, Any]) -> Window:
    days = row.get("days", WEEKDAYS)
    return Window(
        tuple(map(_range, row["utc"])), frozenset(map(WEEKDAYS.index, days)), _change(row)
    )


def _range(text: str) -> Range:
    start, _, end = text.partition("-")
    return Range(_clock(start), _clock(end), text)


def _clock(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return (int(hours) * 60 + int(minutes)) * 60 * SECOND


def _variant(row: Mapping[str, Any]) -> Variant:
    when = {key: frozenset(map(str.lower, values)) for key, values in row["when"].items()}
    return Variant(when, _change(row), row.get("partial", False), _since(row))
