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
from typing import Final, NamedTuple, TypeAlias

from processors.redaction.detectors.checks import digits
from processors.redaction.detectors.contexts import CONTEXTS, REACH
from processors.redaction.detectors.model import NUMBER, Detector
from processors.redaction.regexp import Pattern, alternation, compile_set

Spans: TypeAlias = Sequence[tuple[int, int]]
_TAIL: Final = 40
"""How far behind a candidate the prefilters are asked again: its neighbours may hide in it."""
_BEFORE: Final = 8
"""How far before a candidate a boundary may reach."""
_NEAR: Final = 200
"""Bytes between candidates that are sooner read than left out: a question costs as much as 400 bytes."""
_TOKEN: Final = re.compile(rb"\(?\d(?:[ .\-/()]{0,2}\d)*")
_BOUNDARY: Final = r"(?:^|[^0-9A-Za-z_]|\\[nrtbf]|\\u[0-9a-fA-F]{4})"
_ROUGHLY: Final = r"(?:^|[^0-9A-Za-z_][0-9A-Za-z_]?|b[0-9A-Za-z]?|\\u[0-9a-fA-F]{4})"
"""A boundary inside a request: a text begins behind its tag and its length, and these may look like letters. The tags
are control or punctuation characters but one: a log record's event name stands behind a `b`."""
_NOTHING: Final = r"[^\x00-\xff]"
"""Matches no byte."""
_LONGEST: Final = 20_000
"""Bytes that one match may have."""
_GROUP: Final = re.compile(rb"(?<![0-9])\(?\d")
_BACKSLASH: Final = 0x5C
_ONE: Final = (1,)
_AT_START: Final = (1, 0)
_ESCAPED: Final = (1, 0, 2, 6)
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
    match: Callable[[bytes, int], re.Match[bytes] | None]
    context: Pattern | None
    """What must stand to the left, or in the key."""
    without: Pattern | None
    worded: bool
    """Whether it depends on the words to the left."""


@dataclass(frozen=True, slots=True)
class _Family:
    """The rules behind one prefilter."""

    prefilter: Pattern
    rules: tuple[_Rule, ...]
    run: re.Pattern[bytes] | None
    """What one of its values is made of and never begins in the middle of."""


_Found: TypeAlias = dict[tuple[int, int], Match]


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
            rule = _rule(d, words)
            groups.setdefault(d.prefilter, []).append(rule)
        self._numbers = _Numbers(groups.pop(NUMBER, []), contexts)
        ours = {p: rules for p, rules in groups.items() if rules[0].detector.exact is None}
        theirs = {p: rules for p, rules in groups.items() if p not in ours}
        # In the order of the set below.
        self._families = [
            *_families(ours, binary=True),
            *_families(theirs, binary=False),
        ]
        roughly = [_behind(_ROUGHLY, p, rules) for p, rules in ours.items()]
        if self._numbers:
            roughly.append(f"{_ROUGHLY}(?:{NUMBER})")
        marks = [*notable]
        plain = [mark for mark in marks if mark.isascii()]
        others = [*theirs, *(mark for mark in marks if not mark.isascii())]
        self._scans = tuple(
            Pattern(alternation(sources), binary=binary)
            for sources, binary in (([*roughly, *plain], True), (others, False))
            if sources
        )
        self._ours, self._theirs = len(ours), range(len(ours), len(self._families))
        self._which = compile_set([*roughly, *plain], binary=True) if roughly else lambda _: ()

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
        always = self._numbers.announces(head) if spans else False
        for near, far, hits in _windows(spans, len(text)):
            which = self._which(text[near:far])
            number, families = self._ours, self._asked(which)
            if self._numbers and (number in which or not which):
                self._numbers.find(text, hits, head, always, found)
            for family in families:
                place = family.prefilter.ask(text, near, far)[0]
                if place[0] >= 0:
                    _confirm(family, text, place, far, head, found)
        return resolve(text, found.values()) if found else []

    def _asked(self, which: Sequence[int]) -> Iterator[_Family]:
        """Yield the families that may be in a window, by what the set said about it; all when it said nothing."""
        families = self._families
        for place in sorted(which) or range(self._ours):
            if place < self._ours:
                yield families[place]
        for place in self._theirs:
            yield families[place]


