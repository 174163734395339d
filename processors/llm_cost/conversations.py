"""Tokens per conversation, for as many conversations as fit: the least recently used goes first.

The 30th call of a conversation can cost thirty times the first, because each carries what was said before.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`ttl_ns`: how long after its last call a conversation is remembered."""

    expensive_tokens: int
    limit: int
    ttl_ns: int


class Standing(NamedTuple):
    """Where a conversation stands with a call: tokens so far, the call included."""

    tokens: int
    expensive: bool


class Conversations:
    """Running totals by conversation id. One object serves every pipeline of a component id."""

    def __init__(self) -> None:
        self._totals: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._totals)

    def add(self, id: str, tokens: int, now_ns: int, limits: Limits) -> Standing:
        """Add a call's tokens and return the conversation's standing."""
        total, last = self._totals.pop(id, (0, now_ns))
        if now_ns - last > limits.ttl_ns:
            total = 0
        total += tokens
        self._totals[id] = (total, now_ns)
        self._make_room(limits)
        return Standing(total, total > limits.expensive_tokens)

    def expire(self, now_ns: int, limits: Limits) -> None:
        """Forget conversations whose last call is longer ago than the time to live."""
        while self._totals:
            id, (_, last) = next(iter(self._totals.items()))
            if now_ns - last <= limits.ttl_ns:
                return
            del self._totals[id]

    def _make_room(self, limits: Limits) -> None:
        while len(self._totals) > limits.limit:
            self._totals.popitem(last=False)
