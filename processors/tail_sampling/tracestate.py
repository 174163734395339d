"""W3C trace state: `key=value` members in order, and OpenTelemetry's `ot` member inside it.

Grammar: w3.org/TR/trace-context-2 3.3.1 (2024-03); `ot`: OpenTelemetry specification, trace/tracestate-handling (1.50).
"""

from __future__ import annotations

import re
from typing import Final

_MEMBER: Final = re.compile(
    r"((?:[a-z][a-z0-9_\-*/]{0,255})|(?:[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}))"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_MOST_MEMBERS: Final = 32
_LONGEST: Final = 512


def parse(text: str) -> dict[str, str] | None:
    """Return the members in order, or None for text that is no trace state. Empty members are allowed."""
    members: dict[str, str] = {}
    for part in text.split(","):
        part = part.strip(" \t")
        if not part:
            continue
        found = _MEMBER.fullmatch(part)
        if not found or found[1] in members or len(members) == _MOST_MEMBERS:
            return None
        members[found[1]] = found[2]
    return members


def explicit_randomness(text: str) -> int | None:
    """Return the `rv` of a trace state, 56 bits; None when there is none."""
    members = parse(text)
    digits = ot_values(members["ot"]).get("rv", "") if members and "ot" in members else ""
    return int(digits, 16) if _RANDOMNESS.fullmatch(digits) else None


def ot_values(member: str) -> dict[str, str]:
    """Return the sub-keys of an `ot` member in order."""
    return dict(part.split(":", 1) for part in member.split(";") if ":" in part)


_RANDOMNESS: Final = re.compile(r"[0-9a-f]{14}")


def write(members: dict[str, str]) -> str:
    """Return the text of members in order; the last ones go when there are more than 32 or 512 characters."""
    kept = list(members.items())[:_MOST_MEMBERS]
    text = ",".join(f"{key}={value}" for key, value in kept)
    while len(text) > _LONGEST:
        kept.pop()
        text = ",".join(f"{key}={value}" for key, value in kept)
    return text