class _Numbers:
    """The rules of plain digits, which count only behind a word that announces them."""

    __slots__ = ("_announced", "_places", "_rules", "_which")

    def __init__(self, rules: Sequence[_Rule], contexts: Mapping[str, str]) -> None:
        names = sorted({rule.detector.context for rule in rules})
        sources = [f"(?i:{contexts[name]})" for name in names]
        self._rules = tuple(rules)
        self._places = [
            [place for place, rule in enumerate(rules) if rule.detector.context == name]
            for name in names
        ]
        self._announced = Pattern(alternation(sources) or _NOTHING, binary=True)
        self._which = compile_set(sources or [_NOTHING], binary=True)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def announces(self, head: bytes) -> bool:
        """Say whether a key announces numbers."""
        return bool(self._rules and head) and self._announced.search(head)

    def find(self, text: bytes, hits: Spans, head: bytes, always: bool, found: _Found) -> None:
        """Confirm the numbers among the candidates of a window, in order. `always`: the key announces them."""
        announced = self._announced
        last = hits[-1][0]
        word = -1
        for start, end in hits:
            reach = max(0, start - REACH)
            if not always:
                if word < reach:
                    # A border of a word may be one byte behind it.
                    word = announced.ask(text, reach, min(len(text), last + 1))[0][0]
                    if word < 0:
                        return
                if word >= start:
                    continue
            self._confirm(text, start, end, head + text[reach:start], found)

    def _confirm(self, text: bytes, start: int, end: int, left: bytes, found: _Found) -> None:
        token = _TOKEN.search(text, start, end + _TAIL)
        if token is None:
            return
        count = len(digits(token.group()))
        places = [m.start() for m in _GROUP.finditer(text, token.start(), end)]
        for rule in self._called(left):
            if rule.detector.digits <= count and not (rule.without and rule.without.search(left)):
                for place in places:
                    match = rule.match(text, place)
                    if match is not None:
                        _settle(match, rule, text, found)

    def _called(self, left: bytes) -> Iterable[_Rule]:
        """Return the rules that the words announce, in their order."""
        which = self._which(left)
        if not which:
            return [r for r in self._rules if r.context is not None and r.context.search(left)]
        places = self._places[which[0]]
        if len(which) > 1:
            places = sorted(place for name in which for place in self._places[name])
        return [self._rules[place] for place in places]


def _rule(detector: Detector, words: Mapping[str, Pattern]) -> _Rule:
    pattern = detector.compiled()
    context, without = words.get(detector.context), words.get(detector.without)
    return _Rule(detector, pattern, pattern.match, context, without, bool(context or without))


def _families(groups: Mapping[str, Sequence[_Rule]], *, binary: bool) -> Iterator[_Family]:
    """Yield what stands behind each prefilter."""
    for prefilter, rules in groups.items():
        yield _Family(
            Pattern(_behind(_BOUNDARY, prefilter, rules), binary=binary),
            tuple(rules),
            _run(rules),
        )


def _run(rules: Sequence[_Rule]) -> re.Pattern[bytes] | None:
    """Return the run that all rules agree on, if they do."""
    runs = {rule.detector.run for rule in rules}
    run = runs.pop()
    return re.compile(run) if run and not runs else None


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _windows(spans: Spans, size: int) -> Iterator[tuple[int, int, Spans]]:
    """Yield the stretches around the candidates, each once, with its candidates.

    Neighbours share one, so that dense text costs no more.
    """
    first, far = 0, -1
    for place, (start, end) in enumerate(spans):
        if start > far + _NEAR and place > first:
            yield max(0, spans[first][0] - _BEFORE), far, spans[first:place]
            first = place
        far = min(size, end + _TAIL)
    if spans:
        yield max(0, spans[first][0] - _BEFORE), far, spans[first:]


def _confirm(
    family: _Family, text: bytes, place: tuple[int, int], far: int, head: bytes, found: _Found
) -> None:
    """Add what the rules of a family confirm, from where its prefilter matched first up to `far`."""
    ask, rules, run, floor = family.prefilter.ask, family.rules, family.run, 0
    first, last = place
    while first >= 0:
        behind = 0
        for rule in rules:
            end = _match(text, first, last, floor, head, rule, found)
            if end > behind:
                behind = end
        if behind > floor:
            floor = behind
        near = behind if behind > first else first + 1
        if run is not None:
            rest = run.match(text, first + 1)
            if rest is not None and rest.end() > near:
                near = rest.end()
        if near >= far:
            return
        first, last = ask(text, near, far)[0]


def _fits(rule: _Rule, text: bytes, first: int, head: bytes) -> bool:
    """Say whether the words left of text[first] are those a rule asks for."""
    left = head + text[max(0, first - REACH) : first + 1]
    if rule.context is not None and not rule.context.search(left):
        return False
    return rule.without is None or not rule.without.search(left)


def _behind(boundary: str, prefilter: str, rules: Sequence[_Rule]) -> str:
    """Return the prefilter behind a boundary where all its detectors begin at one."""
    return f"{boundary}(?:{prefilter})" if all(r.detector.bounded for r in rules) else prefilter


def _match(
    text: bytes, first: int, last: int, floor: int, head: bytes, rule: _Rule, found: _Found
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
            behind = _settle(match, rule, text, found)
            if behind:
                return behind
    return 0


def _match_around(
    text: bytes, first: int, last: int, floor: int, head: bytes, rule: _Rule, found: _Found
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
        behind = _settle(match, rule, text, found)
    return behind


def _boundaries(text: bytes, first: int) -> Sequence[int]:
    """Return how long the boundary at text[first] may be, the usual length first."""
    if text[first] == _BACKSLASH:
        return _ESCAPED
    return _ONE if first else _AT_START


def _settle(match: re.Match[bytes], rule: _Rule, text: bytes, found: _Found) -> int:
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
