"""A span without its content: what happened, when, for how much; not what was said.

Invariants
- Idempotent, and never longer than what came.
- No attribute of the content table, and no text, list or map larger than the limit, whatever its key: a dialect that
  nobody has seen must not carry a prompt through. Unknown fields go too.
- Numbers, booleans, ids, times, status code, links, flags and trace state stay.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from processors.reading import parse_span
from processors.tail_sampling.content import is_content, is_content_event
from processors.views import status_code

_LARGEST: Final = (1 << 32) - 1


def skeleton(span: bytes, limit: int) -> bytes:
    """Return an encoded span without its content. `limit`: largest value and name that stay, in bytes."""
    message = parse_span(span)
    message.DiscardUnknownFields()
    _dropped(message, _strip(message.attributes, limit))
    message.name = cut(message.name, limit)
    if message.status:
        code = Status(code=status_code(message))  # type: ignore[arg-type] # an enum's number
        message.status = code.SerializeToString()
    for event in message.events:
        if is_content_event(event.name):
            _dropped(event, len(event.attributes))
            del event.attributes[:]
        else:
            _dropped(event, _strip(event.attributes, limit))
        event.name = cut(event.name, limit)
    for link in message.links:
        _dropped(link, _strip(link.attributes, limit))
    stripped: bytes = message.SerializeToString()
    return stripped


def _dropped(message: Any, attributes: int) -> None:
    """Count attributes as dropped, up to the largest count there is."""
    count = message.dropped_attributes_count + attributes
    message.dropped_attributes_count = min(count, _LARGEST)


def cut(text: str, limit: int) -> str:
    """Shorten a text to so many bytes, on a character's border."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")


def _strip(attributes: Any, limit: int) -> int:
    """Remove content and everything large; return how many went."""
    removed = 0
    for position in range(len(attributes) - 1, -1, -1):
        if _goes(attributes[position], limit):
            del attributes[position]
            removed += 1
    return removed


def _goes(attribute: Any, limit: int) -> bool:
    if len(attribute.key.encode()) > limit:
        return True
    kind = attribute.value.WhichOneof("value")
    if kind in ("bool_value", "int_value", "double_value", None):
        return False
    return is_content(attribute.key) or _size(attribute.value, kind) > limit


def _size(value: Any, kind: str) -> int:
    if kind == "string_value":
        return len(value.string_value)
    if kind == "bytes_value":
        return len(value.bytes_value)
    return int(value.ByteSize())
