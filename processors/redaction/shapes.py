"""What can be said about a pattern without running it: which bytes it can match, and where looking for it is in vain.

Works on the pattern's text. Whatever is not understood errs on the side of "may match".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final, TypeAlias

import re2

from processors.redaction.regexp import compiled

_Token: TypeAlias = tuple[str, str]
"""Kind and text. Kinds: assertion, atom, group, other."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pattern can match, whatever stands around it."""

    relaxed: str
    """The pattern without its zero-width assertions: whatever it matches somewhere, this matches too."""
    bounded: str
    """To be matched byte by byte in a request instead of `relaxed`, which is less strict: keeps what `\\b` says where a
    byte of the match follows. For patterns without a byte of `NO_LETTER` in their alphabet."""
    alphabet: frozenset[int]
    """Bytes that can occur in a match; more than that is possible, less is not."""
    nullable: bool
    """Whether `relaxed` matches the empty text: then looking for it beforehand says nothing."""


_ASSERTIONS: Final = frozenset(("^", "$", r"\b", r"\B", r"\A", r"\z"))
_ASCII: Final = bytes(range(128))
_HIGH: Final = frozenset(range(128, 256))
NO_LETTER: Final = _HIGH | {0x0A}
"""Bytes one of which stands two bytes before every text in a request: the tag of a string, or a length's first byte."""
_BEGIN: Final = r"[\n\x80-\xff][0-9A-Za-z_]"
"""What hides the boundary at the beginning of a text in a request: the last byte of its length looks like a letter."""


def shape(source: str) -> Shape:
    """Describe a valid pattern."""
    tokens = [*_tokens(source)]
    flags = _flags(tokens)
    atoms = {token for kind, token in tokens if kind == "atom"}
    alphabet = frozenset().union(*[_alphabet(atom, flags) for atom in atoms])
    relaxed = "".join("(?:)" if kind == "assertion" else token for kind, token in tokens)
    nullable = compiled(relaxed).search(b"") is not None
    return Shape(relaxed, _bounded(tokens, relaxed), alphabet, nullable)


def _bounded(tokens: Sequence[_Token], relaxed: str) -> str:
    """Return the pattern with the boundaries that a request shows, or with none of them at the beginning of a text.

    Behind the last byte of a match there may be the next field's tag, which says nothing: a boundary that can stand
    there is left out.
    """
    kept = [
        "(?:)"
        if kind == "assertion" and not (text == r"\b" and _byte_follows(tokens, place + 1))
        else text
        for place, (kind, text) in enumerate(tokens)
    ]
    return f"(?:{''.join(kept)})|{_BEGIN}(?:{relaxed})" if r"\b" in kept else relaxed


def _byte_follows(tokens: Sequence[_Token], at: int) -> bool:
    """Say whether all that can match from a token on begins with a byte: an atom, or a group of nothing else."""
    if at == len(tokens):
        return False
    kind, text = tokens[at]
    if kind == "atom":
        return not _optional(tokens, at + 1)
    if kind != "group" or text.endswith(")"):
        return False
    depth = 0
    for place in range(at, len(tokens)):
        kind, text = tokens[place]
        depth += kind == "group" and not text.endswith(")")
        begins = place == at or (depth == 1 and text == "|")
        if begins and not _byte_follows(tokens, place + 1):
            return False
        depth -= text == ")"
        if not depth:
            return not _optional(tokens, place + 1)
    return False


def _optional(tokens: Sequence[_Token], at: int) -> bool:
    """Say whether what stands before a token may be left out; in doubt it may."""
    quantifiers = [token for _, token in takewhile(_quantifies, islice(tokens, at, None))]
    return len(quantifiers) > 1 or any(q[0] in "?*" or q.startswith("{0") for q in quantifiers)


def _quantifies(token: _Token) -> bool:
    return token[0] == "other" and token[1][0] in "?*+{"


def _flags(tokens: Iterable[_Token]) -> str:
    """Return the inline flags that widen an atom, as if they held everywhere."""
    set_somewhere = {
        flag
        for kind, token in tokens
        if kind == "group"
        for flag in token.partition("-")[0].partition(":")[0]
    }
    wide = "".join(flag for flag in "is" if flag in set_somewhere)
    return f"(?{wide})" if wide else ""


def _alphabet(atom: str, flags: str) -> frozenset[int]:
    """Return the bytes an atom can match. Bytes above 127 are one class: all of them, or none."""
    found = compiled(flags + atom).finditer(_ASCII)
    ascii_bytes = frozenset(match.start() for match in found if match.end() == match.start() + 1)
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


def _tokens(source: str) -> Iterator[_Token]:
    """Split a valid pattern: groups are opening ones, without their names, which may occur once."""
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
        at += len(token)
        named = token.startswith(("(?P<", "(?<"))
        yield _kind(token), "(" if named else token


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
