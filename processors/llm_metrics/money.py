"""Dollars as a double attribute → exact attoUSD."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Final

PICO: Final = 1e12
SURE_USD: Final = 999.0
"""Below, a number of picodollars has up to 15 digits, and such decimals are distinct doubles (IEEE 754, DBL_DIG)."""


def atto_usd(usd: float) -> int:
    """Return the shortest decimal that is this double, in attoUSD; 0 for what is no amount.

    Prices are picodollars per token or coarser, so the decimal nearly always has few enough digits to be found by
    arithmetic: if rounding to picodollars and dividing gives the same double, there is no other short decimal.
    0.2 µs against 1.3 µs for the way through `Decimal`.
    """
    if 0.0 <= usd < SURE_USD:
        pico = int(usd * PICO + 0.5)
        if pico / PICO == usd:
            return pico * 10**6
    return int(Decimal(repr(usd)).scaleb(18)) if isfinite(usd) else 0


def atto_of_each(amounts: list[float | None]) -> tuple[list[int | None], int]:
    """Return amounts as whole numbers of a unit, none of them negative, and how many attoUSD the unit is.

    In a third of the time of `atto_usd` for each, where all are known and are picodollars.
    """
    try:
        pico: list[int | None] = [int(usd * PICO + 0.5) for usd in amounts]  # type: ignore[operator] # that is what is tried
        if [near / PICO for near in pico] == amounts and max(pico, default=0) < SURE_USD * PICO:  # type: ignore[operator,type-var] # all are integers here
            return pico, 10**6
    except TypeError:
        pass
    return [None if usd is None else atto_usd(usd) for usd in amounts], 1
