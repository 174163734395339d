"""What is left of data that could not be redacted: ids, times and numbers; nothing that can carry content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from processors.batch import Batch, Element, LogRecord, Resource, Scope, Span
from processors.wire import BOOL, DOUBLE, INT, delimited, key_value, read_varint, skip

ERROR: Final = b"[REDACTED:ERROR]"
"""Stands where a text was that could not be redacted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    """Which fields of a message are harmless."""

    attributes: int
    kept: frozenset[int]
    replaced: Mapping[int, bytes]
    """Tag → the body that is written instead."""


_RESTS: Final[Mapping[type[Element], _Rest]] = {
    Resource: _Rest(attributes=0x0A, kept=frozenset(), replaced={}),
    Scope: _Rest(attributes=0x1A, kept=frozenset((0x0A, 0x12)), replaced={}),
    Span: _Rest(
        attributes=0x4A,
        # ids, kind, times, dropped counts, flags
        kept=frozenset((0x0A, 0x12, 0x22, 0x30, 0x39, 0x41, 0x50, 0x60, 0x70, 0x85)),
        replaced={0x2A: ERROR},
    ),
    LogRecord: _Rest(
        attributes=0x32,
        # times, severity number, dropped count, flags, ids
        kept=frozenset((0x09, 0x10, 0x38, 0x45, 0x4A, 0x52, 0x59)),
        replaced={0x2A: delimited(b"\x0a", ERROR)},
    ),
}
_STATUS: Final = 0x7A
_NUMBERS: Final = frozenset((INT, DOUBLE, BOOL))


def without_content(batch: Batch) -> Batch | None:
    """Return the batch without content, None when nothing of it can be kept (metrics: a point is its attributes)."""
    for group in batch.groups:
        _strip(group.resource)
        for scope in group.scopes:
            _strip(scope.scope)
            for item in scope.items:
                if type(item) not in _RESTS:
                    return None
                _strip(item)
    return batch


def _strip(element: Element) -> None:
    element.replace(stripped(element.body(), type(element)))


def stripped(body: bytes, kind: type[Element]) -> bytes:
    """Return the encoded message with its harmless fields only."""
    rest = _RESTS[kind]
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        behind = skip(body, at)
        tag = body[at]
        if tag in rest.kept or (tag == rest.attributes and _harmless(body, at, behind)):
            pieces.append(body[at:behind])
        elif tag in rest.replaced:
            pieces.append(delimited(bytes((tag,)), rest.replaced[tag]))
        elif tag == _STATUS and kind is Span:
            pieces.append(delimited(b"\x7a", _status_code(body, at)))
        at = behind
    return b"".join(pieces)


def _harmless(body: bytes, at: int, behind: int) -> bool:
    """Say whether an attribute is a plain number under a plain name."""
    _, start = read_varint(body, at + 1)
    key, first, last = key_value(body, start, behind)
    plain = len(key) <= 64 and key.replace(b".", b"").replace(b"_", b"").isalpha()
    return plain and first < last and body[first] in _NUMBERS


def _status_code(body: bytes, at: int) -> bytes:
    size, start = read_varint(body, at + 1)
    at, end = start, start + size
    code = b""
    while at < end:
        behind = skip(body, at)
        if body[at] == 0x18:
            code = body[at:behind]
        at = behind
    return code
