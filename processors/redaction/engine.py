"""Finds personal data and secrets in text.

One pass of an RE2 alternation over all prefilters names candidates; each is confirmed by an exact pattern in a small
window around it, by a checksum, and by the words to its left. Looking has no side effects. The scan is linear in the
text, the work per candidate is bounded by its window.

Most candidates are plain numbers that mean nothing. They are settled first and by two questions: is there anything but
a number here, and does any word to the left announce one?
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from processors.redaction.detectors.checks import digits
from processors.redaction.detectors.contexts import CONTEXTS, REACH
from processors.redaction.detectors.model import NUMBER, Detector
from processors.redaction.regexp import Pattern, alternation

Spans = Sequence[tuple[int, int]]
_TAIL: Final = 40
"""How far behind a candidate the prefilters are asked again: its neighbours may hide in it."""
_BEFORE: Final = 8
"""How far before a candidate a boundary may reach."""
_TOKEN: Final = re.compile(rb"\(?\d(?:[ .\-/()]{0,2}\d)*")
_BOUNDARY: Final = r"(?:^|[^0-9A-Za-z_]|\\[nrtbf]|\\u[0-9a-fA-F]{4})"
_ROUGHLY: Final = r"(?:^|[^0-9A-Za-z_][0-9A-Za-z_]?|b[0-9A-Za-z]?|\\u[0-9a-fA-F]{4})"
"""A boundary inside a request: a text begins behind its tag and its length, and these may look like letters. The tags
are control or punctuation characters but one: a log record's event name stands behind a `b`."""
_CHUNK: Final = 8
"""Families that are asked together."""
_LONGEST: Final = 20_000
"""Bytes that one match may have."""
_GROUP: Final = re.compile(rb"(?<![0-9])\(?\d")
_BOUNDARIES: Final = (1, 0, 2, 6)
"""Lengths of a boundary, the usual one first: a character, the start of the text, `\\n`, `\\u00e4`."""
_NONE: Final = (0,)
_PSEUDONYM: Final = re.compile(rb"\[[A-Z][A-Z0-9_]*:$")


class Match(NamedTuple):
    """Something found in text[start:end]."""

    start: int
    end: int
    entity: str
    score: float


@dataclass(frozen=True, slots=True)
class _Rule:
    """A detector, compiled."""

    detector: Detector
    pattern: re.Pattern[bytes]
    context: Pattern | None
    """What must stand to the left, or in the key."""
    without: Pattern | None


@dataclass(frozen=True, slots=True)
class _Family:
    """The rules behind one prefilter."""

    prefilter: Pattern
    rules: tuple[_Rule, ...]


_Found = dict[tuple[int, int], Match]


class Engine:
    """The compiled form of a set of detectors. Objects are shared by threads; `find` keeps nothing."""

    def __init__(
        self,
        detectors: Iterable[Detector],
        *,
        contexts: Mapping[str, str] = CONTEXTS,
        notable: Iterable[str] = (),
    ) -> None:
        """`notable`: patterns that `scan` reports although no detector is behind them (keys that say it all).

        Raises: `PatternError`.
        """
        words = {name: Pattern(f"(?i:{pattern})") for name, pattern in contexts.items()}
        groups: dict[str, list[_Rule]] = {}
        for d in detectors:
            rule = _Rule(d, d.compiled(), words.get(d.context), words.get(d.without))
            groups.setdefault(d.prefilter, []).append(rule)
        self._numbers = tuple(groups.pop(NUMBER, ()))
        families = tuple(
            _Family(Pattern(_behind(_BOUNDARY, prefilter, rules)), tuple(rules))
            for prefilter, rules in groups.items()
        )
        chunks = [families[i : i + _CHUNK] for i in range(0, len(families), _CHUNK)]
        self._chunks = tuple(
            (Pattern(alternation(f.prefilter.source for f in chunk)), chunk) for chunk in chunks
        )
        self._shaped = (
            Pattern(alternation(f.prefilter.source for f in families)) if families else None
        )
        announcing = {rule.detector.context for rule in self._numbers}
        self._announced = Pattern(alternation(f"(?i:{contexts[name]})" for name in announcing))
        everything = [_behind(_ROUGHLY, prefilter, rules) for prefilter, rules in groups.items()]
        everything += [*notable, *([f"{_ROUGHLY}(?:{NUMBER})"] if self._numbers else [])]
        self._scan = Pattern(alternation(everything)) if everything else None

    def scan(self, text: bytes) -> list[tuple[int, int]]:
        """Return the candidates in any bytes, also in a whole request."""
        return [] if self._scan is None else self._scan.spans(text)

    def find(self, text: bytes, spans: Spans | None = None, key: str = "") -> list[Match]:
        """Return what is in a text, in order and without overlaps.

        `spans`: what `scan` said about it, cut at its ends. `key`: the name the text stands under.
        """
        found: _Found = {}
        size = len(text)
        for start, end in self.scan(text) if spans is None else spans:
            left = text[max(0, start - REACH) : start]
            if key:
                left = b"%s\n%s" % (key.encode(), left)
            if self._numbers and self._announced.search(left):
                self._number(text, start, end, left, found)
            near, far = max(0, start - _BEFORE), min(size, end + _TAIL)
            if self._shaped is not None and self._shaped.span(text, near, far)[0] >= 0:
                for prefilter, families in self._chunks:
                    if prefilter.span(text, near, far)[0] >= 0:
                        self._shapes(text, start, end, left, families, found)
        return _resolve(text, found.values()) if found else []

    def _number(self, text: bytes, start: int, end: int, left: bytes, found: _Found) -> None:
        """Confirm plain digits that some word announces."""
        token = _TOKEN.search(text, start, end + _TAIL)
        if token is None:
            return
        count = len(digits(token.group()))
        places = [m.start() for m in _GROUP.finditer(text, token.start(), end)]
        for rule in self._numbers:
            if rule.detector.digits <= count and _fits(rule, left):
                for place in places:
                    _settle(rule.pattern.match(text, place), rule, text, found)

    def _shapes(
        self,
        text: bytes,
        start: int,
        end: int,
        left: bytes,
        families: Sequence[_Family],
        found: _Found,
    ) -> None:
        """Confirm what begins inside the candidate at text[start:end]."""
        far = min(len(text), end + _TAIL)
        for family in families:
            at = max(0, start - _BEFORE)
            while True:
                first, last = family.prefilter.span(text, at, far)
                if first < 0 or first > end:
                    break
                for rule in family.rules:
                    if _fits(rule, left):
                        _match(text, first, last, rule, found)
                at = first + 1


