"""Plain digits: personal data only behind a word that announces them, and most of all candidates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from processors.redaction.confirm import Found, Rule, settle
from processors.redaction.detectors.checks import digits
from processors.redaction.detectors.contexts import REACH
from processors.redaction.regexp import Pattern, Spans, alternation, compile_set

_TAIL: Final = 40
"""How far behind a candidate its number may go on."""
_TOKEN: Final = re.compile(rb"\(?\d(?:[ .\-/()]{0,2}\d)*")
_BEGIN: Final = re.compile(rb"\((?=\d)|(?:(?<![0-9])|(?<=\\u[0-9a-fA-F]{4}))\d")
"""Where a number may begin: its own parenthesis, which belongs to telephone numbers, or a digit."""
_NOTHING: Final = r"[^\x00-\xff]"
"""Matches no byte."""


class Numbers:
    """The rules of plain digits, which count only behind a word that announces them."""

    __slots__ = ("_announced", "_places", "_rules", "_which")

    def __init__(self, rules: Sequence[Rule], contexts: Mapping[str, str]) -> None:
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

    def find(self, text: bytes, hits: Spans, head: bytes, always: bool, found: Found) -> None:
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

    def _confirm(self, text: bytes, start: int, end: int, left: bytes, found: Found) -> None:
        start += 6 * text.startswith(
            b"\\u", start
        )  # JSON's escape of a character holds digits itself
        token = _TOKEN.search(text, start, end + _TAIL)
        if token is None:
            return
        count = len(digits(token.group()))
        places = [m.start() for m in _BEGIN.finditer(text, token.start(), end)]
        for rule in self._called(left):
            if rule.detector.digits <= count and not (rule.without and rule.without.search(left)):
                for place in places:
                    match = rule.match(text, place)
                    if match is not None:
                        settle(match, rule, text, found)

    def _called(self, left: bytes) -> Iterable[Rule]:
        """Return the rules that the words announce, in their order."""
        which = self._which(left)
        if not which:
            return [r for r in self._rules if r.context is not None and r.context.search(left)]
        places = self._places[which[0]]
        if len(which) > 1:
            places = sorted(place for name in which for place in self._places[name])
        return [self._rules[place] for place in places]
