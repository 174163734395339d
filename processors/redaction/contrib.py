"""The contrib processor: `redaction` with contrib's keys alone.

Invariants
- One scan of the request's bytes decides what is looked at. Where nothing is found, the very same batch goes on.
- What an earlier processor wrote is scanned as well, by itself.
- Resources, scopes and items that no hit touches keep their bytes; nothing is decoded that needs no change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from processors.base import OnError, Stateless
from processors.batch import Batch, Element, LogRecord, Signal
from processors.redaction.editor import RuleEditor
from processors.redaction.failing import without_content
from processors.redaction.masker import Masker
from processors.redaction.rules import Config, Rules
from processors.redaction.walk import Hits, elements, request_layout
from processors.wire import encode_value

_SHORT: Final = 64
_REMEMBERED: Final = 4096


class ContribRedaction(Stateless):
    """`redaction` with contrib's keys alone."""

    on_error: ClassVar[OnError] = OnError.DROP_CONTENT

    def __init__(self, config: Config) -> None:
        """Compile every pattern. Raises: `PatternError`."""
        super().__init__()
        self._clean: set[str] = set()
        plain, logs = Rules(config, sequential_db=False), Rules(config, sequential_db=True)
        self._rules = {Signal.TRACES: plain, Signal.METRICS: plain, Signal.LOGS: logs}
        self._requests = {
            signal: request_layout(rules.layouts, signal) for signal, rules in self._rules.items()
        }

    def process(self, batch: Batch) -> Batch:
        """Redact in place."""
        rules = self._rules[batch.signal]
        logs = batch.signal is Signal.LOGS
        editor = _editor(rules, Hits(rules.blocked.scan(batch.raw)), bodies=logs)
        near = editor.near
        found = near(0) < len(batch.raw)
        if not batch.decoded:
            if found:
                self._rewrite(batch, editor)
            return batch
        for element in elements(batch):
            edits, place = element.edits, element.place
            if place is None or (edits and self._has_written(rules, edits)):
                self._whole(rules, element)
            elif found and near(place[1]) < place[2]:
                self._as_it_came(rules, element, editor)
        return batch

    def _rewrite(self, batch: Batch, editor: RuleEditor) -> None:
        """Change the request as a whole: nobody looked inside yet."""
        raw = batch.raw
        new = editor.rewrite(raw, 0, len(raw), self._requests[batch.signal])
        if new is not None:
            batch.recode(new)

    def _as_it_came(self, rules: Rules, element: Element, editor: RuleEditor) -> None:
        """Change the bytes of the request below what earlier processors wrote, where the two can be told apart."""
        edits, place = element.edits, element.place
        apart = rules.plain or not edits or _apart(element, edits)
        if place is None or not apart or not rules.by_hits:
            self._whole(rules, element)
            return
        new = editor.rewrite(*place, rules.layouts[type(element)])
        if new is not None:
            element.rebase(new)

    def _whole(self, rules: Rules, element: Element) -> None:
        """Change an element together with what earlier processors wrote."""
        body = element.body()
        hits = Hits(rules.blocked.scan(body))
        editor = _editor(rules, hits, bodies=isinstance(element, LogRecord))
        new = editor.rewrite(body, 0, len(body), rules.layouts[type(element)])
        if new is not None:
            element.replace(new)

    def _has_written(self, rules: Rules, edits: Mapping[str, object]) -> bool:
        """Say whether what earlier processors wrote holds something to look at. They write few different texts, so
        clean ones are remembered: a scan of each costs 3 µs a span."""
        if not rules.by_hits:
            return True
        clean = self._clean
        for value in edits.values():
            if type(value) is str:
                if value not in clean and not self._is_clean(rules, value):
                    return True
            elif isinstance(value, (list, dict)) and rules.blocked.scan(encode_value(value)):
                return True
        return False

    def _is_clean(self, rules: Rules, text: str) -> bool:
        if rules.blocked.scan(text.encode("utf-8", "replace")):
            return False
        if len(text) <= _SHORT:
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean.add(text)
        return True

    def fail_closed(self, batch: Batch) -> Batch | None:
        """Return the batch without anything that can carry content."""
        return without_content(batch)


def _apart(element: Element, edits: Mapping[str, object]) -> bool:
    """Say whether what was written touches neither an attribute that came nor a summary to be added to."""
    summed = any(key.startswith("redaction.") for key in edits)
    return not summed and edits.keys().isdisjoint(element.view.attributes)


def _editor(rules: Rules, hits: Hits, *, bodies: bool) -> RuleEditor:
    return (
        Masker(rules, hits)
        if rules.plain and not bodies
        else RuleEditor(rules, hits, bodies=bodies)
    )
