"""Our processor: entities found everywhere text can be, each treated as its action says.

Invariants
- Fails closed per text (`Cleaner`), per batch by `fail_closed`; other texts are not touched by one that fails.
- One scan of the request decides what is looked at; where it finds nothing, the very same batch goes on.
- Keys and values, names and messages are visited; numbers, ids and times are not.
- Idempotent: nothing that is written is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, Literal

from processors import semconv
from processors.base import OnError, Stateless
from processors.batch import Batch, Element, LogRecord, Resource, Scope, Signal, Span
from processors.redaction.actions import Pseudonyms
from processors.redaction.cleaner import Cleaner, Receipt
from processors.redaction.contrib import ContribRedaction
from processors.redaction.detectors import ENTITIES
from processors.redaction.engine import Engine
from processors.redaction.escapes import ESCAPED
from processors.redaction.external import layers
from processors.redaction.failing import without_content
from processors.redaction.policy import (
    Actions,
    Allowed,
    Config,
    contexts,
    custom_detectors,
    selected,
)
from processors.redaction.regexp import Pattern
from processors.redaction.shapes import shape
from processors.redaction.walk import (
    DROPPED,
    EVERYTHING,
    Edit,
    Found,
    Hits,
    elements,
    everywhere,
    request_layout,
    rewrite,
)
from processors.text import edit_pair, edit_value
from processors.wire import (
    Value,
    decode_value,
    delimited,
    encode_key_value,
    encode_value,
    key_value,
)

Verdict = Literal["skip", "secret", "pseudonym", "scan"]
_KNOWN_KEYS = 8192
"""Bound of the table of keys already judged: keys come from the network."""
_DONE = (b"[", b"****", b"__REDACTED__", b"<REDACTED>")
"""How values begin that somebody masked already."""


class EntityRedaction(Stateless):
    """`redaction` with any key of ours."""

    on_error: ClassVar[OnError] = OnError.DROP_CONTENT

    def __init__(
        self, config: Config, pseudonyms: Pseudonyms | None, first: ContribRedaction | None = None
    ) -> None:
        """Compile everything. `first`: what contrib's keys ask for, done before. Raises: `PatternError`."""
        super().__init__()
        self._first = first
        self.rules = _Rules(config, pseudonyms, self)
        self._requests = {signal: request_layout(EVERYTHING, signal) for signal in Signal}

    def process(self, batch: Batch) -> Batch:
        """Redact in place."""
        if self._first is not None:
            self._first.process(batch)
        engine = self.rules.cleaner.engine
        self.stats.counters["otelcol_llm_redaction_scanned_bytes_total",] += len(batch.raw)
        hits = Hits(engine.scan(batch.raw))
        if not batch.decoded:
            if hits or self.rules.cleaner.layers:
                raw = batch.raw
                editor = EntityEditor(self.rules, hits, batch.signal)
                new = rewrite(raw, 0, len(raw), self._requests[batch.signal], editor)
                if new is not None:
                    batch.recode(new)
            return batch
        for element in elements(batch):
            self._element(element, hits, batch.signal)
        return batch

    def _element(self, element: Element, hits: Hits, signal: Signal) -> None:
        place = element.place
        written = any(map(self._notable, element.edits.values()))
        layered = bool(self.rules.cleaner.layers)
        touched = place is None or hits.near(place[1]) < place[2]
        if not (written or touched or layered):
            return
        if place is None or element.touched:
            body = element.body()
            place = body, 0, len(body)
            hits = Hits(self.rules.cleaner.engine.scan(body))
        editor = EntityEditor(self.rules, hits, signal)
        new = rewrite(*place, EVERYTHING[type(element)], editor)
        if new is DROPPED and isinstance(element, LogRecord):
            element.dropped = True
        elif new is not None:
            element.replace(new)

    def _notable(self, value: object) -> bool:
        """Say whether what an earlier processor wrote holds something to look at."""
        if isinstance(value, (str, list, dict)):
            return bool(self.rules.cleaner.engine.scan(encode_value(value)))
        return False

    def fail_closed(self, batch: Batch) -> Batch | None:
        """Return the batch without anything that can carry content."""
        return without_content(batch)


