"""What Go's `regexp` says about a pattern it does not take, from what RE2 says about it.

Both are one syntax, with sentences of their own; the Collector's users search for Go's. Sources: Go 1.26,
`regexp/syntax/parse.go`; google/re2, `re2/regexp.cc` (2025-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SENTENCES: Final[Mapping[str, str]] = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}


def sentence(error: Exception) -> str:
    """Return Go's sentence for an `re2.error`; RE2's own one where Go has none."""
    said = error.args[0] if error.args else str(error)
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    problem, colon, part = text.partition(": ")
    problem = _SENTENCES.get(problem, problem)
    return (
        f"error parsing regexp: {problem}: `{part}`"
        if colon
        else f"error parsing regexp: {problem}"
    )
