"""Makes a request that the parser refuses acceptable, where only its texts or its depth are at fault.

One bad byte in one attribute of one span must not cost the other 511: strings that are no UTF-8 get U+FFFD for what is
wrong in them, items that nest too deep are taken out. Anything else is `Malformed`. Slow (about 2 µs a field), so only
items that the parser refuses are walked, and never more than `MAX_FIELDS` fields.
"""

from __future__ import annotations

from typing import Final

from processors import untrusted
from processors.batch import Signal
from processors.errors import Oversized
from processors.proof import ANY_VALUE, Descriptor, Unproved, item_node, item_type, parse
from processors.wire import delimited, varint

MAX_FIELDS: Final = 300_000


class TooDeep(Exception):
    """What is walked nests deeper than allowed."""


class Repair:
    """Repairs one request; afterwards says what it took."""

    def __init__(self, signal: Signal, raw: bytes, max_depth: int) -> None:
        """Raises: `Malformed`, `Oversized`."""
        self.strings = 0
        """How many strings were repaired."""
        self.too_deep: list[bytes] = []
        """The bodies of the items that were taken out."""
        self._max_depth = max_depth
        self._fields = 0
        self._item = item_node(signal, max_depth)
        self._item_type = item_type(signal)
        repaired = self._message(signal.request.DESCRIPTOR, raw, 0, len(raw), 0)
        self.raw = raw if repaired is None else repaired

    def _message(self, kind: Descriptor, buf: bytes, at: int, end: int, depth: int) -> bytes | None:
        """Return the repaired message in buf[at:end], None when nothing is wrong with it."""
        if depth > self._max_depth:
            raise TooDeep
        pieces: list[bytes] = []
        begin = at
        for tag, start, body, behind in untrusted.fields(buf, at, end):
            part = kind.fields_by_number.get(tag >> 3)
            if part is None or tag & 7 != 2:
                continue
            repaired = self._field(part, buf, body, behind, depth)
            if repaired is not None:
                pieces += (buf[begin:start], repaired)
                begin = behind
        return b"".join([*pieces, buf[begin:end]]) if pieces else None

    def _field(self, part: Descriptor, buf: bytes, at: int, end: int, depth: int) -> bytes | None:
        """Return the repaired field, tag included; None when nothing is wrong with it."""
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise Oversized(f"the request needs repair and holds more than {MAX_FIELDS} fields")
        kind = part.message_type
        if kind is None:
            body = self._text(buf[at:end]) if part.type == part.TYPE_STRING else None
        elif kind.full_name == self._item_type.full_name:
            return self._repair_item(part, buf[at:end])
        else:
            body = self._message(kind, buf, at, end, depth + (kind.full_name == ANY_VALUE))
        return None if body is None else delimited(varint(part.number << 3 | 2), body)

    def _repair_item(self, part: Descriptor, body: bytes) -> bytes | None:
        try:
            parse(self._item, body)
        except Unproved:
            try:
                repaired = self._message(self._item_type, body, 0, len(body), 0)
            except TooDeep:
                self.too_deep.append(body)
                return b""
            return None if repaired is None else delimited(varint(part.number << 3 | 2), repaired)
        return None

    def _text(self, text: bytes) -> bytes | None:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            self.strings += 1
            return text.decode("utf-8", "replace").encode("utf-8")
        return None