class _Rules:
    """The compiled form of a `Config`."""

    def __init__(self, config: Config, pseudonyms: Pseudonyms | None, owner: Stateless) -> None:
        wanted = selected(config)
        built_in = [d for name in wanted if name in ENTITIES for d in ENTITIES[name].detectors]
        detectors = [
            d for d in (*built_in, *custom_detectors(config)) if d.score >= config.min_confidence
        ]
        notable = [
            ESCAPED,
            *([";base64,"] if config.data_urls["over"] else []),
            *(shape(s).relaxed for s in config.secret_keys),
            *map(_literal, config.pseudonym_keys),
        ]
        engine = Engine(detectors, contexts=contexts(config), notable=notable)
        actions = Actions(config, pseudonyms)
        self.cleaner = Cleaner(
            engine,
            actions,
            Allowed(config.allow_values),
            owner.stats,
            dry_run=config.dry_run,
            audit=pseudonyms if config.audit else None,
            layers=layers(config.detectors),
            data_urls_over=config.data_urls["over"],
        )
        self.pseudonyms = pseudonyms
        self.dry_run = config.dry_run
        self.summary = config.summary
        self.places = frozenset(config.scope["places"])
        self._secret = [Pattern(source) for source in config.secret_keys]
        self._people = frozenset(key.encode() for key in config.pseudonym_keys)
        self._ignored = frozenset(key.encode() for key in config.ignored_keys)
        skipped = (*config.ignored_key_patterns, *config.scope["exclude_keys"])
        self._skipped = [Pattern(source) for source in skipped]
        self._included = [Pattern(source) for source in config.scope["include_keys"]]
        self._judged: dict[bytes, Verdict] = {}

    def verdict(self, key: bytes) -> Verdict:
        """Judge an attribute by its key; remembers the answer."""
        known = self._judged.get(key)
        if known is None:
            known = self._judge(key)
            if len(self._judged) < _KNOWN_KEYS:
                self._judged[key] = known
        return known

    def _judge(self, key: bytes) -> Verdict:
        if key in self._ignored or any(p.search(key) for p in self._skipped):
            return "skip"
        if key in self._people:
            return "pseudonym"
        if any(p.search(key) for p in self._secret):
            return "secret"
        wanted = not self._included or any(p.search(key) for p in self._included)
        return "scan" if wanted else "skip"


def _literal(text: str) -> str:
    return "".join(char if char.isalnum() or char == "_" else f"\\{char}" for char in text)


