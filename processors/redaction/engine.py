"""Finds personal data and secrets in text.

One pass of an RE2 alternation over all prefilters names candidates; each is confirmed by an exact pattern in a small
window around it, by a checksum, and by the words to its left. Looking has no side effects. The scan is linear in the
text, the work per candidate is bounded by its window.

Most candidates are plain numbers that mean nothing. They are settled first and by two questions: is there anything but
a number here, and does any word to the left announce one?
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, TypeVar

from processors.redaction.detectors.checks import digits
from processors.redaction.detectors.contexts import CONTEXTS, REACH
from processors.redaction.detectors.model import NUMBER, Detector
from processors.redaction.regexp import Pattern, alternation

Spans: TypeAlias = Sequence[tuple[int, int]]
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
    worded: bool
    """Whether some rule depends on the words to the left."""


_Found: TypeAlias = dict[tuple[int, int], Match]
_Ask: TypeAlias = Callable[[bytes, int, int], Sequence[tuple[int, int]]]
_T = TypeVar("_T")


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
        words = {
            name: Pattern(f"(?i:{pattern})", binary=name in CONTEXTS)
            for name, pattern in contexts.items()
        }
        groups: dict[str, list[_Rule]] = {}
        for d in detectors:
            rule = _Rule(d, d.compiled(), words.get(d.context), words.get(d.without))
            groups.setdefault(d.prefilter, []).append(rule)
        numbers = groups.pop(NUMBER, [])
        self._announced = Pattern(_announcing(numbers, contexts), binary=True)
        self._numbers = tuple(
            (Pattern(_announcing(chunk, contexts), binary=True), chunk)
            for chunk in _chunks(numbers)
        )
        ours = {p: rules for p, rules in groups.items() if rules[0].detector.exact is None}
        theirs = {p: rules for p, rules in groups.items() if p not in ours}
        self._chunks = (*_asking(ours, binary=True), *_asking(theirs, binary=False))
        roughly = [_behind(_ROUGHLY, p, rules) for p, rules in ours.items()]
        if numbers:
            roughly.append(f"{_ROUGHLY}(?:{NUMBER})")
        marks = [*notable]
        plain = [mark for mark in marks if mark.isascii()]
        others = [*theirs, *(mark for mark in marks if not mark.isascii())]
        self._scans = tuple(
            Pattern(alternation(sources), binary=binary)
            for sources, binary in (([*roughly, *plain], True), (others, False))
            if sources
        )

    def scan(self, text: bytes) -> Spans:
        """Return the candidates in any bytes, also in a whole request: in order, not overlapping."""
        if len(self._scans) == 1:
            return self._scans[0].spans(text)
        return _merged(span for scan in self._scans for span in scan.spans(text))

    def find(self, text: bytes, spans: Spans | None = None, key: str = "") -> list[Match]:
        """Return what is in a text, in order and without overlaps.

        `spans`: what `scan` said about it, cut at its ends. `key`: the name the text stands under.
        """
        found: _Found = {}
        if spans is None:
            spans = self.scan(text)
        head = key.encode() + b"\n" if key else b""
        for start, end in spans if self._numbers else ():
            left = head + text[max(0, start - REACH) : start]
            if self._announced.search(left):
                self._number(text, start, end, left, found)
        for near, far in _windows(spans, len(text)):
            for ask, families in self._chunks:
                if ask(text, near, far)[0][0] >= 0:
                    for family in families:
                        place = family.prefilter.ask(text, near, far)[0]
                        if place[0] >= 0:
                            _confirm(family, text, place, far, head, found)
        return resolve(text, found.values()) if found else []

    def _number(self, text: bytes, start: int, end: int, left: bytes, found: _Found) -> None:
        """Confirm plain digits that some word announces."""
        token = _TOKEN.search(text, start, end + _TAIL)
        if token is None:
            return
        count = len(digits(token.group()))
        places = [m.start() for m in _GROUP.finditer(text, token.start(), end)]
        for announced, rules in self._numbers:
            if announced.search(left):
                for rule in rules:
                    if rule.detector.digits <= count and _fits(rule, left):
                        for place in places:
                            _settle(rule.pattern.match(text, place), rule, text, found)


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))


def _asking(
    groups: Mapping[str, Sequence[_Rule]], *, binary: bool
) -> Iterator[tuple[_Ask, Sequence[_Family]]]:
    """Yield families by the chunk, each with what asks for all of them at once."""
    families = [
        _Family(
            Pattern(_behind(_BOUNDARY, prefilter, rules), binary=binary),
            tuple(rules),
            any(rule.context or rule.without for rule in rules),
        )
        for prefilter, rules in groups.items()
    ]
    for chunk in _chunks(families):
        sources = [family.prefilter.source for family in chunk]
        yield Pattern(alternation(sources), binary=binary).ask, chunk


def _announcing(rules: Sequence[_Rule], contexts: Mapping[str, str]) -> str:
    """Return the pattern of all contexts of rules; of nothing when there are none."""
    names = {rule.detector.context for rule in rules}
    return alternation(f"(?i:{contexts[name]})" for name in names) or r"[^\x00-\xff]"


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _windows(spans: Spans, size: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches around the candidates, each once: neighbours share one, so that dense text costs no more."""
    near = far = -1
    for start, end in spans:
        if far < 0 or start - _BEFORE > far:
            if far >= 0:
                yield near, far
            near = max(0, start - _BEFORE)
        far = min(size, end + _TAIL)
    if far >= 0:
        yield near, far


