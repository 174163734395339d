"""What contrib's rules do with attributes, log bodies and span names that `walk` leads to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from processors.batch import LogRecord, Span
from processors.redaction.body import BodyRules
from processors.redaction.go_text import as_string
from processors.redaction.rules import Rules, Verdict
from processors.redaction.summary import Summary, SummaryLevel
from processors.redaction.walk import (
    Edit,
    Found,
    Hits,
    Layout,
    everywhere,
    replace_field,
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

    def rewrite(self, buf: bytes, start: int, end: int, layout: Layout) -> bytes | None:
        """Return the new encoding of the message in buf[start:end], None when nothing in it changes."""
        return rewrite(buf, start, end, layout, self)

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
        text = _text(buf, start, end, rules.all_types)
        if rules.allowed(text):
            summary.allowed.append(key)
            return None
        if verdict == "mask":
            summary.masked.append(key)
            return rules.mask_lines(text)
        new = rules.blocked.clean(text)
        if rules.sanitizers:
            new = rules.sanitizers.attribute(new, key, system)
        if new == text:
            return None
        summary.masked.append(key)
        return new


def _text(buf: bytes, start: int, end: int, all_types: bool) -> bytes:
    """Return the text of the AnyValue in buf[start:end]."""
    if start < end and buf[start] == STRING:
        size, at = read_varint(buf, start + 1)
        if at + size == end:
            return buf[at:end]
    value = decode_value(buf, start, end)
    if isinstance(value, str) or all_types:
        return as_string(value).encode("utf-8", "replace")
    return b""
