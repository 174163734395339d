"""What the model calls of a trace cost and used: facts by span id, so that a span that comes twice counts once.

Counted spans stand for usage of their own: model calls that the ledger did not set aside as a second report of the same
call, and aggregates that stand in for calls nobody reported. Who has a price was decided before; here it is added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite
from typing import Final

from processors import semconv
from processors.wire import decode_value

COST_KEYS: Final = (semconv.APP_LLM_COST_USD, semconv.APP_LLM_COST_STATUS)
TOKEN_KEYS: Final = (
    semconv.GEN_AI_USAGE_INPUT_TOKENS,
    semconv.GEN_AI_USAGE_OUTPUT_TOKENS,
    semconv.GEN_AI_USAGE_CACHE_READ,
    semconv.GEN_AI_USAGE_REASONING,
)
"""Inputs hold cache reads and outputs hold reasoning: parts are never added to the whole."""
COUNTED_KEYS: Final = (
    semconv.APP_LLM_COST_SKIP_REASON,
    semconv.APP_LLM_USAGE_BASIS,
    *TOKEN_KEYS,
)
"""What `is_counted` and `note_tokens` read besides the span's class."""
_EXACT: Final = Context(prec=1_200, rounding=ROUND_HALF_EVEN)
"""Holds any sum of doubles without rounding: they reach from 5e-324 to 1.8e308."""

Count = Callable[[str], None]
Tokens = tuple[int | None, ...]
"""By the rows of TOKEN_KEYS; None where the span does not say."""


class Calls:
    """The counted calls of one trace. A span that comes again replaces what it said before."""

    __slots__ = ("costs", "tokens")

    def __init__(self) -> None:
        self.costs: dict[bytes, float | None] = {}
        """USD by span id; None for a call whose price is not known."""
        self.tokens: dict[bytes, Tokens] = {}

    @property
    def unpriced(self) -> int:
        return sum(usd is None for usd in self.costs.values())

    @property
    def priced(self) -> list[float]:
        return [usd for usd in self.costs.values() if usd is not None]

    @property
    def counted(self) -> int:
        """Calls that a bill would list."""
        return len(self.costs.keys() | self.tokens.keys())


def exact_sum(amounts: Iterable[float]) -> Decimal:
    """Add the shortest decimals that are these doubles: 0.1 + 0.2 is 0.3."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, Decimal(repr(amount)))
    return total


def note_cost(calls: Calls, span_id: bytes, attributes: Mapping[str, bytes], count: Count) -> None:
    """Take down what a span cost, if it says."""
    raw = attributes.get(semconv.APP_LLM_COST_USD)
    if raw is not None:
        usd = decode_value(raw, 0, len(raw))
        if isinstance(usd, (int, float)) and not isinstance(usd, bool) and 0 <= usd < float("inf"):
            calls.costs[span_id] = float(usd)
            return
        count("invalid_cost_total")
        calls.costs[span_id] = None
    elif _text(attributes, semconv.APP_LLM_COST_STATUS) == "unpriced":
        calls.costs[span_id] = None


def note_tokens(
    calls: Calls, span_id: bytes, attributes: Mapping[str, bytes], count: Count
) -> None:
    """Take down what a counted span used."""
    tokens = tuple(_count(attributes.get(key)) for key in TOKEN_KEYS)
    for key, number in zip(TOKEN_KEYS, tokens, strict=True):
        if number is None and key in attributes:
            count("invalid_tokens_total")
    calls.tokens[span_id] = tokens


def is_counted(attributes: Mapping[str, bytes]) -> bool:
    """Say whether a span stands for usage of its own, by what `genai` wrote on it."""
    kind = _text(attributes, semconv.APP_LLM_SPAN_CLASS)
    if kind == "model_call":
        return semconv.APP_LLM_COST_SKIP_REASON not in attributes
    return kind == "aggregate" and _text(attributes, semconv.APP_LLM_USAGE_BASIS) == "aggregate"


def _text(attributes: Mapping[str, bytes], key: str) -> str:
    raw = attributes.get(key)
    value = decode_value(raw, 0, len(raw)) if raw else None
    return value if isinstance(value, str) else ""


def _count(raw: bytes | None) -> int | None:
    value = decode_value(raw, 0, len(raw)) if raw else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def add_up(amounts: Iterable[float]) -> float:
    """Add quickly; infinite when the sum is too large for a double."""
    total = sum(amounts)
    return total if isfinite(total) else float("inf")
