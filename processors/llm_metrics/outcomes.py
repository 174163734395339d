"""What became of a call: one table from HTTP status, error type, finish reasons and span status to metric labels.

`status` and `error_class` answer different questions: a validation or guardrail failure is no failed call, and has
counters of its own. Error types are class names, codes or phrases of every SDK, so they are matched by part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from processors.llm_metrics.labels import plain
from processors.wire import Value

ERROR: Final = 2
"""Span status code."""

_BY_HTTP: Final[Mapping[int, tuple[str, str]]] = {
    # HTTP status: (status, error class)
    400: ("error", "bad_request"),
    401: ("error", "auth"),
    403: ("error", "auth"),
    404: ("error", "bad_request"),
    408: ("timeout", "timeout"),
    413: ("error", "bad_request"),
    422: ("error", "bad_request"),
    429: ("rate_limited", "rate_limit"),
    499: ("error", "cancelled"),
    504: ("timeout", "timeout"),
    529: ("error", "server_error"),  # Anthropic: overloaded
}

_BY_TYPE: Final = tuple(
    (re.compile(pattern), outcome)
    for pattern, outcome in (
        # part of an error type in lower case without separators: (status, error class); first match wins
        (r"ratelimit|toomanyrequests|throttl|resourceexhausted|quota", ("rate_limited", "rate_limit")),
        (r"timeout|timedout|deadlineexceeded", ("timeout", "timeout")),
        (r"contentfilter|contentpolicy|responsibleai|safety", ("error", "content_policy")),
        (r"cancel|abort", ("error", "cancelled")),
        (r"auth|permission|apikey|forbidden", ("error", "auth")),
        (r"connect|network|socket|dns|ssl|tls|protocolerror", ("error", "network")),
        (r"badrequest|invalid|notfound|unprocessable|toolarge|contextlength", ("error", "bad_request")),
        (r"internalserver|server|unavailable|overloaded|badgateway", ("error", "server_error")),
    )
)  # fmt: skip

_CONTENT_FILTER: Final = frozenset(
    ("content_filter", "content_filtered", "content-filter", "safety", "guardrail_intervened",
     "prohibited_content", "blocklist", "spii")
)  # fmt: skip
"""Finish reasons by which a provider says that its filter stopped the answer (OpenAI, Azure, Gemini, Bedrock)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the labels say about one call."""

    status: str
    error_class: str
    """Empty for a call that did not fail."""
    filtered: bool
    """The provider's content filter stopped it."""
    refused: bool
    """The model refused to answer."""


PLAIN: Final = Outcome(status="success", error_class="", filtered=False, refused=False)
"""What most calls become; the one object that says so."""


def outcome(
    http: Value | bytes, error_type: Value | bytes, finish: Value | bytes, code: int
) -> Outcome:
    """Classify a call. `code` is the span's status code; the others are attribute values as they came."""
    reasons = _reasons(plain(finish))
    status, error_class = _failure(_number(plain(http)), plain(error_type), code, reasons)
    filtered = bool(reasons & _CONTENT_FILTER)
    if filtered and error_class == "bad_request":
        error_class = "content_policy"
    filtered = filtered or error_class == "content_policy"
    found = Outcome(status, error_class, filtered, "refusal" in reasons)
    return PLAIN if found == PLAIN else found


def _failure(http: int, error_type: Value, code: int, reasons: frozenset[str]) -> tuple[str, str]:
    kind = error_type if isinstance(error_type, str) else ""
    http = http or _number(kind)  # the conventions put the HTTP status into error.type
    folded = re.sub(r"[^a-z0-9]", "", kind.lower())
    by_type = next((found for pattern, found in _BY_TYPE if pattern.search(folded)), None)
    if http >= 400:
        found = _BY_HTTP.get(http) or ("error", "server_error" if http >= 500 else "bad_request")
        refined = by_type is not None and found[1] in ("bad_request", "server_error")
        return by_type if refined and by_type is not None else found
    if by_type is not None:
        return by_type
    if kind or code == ERROR or "error" in reasons:
        return "error", "other"
    return "success", ""


def _number(value: Value) -> int:
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) == 3 else 0


def _reasons(value: Value) -> frozenset[str]:
    reasons = value if isinstance(value, list | tuple) else [value]
    return frozenset(reason.lower() for reason in reasons if isinstance(reason, str))
