"""What a detector is: a cheap pattern that finds candidates, an exact one that confirms them, a check and a context.

`prefilter` is RE2 and runs over whole requests; it MUST match inside every text that `pattern` matches. `pattern` is
`re` on bytes and runs in a small window around a candidate only. Boundaries know JSON: text inside a JSON string has
a letter on its left after `\\n`, `\\t` or `\\u00e4`, where `\\b` sees no boundary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from processors.redaction.detectors.checks import Check
from processors.redaction.regexp import Pattern

NUMBER: Final = (
    r"\d{7}|\d{2,4}[ .]\d{2,4}[ .]\d{2}|\d{3,6}[-/ ]\d{3}|\d{3}-\d{2}-?\d|\d{1,5}\)[-/ ]?\d{2}"
    r"|\d\d[-/ ]\d{5}|\d\d-\d\d-\d\d-\d\d"
)
"""Prefilter of plain digits. They are frequent, so what it finds counts only behind a word (`Detector.context`)."""

Group = Literal["A", "C", "O"]
"""A: on, needs no context. C: on, needs a checksum, a context or both. O: opt-in."""

_WORD_LEFT: Final = rb"(?:(?<![0-9A-Za-z_])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4}))"
WORD_START: Final = (
    rb"(?:(?<![A-Za-z])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?-i:(?<=[a-z])(?=[A-Z])))"
)
"""Where a word of letters may begin, inside JSON and camel case too."""
ROUGH_START: Final = r"(?:^|[^A-Za-z][A-Za-z]?|\\u[0-9a-fA-F]{4})"
"""The same for prefilters, which run over requests."""
_BEHIND_ESCAPE: Final = rb"(?<=\\[nrtbf][-.,/+:])|(?<=\\u[0-9a-fA-F]{4}[-.,/+:])"
"""A separator whose letter or digit on the left belongs to an escape."""


def unless(behind: bytes) -> bytes:
    """Return what stands where none of these two bytes do, but for the end of an escape inside JSON."""
    return rb"(?:(?<!" + behind + rb")|" + _BEHIND_ESCAPE + rb")"


LEFT: Final = {
    "word": _WORD_LEFT,
    # No part of a float, an order number or a uuid.
    "number": _WORD_LEFT + unless(rb"[0-9][.,]|[0-9A-Za-z]-|[0-9]/") + rb"(?<!#)",
    # The same, but in a row of CSV, or behind `#`; `0,` begins a float all the same.
    "listed": _WORD_LEFT + unless(rb"[0-9]\.|[0-9A-Za-z]-|[0-9]/") + rb"(?<![^0-9]0,)(?<!\A0,)",
    "token": _WORD_LEFT + unless(rb"[0-9A-Za-z][-+/]"),
    # Whatever stands before `@` may be the letter of an escape.
    "mail": rb"(?<!\\)" + _WORD_LEFT,
    "iban": _WORD_LEFT,
    "none": b"",
}
RIGHT: Final = {
    "word": rb"(?![0-9A-Za-z_])",
    "number": rb"(?![0-9A-Za-z_]|[.,][0-9]|-[0-9A-Za-z]|/[0-9]|%)",
    "listed": rb"(?![0-9A-Za-z_]|\.[0-9]|-[0-9A-Za-z]|/[0-9]|%)",
    "token": rb"(?![0-9A-Za-z_])",
    "mail": rb"(?![0-9A-Za-z_])",
    "iban": b"",  # the country says where it ends
    "none": b"",
}
Edge = Literal["word", "number", "listed", "token", "mail", "iban", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One way to recognise one entity. The group `v` of the pattern, where there is one, is what is redacted."""

    entity: str
    prefilter: str
    pattern: bytes
    check: Check | None = None
    trim: Callable[[bytes], bytes] | None = None
    """Cuts what the pattern took too much of; gives back the value, or nothing."""
    context: str = ""
    """Name of a context (`contexts`) that must stand left of the candidate, or in its key. Empty: none is needed."""
    without: str = ""
    """Name of a context that must not stand there."""
    score: float = 0.9
    """Confidence of a confirmed match."""
    back: int = 0
    """How far before a candidate a match may begin."""
    ahead: int = 64
    """How far behind a candidate's start a match is looked for at first."""
    edge: Edge = "word"
    bounded: bool = True
    """Whether the prefilter begins where a word does; false where it stands inside (`@`) or anything may precede."""
    run: bytes = b""
    """What a value is made of. No value begins in the middle of a run, so that candidates there are passed over."""
    digits: int = 6
    """Least number of digits, for detectors of plain digits."""
    exact: Pattern | None = None
    """A user's pattern, which takes the place of `pattern` and runs in RE2 alone."""

    def compiled(self) -> re.Pattern[bytes]:
        """Return the pattern between its boundaries."""
        return re.compile(LEFT[self.edge] + b"(?:" + self.pattern + b")" + RIGHT[self.edge])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A type of personal data or secret."""

    name: str
    group: Group
    about: str
    detectors: tuple[Detector, ...]
