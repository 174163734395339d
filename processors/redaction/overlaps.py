"""What the engine found in a text, and which of two findings that overlap is kept."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

_PSEUDONYM: Final = re.compile(rb"\[[A-Z][A-Z0-9_]*:$")


class Match(NamedTuple):
    """Something found in text[start:end]."""

    start: int
    end: int
    entity: str
    score: float


def resolve(text: bytes, found: Iterable[Match]) -> list[Match]:
    """Return the best of what overlaps: by confidence, then by length."""
    best: list[Match] = []
    crowd: list[Match] = []
    end = 0
    for match in sorted(found):
        if match[0] >= end and crowd:
            best += crowd if len(crowd) == 1 else _best(crowd)
            crowd = []
        crowd.append(match)
        if match[1] > end:
            end = match[1]
    best += crowd if len(crowd) < 2 else _best(crowd)
    if b":" not in text:
        return best
    return [m for m in best if text[m[0] - 1 : m[0]] != b":" or not _pseudonym(text, m[0])]


def _best(crowd: Iterable[Match]) -> list[Match]:
    """Return the best of matches that overlap, each at least one of the others."""
    starts: list[int] = []
    kept: dict[int, Match] = {}
    for match in sorted(crowd, key=lambda m: (-m.score, m.start - m.end, m.start)):
        place = bisect_left(starts, match.end)
        if not place or kept[starts[place - 1]].end <= match.start:
            starts.insert(place, match.start)
            kept[match.start] = match
    return [kept[start] for start in starts]


def _pseudonym(text: bytes, start: int) -> bool:
    """Say whether a match stands inside `[TYPE:…]`, which we wrote."""
    return _PSEUDONYM.search(text, max(0, start - 40), start) is not None
