"""How much of a provider's rate limit is left, from the response headers of its calls.

Sources: platform.openai.com/docs/guides/rate-limits, docs.anthropic.com/en/api/rate-limits (2026-08); as span
attributes by the HTTP conventions' http.response.header.<name>, a list of strings or a string.
"""

from __future__ import annotations

from typing import Any, Final

from processors.llm_metrics import catalogue
from processors.llm_metrics.bindings import Binding, Bindings, Read
from processors.llm_metrics.labels import plain

_HEADER: Final = "http.response.header."

_HEADERS: Final = tuple(
    # (what is left, the limit, kind)
    (_HEADER + left, _HEADER + limit, kind)
    for left, limit, kind in (
        ("x-ratelimit-remaining-requests", "x-ratelimit-limit-requests", "rpm"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "tpm"),
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-limit", "rpm"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-limit", "tpm"),
        ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-limit", "input_tpm"),
        ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-limit", "output_tpm"),
    )
)  # fmt: skip


class Quotas:
    """Keeps the last ratio per provider and kind."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings

    def note(self, binding: Binding, attributes: Read) -> None:
        """Read the headers of one call; called for one per binding and flush, as only the last value counts."""
        for left, limit, kind in _HEADERS:
            if left in attributes and limit in attributes:
                ratio = _ratio(attributes[left], attributes[limit])
                if ratio is not None:
                    gauge = self._bindings.rare(binding, catalogue.QUOTA_REMAINING, kind=kind)
                    gauge.set(ratio)


def _ratio(left: Any, limit: Any) -> float | None:
    has, may = _number(left), _number(limit)
    if has is None or not may:
        return None
    return min(has / may, 1.0)


def _number(raw: Any) -> float | None:
    """Return a header's number; providers write thousands without separators."""
    value = plain(raw)
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return float(value) if value.isdecimal() and len(value) < 16 else None
    known = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return float(value) if known else None  # type: ignore[arg-type] # known is of an int
