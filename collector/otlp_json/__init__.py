"""OTLP/JSON to protobuf and back, without protobuf objects and without protobuf's own JSON mapping.

Rules (OTLP specification 1.11 "JSON Protobuf Encoding", protobuf.dev/programming-guides/json, 2026-08)
- `traceId`, `spanId` and `parentSpanId` are hex in any case; other bytes are base64. (`json_format` would take ids for
  base64 and turn them silently into wrong ones.)
- Names are lowerCamelCase; all others are ignored, as are nulls. 64-bit integers are written as strings and read as
  strings or numbers; enums are written as numbers and read as numbers or names; NaN and infinities are strings.
- Text that is no valid Unicode becomes U+FFFD where it is broken. A key that occurs twice keeps its last value.
- A message says where in the document something is wrong, and never quotes it.

Both directions read one table, made from the descriptors of `opentelemetry-proto` on first use. Fields unknown to it
(newer senders) cannot be named and are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, NoReturn

from collector.errors import Rejected, TooLarge
from collector.otlp_json.messages import show_message, write_message
from collector.otlp_json.scalars import Bad
from processors.batch import Signal

REJECTED: Final[Mapping[Signal, str]] = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}
"""The field of a partial success that says how many items were not taken."""

MOST_TOKENS: Final = 1_000_000
"""Objects, lists and commas outside of texts: of some 7,000 spans with 30 attributes each."""
_TOKEN_BYTES: Final = 100
"""What one of them takes while a document is decoded; measured with `{},`, three bytes of text, and with attributes."""
_TEXTS: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)
_WIDE: Final = re.compile(rb"[\xf0-\xff]")
"""Begins a character beyond U+FFFF in UTF-8."""


def weight(body: bytes) -> int:
    """Return how many bytes a document takes while it is decoded, about. Raises: `TooLarge`, before it takes them."""
    tokens = _tokens(body, 0, len(body))
    if tokens > MOST_TOKENS:
        tokens = _tokens_outside_texts(body)
    return min(tokens * _TOKEN_BYTES + _width(body) * len(body), MOST_TOKENS * _TOKEN_BYTES)


def _width(body: bytes) -> int:
    """Return what a character takes, in the document and in a text of it, beyond a byte: one wide one makes all of
    them wide (PEP 393)."""
    if body.isascii():
        return 0
    return 8 if _WIDE.search(body) else 4


def _tokens(body: bytes, begin: int, end: int) -> int:
    return (
        body.count(b"{", begin, end) + body.count(b"[", begin, end) + body.count(b",", begin, end)
    )


def _tokens_outside_texts(body: bytes) -> int:
    """Raises: `TooLarge` as soon as there are too many, or more texts than JSON has between so many."""
    tokens = end = 0
    for texts, text in enumerate(_TEXTS.finditer(body)):
        tokens += _tokens(body, end, text.start())
        end = text.end()
        _limit(max(tokens, texts // 2))
    tokens += _tokens(body, end, len(body))
    _limit(tokens)
    return tokens


def _limit(tokens: int) -> None:
    if tokens > MOST_TOKENS:
        raise TooLarge(
            f"OTLP/JSON: the document holds more than {MOST_TOKENS:,} objects, lists and commas."
        )


def decode(signal: Signal, body: bytes) -> bytes:
    """Return the request as protobuf. Raises: `Rejected`, naming the place."""
    try:
        document = json.loads(body.decode("utf-8-sig", "replace"), parse_constant=_no_constant)
        return write_message(signal.request.DESCRIPTOR, document)
    except Bad as bad:
        raise Rejected(f"OTLP/JSON: {bad.path or 'the document'}: {bad.text}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Rejected(f"OTLP/JSON: not JSON at {where}: {error.msg}.") from None
    except ValueError:  # the interpreter's limit on the digits of a number
        raise Rejected("OTLP/JSON: a number has too many digits.") from None
    except RecursionError:
        raise Rejected("OTLP/JSON: nested too deeply.") from None


def encode(signal: Signal, raw: bytes) -> str:
    """Return a well-formed protobuf request as JSON in one line."""
    document = show_message(signal.request.DESCRIPTOR, raw)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _no_constant(name: str) -> NoReturn:
    raise Bad(f"{name} is no JSON; as a string it is allowed where a double is expected")
