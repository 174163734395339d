"""Finds personal data and secrets in text.

One pass of an RE2 alternation over all prefilters names candidates; each is confirmed by an exact pattern in a small
window around it, by a checksum, and by the words to its left. Looking has no side effects. The scan is linear in the
text, the work per candidate is bounded by its window.

Most candidates are plain numbers that mean nothing. They are settled first and by two questions: is there anything but
a number here, and does any word to the left announce one?
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from processors.redaction.announced import Numbers
from processors.redaction.confirm import Found, Rule, compile_rule, confirm
from processors.redaction.detectors.contexts import CONTEXTS
from processors.redaction.detectors.model import NUMBER, Detector
from processors.redaction.overlaps import Match, resolve
from processors.redaction.regexp import Pattern, Spans, alternation, compile_set

_TAIL: Final = 40
"""How far behind a candidate the prefilters are asked again: its neighbours may hide in it."""
_BEFORE: Final = 8
"""How far before a candidate a boundary may reach."""
_NEAR: Final = 200
"""Bytes between candidates that are sooner read than left out: a question costs as much as 400 bytes."""
_BOUNDARY: Final = r"(?:^|[^0-9A-Za-z_]|\\[nrtbf]|\\u[0-9a-fA-F]{4})"
_ROUGHLY: Final = r"(?:^|[^0-9A-Za-z_][0-9A-Za-z_]?|b[0-9A-Za-z]?|\\u[0-9a-fA-F]{4})"
"""A boundary inside a request: a text begins behind its tag and its length, and these may look like letters. The tags
are control or punctuation characters but one: a log record's event name stands behind a `b`."""


@dataclass(frozen=True, slots=True)
class _Family:
    """The rules behind one prefilter."""

    prefilter: Pattern
    rules: tuple[Rule, ...]
    run: re.Pattern[bytes] | None
    """What one of its values is made of and never begins in the middle of."""


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
        groups: dict[str, list[Rule]] = {}
        for d in detectors:
            rule = compile_rule(d, words)
            groups.setdefault(d.prefilter, []).append(rule)
        self._numbers = Numbers(groups.pop(NUMBER, []), contexts)
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
        found: Found = {}
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
                    _look(family, text, place, far, head, found)
        return resolve(text, found.values()) if found else []

    def _asked(self, which: Sequence[int]) -> Iterator[_Family]:
        """Yield the families that may be in a window, by what the set said about it; all when it said nothing."""
        families = self._families
        for place in sorted(which) or range(self._ours):
            if place < self._ours:
                yield families[place]
        for place in self._theirs:
            yield families[place]


def _families(groups: Mapping[str, Sequence[Rule]], *, binary: bool) -> Iterator[_Family]:
    """Yield what stands behind each prefilter."""
    for prefilter, rules in groups.items():
        yield _Family(
            Pattern(_behind(_BOUNDARY, prefilter, rules), binary=binary),
            tuple(rules),
            _run(rules),
        )


def _run(rules: Sequence[Rule]) -> re.Pattern[bytes] | None:
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


def _look(
    family: _Family, text: bytes, place: tuple[int, int], far: int, head: bytes, found: Found
) -> None:
    """Add what the rules of a family confirm, from where its prefilter matched first up to `far`."""
    ask, rules, run, floor = family.prefilter.ask, family.rules, family.run, 0
    first, last = place
    while first >= 0:
        behind = 0
        for rule in rules:
            end = confirm(text, first, last, floor, head, rule, found)
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


def _behind(boundary: str, prefilter: str, rules: Sequence[Rule]) -> str:
    """Return the prefilter behind a boundary where all its detectors begin at one."""
    return f"{boundary}(?:{prefilter})" if all(r.detector.bounded for r in rules) else prefilter
