"""From encoded attribute values to what they mean: counts, texts, seconds, lists and objects.

Emitters write one thing in many forms: Micrometer sends every tag as text, MLflow JSON-encodes every value, LangSmith
writes the `repr` of a dict. Each reader returns the value, or None when there is none to be had: nothing is guessed,
and nothing here raises. Rules: a count is a non-negative whole number; a text is trimmed and not empty.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from processors.wire import Value, decode_value, encode_value

_MAX_OBJECT_CHARS: Final = 1 << 18
"""Longer texts are content, not usage."""
_MAX_LITERAL_CHARS: Final = 1 << 14
"""`ast.literal_eval` needs about 100 times the memory of its text."""
_MAX_COUNT: Final = (1 << 53) - 1
"""Above, a double is no exact integer any more, and no call has that many tokens."""
_DIGITS: Final = re.compile(r"[0-9]{1,16}(?:\.0+)?\Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - datetime.UTC hides the year of the epoch


def value_of(raw: bytes) -> Value:
    """Decode an AnyValue."""
    return decode_value(raw, 0, len(raw))


def count(raw: bytes) -> int | None:
    """Read a number of things. A bool, a negative, a fraction and NaN are no count."""
    size = len(raw)
    if size > 1 and raw[0] == 0x18:  # an int; one to three bytes are what token counts need
        low = raw[1]
        if size == 2 and low < 128:
            return low
        if size == 3 and low > 127 > raw[2]:
            return low & 127 | raw[2] << 7
        if size == 4 and low > 127 and raw[2] > 127 > raw[3]:
            return low & 127 | (raw[2] & 127) << 7 | raw[3] << 14
    return count_of(decode_value(raw, 0, size))


def count_of(value: object) -> int | None:
    """Read a count from a decoded value, for example a member of a JSON object."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= _MAX_COUNT else None
    if isinstance(value, float):
        return int(value) if 0 <= value <= _MAX_COUNT and value.is_integer() else None
    if isinstance(value, str):
        digits = _unquoted(value.strip())
        return int(digits.partition(".")[0]) if _DIGITS.match(digits) else None
    return None


def text(raw: bytes) -> str | None:
    """Read a text: trimmed, JSON-unquoted once, numbers as their decimal form."""
    size = len(raw)
    if size > 2 and raw[0] == 0x0A and raw[1] == size - 2 < 128:  # a short string and nothing else
        plain = raw[2:].decode("utf-8", "replace").strip()
        if plain and plain[0] != '"':
            return plain
    return text_of(decode_value(raw, 0, size))


def text_of(value: object) -> str | None:
    """Read a text from a decoded value."""
    if isinstance(value, str):
        return _unquoted(value.strip()).strip() or None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value - value == 0:  # finite
        return str(int(value)) if value.is_integer() and abs(value) < _MAX_COUNT else repr(value)
    return None


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            decoded = json.loads(value)
        except ValueError:
            return value
        return decoded.strip() if isinstance(decoded, str) else value
    return value


def number(raw: bytes) -> float | None:
    """Read a non-negative finite number: an amount of money or a duration."""
    return number_of(value_of(raw))


def number_of(value: object) -> float | None:
    """Read a non-negative finite number from a decoded value."""
    if isinstance(value, str):
        try:
            value = float(_unquoted(value.strip()))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < float("inf") else None


def flag(raw: bytes) -> bool:
    """Whether a switch is on: true, or a text that says so (LiteLLM writes "True")."""
    value = value_of(raw)
    return value is True or (isinstance(value, str) and _unquoted(value).strip().lower() == "true")


def mapping(raw: bytes) -> Mapping[str, Any] | None:
    """Read an object: a kvlist, JSON text, JSON inside JSON, or the `repr` of a Python dict."""
    return mapping_of(value_of(raw))


def mapping_of(value: object) -> Mapping[str, Any] | None:
    """Read an object from a decoded value."""
    parsed = structure_of(value)
    return parsed if isinstance(parsed, Mapping) else None


def structure_of(value: object) -> object:
    """Parse a text that is JSON (up to twice) or a Python literal; other values come back as they are."""
    for _ in range(2):
        if not isinstance(value, str):
            return value
        value = _parsed(value.strip())
    return value


def _parsed(source: str) -> object:
    if not source or source[0] not in '{["' or len(source) > _MAX_OBJECT_CHARS:
        return None
    try:
        return json.loads(source)
    except (ValueError, RecursionError):
        pass
    if source[0] != "{" or len(source) > _MAX_LITERAL_CHARS:
        return None
    try:
        return ast.literal_eval(source)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def reasons(raw: bytes) -> list[str] | None:
    """Read finish reasons: an array, a JSON array, `[A, B]` without quotes, `A,B`, or one bare value."""
    return reasons_of(value_of(raw))


def reasons_of(value: object) -> list[str] | None:
    """Read finish reasons from a decoded value."""
    if isinstance(value, str):
        value = _listed(value.strip())
    if not isinstance(value, Sequence):
        return None
    return [reason for item in value if (reason := text_of(item))] or None


def _listed(source: str) -> Sequence[object]:
    if source[:1] in ("[", '"'):
        parsed = structure_of(source)
        if isinstance(parsed, list):
            return parsed
        if isinstance(parsed, str):
            return [parsed]
    if source[:1] == "[" and source[-1:] == "]":
        source = source[1:-1]
    unquoted = _unquoted(source)
    return [part.strip(" '") for part in unquoted.split(",")]


def instant_ns(raw: bytes) -> int | None:
    """Read an ISO 8601 time as Unix nanoseconds; without a zone it is UTC."""
    written = text(raw)
    try:
        moment = datetime.fromisoformat(written or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)  # noqa: UP017
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def encoded(members: Mapping[str, Any]) -> dict[str, bytes]:
    """Encode the members of an object as attributes would be; those that OTLP cannot carry are left out."""
    return {str(key): encode_value(v) for key, v in members.items() if _carried(v)}


def _carried(value: object) -> bool:
    if isinstance(value, bool | str | float):
        return True
    return isinstance(value, int) and abs(value) <= _MAX_COUNT


Reader = Callable[[bytes], object]
