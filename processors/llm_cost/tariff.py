"""A price compiled to integers: what one tier of one price costs in one context.

`Tariff.cost` adds tokens times attoUSD over the leaves, then the fees. A leaf without a rate of its own takes the next
one of its line; a leaf with tokens and no rate at all has no price (None), and zero tokens need none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import mul
from typing import Final, NamedTuple

from processors.llm_cost.money import per_one, per_token, times, whole
from processors.llm_cost.usage import LEAVES, Usage

LINES: Final[Mapping[str, tuple[str, ...]]] = {
    "input": ("input",),
    "cache_read": ("cache_read", "input"),
    "cache_write": ("cache_write", "input"),
    "cache_write_1h": ("cache_write_1h", "cache_write", "input"),
    "audio_in": ("audio_in", "input"),
    "cache_audio_read": ("cache_audio_read", "cache_read", "input"),
    "image_in": ("image_in", "input"),
    "output": ("output",),
    "reasoning": ("reasoning", "output"),
    "audio_out": ("audio_out", "output"),
    "image_out": ("image_out", "output"),
    "compaction_in": ("input",),
    "compaction_out": ("output",),
}
"""Leaf → the rates that may price it, the first stated one wins."""

INCLUDED: Final = frozenset({"reasoning", "compaction_in", "compaction_out"})
"""Leaves that the plain rates are meant for, so that taking them is no default worth counting."""

PARTS: Final[Mapping[str, str]] = {
    "cache_read": "cache_read",
    "cache_audio_read": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write",
    "output": "output",
    "reasoning": "output",
    "audio_out": "output",
    "image_out": "output",
    "compaction_out": "output",
}
"""Leaf → the part of the breakdown it belongs to; the others are `input`."""


class Line(NamedTuple):
    """One line of a bill: tokens (or pieces) of a kind, attoUSD for each, and the name of the rate that was used."""

    leaf: str
    amount: int | Decimal
    each: int
    rate: str
    atto: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """Integer rates of one tier."""

    above: int
    """The threshold that was exceeded; -1 for the base tier."""
    rates: tuple[int | None, ...]
    """attoUSD per token in the order of `LEAVES`; None = no rate."""
    used: tuple[str, ...]
    """The name of the rate behind each leaf, in the same order."""
    filled: tuple[int, ...]
    """The rates, 0 in place of those that are missing."""
    missing: tuple[int, ...]
    """Positions of the missing ones."""
    fees: Mapping[str, int]
    """attoUSD each: `request`, `web_search`, `image`, `audio_second`."""

    @property
    def plain(self) -> tuple[int, int, int, int, int, int] | None:
        """Rates of fresh input, cache reads, writes, output and reasoning (-1: none), and the fee of a request.

        That is all that most calls need. None without an input rate.
        """
        rates = (self.rates[_PLACE[leaf]] for leaf in _PLAIN)
        fresh, read, write, out, thought = (-1 if rate is None else rate for rate in rates)
        if min(fresh, read, write) < 0:
            return None
        return fresh, read, write, out, thought, self.fees.get("request", 0)

    def cost(self, usage: Usage) -> int | None:
        """Return the price of a settled usage in attoUSD; None when a leaf with tokens has no rate."""
        leaves = usage.leaves()
        for position in self.missing:
            if leaves[position]:
                return None
        total: int = sum(map(mul, leaves, self.filled))
        return total + self.fee(usage) if self.fees else total

    def fee(self, usage: Usage) -> int:
        """Return the fees alone."""
        total = 0
        for name, each in self.fees.items():
            pieces = FEES[name](usage)
            if pieces:
                total += _times(each, pieces)
        return total

    def lines(self, usage: Usage) -> list[Line]:
        """Itemise the price of a usage for which `cost` is not None."""
        leaves = zip(LEAVES, usage.leaves(), self.rates, self.used, strict=True)
        bill = [
            Line(leaf, n, rate or 0, used, n * (rate or 0)) for leaf, n, rate, used in leaves if n
        ]
        return bill + self._fee_lines(usage)

    def parts(self, usage: Usage) -> Mapping[str, int]:
        """Sum the bill by `input`, `output`, `cache_read`, `cache_write`, `fees`; they add up to the cost."""
        sums = dict.fromkeys(("input", "output", "cache_read", "cache_write", "fees"), 0)
        for line in self.lines(usage):
            sums["fees" if line.leaf in FEES else PARTS.get(line.leaf, "input")] += line.atto
        return sums

    def defaults(self, usage: Usage) -> list[str]:
        """Name the leaves with tokens that had no rate of their own."""
        leaves = zip(LEAVES, usage.leaves(), self.used, strict=True)
        return [leaf for leaf, n, used in leaves if n and used != leaf and leaf not in INCLUDED]

    def _fee_lines(self, usage: Usage) -> list[Line]:
        bill: list[Line] = []
        for name, each in self.fees.items():
            pieces = FEES[name](usage)
            if pieces:
                bill.append(Line(name, pieces, each, name, _times(each, pieces)))
        return bill


_PLACE: Final = {leaf: position for position, leaf in enumerate(LEAVES)}
_PLAIN: Final = ("input", "cache_read", "cache_write", "output", "reasoning")

FEES: Final[Mapping[str, Callable[[Usage], int | Decimal]]] = {
    "request": lambda usage: 1,
    "web_search": lambda usage: usage.web_searches,
    "image": lambda usage: usage.images,
    "audio_second": lambda usage: usage.audio_seconds,
}
"""Fee → how many of them a usage pays."""


def compile_tariff(
    above: int,
    rates: Mapping[str, Decimal],
    fees: Mapping[str, Decimal],
    factors: Sequence[Decimal],
) -> Tariff:
    """Multiply the factors into the rates (never into fees) and round once."""
    chosen = [_first(rates, LINES[leaf]) for leaf in LEAVES]
    atto = [None if n is None else per_token(times(rates[n], *factors)) for n in chosen]
    return Tariff(
        above=above,
        rates=tuple(atto),
        filled=tuple(rate or 0 for rate in atto),
        missing=tuple(position for position, rate in enumerate(atto) if rate is None),
        used=tuple(name or "" for name in chosen),
        fees={name: per_one(fee) for name, fee in fees.items()},
    )


def _times(each: int, pieces: int | Decimal) -> int:
    return each * pieces if isinstance(pieces, int) else whole(times(Decimal(each), pieces))


def _first(rates: Mapping[str, Decimal], line: Iterable[str]) -> str | None:
    return next((name for name in line if name in rates), None)
