"""Texts whose ASCII characters hide behind `\\u0040`: decoded for looking, with the way back to the bytes."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

ESCAPED: Final = r"\\u00[2-7][0-9a-fA-F]"
"""An escaped printable ASCII character, as RE2 for the scan of a request."""
_ESCAPE: Final = re.compile(rb"\\{1,15}u00([2-7][0-9a-fA-F])")


class Unescaped:
    """A text with its escapes of printable ASCII characters decoded."""

    def __init__(self, raw: bytes) -> None:
        pieces: list[bytes] = []
        # Where pieces begin, in the decoded text and in the raw one; every escape is a piece of one byte.
        self._decoded: list[int] = [0]
        self._raw: list[int] = [0]
        size = at = 0
        for match in _ESCAPE.finditer(raw):
            start, end = match.span()
            pieces += (raw[at:start], bytes((int(match.group(1), 16),)))
            size += start - at
            self._decoded += (size, size + 1)
            self._raw += (start, end)
            size, at = size + 1, end
        pieces.append(raw[at:])
        self.text = b"".join(pieces)

    def __bool__(self) -> bool:
        return len(self._raw) > 1

    def raw(self, start: int, end: int) -> tuple[int, int]:
        """Return where a piece of the decoded text stands in the raw one."""
        return self._place(start), self._place(end)

    def _place(self, offset: int) -> int:
        piece = bisect_right(self._decoded, offset) - 1
        return self._raw[piece] + offset - self._decoded[piece]
