"""Cleans one text: finds, exempts, decides, writes. Fails closed: a text that cannot be judged is replaced whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from processors.redaction.actions import Pseudonyms, in_json
from processors.redaction.engine import Engine
from processors.redaction.escapes import Unescaped
from processors.redaction.external import Layer
from processors.redaction.failing import ERROR
from processors.redaction.overlaps import Match, resolve
from processors.redaction.policy import Actions, Allowed
from processors.redaction.regexp import Spans
from processors.stats import Stats

DENSE: Final = b"[REDACTED:DENSE]"
"""Stands where a text was that had more candidates than anybody's data has."""
_MOST_CANDIDATES: Final = 50_000
_MANY_CANDIDATES: Final = 4096
_LEAST_BYTES: Final = 5
"""Bytes a candidate that many candidates have at least: shorter ones than an address and a comma make no list."""
_MOST_FINGERPRINTS: Final = 128
BUILT_IN: Final = "built_in"
_ERRORS: Final = "otelcol_llm_redaction_errors_total"
_DENSE_TEXTS: Final = "otelcol_llm_redaction_budget_exceeded_total"


def _data_urls(over: int) -> re.Pattern[bytes] | None:
    if not over:
        return None
    return re.compile(
        rb"data:[\w.+-]{1,64}/[\w.+-]{1,64};base64,[A-Za-z0-9+/\\]{%d,}+={0,2}" % over
    )


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
        layers: Sequence[Layer] = (),
        data_urls_over: int = 0,
    ) -> None:
        """`audit`: what makes fingerprints of what is found; None: nothing does. `data_urls_over`: 0 leaves them."""
        self.engine = engine
        self._actions = actions
        self._allowed = allowed
        self.stats = stats
        self._dry_run = dry_run
        self._audit = audit
        self.layers = tuple(layers)
        self._data_urls = _data_urls(data_urls_over)
        stats.from_zero(_ERRORS, [BUILT_IN, *(layer.name for layer in layers)])
        stats.from_zero(_DENSE_TEXTS)

    def clean(
        self, text: bytes, spans: Spans | None, key: str, place: str, receipt: Receipt
    ) -> bytes | None:
        """Return the clean text, None when it stays."""
        try:
            matches = self.matches(text, spans, key)
        except Exception:  # noqa: BLE001 - whatever it was, the text must not go on
            return self._failed(BUILT_IN, key, receipt)
        for layer in self.layers:
            if layer.wants(key.encode()):
                try:
                    matches = resolve(text, [*matches, *self._exempted(text, layer.find(text))])
                except Exception:  # noqa: BLE001 - the same, unless the user takes the risk
                    failed = self._failed(layer.name, key, receipt)
                    if layer.redact_on_error:
                        return failed
        return self._write(text, matches, key, place, receipt) if matches else None

    def _failed(self, detector: str, key: str, receipt: Receipt) -> bytes | None:
        self.stats.counters[_ERRORS, detector] += 1
        receipt.add("ERROR", "replace", key)
        return None if self._dry_run else ERROR

    def matches(self, text: bytes, spans: Spans | None = None, key: str = "") -> list[Match]:
        """Return what is to be acted on: found and not exempted."""
        if spans is None:
            spans = self.engine.scan(text)
        if len(spans) > _MOST_CANDIDATES or (
            len(spans) > _MANY_CANDIDATES and len(text) < _LEAST_BYTES * len(spans)
        ):
            self.stats.counters[_DENSE_TEXTS,] += 1
            return [Match(0, len(text), "DENSE", 1.0)]
        found = self.engine.find(text, spans, key)
        more = self._hidden(text, key)
        if self._data_urls is not None and b";base64," in text:
            urls = self._data_urls.finditer(text)
            more += [Match(*url.span(), "DATA_URL", 1.0) for url in urls]
        return self._exempted(text, resolve(text, [*found, *more]) if more else found)

    def _hidden(self, text: bytes, key: str) -> list[Match]:
        """Return what only shows when `\\u0040` is read as `@`."""
        plain = Unescaped(text) if b"\\u00" in text else None
        if not plain:
            return []
        return [
            Match(*plain.raw(m.start, m.end), m.entity, m.score)
            for m in self.engine.find(plain.text, None, key)
        ]

    def _exempted(self, text: bytes, found: list[Match]) -> list[Match]:
        if not self._allowed:
            return found
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
        action = self._actions.name(entity)
        row = ("llm_redactions_total", BUILT_IN, entity, place, action)
        self.stats.counters[row] += 1
        if action != "keep":
            receipt.add(entity, action, key)
        if self._audit is not None and len(receipt.fingerprints) < _MOST_FINGERPRINTS:
            marks = self._audit.fingerprints(entity, value)
            receipt.fingerprints += [f"{entity}:{mark}" for mark in marks]