def _fits(rule: _Rule, left: bytes) -> bool:
    """Say whether the words to the left are those a rule asks for."""
    if rule.context is not None and not rule.context.search(left):
        return False
    return rule.without is None or not rule.without.search(left)


def _behind(boundary: str, prefilter: str, rules: Sequence[_Rule]) -> str:
    """Return the prefilter behind a boundary where all its detectors begin at one."""
    return f"{boundary}(?:{prefilter})" if all(r.detector.bounded for r in rules) else prefilter


def _match(text: bytes, first: int, last: int, rule: _Rule, found: _Found) -> None:
    """Confirm a rule where its prefilter matched text[first:last], boundary included."""
    detector = rule.detector
    if detector.exact is not None:
        _match_exactly(text, first, last, detector, detector.exact, found)
    elif detector.back:
        at = max(0, first - detector.back)
        for match in rule.pattern.finditer(text, at, last + detector.ahead):
            if match.start() > last:
                break
            _settle(match, rule, text, found)
    else:
        for skipped in _BOUNDARIES if detector.bounded else _NONE:
            if _settle(rule.pattern.match(text, first + skipped), rule, text, found):
                return


def _settle(match: re.Match[bytes] | None, rule: _Rule, text: bytes, found: _Found) -> bool:
    """Add a match that stands its check; say whether there was one."""
    if match is None:
        return False
    detector = rule.detector
    place = match.span(match.lastgroup) if match.lastgroup else match.span()
    value = text[place[0] : place[1]]
    if detector.trim is not None:
        value = detector.trim(value)
        place = place[0], place[0] + len(value)
    known = found.get(place)
    better = bool(value) and (known is None or known.score < detector.score)
    if better and (detector.check is None or detector.check(value)):
        found[place] = Match(*place, detector.entity, detector.score)
    return True


def _match_exactly(
    text: bytes, start: int, end: int, detector: Detector, pattern: Pattern, found: _Found
) -> None:
    """Add the matches of a user's pattern that begin inside the candidate."""
    while start <= end:
        first, last = pattern.span(text, start, len(text))
        if first < 0 or first > end:
            return
        found.setdefault((first, last), Match(first, last, detector.entity, detector.score))
        start = max(last, first + 1)


def _resolve(text: bytes, found: Iterable[Match]) -> list[Match]:
    """Return the best of what overlaps: by confidence, then by length."""
    kept: list[Match] = []
    for match in sorted(found, key=lambda m: (-m.score, m.start - m.end, m.start)):
        if all(match.end <= other.start or match.start >= other.end for other in kept):
            kept.append(match)
    kept.sort()
    return [m for m in kept if text[m.start - 1 : m.start] != b":" or not _pseudonym(text, m.start)]


def _pseudonym(text: bytes, start: int) -> bool:
    """Say whether a match stands inside `[TYPE:…]`, which we wrote."""
    return _PSEUDONYM.search(text, max(0, start - 40), start) is not None
