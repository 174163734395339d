"""Makes a request that the parser refuses acceptable, where only its texts or its depth are at fault.

One bad byte in one attribute of one span must not cost the other 511: strings that are no UTF-8 get U+FFFD for what is
wrong in them, items that nest too deep are taken out. Anything else is `malformed`, for the caller to refuse. Slow
(about 2 µs a field), so only items that the parser refuses are walked, of one request never more than `MAX_FIELDS`
fields.
"""

from __future__ import annotations

from typing import Final

from processors import untrusted
from processors.batch import Signal
from processors.errors import Malformed, Oversized
from processors.proof import ITEM_PATH, ITEMS, Descriptor, Unproved, parse
from processors.wire import delimited, varint

MAX_FIELDS: Final = 300_000
MOST_NESTED: Final = 100
"""Messages inside each other that the parser takes, without the request itself: `kUpb_WireFormat_DefaultDepthLimit` of
upb's decoder, `defaultRecursionLimit` of Java's. The parser alone decides; this tells why it refused."""


class TooDeep(Malformed):
    """What is walked nests deeper than the parser goes."""


class Repair:
    """Repairs one request; afterwards says what it took."""

    def __init__(self, signal: Signal, raw: bytes, most_fields: int = MAX_FIELDS) -> None:
        """Raises: `Malformed`, `Oversized`."""
        self.strings = 0
        """How many strings were repaired."""
        self.malformed: Malformed | None = None
        """What was wrong with a message that was left empty, if one was."""
        self.too_deep: list[bytes] = []
        """The bodies of the items that were taken out."""
        self._most_fields = most_fields
        self._fields = 0
        self._signal = signal
        repaired = self._message(signal.request.DESCRIPTOR, raw, 0, len(raw), 0)
        self.raw = raw if repaired is None else repaired

    def _message(self, kind: Descriptor, buf: bytes, at: int, end: int, depth: int) -> bytes | None:
        """Return the repaired message in buf[at:end], None when nothing is wrong with it."""
        if depth > MOST_NESTED:
            raise TooDeep(f"the request nests more than {MOST_NESTED} messages inside each other")
        pieces: list[bytes] = []
        begin = at
        for tag, start, body, behind in untrusted.any_fields(buf, at, end):
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
        if self._fields > self._most_fields:
            raise Oversized(
                f"the request needs repair and holds more than {self._most_fields} fields"
            )
        kind = part.message_type
        if kind is None:
            body = self._text(buf[at:end]) if part.type == part.TYPE_STRING else None
        elif kind.full_name in ITEMS:
            return self._repair_item(part, buf, at, end)
        else:
            body = self._held(kind, buf, at, end, depth + 1)
        return None if body is None else delimited(varint(part.number << 3 | 2), body)

    def _held(self, kind: Descriptor, buf: bytes, at: int, end: int, depth: int) -> bytes | None:
        """Return what a field holds as `_message` does; nothing where that is no message."""
        try:
            return self._message(kind, buf, at, end, depth)
        except (TooDeep, Oversized):
            raise
        except Malformed as why:
            self.malformed = why
            return b""

    def _repair_item(self, part: Descriptor, buf: bytes, at: int, end: int) -> bytes | None:
        try:
            parse(self._signal, memoryview(buf)[at:end], ITEM_PATH)
        except Unproved:
            try:
                body = self._message(part.message_type, buf, at, end, len(ITEM_PATH))
            except TooDeep:
                self.too_deep.append(buf[at:end])
                return b""
            return None if body is None else delimited(ITEM_PATH[-1], body)
        return None

    def _text(self, text: bytes) -> bytes | None:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            self.strings += 1
            return text.decode("utf-8", "replace").encode("utf-8")
        return None
