"""Contrib's URL and database sanitizers: identifiers and literals out of paths and queries.

They are about cardinality as much as about privacy: `/users/12345` becomes `/users/*`, `WHERE id = 7` becomes
`WHERE id = ?`. Source: redactionprocessor v0.158.0, `internal/url` and `internal/db`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from processors import semconv
from processors.batch import Span
from processors.redaction.sanitizers import database, url
from processors.redaction.walk import Found
from processors.wire import decode_value, key_value

_CLIENT, _SERVER, _INTERNAL = 3, 2, 1
_HTTP: Final = (
    semconv.HTTP_ROUTE,
    semconv.HTTP_REQUEST_METHOD,
    semconv.HTTP_REQUEST_METHOD_ORIGINAL,
    semconv.HTTP_RESPONSE_STATUS_CODE,
    semconv.URL_FULL,
    semconv.HTTP_SCHEME,
    semconv.HTTP_TARGET,
    semconv.HTTP_METHOD,
    semconv.HTTP_URL,
)
_SYSTEM_KEYS: Final = (semconv.DB_SYSTEM_NAME.encode(), semconv.DB_SYSTEM.encode())


class Sanitizers:
    """What is switched on. False when nothing is."""

    def __init__(
        self, urls: Mapping[str, Any], databases: Mapping[str, Any], *, without_system: bool
    ) -> None:
        """`without_system`: attributes need no `db.system` beside them (contrib: in logs)."""
        self._url = bool(urls["enabled"])
        self._url_keys = {key.encode() for key in urls["attributes"] or () if self._url}
        self._url_names = self._url and urls["sanitize_span_name"]
        self._databases = [
            (
                family,
                frozenset(key.encode() for key in databases[family.key].get("attributes") or ())
                if family.by_attribute
                else frozenset[bytes](),
            )
            for family in database.FAMILIES
            if databases[family.key]["enabled"]
        ]
        # Contrib looks at attributes only when a family that may name some does so.
        self._any_keys = any(keys for _, keys in self._databases)
        self._database_names = bool(self._databases) and databases["sanitize_span_name"]
        self._without_system = without_system

    def __bool__(self) -> bool:
        return self._url or bool(self._databases)

    def system(self, buf: bytes, fields: Sequence[Found]) -> str:
        """Return the database system that a message's attributes name, lower-case, or nothing."""
        if not self._databases:
            return ""
        named: dict[bytes, str] = {}
        for found in fields:
            key, start, end = key_value(buf, found.start, found.end)
            if key in _SYSTEM_KEYS:
                value = decode_value(buf, start, end)
                named[key] = value.lower() if isinstance(value, str) else ""
        return next((named[key] for key in _SYSTEM_KEYS if named.get(key)), "")

    def attribute(self, text: bytes, key: bytes, system: str) -> bytes:
        """Sanitize the value of an attribute."""
        if key in self._url_keys:
            text = url.cluster(text.decode("utf-8", "replace")).encode()
        if not self._any_keys:
            return text
        decoded = text.decode("utf-8", "replace")
        return self._query(decoded, key, system).encode()

    def _query(self, text: str, key: bytes, system: str) -> str:
        if not system and not self._without_system:
            return text
        for family, keys in self._databases:
            if key in keys and (not system or system in family.systems):
                text = family.obfuscate(text, "")
                if system:
                    break
        return text

    def body(self, text: bytes) -> bytes:
        """Sanitize a log body or a leaf of one: everything that is on, one after the other."""
        if not self:
            return text
        decoded = text.decode("utf-8", "replace")
        if self._url:
            decoded = url.cluster(decoded)
        for family, _ in self._databases:
            decoded = family.obfuscate(decoded, "")
        return decoded.encode()

    def span_name(self, span: Span) -> str | None:
        """Return the clean name of a span, None when it stays."""
        name = span.name
        if self._url_names:
            clean = _route(span)
            if clean is not None:
                return _unless_empty(clean)
        if self._database_names and span.kind in (_CLIENT, _SERVER, _INTERNAL):
            system = _named_system(span)
            family = next((f for f, _ in self._databases if system and system in f.systems), None)
            if family is not None:
                clean = family.obfuscate(name, system)
                return _unless_empty(clean) if clean != name else None
        return None


def _unless_empty(name: str) -> str | None:
    return name if name not in ("", "...") else None


def _route(span: Span) -> str | None:
    """Return the clustered name of a span that looks like HTTP, None when it stays or nothing would be left."""
    name = span.name
    if span.kind not in (_CLIENT, _SERVER) or not ("/" in name or _any(span, _HTTP)):
        return None
    clean = url.cluster(name)
    only_marks = "*" in clean and set(clean.split("/")) <= {"*", ""}
    return None if clean == name or only_marks else clean


def _any(span: Span, keys: Iterable[str]) -> bool:
    return any(key in span for key in keys)


def _named_system(span: Span) -> str:
    for key in (semconv.DB_SYSTEM_NAME, semconv.DB_SYSTEM):
        value = span.get(key)
        if isinstance(value, str) and value:
            return value.lower()
    return ""
