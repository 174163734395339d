"""Contrib's rules, compiled: what a configuration with contrib's keys alone does with keys and values.

Order per attribute: ignored key → not an allowed key (deleted) → `allowed_values` → blocked key (each line masked) →
`blocked_values`, each on the output of the one before → URL sanitizer → DB sanitizer.
Source: opentelemetry-collector-contrib/processor/redactionprocessor v0.158.0; its quirks are kept and have cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from processors.batch import Element, LogRecord, Span
from processors.redaction.blocked import BlockedValues
from processors.redaction.masks import make_mask
from processors.redaction.regexp import Pattern
from processors.redaction.sanitizers import Sanitizers
from processors.redaction.summary import SummaryLevel
from processors.redaction.walk import CONTRIB, Layout

Verdict = Literal["ignore", "delete", "mask", "scan"]
_KNOWN_KEYS: Final = 8192
"""Bound of the table of keys already judged: keys come from the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote, contrib's keys only."""

    allow_all_keys: bool
    allowed_keys: tuple[str, ...]
    ignored_keys: tuple[str, ...]
    ignored_key_patterns: tuple[str, ...]
    blocked_key_patterns: tuple[str, ...]
    blocked_values: tuple[str, ...]
    allowed_values: tuple[str, ...]
    hash_function: str
    hmac_key: str
    redact_all_types: bool
    summary: str
    url_sanitizer: Mapping[str, Any]
    db_sanitizer: Mapping[str, Any]

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        read: dict[str, Any] = {field.name: settings[field.name] for field in fields(cls)}
        lists = {name: tuple(value) for name, value in read.items() if isinstance(value, list)}
        return cls(**read | lists)

    def does_anything(self) -> bool:
        """Say whether anything can change under this configuration."""
        databases = [db for db in self.db_sanitizer.values() if isinstance(db, Mapping)]
        return (
            not self.allow_all_keys
            or bool(self.blocked_key_patterns or self.blocked_values)
            or self.url_sanitizer["enabled"]
            or any(db["enabled"] for db in databases)
        )


class KeyRules:
    """Says what happens to an attribute by its key."""

    def __init__(self, config: Config) -> None:
        """Raises: `PatternError`."""
        self._ignored = {key.encode() for key in config.ignored_keys}
        self._ignored_patterns = [Pattern(p) for p in config.ignored_key_patterns]
        self._blocked = [Pattern(p) for p in config.blocked_key_patterns]
        allowed = {*config.allowed_keys, *SELF_ALLOWED}
        self._allowed = None if config.allow_all_keys else {key.encode() for key in allowed}
        self._judged: dict[bytes, Verdict] = {}
        self.trivial = self._allowed is None and not self._blocked
        """Whether no key by itself makes anything change."""
        self.ignores = bool(self._ignored or self._ignored_patterns)

    def verdict(self, key: bytes) -> Verdict:
        """Judge a key; remembers the answer."""
        known = self._judged.get(key)
        if known is None:
            known = self._judge(key)
            if len(self._judged) < _KNOWN_KEYS:
                self._judged[key] = known
        return known

    def _judge(self, key: bytes) -> Verdict:
        if key in self._ignored or any(p.search(key) for p in self._ignored_patterns):
            return "ignore"
        if self._allowed is not None and key not in self._allowed:
            return "delete"
        return "mask" if any(p.search(key) for p in self._blocked) else "scan"


SELF_ALLOWED: Final = (
    "redaction.redacted.keys",
    "redaction.redacted.count",
    "redaction.masked.keys",
    "redaction.masked.count",
    "redaction.ignored.count",
)
"""Contrib's own attributes that pass its list of allowed keys; `redaction.allowed.*` does not."""


class Rules:
    """The compiled form of a `Config`."""

    def __init__(self, config: Config, sequential_db: bool) -> None:
        """`sequential_db`: logs need no `db.system` for the DB sanitizer. Raises: `PatternError`."""
        mask = make_mask(config.hash_function, config.hmac_key)
        self.keys = KeyRules(config)
        self.blocked = BlockedValues(config.blocked_values, mask)
        self._allowed = [Pattern(p) for p in config.allowed_values]
        self._line = Pattern(".*")
        self._mask = mask.replace
        self.all_types = config.redact_all_types
        self.level: SummaryLevel = SummaryLevel.of(config.summary)
        self.sanitizers = Sanitizers(
            config.url_sanitizer, config.db_sanitizer, without_system=sequential_db
        )
        # A value without a hit can still matter: its key, its place in the summary, its type, a sanitizer.
        speaks = self.level is not SummaryLevel.SILENT
        self.by_hits = (
            self.keys.trivial
            and not self.blocked.everywhere
            and not self.all_types
            and not self.sanitizers
            and not (
                speaks and (self._allowed or config.ignored_keys or config.ignored_key_patterns)
            )
        )
        """Whether only values in which `blocked.scan` finds something can change."""
        self.plain = self.by_hits and not speaks and not self._allowed and not self.keys.ignores
        """Whether nothing but the texts of attributes matters, and nothing is said about them."""
        self.layouts: Mapping[type[Element], Layout] = {
            **CONTRIB,
            Span: replace(CONTRIB[Span], kind="span" if self.sanitizers else ""),
            LogRecord: replace(CONTRIB[LogRecord], kind="log" if speaks else ""),
        }

    def allowed(self, text: bytes) -> bool:
        return any(pattern.search(text) for pattern in self._allowed)

    def mask_lines(self, text: bytes) -> bytes:
        """Mask the text of a blocked key, line by line as contrib does."""
        return self._line.replace(text, 0, len(text), self._mask)[0]
