"""The usual case of contrib's rules, quickly: texts are masked where the scan has hits, and nothing is said about it.

Does what `walk.rewrite` does with a `RuleEditor`, for attributes alone: one walk from the message to the texts with
hits, and one copy of what leaves, however deep they stand.
"""

from __future__ import annotations

from typing import Final

from processors.redaction.editor import RuleEditor
from processors.redaction.rules import Rules
from processors.redaction.walk import Found, Hits, Layout
from processors.wire import STRING, read_varint, skip, varint

_KEY: Final = 0x0A
_VALUE: Final = 0x12


class Masker(RuleEditor):
    """Applies `Rules` that are plain to one buffer. `hits`: what the scan of that very buffer found."""

    def __init__(self, rules: Rules, hits: Hits) -> None:
        super().__init__(rules, hits)
        self._edits = rules.blocked.edits
        self._inside = hits.inside

    def rewrite(self, buf: bytes, start: int, end: int, layout: Layout) -> bytes | None:
        """Return the new encoding of the message in buf[start:end], None when nothing in it changes."""
        pieces = self._message(buf, start, end, layout)[0]
        return b"".join(pieces) if pieces else None

    def _message(self, buf: bytes, at: int, end: int, layout: Layout) -> tuple[list[bytes], int]:
        """Return what becomes of a message, in pieces, and by how much it grows; no pieces when it stays."""
        near_of, attribute, children = self.near, layout.attributes, layout.children
        pieces: list[bytes] = []
        kept, grown, near = at, 0, near_of(at)
        while at < end and near < end:
            tag = buf[at]
            if tag & 7 != 2 or tag > 127:
                at = at + 9 if tag & 7 == 1 and tag < 128 else skip(buf, at)
                continue
            frame, size, body = at, buf[at + 1], at + 2
            if size > 127:
                more = buf[body]
                if more < 128:  # spans and texts are this long: spares a call
                    size, body = size & 127 | more << 7, body + 1
                else:
                    size, body = read_varint(buf, at + 1)
            at = body + size
            if at <= near:
                continue
            if near < frame:
                near = near_of(frame)
                if near >= at:
                    continue
            if tag == attribute:
                kept, more = self._attribute(buf, (frame, body, at), kept, pieces)
                grown += more
            elif tag in children:
                inner, more = self._message(buf, body, at, children[tag])
                if inner:
                    head = buf[frame : frame + 1] + varint(size + more)
                    pieces += (buf[kept:frame], head)
                    pieces += inner
                    kept, grown = at, grown + len(head) + frame - body + more
            near = near_of(at)
        if pieces:
            pieces.append(buf[kept:end])
        return pieces, grown

    def _attribute(
        self, buf: bytes, found: tuple[int, int, int], kept: int, pieces: list[bytes]
    ) -> tuple[int, int]:
        """Add what stays before an attribute and what becomes of it, up to the last change.

        Returns where the rest begins that stays, and by how much the message grows.
        """
        frame, body, end = found
        value, text = _value(buf, body, end)
        if text < 0:
            return self._oddly(buf, Found(frame, body, end), kept, pieces)
        edits = self._edits(buf, text, end, self._inside(text, end))
        if not edits:
            return kept, 0
        size = end - text
        for first, last, new in edits:
            size += len(new) - last + first
        inner = b"\x0a" + varint(size)
        pair = b"".join((buf[body:value], b"\x12", varint(len(inner) + size), inner))
        head = buf[frame : frame + 1] + varint(len(pair) + size)
        pieces += (buf[kept:frame], head, pair)
        kept = text
        for first, last, new in edits:
            pieces += (buf[kept:first], new)
            kept = last
        return kept, len(head) + len(pair) + size - end + frame

    def _oddly(self, buf: bytes, found: Found, kept: int, pieces: list[bytes]) -> tuple[int, int]:
        """As `_attribute`, for one that is no text, or is encoded in an unusual way."""
        edits, _ = self.attributes(buf, buf[found.frame], [found], "")
        for first, last, new in edits:
            pieces += (buf[kept:first], new)
            return last, len(new) - last + first
        return kept, 0


def _value(buf: bytes, body: int, end: int) -> tuple[int, int]:
    """Return where the value stands in the KeyValue in buf[body:end], and the text that ends it; -1 when none does."""
    value = body + 2 + buf[body + 1] if end - body > 1 else end
    if value < end and buf[body] == _KEY and buf[body + 1] < 128 and buf[value] == _VALUE:
        size, at = read_varint(buf, value + 1)
        if size and at + size == end and buf[at] == STRING:
            size, at = read_varint(buf, at + 1)
            if at + size == end:
                return value, at
    return value, -1
