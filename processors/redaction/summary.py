"""Contrib's summary attributes: which keys were deleted, masked, exempted by value, and how many were ignored.

Two processors in a chain add up: counts are summed, keys joined. Source: redactionprocessor v0.158.0, `addMetaAttrs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from processors.redaction.walk import Edit, Found
from processors.wire import Value, decode_value, delimited, encode_value, key_value, read_varint


class SummaryLevel(Enum):
    """How much is said. Contrib takes any word; all but two mean silence."""

    SILENT = "silent"
    INFO = "info"
    DEBUG = "debug"

    @classmethod
    def of(cls, word: str) -> SummaryLevel:
        return {"info": cls.INFO, "debug": cls.DEBUG}.get(word, cls.SILENT)


class Summary:
    """The keys of one message by what was done with them."""

    __slots__ = ("allowed", "ignored", "masked", "prefix", "redacted")

    def __init__(self, prefix: str = "redaction.") -> None:
        self.prefix = prefix
        self.redacted: list[bytes] = []
        self.masked: list[bytes] = []
        self.allowed: list[bytes] = []
        self.ignored: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self.redacted or self.masked or self.allowed or self.ignored)

    def attributes(self, level: SummaryLevel, present: Mapping[str, Value]) -> dict[str, Value]:
        """Return the attributes to write, added to what is `present`."""
        written: dict[str, Value] = {}
        for name in _NAMES:
            keys: list[bytes] = getattr(self, name)
            if not keys:
                continue
            if level is SummaryLevel.DEBUG and name != "ignored":
                label = f"{self.prefix}{name}.keys"
                before = present.get(label)
                old = before.encode().split(b",") if isinstance(before, str) and before else []
                written[label] = b",".join(sorted([*keys, *old])).decode("utf-8", "replace")
            label = f"{self.prefix}{name}.count"
            counted = present.get(label)
            before_it = counted if type(counted) is int else 0
            written[label] = (before_it + len(keys) + _SIGN) % _WRAP - _SIGN
        return written

    def write(
        self, level: SummaryLevel, buf: bytes, tag: int, fields: Sequence[Found], edits: list[Edit]
    ) -> tuple[list[Edit], list[bytes]]:
        """Return the edits with those of the summary, and what to append."""
        edited = {edit[0]: edit for edit in edits}
        present: dict[str, Value] = {}
        places: dict[str, Found] = {}
        for found in fields:
            key, value = _now(buf, found, edited)
            if key.startswith(b"redaction."):
                name = key.decode("utf-8", "replace")
                present[name], places[name] = value, found
        added: list[bytes] = []
        for name, value in self.attributes(level, present).items():
            body = delimited(b"\x0a", name.encode()) + delimited(b"\x12", encode_value(value))
            if name in places:
                place = places[name]
                edited[place.frame] = (place.frame, place.end, delimited(bytes((tag,)), body))
            else:
                added.append(body)
        return list(edited.values()), added


def _now(buf: bytes, found: Found, edited: Mapping[int, Edit]) -> tuple[bytes, Value]:
    """Return key and value of an attribute as they are after the edits; an empty key for a deleted one."""
    _, start, end = found
    if found.frame in edited:
        buf = edited[found.frame][2]
        if not buf:
            return b"", None
        _, start = read_varint(buf, 1)
        end = len(buf)
    key, first, last = key_value(buf, start, end)
    return key, decode_value(buf, first, last)


_WRAP: Final = 1 << 64
_SIGN: Final = 1 << 63
_NAMES: Final = ("redacted", "masked", "allowed", "ignored")
