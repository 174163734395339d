"""What the calls noted at kinds add to the series.

Calls of many kinds come mixed, and the series of some hundred kinds are in no cache. So noting a call touches one list,
and here a series is fetched once for all calls of a kind, or of all kinds whose labels are the same as far as it tells
them. Numbers are columns: each is read, summed and sorted into buckets for many calls in one go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate, chain, groupby, repeat
from operator import itemgetter
from typing import Any, Final

from processors.llm_metrics.bindings import (
    ANSWERS,
    CACHE_RATIO,
    CACHE_READ,
    CACHE_WRITE,
    COST,
    INPUT,
    INPUT_SIZE,
    LATENCY,
    OUTPUT,
    OUTPUT_SIZE,
    PRICE,
    REQUESTS,
    Binding,
)
from processors.llm_metrics.catalogue import COSTS, RATIO, TOKENS_IN, TOKENS_OUT, TOTAL
from processors.llm_metrics.kinds import Kind, Shape
from processors.llm_metrics.labels import TOO_LARGE, number
from processors.llm_metrics.money import atto_of_each
from processors.views import PARSE
from processors.wire import INT

_SIZES: Final = (
    # (place of a counter, place of the histogram, its bounds; whole ones are compared faster)
    (INPUT, INPUT_SIZE, tuple(map(int, TOKENS_IN))),
    (OUTPUT, OUTPUT_SIZE, tuple(map(int, TOKENS_OUT))),
)

_MANY: Final = 12


def settle(kinds: Iterable[Kind]) -> None:
    """Add the noted calls to the series."""
    alike: dict[Shape, list[Kind]] = {}
    for kind in kinds:
        alike.setdefault(kind.shape, []).append(kind)
    for shape, some in alike.items():
        _settle(shape, sorted(some, key=_group))


def open_counters(kind: Kind, priced: bool) -> None:
    """Open the counters that a call of a kind will add to, so that settling need not open those of all new kinds at
    once: 5 µs each, while everybody waits."""
    kind.opened = True
    binding = kind.binding
    slots = [slot for _, slot in kind.shape.sums]
    if kind.success:
        slots += (REQUESTS, ANSWERS) if binding.served else (REQUESTS,)
    if priced:
        slots.append(COST)
    for slot in slots:
        if binding.series[slot] is None:
            binding.open(slot)


def _group(kind: Kind) -> int:
    return kind.binding.group


def _settle(shape: Shape, kinds: Sequence[Kind]) -> None:
    """Add the calls of a shape. Kinds of one group, whose histograms are the same, stand together."""
    width = shape.width
    flat = list(chain.from_iterable([kind.noted for kind in kinds]))
    ends = list(accumulate([len(kind.noted) // width for kind in kinds]))
    told = {slot: _counts(flat[place::width], shape.mixed) for place, slot in shape.sums}
    prices, times = flat[width - 2 :: width], flat[width - 1 :: width]
    summed = [(slot, column, 1) for slot, column in told.items()]
    _count(kinds, ends, [*summed, (COST, *atto_of_each(prices))])
    observed: list[tuple[int, Sequence[float], Sequence[float | None]]] = [
        (size, bounds, told[slot]) for slot, size, bounds in _SIZES if slot in told
    ]
    if CACHE_READ in told:
        observed.append((CACHE_RATIO, RATIO, _shares(told[CACHE_READ], told.get(INPUT))))
    elif CACHE_WRITE in told:  # who tells of a cache and of no reads, read nothing from it
        observed.append((CACHE_RATIO, RATIO, [0.0] * len(prices)))
    observed += ((PRICE, COSTS, prices), (LATENCY, TOTAL, times))
    at = 0
    for _, some in groupby(zip(kinds, ends, strict=True), lambda pair: pair[0].binding.group):
        *_, (kind, end) = some
        for slot, bounds, column in observed:
            _observe(kind.binding, slot, bounds, column[at:end])
        at = end


def _count(
    kinds: Iterable[Kind],
    ends: Iterable[int],
    summed: Collection[tuple[int, Sequence[int | None], int]],
) -> None:
    """Add to the counters. `summed`: for each the amounts of all calls, None where there is none, and their unit."""
    at = 0
    for kind, end in zip(kinds, ends, strict=True):
        binding = kind.binding
        if kind.success:
            _add(binding, REQUESTS, end - at)
            if binding.served:
                _add(binding, ANSWERS, end - at)
        for slot, column, unit in summed:
            amounts = column[at:end]
            try:
                _add(binding, slot, sum(amounts) * unit)  # type: ignore[arg-type] # that is what is tried
            except TypeError:
                known = [amount for amount in amounts if amount is not None]
                if known:
                    _add(binding, slot, sum(known) * unit)
        kind.noted.clear()
        at = end


def _shares(reads: Sequence[int], asked: Sequence[int] | None) -> list[float]:
    """Return which part of the input of each call came from a cache."""
    if asked is None or not any(reads):
        return [0.0] * len(reads)
    return [read / of if read and of else 0.0 for read, of in zip(reads, asked, strict=True)]


def _add(binding: Binding, slot: int, amount: int) -> None:
    series = binding.series[slot] or binding.open(slot)
    series.value += amount
    if series.value != series.sent and not series.queued:
        series.family.queue(series)


def _observe(
    binding: Binding, slot: int, bounds: Sequence[float], values: Sequence[float | None]
) -> None:
    """Count values, None where there is none."""
    try:
        total = sum(values)  # type: ignore[arg-type] # that is what is tried
    except TypeError:
        values = [value for value in values if value is not None]
        if not values:
            return
        total = sum(values)  # type: ignore[arg-type] # mypy forgets
    series = binding.series[slot] or binding.open(slot)
    series.sum += total
    fill(series.counts, bounds, values)  # type: ignore[arg-type] # see above
    series.family.queue(series)


def fill(counts: list[int], bounds: Sequence[float], values: Sequence[float]) -> None:
    """Count values into the buckets that they belong in: many are sorted first, 0.06 µs a value against 0.1."""
    if len(values) < _MANY:
        for bucket in map(bisect_left, repeat(bounds), values):
            counts[bucket] += 1
        return
    ordered = sorted(values)
    last = bisect_left(bounds, ordered[-1])
    at = 0
    for bucket in range(bisect_left(bounds, ordered[0]), last):
        end = bisect_right(ordered, bounds[bucket], at)
        counts[bucket] += end - at
        at = end
    counts[last] += len(ordered) - at


def _counts(column: Sequence[Any], written: bool) -> Sequence[int]:
    """Return token counts; what is no count counts nothing. `written`: some were written after `genai` read them."""
    if not written and _are_numbers(column):
        return column
    types = set(map(type, column))
    if types == {bytes}:
        return _decoded(column)
    if types == {int, bytes} and not written:
        came = iter(_decoded([one for one in column if one.__class__ is bytes]))
        return [next(came) if one.__class__ is bytes else one for one in column]
    if types == {int} and min(column) >= 0 and max(column) < TOO_LARGE:
        return column
    return [tokens(one) for one in column]


def _are_numbers(column: Iterable[Any]) -> bool:
    """Whether nothing is encoded: to find out by adding costs a fifth of looking at the types."""
    try:
        sum(column)
    except TypeError:
        return False
    return True


def _decoded(column: Sequence[bytes]) -> list[int]:
    """Return token counts that came as encoded AnyValues.

    Each is a field of a message that has many: 0.1 µs for each, against 0.4.
    """
    try:
        if _first_bytes(column) == _WHOLE:
            found: list[int] = PARSE["Integers"](b"".join(column)).found[:]
            if len(found) == len(column) and max(found) < TOO_LARGE:
                return found
    except IndexError:  # one is empty
        pass
    return [tokens(raw) for raw in column]


def _first_bytes(column: Iterable[bytes]) -> set[int]:
    return set(map(_first, column))


_first: Final = itemgetter(0)
_WHOLE: Final = {INT}


def tokens(raw: Any) -> int:
    """Return a token count; what is no count counts nothing."""
    return int(number(raw) or 0)
