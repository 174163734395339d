"""Contrib's `blocked_values`: each pattern, in list order, works on what the one before it left.

One scan finds what is worth looking at: an alternation of the patterns with fewer conditions (`shapes.Shape`) over a
whole request. What follows is exact, not a heuristic:

- A match of pattern k holds only bytes of the patterns' joint alphabet, so it lies inside one *run* of such bytes.
- A run that the scan does not touch is never changed: every pattern sees it as it came, and none matches there.
- In a run that is touched the patterns work as contrib says, with the byte on either side as context (`\\b`, `^`, `$`).
  What surrounds the run is no byte of the alphabet and never changes, so no match crosses it, whatever was put inside.

A pattern that can match the empty text makes the scan worthless; then each value takes the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from processors.redaction.masks import Mask
from processors.redaction.regexp import Pattern, alternation, compile_set
from processors.redaction.shapes import NO_LETTER, Shape, shape

Spans = Sequence[tuple[int, int]]
_LOOK = 256
"""How far a run is followed before all of the text is taken: runs are short."""


class BlockedValues:
    """Replaces what the patterns match. Built once; `clean` and `scan` change nothing but their results."""

    def __init__(self, sources: Sequence[str], mask: Mask) -> None:
        """Raises: `PatternError`."""
        self._mask = mask.replace
        self._patterns = [Pattern(source) for source in sources]
        shapes = [shape(source) for source in sources]
        self.everywhere = any(s.nullable for s in shapes)
        """Whether every value has to be looked at by itself."""
        scannable = bool(shapes) and not self.everywhere
        alphabet = frozenset[int]().union(*[s.alphabet for s in shapes])
        self._scan = _scanner(shapes, alphabet) if scannable else None
        self._alphabet = bytes(sorted(alphabet))
        self._select = _selector(shapes, alphabet, mask) if scannable else None

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def scan(self, text: bytes) -> list[tuple[int, int]]:
        """Return the places worth looking at, in a text or in the AnyValues of an encoded message."""
        return self._scan.spans(text) if self._scan is not None else []

    def clean(self, text: bytes, spans: Spans | None = None) -> bytes:
        """Return the text with all matches replaced. `spans`: what `scan` said about it, cut at its ends."""
        if self._scan is None:
            return self._sequence(text, range(len(self._patterns))) if self._patterns else text
        pieces: list[bytes] = []
        kept = 0
        for start, end in self._runs(text, self.scan(text) if spans is None else spans):
            new = self._clean_run(text, start, end)
            if new is not None:
                pieces += (text[kept:start], new)
                kept = end
        if not pieces:
            return text
        pieces.append(text[kept:])
        return b"".join(pieces)

    def _runs(self, text: bytes, spans: Spans) -> Iterable[tuple[int, int]]:
        """Yield the runs of the alphabet around the spans, each once."""
        alphabet, behind = self._alphabet, 0
        for first, last in spans:
            while first < last and text[first] not in alphabet:
                first += 1  # what shows the scan that a text, or a line, begins: no part of a run
            if first < behind:
                if last <= behind:
                    continue
                first = behind
            start = self._back(text, first)
            end = last
            tail = text[last : last + _LOOK]
            stripped = tail.lstrip(alphabet)
            if tail and not stripped:
                tail = text[last:]
                stripped = tail.lstrip(alphabet)
            end += len(tail) - len(stripped)
            behind = end
            yield start, end

    def _back(self, text: bytes, first: int) -> int:
        head = text[max(0, first - _LOOK) : first]
        left = len(head.rstrip(self._alphabet))
        if not left and first > _LOOK:
            return len(text[:first].rstrip(self._alphabet))
        return first - (len(head) - left)

    def _clean_run(self, text: bytes, start: int, end: int) -> bytes | None:
        """Return what becomes of text[start:end], None when it stays."""
        left, right = text[max(0, start - 1) : start], text[end : end + 1]
        window = b"".join((left, text[start:end], right))
        begin, stop = len(left), len(window) - len(right)
        now = window
        for index in self._wanted(text[start:end]):
            now, stop = self._patterns[index].replace(now, begin, stop, self._mask)
        return None if now is window else now[begin:stop]

    def _wanted(self, run: bytes) -> Iterable[int]:
        """Return the patterns that may match in a run, in list order."""
        chosen = self._select(run) if self._select is not None else ()
        return sorted(chosen) if chosen else range(len(self._patterns))

    def _sequence(self, text: bytes, indices: Iterable[int]) -> bytes:
        for index in indices:
            text, _ = self._patterns[index].replace(text, 0, len(text), self._mask)
        return text


def _scanner(shapes: Sequence[Shape], alphabet: frozenset[int]) -> Pattern:
    """Return what finds everything worth looking at.

    The bounded forms find a match at the beginning of a text by the two bytes before it, which therefore must not be
    part of another match.
    """
    if alphabet.isdisjoint(NO_LETTER):
        return Pattern(alternation(s.bounded for s in shapes), binary=True)
    return Pattern(alternation(s.relaxed for s in shapes))


def _selector(
    shapes: Sequence[Shape], alphabet: frozenset[int], mask: Mask
) -> Callable[[bytes], Sequence[int]] | None:
    """Return a quick "which patterns match here", or None when a mask may itself be part of a later match."""
    if alphabet.intersection(mask.alphabet) or len(shapes) < 3:
        return None
    return compile_set([s.relaxed for s in shapes])
