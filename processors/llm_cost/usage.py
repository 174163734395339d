"""What a call used, as counts of tokens that do not overlap. Rules: the convention's counts are totals that include
their parts (semantic-conventions PR #3163); a part that does not fit is an error, never clamped to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, TypeAlias

Reason: TypeAlias = Literal["no_usage", "inconsistent_usage"]

LEAVES: Final = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "audio_in",
    "cache_audio_read",
    "image_in",
    "output",
    "reasoning",
    "audio_out",
    "image_out",
    "compaction_in",
    "compaction_out",
)
"""Kinds of tokens that have a price of their own; the order of `Usage.leaves`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts as reported. `input` and `output` are totals; None = not reported. Parts are 0 when not reported."""

    input: int | None = None
    output: int | None = None
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    cache_audio_read: int = 0
    image_in: int = 0
    image_out: int = 0
    compaction_in: int = 0
    compaction_out: int = 0
    web_searches: int = 0
    images: int = 0
    audio_seconds: Decimal = Decimal(0)
    counted: bool = False
    """Whether searches, images or seconds were reported, be it as 0."""

    @property
    def total_input(self) -> int:
        return self.input or 0

    @property
    def total_output(self) -> int:
        return self.output or 0

    def leaves(self) -> tuple[int, ...]:
        """Split into the tokens of each leaf; they add up to the totals. A negative one: a part is too big."""
        read, heard = self.cache_read, self.cache_audio_read
        write, hour = self.cache_write, self.cache_write_1h
        audio, image = self.audio_in - heard, self.image_in
        thought, spoken, drawn = self.reasoning, self.audio_out, self.image_out
        return (
            (self.input or 0) - read - write - audio - image,
            read - heard,
            write - hour,
            hour,
            audio,
            heard,
            image,
            (self.output or 0) - thought - spoken - drawn,
            thought,
            spoken,
            drawn,
            self.compaction_in,
            self.compaction_out,
        )


def settle(usage: Usage) -> Usage | Reason:
    """Return a usage whose parts fit, or why there is none.

    Caches larger than the input prove that the input does not include them, reasoning larger than the output that the
    output does not include it: then they are added. Everything else that does not fit is an error of the emitter.
    """
    if usage.input is None and usage.output is None and not usage.counted:
        cached = usage.cache_read or usage.cache_write or usage.cache_write_1h
        return "inconsistent_usage" if cached else "no_usage"
    caches = usage.cache_read + usage.cache_write
    if usage.input is None and (caches or usage.cache_write_1h):
        return "inconsistent_usage"
    if usage.input is not None and caches > usage.input:
        usage = replace(usage, input=usage.input + caches)
    if usage.reasoning > usage.total_output:
        usage = replace(usage, output=usage.total_output + usage.reasoning)
    return usage if min(usage.leaves()) >= 0 else "inconsistent_usage"


# -- counts as emitters write them


class NotACount(Exception):
    """A value that is no count: a fraction, a negative, a truth value, other text."""


def count(value: object) -> int | None:
    """Return a whole number >= 0; None for what counts as absent (empty text, `none`). Raises: `NotACount`."""
    if type(value) is int and 0 <= value < _LEAST_TOO_LARGE:
        return value
    number = quantity(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise NotACount
    return int(number)


def quantity(value: object) -> Decimal | None:
    """Return a finite number >= 0; None for what counts as absent. Raises: `NotACount`."""
    if isinstance(value, str):
        text = value.strip()
        if not text or text.lower() == "none":
            return None
        if not text.isascii() or len(text) > 40 or "_" in text:
            raise NotACount
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        if value is None:
            return None
        raise NotACount
    else:
        text = repr(value)
    return _finite(text)


def _finite(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise NotACount from None
    if not number.is_finite() or number < 0 or number.adjusted() > _LARGEST:
        raise NotACount
    return number


_LARGEST: Final = 18
_LEAST_TOO_LARGE: Final = 10 ** (_LARGEST + 1)
"""OTLP integers end at 9.2e18: a longer text is no count, and must not become a number of a million digits."""


def describe(usage: Usage) -> Mapping[str, int]:
    """Return leaf → tokens for the leaves that have any."""
    return {name: tokens for name, tokens in zip(LEAVES, usage.leaves(), strict=True) if tokens}