def _confirm(
    family: _Family, text: bytes, place: tuple[int, int], far: int, head: bytes, found: _Found
) -> None:
    """Add what the rules of a family confirm, from where its prefilter matched first up to `far`."""
    ask, floor = family.prefilter.ask, 0
    first, last = place
    while first >= 0:
        left = head + text[max(0, first - REACH) : first + 1] if family.worded else b""
        behind = 0
        for rule in family.rules:
            if not family.worded or _fits(rule, left):
                behind = max(behind, _match(text, first, last, floor, rule, found))
        floor = max(floor, behind)
        near = max(first + 1, behind)
        if near >= far:
            return
        first, last = ask(text, near, far)[0]


def _fits(rule: _Rule, left: bytes) -> bool:
    """Say whether the words to the left are those a rule asks for."""
    if rule.context is not None and not rule.context.search(left):
        return False
    return rule.without is None or not rule.without.search(left)


def _behind(boundary: str, prefilter: str, rules: Sequence[_Rule]) -> str:
    """Return the prefilter behind a boundary where all its detectors begin at one."""
    return f"{boundary}(?:{prefilter})" if all(r.detector.bounded for r in rules) else prefilter


def _match(text: bytes, first: int, last: int, floor: int, rule: _Rule, found: _Found) -> int:
    """Confirm a rule where its prefilter matched text[first:last], boundary included; return where a match ends.

    `floor`: where the match before this one ended.
    """
    detector = rule.detector
    if detector.exact is not None:
        return _match_exactly(text, first, last, detector, detector.exact, found)
    behind = 0
    if detector.back:
        at = max(floor, first - detector.back)
        for match in rule.pattern.finditer(text, at, last + detector.ahead):
            if match.start() > last:
                break
            behind = _settle(match, rule, text, found)
        return behind
    for skipped in _BOUNDARIES if detector.bounded else _NONE:
        behind = _settle(rule.pattern.match(text, first + skipped), rule, text, found)
        if behind:
            break
    return behind


def _settle(match: re.Match[bytes] | None, rule: _Rule, text: bytes, found: _Found) -> int:
    """Add a match that stands its check; return where it ends, 0 when there was none."""
    if match is None:
        return 0
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
        return place[1]
    return 0


def _match_exactly(
    text: bytes, first: int, last: int, detector: Detector, pattern: Pattern, found: _Found
) -> int:
    """Add the match of a user's pattern that begins where its prefilter matched."""
    start, end = pattern.span(text, first, len(text))
    if not first <= start <= last:
        return 0
    found.setdefault((start, end), Match(start, end, detector.entity, detector.score))
    return end


def resolve(text: bytes, found: Iterable[Match]) -> list[Match]:
    """Return the best of what overlaps: by confidence, then by length."""
    starts: list[int] = []
    kept: dict[int, Match] = {}
    for match in sorted(found, key=lambda m: (-m.score, m.start - m.end, m.start)):
        place = bisect_left(starts, match.end)
        if not place or kept[starts[place - 1]].end <= match.start:
            starts.insert(place, match.start)
            kept[match.start] = match
    best = [kept[start] for start in starts]
    return [m for m in best if text[m.start - 1 : m.start] != b":" or not _pseudonym(text, m.start)]


def _pseudonym(text: bytes, start: int) -> bool:
    """Say whether a match stands inside `[TYPE:…]`, which we wrote."""
    return _PSEUDONYM.search(text, max(0, start - 40), start) is not None
