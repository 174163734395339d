"""Where text stands in OTLP messages, and how to change it there while every other byte stays.

`rewrite` follows a `Layout` down the wire format of a message and asks an `Editor` about what it finds. Whatever is not
edited keeps its bytes and its order; untouched subtrees are skipped by their length when the editor knows where its
hits are. Numbers: opentelemetry-proto 1.10.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeAlias

from processors.batch import Batch, Element, LogRecord, Metric, Resource, Scope, Signal, Span
from processors.wire import delimited, read_varint, skip

_NEVER: Final = 1 << 62
DROPPED: Final = bytes(bytearray(b"dropped"))
"""What `Editor.message` returns, this very object, to have its message taken out of what holds it."""

Edit: TypeAlias = tuple[int, int, bytes]
"""Replace buf[start:end] by these bytes."""


class Found(NamedTuple):
    """One length-delimited field: its tag is at `frame`, its body is buf[start:end]."""

    frame: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What of a message is looked at, by tag byte."""

    place: str = ""
    """Name of the message's attributes in receipts and in a scope."""
    attributes: int = 0
    """Tag of the repeated KeyValue; 0: it has none."""
    texts: Mapping[int, str] = field(default_factory=dict)
    """Tag of a plain string → its place."""
    values: Mapping[int, str] = field(default_factory=dict)
    """Tag of an AnyValue → its place."""
    children: Mapping[int, Layout] = field(default_factory=dict)
    kind: str = ""
    """What the message is called where the editor is asked about it as a whole, after its parts; empty: it is not."""


