"""Which pages in browsers may send: the W3C's cross-origin resource sharing, with the Collector's `cors` keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from collector.receivers.otlp.config import Cors

_SIMPLE: Final = ("accept", "content-type", "x-requested-with")
"""Headers that the Collector always lets a page send."""

RequestHeaders = Mapping[bytes, str]
Answer = list[tuple[str, str]]


class CorsPolicy:
    """Decides by the `Origin` of a request."""

    def __init__(self, cors: Cors) -> None:
        self._all = "*" in cors.allowed_origins
        pattern = "|".join(
            ".*".join(map(re.escape, origin.split("*"))) for origin in cors.allowed_origins
        )
        self._allowed = re.compile(pattern or r"(?!)", re.IGNORECASE)
        self._any_header = "*" in cors.allowed_headers
        self._headers = {*_SIMPLE, *(name.lower() for name in cors.allowed_headers)}
        self._exposed = ", ".join(cors.exposed_headers)
        self._max_age = cors.max_age

    def answer(self, headers: RequestHeaders) -> Answer:
        """Return what to add to the answer of a request."""
        found = self._origin(headers)
        if found and self._exposed:
            found.append(("access-control-expose-headers", self._exposed))
        return found

    def preflight(self, headers: RequestHeaders) -> Answer:
        """Return the answer to a browser that asks whether it may send."""
        found = self._origin(headers)
        asked = headers.get(b"access-control-request-headers", "")
        names = [name.strip().lower() for name in asked.split(",") if name.strip()]
        if not found or not (self._any_header or self._headers.issuperset(names)):
            return []
        found.append(("access-control-allow-methods", "POST"))
        if names:
            found.append(("access-control-allow-headers", ", ".join(names)))
        if self._max_age:
            found.append(("access-control-max-age", str(self._max_age)))
        return found

    def _origin(self, headers: RequestHeaders) -> Answer:
        origin = headers.get(b"origin", "")
        if not origin or not self._allowed.fullmatch(origin):
            return []
        return [("access-control-allow-origin", "*" if self._all else origin), ("vary", "origin")]
