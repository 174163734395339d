"""Confirms a candidate: exact pattern where the prefilter matched, words to its left, check of its value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from processors.redaction.detectors.contexts import REACH
from processors.redaction.detectors.model import Detector
from processors.redaction.overlaps import Match
from processors.redaction.regexp import Pattern

Found: TypeAlias = dict[tuple[int, int], Match]
"""The best match of each place in a text."""
_BACKSLASH: Final = 0x5C
_ONE: Final = (1,)
_AT_START: Final = (1, 0)
_ESCAPED: Final = (1, 0, 2, 6)
"""Lengths of a boundary, the usual one first: a character, the start of the text, `\\n`, `\\u00e4`."""
_NONE: Final = (0,)


@dataclass(frozen=True, slots=True)
class Rule:
    """A detector, compiled."""

    detector: Detector
    pattern: re.Pattern[bytes]
    match: Callable[[bytes, int], re.Match[bytes] | None]
    context: Pattern | None
    """What must stand to the left, or in the key."""
    without: Pattern | None
    worded: bool
    """Whether it depends on the words to the left."""


def compile_rule(detector: Detector, words: Mapping[str, Pattern]) -> Rule:
    """Compile a detector. `words`: the patterns of its contexts, by name."""
    pattern = detector.compiled()
    context, without = words.get(detector.context), words.get(detector.without)
    return Rule(detector, pattern, pattern.match, context, without, bool(context or without))


def confirm(
    text: bytes, first: int, last: int, floor: int, head: bytes, rule: Rule, found: Found
) -> int:
    """Confirm a rule where its prefilter matched text[first:last], boundary included; return where a match ends.

    `floor`: where the match before this one ended.
    """
    detector = rule.detector
    if detector.exact is not None:
        if rule.worded and not _fits(rule, text, first, head):
            return 0
        return _match_exactly(text, first, last, detector, detector.exact, found)
    if detector.back:
        return _match_around(text, first, last, floor, head, rule, found)
    for skipped in _boundaries(text, first) if detector.bounded else _NONE:
        match = rule.match(text, first + skipped)
        if match is not None:
            if rule.worded and not _fits(rule, text, first, head):
                return 0
            behind = settle(match, rule, text, found)
            if behind:
                return behind
    return 0


def _match_around(
    text: bytes, first: int, last: int, floor: int, head: bytes, rule: Rule, found: Found
) -> int:
    """Confirm a rule that may begin before its prefilter; as `_match`."""
    detector, behind, asked = rule.detector, 0, not rule.worded
    at = max(floor, first - detector.back)
    for match in rule.pattern.finditer(text, at, last + detector.ahead):
        if match.start() > last:
            break
        if not asked and not _fits(rule, text, first, head):
            break
        asked = True
        behind = settle(match, rule, text, found)
    return behind


def _boundaries(text: bytes, first: int) -> Sequence[int]:
    """Return how long the boundary at text[first] may be, the usual length first."""
    if text[first] == _BACKSLASH:
        return _ESCAPED
    return _ONE if first else _AT_START


def settle(match: re.Match[bytes], rule: Rule, text: bytes, found: Found) -> int:
    """Add a match that stands its check; return where it ends, 0 when there was none."""
    detector = rule.detector
    group = match.lastgroup
    place = match.span(group) if group else match.span()
    value = text[place[0] : place[1]]
    if detector.trim is not None:
        value = detector.trim(value)
        place = place[0], place[0] + len(value)
    if not value:
        return 0
    known = found.get(place)
    if known is not None and known.score >= detector.score:
        return 0
    if detector.check is None or detector.check(value):
        found[place] = Match(place[0], place[1], detector.entity, detector.score)
        return place[1]
    return 0


def _match_exactly(
    text: bytes, first: int, last: int, detector: Detector, pattern: Pattern, found: Found
) -> int:
    """Add the match of a user's pattern that begins where its prefilter matched."""
    start, end = pattern.span(text, first, len(text))
    if not first <= start <= last:
        return 0
    found.setdefault((start, end), Match(start, end, detector.entity, detector.score))
    return end


def _fits(rule: Rule, text: bytes, first: int, head: bytes) -> bool:
    """Say whether the words left of text[first] are those a rule asks for."""
    left = head + text[max(0, first - REACH) : first + 1]
    if rule.context is not None and not rule.context.search(left):
        return False
    return rule.without is None or not rule.without.search(left)
