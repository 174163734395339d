"""The short way for what most calls are: a span with whole-number usage at a price that is known already.

It gives the same answer as `Book`, `Usage` and `Tariff`, or none at all (a property test compares them). A call with
usual tokens takes 4 µs, parsed and written, one with unusual tokens 15, the long way 44. What is the same for all calls
at one price is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import gcd
from struct import Struct
from typing import Any, Final, TypeAlias

from processors import semconv as s
from processors.allowance import Allowance, length
from processors.batch import Span
from processors.llm_cost.book import Miss, Offer
from processors.llm_cost.money import ATTO
from processors.llm_cost.offers import RANGES, Offers
from processors.llm_cost.reader import COUNTED, Shape
from processors.llm_cost.tariff import Tariff
from processors.llm_cost.usage import Usage, settle
from processors.llm_cost.verdict import (
    CALLS,
    DEFAULTS,
    MATCHES,
    UNPRICED,
    VARIANTS,
    provenance,
    unpriced,
)
from processors.stats import Stats
from processors.wire import INT, Value, decode_value

_SIMPLE: Final = frozenset({str, int})
_CACHES: Final = ("cache_read", "cache_write")
_DOUBLE: Final = Struct("<d").pack
_TERMS_BYTES: Final = 2048
_COST_FIELD: Final = Span.fields({s.APP_LLM_COST_USD: 0.0})[:-8]
"""Everything of the encoded attribute but the eight bytes of the double."""


Rates: TypeAlias = tuple[int, int, int, int, int, int]
"""Of fresh input, cache reads and writes, text and reasoning that were written, and the fee of a call; -1: none."""


@dataclass(slots=True)
class Bill:
    """What calls at one tier of one price have in common. `rates` and `tariff` are None for those without a price."""

    above: int
    tariff: Tariff | None
    rates: Rates | None
    unit: int
    """How many of what `rates` count in are a USD. They share a divisor: small integers multiply faster."""
    defaults: tuple[str, ...]
    """Of cache reads and writes, those without a rate of their own: taking the input rate is counted."""
    fields: bytes
    values: dict[str, Value]
    counters: tuple[tuple[str, ...], ...]
    waiting: int = 0
    """Calls that are still to be counted."""

    def encoded(self, cost: float | None) -> bytes:
        """Return all attributes, encoded."""
        return self.fields if cost is None else _COST_FIELD + _DOUBLE(cost) + self.fields

    def write(self, span: Span, cost: float | None) -> None:
        """Write the attributes on a span."""
        values = self.values.copy()
        if cost is not None:
            values[s.APP_LLM_COST_USD] = cost
        span.append(self.encoded(cost), values, self.fields)


Values: TypeAlias = Any
"""Attributes by key or, of a columnar shape, by place: encoded AnyValues as they came, texts and whole numbers as they
were written since."""
Priced: TypeAlias = tuple[Bill, float | None, int]
"""What is to be said, the cost in USD where there is one, and the tokens of input and output."""


@dataclass(slots=True)
class _Terms:
    """Bills by tier, ascending, for times in [start, end)."""

    start: int
    end: int
    bills: tuple[Bill, ...]


class Quick:
    """Prices spans by the encoded values of the attributes that identify the price."""

    def __init__(self, offers: Offers, stats: Stats, allowance: Allowance) -> None:
        """`allowance`: of what is remembered, in the shapes."""
        self._allowance = allowance
        self._offers = offers
        self._counters = stats.counters
        self._misses = offers.book.estimate is None
        """Whether calls without a price are answered here, too: not where they are estimated."""
        self._prefers_reported = offers.book.reported == "prefer"
        self._waiting: list[Bill] = []

    def price(self, shape: Shape, source: Values, at: int) -> Priced | None:
        """Price a call by the encoded values of what its shape uses; None where the long way must answer.

        `source`: an item's `columns` if the shape is columnar, else attributes.
        """
        if shape.reported and self._prefers_reported:
            return None
        key = shape.identify(source)
        for terms in shape.prices.get(key, ()):
            if terms.start <= at < terms.end:
                break
        else:
            terms = self._remember(source, shape, key, at)
        if not shape.plain:
            return self._unusual(shape, source, terms.bills)
        # tokens of the usual kinds: without another call, a loop or a dictionary, because most calls come here
        fresh = total = _WHOLE[source[shape.input]]
        said = output = _WHOLE[source[shape.output]] if shape.output is not None else 0
        reads = writes = thought = 0
        if total < 0 or output < 0:
            return None
        if shape.reads is not None:
            reads = _WHOLE[source[shape.reads]]
            fresh -= reads
        if shape.writes is not None:
            writes = _WHOLE[source[shape.writes]]
            fresh -= writes
        if shape.thought is not None:
            thought = _WHOLE[source[shape.thought]]
            said -= thought
        if fresh < 0 or said < 0 or reads < 0 or writes < 0 or thought < 0:
            return None
        for bill in terms.bills:
            if total > bill.above:
                break
        else:
            return None
        cost = None
        if bill.rates is not None:
            cost = self._usual(bill, bill.rates, fresh, said, reads, writes, thought)
            if cost is None:
                return None
        elif shape.reported:
            return None
        return self._noted(bill, cost, total + output)

    def _usual(
        self, bill: Bill, rates: Rates, fresh: int, said: int, reads: int, writes: int, thought: int
    ) -> float | None:
        """Return the cost in USD of tokens of the usual kinds; None where a rate that is needed is not there."""
        fresh_rate, read_rate, write_rate, said_rate, thought_rate, fee = rates
        if said_rate < 0 < said or thought_rate < 0 < thought:
            return None
        cost = fresh * fresh_rate + said * said_rate + fee
        if reads or writes:
            cost += reads * read_rate + writes * write_rate
            if bill.defaults:
                self._count_defaults(bill, reads, writes)
        if thought:
            cost += thought * thought_rate
        return cost / bill.unit

    def _unusual(self, shape: Shape, source: Values, bills: Iterable[Bill]) -> Priced | None:
        """Price whole numbers of whatever there are."""
        counts = [_WHOLE[source[shape.where[name]]] for _, (name,) in shape.counts]
        if min(counts) < 0:
            return None
        found: dict[str, Any] = dict(zip(shape.fields, counts, strict=True))
        usage = settle(Usage(**found, counted=not COUNTED.isdisjoint(found)))
        if isinstance(usage, str):
            return None
        total, tokens = usage.total_input, usage.total_input + usage.total_output
        bill = next((bill for bill in bills if total > bill.above), None)
        if bill is None:
            return None
        if bill.tariff is None:
            return None if shape.reported else self._noted(bill, None, tokens)
        atto = bill.tariff.cost(usage)
        if atto is None:
            return None
        for leaf in bill.tariff.defaults(usage):
            self._counters[DEFAULTS, leaf] += 1
        return self._noted(bill, atto / ATTO, tokens)

    def _noted(self, bill: Bill, cost: float | None, tokens: int) -> Priced:
        """Take note that one more call has this bill."""
        if not bill.waiting:
            self._waiting.append(bill)
        bill.waiting += 1
        return bill, cost, tokens

    def count(self) -> None:
        """Count what was priced since the last time: once for a batch instead of for every call."""
        counters = self._counters
        for bill in self._waiting:
            for counted in bill.counters:
                counters[counted] += bill.waiting
            bill.waiting = 0
        self._waiting.clear()

    def _count_defaults(self, bill: Bill, reads: int, writes: int) -> None:
        for leaf, tokens in zip(_CACHES, (reads, writes), strict=True):
            if tokens and leaf in bill.defaults:
                self._counters[DEFAULTS, leaf] += 1

    def _remember(self, source: Values, shape: Shape, key: Any, at: int) -> _Terms:
        offer = self._offers.find(shape.read_identity(partial(_value, source, shape.where)), at)
        terms = _Terms(offer.start, offer.end, self._bills(offer))
        self._allowance.spend(_TERMS_BYTES + length(key), shape.prices)
        ranges = shape.prices.setdefault(key, [])
        ranges.insert(0, terms)
        del ranges[RANGES:]
        return terms

    def _bills(self, offer: Offer | Miss) -> tuple[Bill, ...]:
        """Return bills, the highest tier first; none where the long way has to answer."""
        if isinstance(offer, Offer):
            bills = [_bill(offer, tariff) for tariff in reversed(offer.tariffs)]
            return tuple(bill for bill in bills if bill) if all(bills) else ()
        if not self._misses:
            return ()
        values = unpriced(offer.reason)
        counters = ((CALLS, "unpriced"), (UNPRICED, offer.reason))
        return (Bill(-1, None, None, 1, (), Span.fields(values), values, counters),)


def _bill(offer: Offer, tariff: Tariff) -> Bill | None:
    rates = tariff.plain
    if rates is None:
        return None
    values = provenance(offer, tariff)
    shared = gcd(ATTO, *(rate for rate in rates if rate > 0))
    fresh, read, write, said, thought, fee = (rate // shared for rate in rates)  # -1 stays -1
    return Bill(
        above=tariff.above,
        tariff=tariff,
        rates=(fresh, read, write, said, thought, fee),
        unit=ATTO // shared,
        defaults=tuple(leaf for leaf in _CACHES if leaf not in tariff.used),
        fields=Span.fields(values),
        values=values,
        counters=(
            (CALLS, "priced"),
            (MATCHES, offer.source, offer.match),
            *((VARIANTS, dimension) for dimension in offer.unpriced),
        ),
    )


def overlaid(
    shape: Shape, attributes: Mapping[str, bytes], edits: Mapping[str, Any]
) -> Values | None:
    """Return what is used of a span, edits first; None when there is more to it than texts and whole numbers."""
    written = {key: edits[key] for key in shape.used if key in edits}
    if not all(type(value) in _SIMPLE for value in written.values()):
        return None
    return {key: written[key] if key in written else attributes[key] for key in shape.used}


def _value(source: Values, where: Mapping[str, Any], key: str) -> Value:
    value = source[where[key]]
    return decode_value(value, 0, len(value)) if isinstance(value, bytes) else value


def _decode(raw: bytes | str | int) -> int:
    """Read an encoded AnyValue that is one integer below 2^21, or a value as it is; everything else is -1."""
    if type(raw) is not bytes:
        return raw if type(raw) is int else -1
    size = len(raw)
    if size < 2 or raw[0] != INT:
        return -1
    low = raw[1]
    if size == 3:
        middle = raw[2]
        return low & 127 | middle << 7 if low > 127 and middle < 128 else -1
    if size == 2:
        return low if low < 128 else -1
    if size == 4 and low > 127 < raw[2] and raw[3] < 128:
        return low & 127 | (raw[2] & 127) << 7 | raw[3] << 14
    return -1


class _Wholes(dict["bytes | str | int", int]):
    """Value → whole number, or -1 (`_decode`). It remembers small ones: a third of the time of decoding."""

    def __missing__(self, raw: bytes | str | int) -> int:
        number = _decode(raw)
        if type(raw) is bytes and 0 <= number < _REMEMBERED:
            self[raw] = number
        return number


_REMEMBERED: Final = 1 << 14
"""Below this a varint has two bytes, and hardly more encodings than there are numbers: 2 MB when all have come."""
_WHOLE: Final = _Wholes()