class EntityEditor:
    """Cleans one buffer. `hits`: what the scan of that very buffer found."""

    def __init__(self, rules: _Rules, hits: Hits, signal: Signal) -> None:
        self._rules = rules
        self._hits = hits
        self._receipt = Receipt()
        # Where a record is, that `drop_record` can take away. Spans and data points never are.
        in_logs = {"attributes", "body", "name", "severity"} if signal is Signal.LOGS else set()
        self._layered = bool(rules.cleaner.layers)
        # A further layer may find what no scan names.
        self.near: Callable[[int], int] = everywhere if self._layered else hits.near
        self.every = False
        self._droppable = {"events", "links", *in_logs}

    def text(self, buf: bytes, found: Found, place: str) -> bytes | None:
        """Clean a name or message."""
        new = self._visit(buf, found.start, found.end, place, place)
        self._drops(place)
        return new

    def value(self, buf: bytes, found: Found, place: str) -> bytes | None:
        """Clean a log body."""
        if place not in self._rules.places or self.near(found.frame) >= found.end:
            return None

        def visit(inner: bytes, start: int, end: int, key: bytes) -> bytes | None:
            return self._under(inner, buf, start, end, key, place)

        return edit_value(buf, found.start, found.end, b"", visit)

    def attributes(
        self, buf: bytes, tag: int, fields: Sequence[Found], place: str
    ) -> tuple[list[Edit], list[bytes]]:
        if place not in self._rules.places:
            return [], []
        edits: list[Edit] = []
        head = bytes((tag,))
        for found in fields:
            if self.near(found.frame) >= found.end:
                continue
            new = self._attribute(buf, found, place)
            if new is not None:
                edits.append((found.frame, found.end, new and delimited(head, new)))
        return edits, []

    def _attribute(self, buf: bytes, found: Found, place: str) -> bytes | None:
        """Return the new KeyValue, empty to drop it, None to leave it."""
        key, start, end = key_value(buf, found.start, found.end)
        verdict = self._rules.verdict(key)
        if verdict == "skip":
            return None
        if verdict == "pseudonym":
            return self._pseudonym(buf, key, start, end, place)

        def visit(inner: bytes, first: int, last: int, name: bytes) -> bytes | None:
            if verdict == "secret" and name:
                return self._secret(inner[first:last], key, place)
            return self._under(inner, buf, first, last, name or key, place)

        new = edit_pair(buf, found.start, found.end, visit)
        return b"" if self._drops(place) else new

    def _drops(self, place: str) -> bool:
        """Say whether the attribute at hand has to go; takes the wish back where it is fulfilled by that."""
        receipt = self._receipt
        drops = receipt.drop_attribute or (receipt.drop_record and place not in self._droppable)
        receipt.drop_attribute = False
        receipt.drop_record = receipt.drop_record and place in self._droppable
        return drops and not self._rules.dry_run

    def _pseudonym(self, buf: bytes, key: bytes, start: int, end: int, place: str) -> bytes | None:
        """Put a pseudonym for a person's id."""
        value: Value = decode_value(buf, start, end)
        if self._rules.pseudonyms is None or isinstance(value, (bool, float, bytes, list, dict)):
            return None
        text = "" if value is None else str(value)
        new = self._rules.pseudonyms.user(text.encode("utf-8", "replace")).decode()
        if not text or new == value:
            return None
        name = key.decode("utf-8", "replace")
        self._rules.cleaner.count("USER", place, name, self._receipt, text.encode())
        return None if self._rules.dry_run else encode_key_value(name, new)

    def _secret(self, value: bytes, key: bytes, place: str) -> bytes | None:
        """Replace a value whose key says that it is one."""
        if not value or value.startswith(_DONE):
            return None
        name = key.decode("utf-8", "replace")
        self._rules.cleaner.count("SECRET", place, name, self._receipt, value)
        return None if self._rules.dry_run else b"[SECRET]"

    def _under(
        self, inner: bytes, buf: bytes, start: int, end: int, key: bytes, place: str
    ) -> bytes | None:
        """Clean a string under a key; `inner` is `buf`, or a copy of a key."""
        name = key.decode("utf-8", "replace")
        if inner is buf:
            return self._visit(buf, start, end, name, place)
        spans = self._rules.cleaner.engine.scan(inner)
        if not spans:
            return None
        return self._rules.cleaner.clean(inner, spans, "", place, self._receipt)

    def _visit(self, buf: bytes, start: int, end: int, key: str, place: str) -> bytes | None:
        if place not in self._rules.places:
            return None
        spans = [(first - start, last - start) for first, last in self._hits.inside(start, end)]
        if not spans and not self._layered:
            return None
        return self._rules.cleaner.clean(buf[start:end], spans, key, place, self._receipt)

    def message(self, body: bytes, kind: str) -> bytes | None:
        """Write the receipt of a message, or take the message out."""
        receipt = self._receipt
        if receipt.drop_record and not self._rules.dry_run and kind in ("event", "link", "log"):
            receipt.drop_record = False
            return DROPPED
        if kind in ("event", "link"):
            return None  # their receipt is the span's
        self._receipt = Receipt()
        if not receipt or kind == "metric":
            return None
        return self._with_receipt(_ELEMENTS[kind], body, receipt)

    def _with_receipt(self, kind: type[Element], body: bytes, receipt: Receipt) -> bytes | None:
        element = kind.alone(body)
        for key, value in self._summary(receipt).items():
            before = element.get(key)
            if isinstance(before, int) and isinstance(value, int):
                value += before
            elif isinstance(before, list) and isinstance(value, list):
                value = [*before, *(item for item in value if item not in before)]
            element.set(key, value)
        return element.body() if element.edits else None

    def _summary(self, receipt: Receipt) -> dict[str, Value]:
        """Return the attributes that say what was done, never with a value."""
        said: dict[str, Value] = {}
        if self._rules.summary in ("info", "debug") and receipt.entities:
            said[semconv.REDACTION_MASKED_COUNT] = receipt.entities.total()
            said[semconv.REDACTION_ENTITIES] = [*sorted(receipt.entities)]
        if self._rules.summary == "debug" and receipt.entities:
            said[semconv.REDACTION_MASKED_KEYS] = ",".join(sorted(receipt.keys))
        if receipt.fingerprints:
            said[semconv.REDACTION_FINGERPRINTS] = [*receipt.fingerprints]
        return said


_ELEMENTS: Final[Mapping[str, type[Element]]] = {
    "resource": Resource,
    "scope": Scope,
    "span": Span,
    "log": LogRecord,
}
