"""The text of an OTLP value, as Go's pdata `AsString` writes it (collector/pdata v1.68)."""

from __future__ import annotations

import base64
import json
import math
from decimal import Decimal

from processors.wire import Value


def as_string(value: Value) -> str:
    """Return the text of a value; lists and maps are JSON with sorted keys and without spaces, or no text at all."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    try:
        return _json(value)
    except _NoJson:
        return ""


class _NoJson(ValueError):
    """A list or map holds a double that JSON cannot write."""


def _number(value: float) -> str:
    """Write a double as ECMAScript does: its shortest digits, no exponent between 1e-6 and 1e21."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value and not 1e-6 <= abs(value) < 1e21:
        return repr(value).replace("e-0", "e-")
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _json(value: Value) -> str:
    """Write a value inside a list or map."""
    if isinstance(value, dict):
        members = ",".join(f"{_quoted(k)}:{_json(v)}" for k, v in sorted(value.items()))
        return f"{{{members}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if value is None or value == b"":
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        raise _NoJson
    if isinstance(value, (str, bytes)):
        return _quoted(as_string(value))
    return as_string(value)


def _quoted(text: str) -> str:
    """Quote as Go's encoder does without its escapes for HTML: the line separators are escaped all the same."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
