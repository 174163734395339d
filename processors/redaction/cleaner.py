"""Cleans one text: finds, exempts, decides, writes. Fails closed: a text that cannot be judged is replaced whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from processors.redaction.actions import Pseudonyms, in_json
from processors.redaction.engine import Engine, Match, Spans
from processors.redaction.failing import ERROR
from processors.redaction.policy import Actions, Allowed
from processors.stats import Stats

DENSE: Final = b"[REDACTED:DENSE]"
"""Stands where a text was that had more candidates than anybody's data has."""
_MOST_CANDIDATES: Final = 50_000
_MOST_FINGERPRINTS: Final = 128
BUILT_IN: Final = "built_in"


class Receipt:
    """What was done inside one message."""

    __slots__ = ("drop_attribute", "drop_record", "entities", "fingerprints", "keys")

    def __init__(self) -> None:
        self.entities: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.fingerprints: list[str] = []
        self.drop_attribute = False
        self.drop_record = False

    def __bool__(self) -> bool:
        return bool(self.entities or self.fingerprints)

    def add(self, entity: str, action: str, key: str) -> None:
        self.entities[entity] += 1
        self.keys.add(key)
        self.drop_attribute |= action == "drop_attribute"
        self.drop_record |= action == "drop_record"


class Cleaner:
    """The compiled form of what happens to a text. Keeps nothing but counters."""

    def __init__(
        self,
        engine: Engine,
        actions: Actions,
        allowed: Allowed,
        stats: Stats,
        *,
        dry_run: bool = False,
        audit: Pseudonyms | None = None,
    ) -> None:
        """`audit`: what makes fingerprints of what is found; None: nothing does."""
        self.engine = engine
        self._actions = actions
        self._allowed = allowed
        self._stats = stats
        self._dry_run = dry_run
        self._audit = audit

    def clean(
        self, text: bytes, spans: Spans | None, key: str, place: str, receipt: Receipt
    ) -> bytes | None:
        """Return the clean text, None when it stays."""
        try:
            matches = self.matches(text, spans, key)
            return self._write(text, matches, key, place, receipt) if matches else None
        except Exception:  # noqa: BLE001 - whatever it was, the text must not go on
            self._stats.counters["otelcol_llm_redaction_errors_total", place] += 1
            receipt.add("ERROR", "replace", key)
            return None if self._dry_run else ERROR

    def matches(self, text: bytes, spans: Spans | None = None, key: str = "") -> list[Match]:
        """Return what is to be acted on: found and not exempted."""
        if spans is None:
            spans = self.engine.scan(text)
        if len(spans) > _MOST_CANDIDATES:
            return [Match(0, len(text), "DENSE", 1.0)]
        found = self.engine.find(text, spans, key)
        return [m for m in found if not self._allowed(m.entity, text[m.start : m.end])]

    def _write(
        self, text: bytes, matches: Sequence[Match], key: str, place: str, receipt: Receipt
    ) -> bytes | None:
        pieces: list[bytes] = []
        kept = 0
        for start, end, entity, _ in matches:
            self.count(entity, place, key, receipt, text[start:end])
            new = DENSE if entity == "DENSE" else self._actions.write(entity, text[start:end])
            if new != text[start:end]:
                pieces += (text[kept:start], in_json(text, start, end, new))
                kept = end
        if not pieces or self._dry_run:
            return None
        pieces.append(text[kept:])
        return b"".join(pieces)

    def count(self, entity: str, place: str, key: str, receipt: Receipt, value: bytes) -> None:
        """Count one redaction, and leave its fingerprints in the receipt."""
        action = self._actions.names.get(entity, "replace")
        row = ("llm_redactions_total", BUILT_IN, entity, place, action)
        self._stats.counters[row] += 1
        if action != "keep":
            receipt.add(entity, action, key)
        if self._audit is not None and len(receipt.fingerprints) < _MOST_FINGERPRINTS:
            marks = self._audit.fingerprints(entity, value)
            receipt.fingerprints += [f"{entity}:{mark}" for mark in marks]