class Hits:
    """Where in a buffer a scan found something: spans in order, not overlapping. Quick when asked left to right."""

    __slots__ = ("_at", "_ends", "_starts")

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self._starts = [*[span[0] for span in spans], _NEVER]
        self._ends = [*[span[1] for span in spans], _NEVER]
        self._at = 0

    def __bool__(self) -> bool:
        return len(self._starts) > 1

    def near(self, offset: int) -> int:
        """Return where the next byte of a span stands, at an offset or behind it."""
        ends, at = self._ends, self._at
        if ends[at] <= offset:
            self._at = at = bisect_right(ends, offset, at)
        elif at and ends[at - 1] > offset:
            self._at = at = bisect_right(ends, offset, 0, at)
        start = self._starts[at]
        return start if start > offset else offset

    def inside(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return the spans that touch buf[start:end], cut at its borders."""
        near = self.near(start)
        if near >= end:
            return []
        starts, ends, at = self._starts, self._ends, self._at
        found = [(near, ends[at])]
        while starts[at + 1] < end:
            at += 1
            found.append((starts[at], ends[at]))
        if ends[at] > end:
            found[-1] = found[-1][0], end
        return found


class Editor(Protocol):
    """What is done with what `rewrite` finds. Offsets are those of the buffer it walks."""

    every: bool
    """Whether `attributes` is handed all of a message's attributes, once one is touched, not those alone."""
    near: Callable[[int], int]
    """(offset) → where the next byte stands that may have to change, at the offset or behind it."""

    def attributes(
        self, buf: bytes, tag: int, fields: Sequence[Found], place: str
    ) -> tuple[list[Edit], list[bytes]]:
        """Edit the attributes of one message; returns edits and encoded bodies of KeyValues to append."""

    def text(self, buf: bytes, found: Found, place: str) -> bytes | None:
        """Return a string field's new text, None to leave it."""

    def value(self, buf: bytes, found: Found, place: str) -> bytes | None:
        """Return an AnyValue's new encoding, None to leave it."""

    def message(self, body: bytes, kind: str) -> bytes | None:
        """Edit a whole message (`Layout.kind`), its parts done; None to leave it."""


def rewrite(buf: bytes, start: int, end: int, layout: Layout, editor: Editor) -> bytes | None:
    """Return the new encoding of the message in buf[start:end], None when nothing in it changes."""
    edits: list[Edit] = []
    fields: list[Found] = []
    every, attribute = editor.every, layout.attributes
    at, near = start, editor.near(start)
    while at < end:
        tag = buf[at]
        if tag & 7 != 2 or tag > 127:
            at = skip(buf, at)
            continue
        size, body = buf[at + 1], at + 2
        if size > 127:
            size, body = read_varint(buf, at + 1)
        behind = body + size
        if near < at:
            near = editor.near(at)
        if near < behind or every:
            if tag == attribute:
                fields.append(Found(at, body, behind))
            elif near < behind:
                new = _part(buf, tag, Found(at, body, behind), layout, editor)
                if new is not None:
                    frame = b"" if new is DROPPED else delimited(buf[at : at + 1], new)
                    edits.append((at, behind, frame))
        at = behind
    added: list[bytes] = []
    if fields:
        changed, added = editor.attributes(buf, attribute, fields, layout.place)
        edits += changed
    return _finish(buf, start, end, layout, editor, edits, added)


def _part(buf: bytes, tag: int, found: Found, layout: Layout, editor: Editor) -> bytes | None:
    """Return the new body of one field that holds no attribute."""
    child = layout.children.get(tag)
    if child is not None:
        return rewrite(buf, found.start, found.end, child, editor)
    if tag in layout.texts:
        return editor.text(buf, found, layout.texts[tag])
    if tag in layout.values:
        return editor.value(buf, found, layout.values[tag])
    return None


def _finish(
    buf: bytes,
    start: int,
    end: int,
    layout: Layout,
    editor: Editor,
    edits: list[Edit],
    added: list[bytes],
) -> bytes | None:
    changed = splice(buf, start, end, edits) if edits else None
    if added:
        tag = bytes((layout.attributes,))
        tail = b"".join([delimited(tag, body) for body in added])
        changed = (buf[start:end] if changed is None else changed) + tail
    if layout.kind:
        body = buf[start:end] if changed is None else changed
        finished = editor.message(body, layout.kind)
        return changed if finished is None else finished
    return changed


def splice(buf: bytes, start: int, end: int, edits: list[Edit]) -> bytes:
    """Return buf[start:end] with the edits made. They MUST NOT overlap; sorts them."""
    edits.sort()
    pieces: list[bytes] = []
    for first, last, new in edits:
        pieces += (buf[start:first], new)
        start = last
    pieces.append(buf[start:end])
    return b"".join(pieces)


def replace_field(body: bytes, tag: int, new: bytes) -> bytes:
    """Return the message with one string field in place of all of that tag; appended when there was none."""
    edits: list[Edit] = []
    field_bytes = delimited(bytes((tag,)), new)
    at = 0
    while at < len(body):
        behind = skip(body, at)
        if body[at] == tag:
            edits.append((at, behind, b"" if edits else field_bytes))
        at = behind
    return splice(body, 0, len(body), edits) if edits else body + field_bytes


# ------------------------------------------------------------------ what contrib looks at: attributes and log bodies

_EVENT: Final = Layout(place="event", attributes=0x1A)
_POINTS: Final = {
    0x2A: 0x3A,  # gauge: NumberDataPoint.attributes = 7
    0x3A: 0x3A,  # sum
    0x4A: 0x4A,  # histogram: 9
    0x52: 0x0A,  # exponential histogram: 1
    0x5A: 0x3A,  # summary: 7
}
CONTRIB: Final[Mapping[type[Element], Layout]] = {
    Resource: Layout(place="resource", attributes=0x0A),
    Scope: Layout(place="scope", attributes=0x1A),
    Span: Layout(place="span", attributes=0x4A, children={0x5A: _EVENT}),
    LogRecord: Layout(place="log", attributes=0x32, values={0x2A: "body"}),
    Metric: Layout(
        children={
            kind: Layout(children={0x0A: Layout(place="datapoint", attributes=tag)})
            for kind, tag in _POINTS.items()
        }
    ),
}

# ------------------------------------------------------------------ everything that can carry text

_TEXT_EVENT: Final = Layout(place="events", texts={0x12: "events"}, attributes=0x1A, kind="event")
_LINK: Final = Layout(place="links", texts={0x1A: "trace_state"}, attributes=0x22, kind="link")
_STATUS: Final = Layout(place="status", texts={0x12: "status"})
_EXEMPLARS: Final = {0x2A: 0x2A, 0x3A: 0x2A, 0x4A: 0x42, 0x52: 0x5A}
"""Tag of a metric's kind → tag of the exemplars in its points; their filtered attributes are field 7."""


def _points(kind: int, attributes: int) -> Layout:
    exemplar = Layout(place="datapoints", attributes=0x3A)
    children = {_EXEMPLARS[kind]: exemplar} if kind in _EXEMPLARS else {}
    point = Layout(place="datapoints", attributes=attributes, children=children)
    return Layout(children={0x0A: point})


EVERYTHING: Final[Mapping[type[Element], Layout]] = {
    Resource: Layout(place="resource", attributes=0x0A, kind="resource"),
    Scope: Layout(
        place="scope", texts={0x0A: "scope", 0x12: "scope"}, attributes=0x1A, kind="scope"
    ),
    Span: Layout(
        place="attributes",
        texts={0x1A: "trace_state", 0x2A: "name"},
        attributes=0x4A,
        children={0x5A: _TEXT_EVENT, 0x6A: _LINK, 0x7A: _STATUS},
        kind="span",
    ),
    LogRecord: Layout(
        place="attributes",
        texts={0x1A: "severity", 0x62: "name"},
        attributes=0x32,
        values={0x2A: "body"},
        kind="log",
    ),
    Metric: Layout(
        place="metric",
        texts={0x0A: "metric", 0x12: "metric", 0x1A: "metric"},
        attributes=0x62,
        kind="metric",
        children={kind: _points(kind, attributes) for kind, attributes in _POINTS.items()},
    ),
}

ITEM: Final[Mapping[Signal, type[Element]]] = {
    Signal.TRACES: Span,
    Signal.LOGS: LogRecord,
    Signal.METRICS: Metric,
}


def request_layout(layouts: Mapping[type[Element], Layout], signal: Signal) -> Layout:
    """Return the layout of a whole export request."""
    scopes = Layout(texts=GROUP_TEXTS, children={0x0A: layouts[Scope], 0x12: layouts[ITEM[signal]]})
    groups = Layout(texts=GROUP_TEXTS, children={0x0A: layouts[Resource], 0x12: scopes})
    return Layout(children={0x0A: groups})


GROUP_TEXTS: Final = {0x1A: "schema_url"}
"""The schema URL of a resource or scope group."""


def elements(batch: Batch) -> Iterator[Element]:
    """Yield everything in a batch that has attributes."""
    for group in batch.groups:
        yield group.resource
        for scope in group.scopes:
            yield scope.scope
            if scope.dropped:
                yield from [item for item in scope.items if not item.dropped]
            else:
                yield from scope.items


def everywhere(offset: int) -> int:
    """Look at everything: an `Editor.near`."""
    return offset
