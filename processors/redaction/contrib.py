"""The contrib processor: `redaction` with contrib's keys alone.

Invariants
- One scan of the request's bytes decides what is looked at. Where nothing is found, the very same batch goes on.
- What an earlier processor wrote is scanned as well, by itself.
- Resources, scopes and items that no hit touches keep their bytes; nothing is decoded that needs no change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from processors.base import OnError, Stateless
from processors.batch import Batch, Element, LogRecord, Signal, Span
from processors.redaction.body import BodyRules
from processors.redaction.failing import without_content
from processors.redaction.go_text import as_string
from processors.redaction.rules import Config, Rules, Verdict
from processors.redaction.summary import Summary, SummaryLevel
from processors.redaction.walk import (
    Edit,
    Found,
    Hits,
    elements,
    everywhere,
    replace_field,
    request_layout,
    rewrite,
)
from processors.wire import (
    STRING,
    decode_value,
    delimited,
    encode_value,
    key_value,
    read_varint,
)

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
        editor = RuleEditor(rules, Hits(rules.blocked.scan(batch.raw)), bodies=logs)
        near = editor.near
        if not batch.decoded:
            if near(0) < len(batch.raw):
                self._rewrite(batch, editor)
            return batch
        for element in elements(batch):
            edits, place = element.edits, element.place
            if place is None or (edits and self._has_written(rules, edits)):
                self._whole(rules, element)
            elif near(place[1]) < place[2]:
                self._as_it_came(rules, element, editor)
        return batch

    def _rewrite(self, batch: Batch, editor: RuleEditor) -> None:
        """Change the request as a whole: nobody looked inside yet."""
        raw = batch.raw
        new = rewrite(raw, 0, len(raw), self._requests[batch.signal], editor)
        if new is not None:
            batch.recode(new)

    def _as_it_came(self, rules: Rules, element: Element, editor: RuleEditor) -> None:
        """Change the bytes of the request below what earlier processors wrote, where the two can be told apart."""
        edits, place = element.edits, element.place
        apart = not edits or edits.keys().isdisjoint(element.view.attributes)
        if place is None or not apart or not rules.by_hits:
            self._whole(rules, element)
            return
        new = rewrite(*place, rules.layouts[type(element)], editor)
        if new is not None:
            element.rebase(new)

    def _whole(self, rules: Rules, element: Element) -> None:
        """Change an element together with what earlier processors wrote."""
        body = element.body()
        hits = Hits(rules.blocked.scan(body))
        editor = RuleEditor(rules, hits, bodies=isinstance(element, LogRecord))
        new = rewrite(body, 0, len(body), rules.layouts[type(element)], editor)
        if new is not None:
            element.replace(new)

    def _has_written(self, rules: Rules, edits: Mapping[str, object]) -> bool:
        """Say whether what earlier processors wrote holds something to look at. They write few different texts, so
        clean ones are remembered: a scan of each costs 3 µs a span."""
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


class RuleEditor:
    """Applies `Rules` to one buffer. `hits`: what the scan of that very buffer found.

    `bodies`: log bodies may stand in it. A scan of bytes sees no number, and contrib looks at those in bodies, so every
    body is gone to.
    """

    def __init__(self, rules: Rules, hits: Hits, *, bodies: bool = False) -> None:
        self._rules = rules
        self._hits = hits
        self._body: Summary | None = None
        self._near: Callable[[int], int] = hits.near if rules.by_hits else everywhere
        self.near: Callable[[int], int] = everywhere if bodies else self._near
        self.every = rules.level is not SummaryLevel.SILENT or bool(rules.sanitizers)

    def text(self, buf: bytes, found: Found, place: str) -> bytes | None:
        """Leave it: contrib looks at attributes and bodies only."""
        return None

    def value(self, buf: bytes, found: Found, place: str) -> bytes | None:
        """Redact a log body."""
        is_text = found.start < found.end and buf[found.start] == STRING
        if is_text and self._near(found.frame) >= found.end:
            return None
        body = BodyRules(self._rules)
        new = encode_value(body.edit(decode_value(buf, found.start, found.end)))
        self._body = body.summary
        return None if new == buf[found.start : found.end] else new

    def message(self, body: bytes, kind: str) -> bytes | None:
        """Clean the name of a span, or write the summary of a log's body, after the attributes."""
        if kind == "span":
            return self._span_name(body)
        summary, self._body = self._body, None
        if not summary:
            return None
        record = LogRecord.alone(body)
        for key, value in summary.attributes(
            self._rules.level, {key: record.get(key) for key in record.view.attributes}
        ).items():
            record.set(key, value)
        return record.body()

    def _span_name(self, body: bytes) -> bytes | None:
        span = Span.alone(body)
        if self._rules.allowed(span.name.encode()):
            return None
        name = self._rules.sanitizers.span_name(span)
        return None if name is None else replace_field(body, 0x2A, name.encode())

    def attributes(
        self, buf: bytes, tag: int, fields: Sequence[Found], place: str
    ) -> tuple[list[Edit], list[bytes]]:
        rules, summary = self._rules, Summary()
        edits: list[Edit] = []
        system = rules.sanitizers.system(buf, fields) if rules.sanitizers else ""
        for found in fields:
            if self._near(found.frame) >= found.end:
                continue
            key, start, end = key_value(buf, found.start, found.end)
            verdict = rules.keys.verdict(key)
            if verdict == "ignore":
                summary.ignored.append(key)
            elif verdict == "delete":
                summary.redacted.append(key)
                edits.append((found.frame, found.end, b""))
            else:
                new = self._value(buf, key, start, end, verdict, system, summary)
                if new is not None:
                    body = delimited(b"\x0a", key) + delimited(b"\x12", delimited(b"\x0a", new))
                    edits.append((found.frame, found.end, delimited(bytes((tag,)), body)))
        if rules.level is SummaryLevel.SILENT or not summary:
            return edits, []
        return summary.write(rules.level, buf, tag, fields, edits)

    def _value(
        self,
        buf: bytes,
        key: bytes,
        start: int,
        end: int,
        verdict: Verdict,
        system: str,
        summary: Summary,
    ) -> bytes | None:
        """Return the new text of an attribute, None when it stays."""
        rules = self._rules
        text, offset = _text(buf, start, end, rules.all_types)
        if rules.allowed(text):
            summary.allowed.append(key)
            return None
        if verdict == "mask":
            summary.masked.append(key)
            return rules.mask_lines(text)
        known = self._hits.inside(offset, offset + len(text)) if offset else None
        new = rules.blocked.clean(text, known)
        if rules.sanitizers:
            new = rules.sanitizers.attribute(new, key, system)
        if new == text:
            return None
        summary.masked.append(key)
        return new


def _text(buf: bytes, start: int, end: int, all_types: bool) -> tuple[bytes, int]:
    """Return the text of the AnyValue in buf[start:end] and where it stands; 0: not in the buffer as it is."""
    if start < end and buf[start] == STRING:
        size, at = read_varint(buf, start + 1)
        if at + size == end:
            return buf[at:end], at
    value = decode_value(buf, start, end)
    if isinstance(value, str) or all_types:
        return as_string(value).encode("utf-8", "replace"), 0
    return b"", 0
