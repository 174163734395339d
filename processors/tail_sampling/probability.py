"""Percentages as thresholds, exactly.

Sources: contrib `tail_sampling` v0.158 (hash limit, `math/big` with 64 bits of mantissa) and `pkg/sampling` v0.158
(threshold with precision); OpenTelemetry specification, trace/tracestate-probability-sampling.
"""

from __future__ import annotations

from fractions import Fraction
from math import frexp
from typing import Final

_MOST64: Final = (1 << 64) - 1
FULL: Final = 1 << 56
"""The number of values that randomness can have; a threshold is below it."""
_DIGITS: Final = 14


def hash_limit(percentage: float) -> int:
    """Return the largest 64-bit hash that is kept: trunc((2⁶⁴ - 1) · percentage/100) in 64-bit floating point."""
    ratio = percentage / 100
    if ratio <= 0:
        return 0
    if ratio >= 1:
        return _MOST64
    product = Fraction(ratio) * _MOST64
    scale = Fraction(2) ** (64 - _bits(product))
    return int(round(product * scale) / scale)


def _bits(value: Fraction) -> int:
    """Return the number of bits in front of the binary point of a positive number; negative below 1/2."""
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    return bits + 1 if value >= Fraction(2) ** bits else bits


def threshold(percentage: float, precision: int) -> int | None:
    """Return T: a trace is kept when its randomness is at least T. None keeps nothing.

    `precision` hexadecimal digits, one more for every leading `f`.
    """
    share = percentage / 100
    if share <= 0:
        return None
    if share >= 1:
        return 0
    digits = min(
        _DIGITS,
        max(precision + int(frexp(share)[1] / -4), precision + int(frexp(1 - share)[1] / -4)),
    )
    exact = FULL - round(Fraction(share) * FULL)
    unit = 1 << 4 * (_DIGITS - digits)
    return min(FULL - 1, (exact + unit // 2) // unit * unit)


def adjusted_count(t: int) -> float:
    """Return how many traces a kept one stands for."""
    return FULL / (FULL - t)


def encode(t: int) -> str:
    """Write a threshold as `th`: hexadecimal digits without trailing zeros."""
    return f"{t:014x}".rstrip("0") or "0"


def decode(digits: str) -> int | None:
    """Read a `th`; None when it is none."""
    if not 1 <= len(digits) <= _DIGITS or any(digit not in "0123456789abcdef" for digit in digits):
        return None
    return int(digits.ljust(_DIGITS, "0"), 16)
