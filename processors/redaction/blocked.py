"""Contrib's `blocked_values`: each pattern, in list order, works on what the one before it left.

One scan finds what is worth looking at: an alternation of the patterns with fewer conditions (`shapes.Shape`) over a
whole request. What follows is exact, not a heuristic:

- A match of pattern k holds only bytes of the patterns' joint alphabet, so it lies inside one *run* of such bytes.
- A run that the scan does not touch is never changed: every pattern sees it as it came, and none matches there.
- In a run that is touched the patterns work as contrib says, with the byte on either side as context (`\\b`, `^`, `$`).
  What surrounds the run is no byte of the alphabet and never changes, so no match crosses it, whatever was put inside.
- Where the matches of different patterns in a run keep a byte apart, and no mask splits a word, none of them notices
  the others: each pattern is asked about the run as it came.

A pattern that can match the empty text makes the scan worthless; then each value takes the long way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from processors.redaction.masks import Mask
from processors.redaction.regexp import Pattern, Spans, alternation, compile_set
from processors.redaction.shapes import NO_LETTER, Shape, shape
from processors.redaction.walk import Edit, splice

_LOOK = 256
"""How far a run is followed before all of the text is taken: runs are short."""
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


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
        self._boundaries = _WORD.isdisjoint(mask.alphabet) and not any(r"\B" in s for s in sources)
        """Whether a mask that splits no word makes no pattern match that did not match before it."""

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def scan(self, text: bytes) -> list[tuple[int, int]]:
        """Return the places worth looking at, in a text or in the AnyValues of an encoded message."""
        return self._scan.spans(text) if self._scan is not None else []

    def clean(self, text: bytes) -> bytes:
        """Return the text with all matches replaced."""
        if not self._patterns:
            return text
        edits = self.edits(text, 0, len(text), self.scan(text))
        return splice(text, 0, len(text), edits) if edits else text

    def edits(self, buf: bytes, start: int, end: int, spans: Spans) -> list[Edit]:
        """Return what replaces the matches in the text buf[start:end], in order.

        `spans`: what `scan` said about the buffer, those that touch the text, cut at its ends.
        """
        if self._scan is None:
            text = buf[start:end]
            new = self._sequence(text, range(len(self._patterns)))
            return [] if new == text else [(start, end, new)]
        edits: list[Edit] = []
        place, count, behind, alphabet = 0, len(spans), start, self._alphabet
        while place < count:
            first, last = spans[place]
            place += 1
            while first < last and buf[first] not in alphabet:
                first += 1  # what shows the scan that a text, or a line, begins: no part of a run
            if last <= behind or first == last:
                continue
            begin = self._back(buf, start, first)
            behind = self._ahead(buf, last, end)
            while place < count and spans[place][0] < behind:
                last = spans[place][1]
                place += 1
            self._run(buf, (start, begin, behind, end), (first, last), edits)
        return edits

    def _back(self, buf: bytes, start: int, first: int) -> int:
        """Return where the run begins that holds buf[first]."""
        head = buf[first - _LOOK if first - start > _LOOK else start : first]
        kept = head.rstrip(self._alphabet)
        if not kept and first - start > _LOOK:
            head = buf[start:first]
            kept = head.rstrip(self._alphabet)
        return first - len(head) + len(kept)

    def _ahead(self, buf: bytes, last: int, end: int) -> int:
        """Return where the run ends that goes on at buf[last]."""
        tail = buf[last : last + _LOOK if end - last > _LOOK else end]
        rest = tail.lstrip(self._alphabet)
        if not rest and end - last > _LOOK:
            tail = buf[last:end]
            rest = tail.lstrip(self._alphabet)
        return last + len(tail) - len(rest)

    def _run(
        self,
        buf: bytes,
        borders: tuple[int, int, int, int],
        touched: tuple[int, int],
        edits: list[Edit],
    ) -> None:
        """Add what becomes of a run. `borders`: begin of the text, of the run, their ends; `touched`: by the scan."""
        start, begin, stop, end = borders
        chosen = self._select(buf[begin:stop]) if self._select is not None else ()
        if chosen and start < begin and stop < end:
            found = self._each(buf, chosen, touched, stop)
            if found is not None:
                edits += found
                return
        # A text of its own: where the run is at a border of the text, so is the window.
        window = buf[max(start, begin - 1) : min(end, stop + 1)]
        before = begin - max(start, begin - 1)
        now, behind = window, before + stop - begin
        for index in sorted(chosen) or range(len(self._patterns)):
            now, behind = self._patterns[index].replace(now, before, behind, self._mask)
        if now is not window:
            edits.append((begin, stop, now[before:behind]))

    def _each(
        self, buf: bytes, chosen: Sequence[int], touched: tuple[int, int], stop: int
    ) -> list[Edit] | None:
        """Return what each of the patterns by itself does to a run; None where one may notice another.

        A match begins where the scan touched the run, or behind.
        """
        found: list[Edit] = []
        patterns, mask, (begin, end) = self._patterns, self._mask, touched
        for index in chosen:
            ask, at = patterns[index].ask, begin
            while at < end:
                first, at = ask(buf, at, stop)[0]
                if first < 0:
                    break
                found.append((first, at, mask(buf[first:at])))
        if len(chosen) < 2:
            return found
        found.sort()
        behind = -1
        for first, last, _ in found:
            if first <= behind or _inside_a_word(buf, first) or _inside_a_word(buf, last):
                return None
            behind = last
        return found if self._boundaries else None

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
    if alphabet.intersection(mask.alphabet):
        return None
    return compile_set([s.relaxed for s in shapes])


def _inside_a_word(buf: bytes, at: int) -> bool:
    return buf[at - 1] in _WORD and buf[at] in _WORD
