"""Patterns that users write: RE2 syntax, which is what Go's `regexp` speaks, so contrib's patterns run as they are.

RE2 never backtracks: no pattern and no text can stall a pipeline. Everything works on UTF-8 bytes; a pattern never
starts or ends inside a character of valid UTF-8. The package `re2` ships no types; this is the typed door to it.
Syntax: github.com/google/re2/wiki/Syntax (2026-08).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import re2

MAX_MEMORY: Final = 64 << 20
"""Bytes that one compiled pattern may use; RE2's own default (8 MiB) makes large alternations fall back to its NFA."""

_UNANCHORED: Final = re2._Anchor.UNANCHORED
_Match = Callable[[Any, bytes, int, int], Sequence[tuple[int, int]]]


class PatternError(ValueError):
    """What RE2 says about a pattern it does not take."""


def _options(*, binary: bool = False) -> Any:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.never_capture = True
    options.log_errors = False
    if binary:
        options.encoding = re2.Options.Encoding.LATIN1
    return options


def _compile(source: str, *, binary: bool = False) -> Any:
    options = _options(binary=binary)
    try:
        return re2.compile(source.encode("ascii") if binary else source, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise PatternError(said.decode() if isinstance(said, bytes) else str(said)) from error


class Pattern:
    """One compiled pattern. Groups do not capture: only whole matches are asked for."""

    __slots__ = ("_match", "ask", "source")

    def __init__(self, source: str, *, binary: bool = False) -> None:
        """`binary`: match byte by byte, whatever the bytes mean; the source MUST be ASCII. Raises: `PatternError`."""
        self.source = source
        compiled = _compile(source, binary=binary)
        # The method below the wrapper's generator: half the cost of a hit.
        self._match: _Match = compiled._regexp.Match
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
    ask: Callable[[bytes], Sequence[int] | None] = matcher.Match
    return lambda text: ask(text) or ()


# ------------------------------------------------------------------ what can be said about a pattern without running it


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pattern can match, whatever stands around it."""

    relaxed: str
    """The pattern without its zero-width assertions: whatever it matches somewhere, this matches too."""
    alphabet: frozenset[int]
    """Bytes that can occur in a match; more than that is possible, less is not."""
    nullable: bool
    """Whether `relaxed` matches the empty text: then looking for it beforehand says nothing."""


_ASSERTIONS: Final = frozenset(("^", "$", r"\b", r"\B", r"\A", r"\z"))
_ASCII: Final = tuple(bytes((n,)) for n in range(128))
_HIGH: Final = frozenset(range(128, 256))


def shape(source: str) -> Shape:
    """Describe a valid pattern."""
    atoms: list[str] = []
    relaxed: list[str] = []
    for kind, token in _tokens(source):
        if kind == "assertion":
            relaxed.append("(?:)")
            continue
        relaxed.append(token)
        if kind == "atom":
            atoms.append(token)
    text = "".join(relaxed)
    flags = _flags(source)
    alphabet = frozenset().union(*[_alphabet(atom, flags) for atom in set(atoms)])
    nullable = _compile(text).search(b"") is not None
    return Shape(text, alphabet, nullable)


def _flags(source: str) -> str:
    """Return the inline flags that widen an atom, as if they held everywhere."""
    set_somewhere = {
        flag
        for kind, token in _tokens(source)
        if kind == "group"
        for flag in token.partition("-")[0].partition(":")[0]
        if not token.startswith(("(?P", "(?<"))
    }
    wide = "".join(flag for flag in "is" if flag in set_somewhere)
    return f"(?{wide})" if wide else ""


def _alphabet(atom: str, flags: str) -> frozenset[int]:
    """Return the bytes an atom can match. Bytes above 127 are one class: all of them, or none."""
    compiled = _compile(flags + atom)
    ascii_bytes = frozenset(n for n, char in enumerate(_ASCII) if compiled.fullmatch(char))
    return ascii_bytes | _HIGH if _beyond_ascii(atom, flags) else ascii_bytes


def _beyond_ascii(atom: str, flags: str) -> bool:
    """Say whether an atom may match a character outside ASCII. Under (?i) `k` and `s` do: the Kelvin sign, long s."""
    if len(atom) == 1:
        return not atom.isascii() or atom == "." or bool(flags and atom in "kKsS")
    if atom in (r"\d", r"\w", r"\s"):
        return "i" in flags and atom == r"\w"
    simple_class = atom.startswith("[") and not atom.startswith("[^") and "[:" not in atom
    plain = simple_class and atom.isascii() and not _DOUBTFUL.intersection(_escapes(atom))
    return not (plain and "i" not in flags) and not _literal_escape(atom)


_DOUBTFUL: Final = frozenset("pPxWDSC01234567")


def _escapes(atom: str) -> Iterator[str]:
    """Yield the characters that follow a backslash."""
    at = atom.find("\\")
    while 0 <= at < len(atom) - 1:
        yield atom[at + 1]
        at = atom.find("\\", at + 2)


def _literal_escape(atom: str) -> bool:
    return len(atom) == 2 and atom[0] == "\\" and atom[1].isascii() and not atom[1].isalnum()


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    """Split a valid pattern into (kind, text): assertion, atom, group (an opening one), other."""
    at = 0
    while at < len(source):
        if source.startswith(r"\Q", at):
            end = source.find(r"\E", at)
            literal = source[at + 2 : len(source) if end < 0 else end]
            for char in literal:
                yield "atom", re2.escape(char)
            at = len(source) if end < 0 else end + 2
            continue
        token = _token(source, at)
        yield _kind(token), token
        at += len(token)


def _kind(token: str) -> str:
    if token in _ASSERTIONS:
        return "assertion"
    if token[0] == "(":
        return "group"
    return "other" if token[0] in ")|*+?" or (token[0] == "{" and len(token) > 1) else "atom"


def _token(source: str, at: int) -> str:
    char = source[at]
    if char == "\\":
        return source[at : _escape_end(source, at)]
    if char == "[":
        return source[at : _class_end(source, at)]
    if char == "(" and source.startswith("(?", at):
        stop = min(i for i in (source.find(c, at) for c in ":)>") if i > 0)
        return source[at : stop + 1]
    if char == "{":
        end = source.find("}", at)
        if end > 0 and source[at + 1 : end].replace(",", "").isdigit():
            return source[at : end + 1]
    return char


def _escape_end(source: str, at: int) -> int:
    """Return the offset behind the escape at `at`: \\pN, \\p{Greek}, \\x41, \\x{263a}, \\123, \\. and the like."""
    kind = source[at + 1]
    if kind in "pPx" and source.startswith("{", at + 2):
        return source.index("}", at) + 1
    if kind == "x":
        return at + 4
    if kind in "pP":
        return at + 3
    end = at + 2
    if kind.isdigit():
        while end < min(at + 4, len(source)) and source[end].isdigit():
            end += 1
    return end


def _class_end(source: str, at: int) -> int:
    """Return the offset behind the character class at `at`. A `]` that comes first is a member."""
    i = at + 1
    if source.startswith("^", i):
        i += 1
    if source.startswith("]", i):
        i += 1
    while source[i] != "]":
        if source.startswith("[:", i):
            i = source.index(":]", i) + 2
        elif source[i] == "\\":
            i = _escape_end(source, i)
        else:
            i += 1
    return i + 1


def alternation(sources: Iterable[str]) -> str:
    """Join patterns so that the flags of one do not reach the next."""
    return "|".join(f"(?:{source})" for source in sources)
