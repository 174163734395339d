"""Money is an integer: attoUSD (10^-18 USD), summed exactly and turned into a double once, when it is written.

A rate in USD per million tokens with up to twelve decimals is a whole number of attoUSD per token; what has more (the
thirds of a few vendors) is rounded half-even, once, after all factors were multiplied in.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final, TypeAlias

Number: TypeAlias = "int | float | str | Decimal"
"""A number as it comes out of YAML or JSON: `3e-7` is text for YAML 1.1."""

ATTO: Final = 10**18
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


def decimal(value: Number) -> Decimal:
    """Return the decimal that was written; a float stands for its shortest text, so 0.1 is a tenth."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def times(*factors: Decimal) -> Decimal:
    """Multiply without losing digits (60 are kept)."""
    product = Decimal(1)
    for factor in factors:
        product = _EXACT.multiply(product, factor)
    return product


def per_token(usd_per_million: Decimal) -> int:
    """Return attoUSD per token."""
    return whole(_EXACT.scaleb(usd_per_million, 12))


def per_one(usd: Decimal) -> int:
    """Return the attoUSD of an amount in USD."""
    return whole(_EXACT.scaleb(usd, 18))


def whole(value: Decimal) -> int:
    """Round half-even to an integer."""
    return int(_EXACT.to_integral_value(value))


def usd(atto: int) -> float:
    """Return the double nearest to the amount (the division of Python integers is rounded correctly)."""
    return atto / ATTO


def text(atto: int) -> str:
    """Write the exact amount in USD, without exponent and without trailing zeros."""
    sign, atto = ("-", -atto) if atto < 0 else ("", atto)
    fraction = f"{atto % ATTO:018d}".rstrip("0")
    return f"{sign}{atto // ATTO}" + (f".{fraction}" if fraction else "")


def reported(value: object) -> float | None:
    """Return a cost that somebody else computed as a double; None unless it is a finite number above 0.

    Emitters write 0 for models that they do not know, so 0 says nothing.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = float(Decimal(value.strip())) if isinstance(value, str) else float(value)
    except (InvalidOperation, OverflowError):
        return None
    return amount if 0 < amount < float("inf") else None
