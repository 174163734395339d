"""Patterns that users write: RE2 syntax, which is what Go's `regexp` speaks, so contrib's patterns run as they are.

RE2 never backtracks: no pattern and no text can stall a pipeline. Everything works on UTF-8 bytes; a pattern never
starts or ends inside a character of valid UTF-8. The package `re2` ships no types; this is the typed door to it.
Syntax: github.com/google/re2/wiki/Syntax (2026-08).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import re2

from processors import go_regexp

MAX_MEMORY: Final = 64 << 20
"""Bytes that one compiled pattern may use; RE2's own default (8 MiB) makes large alternations fall back to its NFA."""

_UNANCHORED: Final = re2._Anchor.UNANCHORED
Spans: TypeAlias = Sequence[tuple[int, int]]
"""Places in a text, in order, not overlapping."""
_Match = Callable[[Any, bytes, int, int], Sequence[tuple[int, int]]]


_ANY_BYTE: Final = re.compile(r"(?:\\Q.*?(?:\\E|\Z)|\\[^C]|[^\\])*+\\C", re.DOTALL)
"""A pattern with RE2's `\\C`, which may match half a character; Go has no such thing."""


class PatternError(ValueError):
    """What Go says about a pattern that it does not take."""


def _options(*, binary: bool = False) -> Any:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.never_capture = True
    options.log_errors = False
    if binary:
        options.encoding = re2.Options.Encoding.LATIN1
    return options


def compiled(source: str, *, binary: bool = False) -> Any:
    """Return RE2's own object for a pattern, for what `Pattern` has no door to. Raises: `PatternError`."""
    if _ANY_BYTE.match(source):
        raise PatternError(r"error parsing regexp: invalid escape sequence: `\C`")
    options = _options(binary=binary)
    try:
        return re2.compile(source.encode("ascii") if binary else source, options)
    except re2.error as error:
        raise PatternError(go_regexp.sentence(error)) from error


class Pattern:
    """One compiled pattern. Groups do not capture: only whole matches are asked for."""

    __slots__ = ("_match", "ask", "source")

    def __init__(self, source: str, *, binary: bool = False) -> None:
        """`binary`: match byte by byte, whatever the bytes mean; the source MUST be ASCII. Raises: `PatternError`."""
        self.source = source
        regexp = compiled(source, binary=binary)
        # The method below the wrapper's generator: half the cost of a hit.
        self._match: _Match = regexp._regexp.Match
        self.ask: Callable[[bytes, int, int], Sequence[tuple[int, int]]] = partial(
            self._match, _UNANCHORED
        )
        """`span` for hot loops: the first match inside text[start:end] is ask(text, start, end)[0]."""

    def search(self, text: bytes) -> bool:
        """Say whether the pattern matches anywhere."""
        return self.ask(text, 0, len(text))[0][0] >= 0

    def span(self, text: bytes, start: int, end: int) -> tuple[int, int]:
        """Return the first match inside text[start:end], (-1, -1) when there is none.

        What stands outside of the window still decides about `^`, `$` and `\\b`.
        """
        return self.ask(text, start, end)[0]

    def spans(self, text: bytes) -> list[tuple[int, int]]:
        """Return the matches from left to right. MUST NOT be called on a pattern that matches the empty text."""
        match, end, at = self._match, len(text), 0
        found: list[tuple[int, int]] = []
        while True:
            span = match(_UNANCHORED, text, at, end)[0]
            if span[0] < 0:
                return found
            found.append(span)
            at = span[1]

    def replace(
        self, text: bytes, start: int, end: int, by: Callable[[bytes], bytes]
    ) -> tuple[bytes, int]:
        """Replace the matches inside text[start:end]; returns the whole text and the window's new end.

        As Go's `ReplaceAllStringFunc`: an empty match that touches the match before it is left out.
        """
        match, pieces = self._match, [text[:start]]
        at = kept = start
        behind = -1
        while at <= end:
            first, last = match(_UNANCHORED, text, at, end)[0]
            if first < 0:
                break
            if first == last and text[first : first + 1] in _INSIDE:
                at = first + 1
                continue
            if last > behind:
                pieces += (text[kept:first], by(text[first:last]))
                kept = last
            behind = last
            at = max(last, at + _width(text, at))
        if kept == start and len(pieces) == 1:
            return text, end
        pieces.append(text[kept:end])
        changed = b"".join(pieces)
        return changed + text[end:], len(changed)


_INSIDE: Final = frozenset(bytes((byte,)) for byte in range(0x80, 0xC0))
"""Bytes of a character behind its first. RE2's `\\B` holds between any two bytes that are no letters, Go's does not."""


def _width(text: bytes, at: int) -> int:
    """Return the length of the UTF-8 character at `at`; 1 at the end of the text."""
    lead = text[at] if at < len(text) else 0
    return 1 if lead < 0xC0 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


def compile_set(
    sources: Sequence[str], *, binary: bool = False
) -> Callable[[bytes], Sequence[int]]:
    """Return a function that says which of the patterns match anywhere in a text: their indices, in no order.

    `binary`: as for `Pattern`. RE2 answers "none" also when its memory was not enough, so an empty answer MUST be read
    as "unknown".
    """
    matcher = re2.Set.SearchSet(_options(binary=binary))
    for source in sources:
        matcher.Add(source.encode())
    matcher.Compile()
    # The method below the wrapper.
    ask: Callable[[bytes], Sequence[int]] = matcher._set.Match
    return ask


def alternation(sources: Iterable[str]) -> str:
    """Join patterns so that the flags of one do not reach the next."""
    return "|".join(f"(?:{source})" for source in sources)
