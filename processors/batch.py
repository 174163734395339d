"""Batch, Span: OTLP bytes and views of their attributes. The only module that knows the layout of OTLP requests.

Invariants
- A batch nobody touched encodes to the very same bytes object.
- A batch is walked at most once, on first use, and each span is indexed at most once, whoever asks.
- What is not edited keeps its bytes: unknown fields, attribute order and invalid extras leave as they came.
- The bytes MUST be well-formed (`admission.admit` proves it for what comes from outside): nothing here checks bounds.

Format. The three signals share one shape: request → 1: resource group {1: resource, 2: scope group {1: scope, 2: item,
3: schema_url}, 3: schema_url}. An item is a Span, a LogRecord or a Metric. A *frame* is an encoded field, tag and
length included, so frames of one kind are joined by concatenation; an *envelope* is a group without its children.

Why not protobuf objects of the OTLP schema: a kept upb span pins its whole request (586 kB against 3.5 kB as bytes), a
linear scan for a few attributes costs more than a map look-up (`views`), and appending encoded attributes spares the
re-encoding of what nobody changed. `message()` and `replace()` are there for what is really rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from processors.views import PARSE
from processors.wire import (
    Value,
    decode_value,
    delimited,
    encode_key_value,
    encode_value,
    key_value,
    read_varint,
    skip,
    varint,
)

_Owner = TypeVar("_Owner", "Resource", "Scope")


class Signal(Enum):
    """A kind of telemetry: how it is addressed, and what its items are called in metrics and errors."""

    TRACES = ("traces", "spans", "trace", ExportTraceServiceRequest)
    METRICS = ("metrics", "metric_points", "metrics", ExportMetricsServiceRequest)
    LOGS = ("logs", "log_records", "logs", ExportLogsServiceRequest)

    def __init__(self, label: str, items: str, package: str, request: type[Message]) -> None:
        self.label = label
        self.items = items
        self.http_path = f"/v1/{label}"
        service = f"{package.capitalize()}Service"
        self.grpc_method = f"/opentelemetry.proto.collector.{package}.v1.{service}/Export"
        self.request = request


class _Removed:
    """The mark of an attribute that is gone."""

    def __bool__(self) -> bool:
        return False


_REMOVED: Final = _Removed()
_UNEDITED: Final[Mapping[str, Value | _Removed]] = {}


class Element:
    """A message that carries attributes: a resource, a scope, a span or a log record.

    Valid until its batch is dropped; MUST NOT be kept beyond the call that got it (keep `frame()` instead).
    A key that occurs twice (invalid OTLP) reads as its last value and is forwarded as it came.
    """

    __slots__ = ("_buf", "_edits", "_end", "_frame", "_start", "_tail", "_view")

    ATTRIBUTES: ClassVar[bytes]
    """Tag of the repeated KeyValue field."""
    TAG: ClassVar[bytes]
    """Tag of this message inside its parent."""
    MESSAGE: ClassVar[type[Message]]
    PARSE: ClassVar[Callable[[bytes], Any]]

    def __init__(self, buf: bytes, frame: int, start: int, end: int) -> None:
        """Body in buf[start:end]; its tag begins at `frame`, or `frame` is -1 when the body stands alone."""
        self._buf = buf
        self._frame = frame
        self._start = start
        self._end = end
        self._view: Any = None
        self._edits: dict[str, Value | _Removed] | None = None
        self._tail: tuple[bytes, dict[str, Value]] | None = None

    @classmethod
    def alone(cls, body: bytes) -> Self:
        """Wrap an encoded message that is in no batch: an item MUST NOT be asked for its group."""
        element = cls.__new__(cls)
        Element.__init__(element, body, -1, 0, len(body))
        return element

    @property
    def view(self) -> Any:
        """The message as it came, without edits, for reading: see `views`."""
        if self._view is None:
            self._view = type(self).PARSE(self._buf[self._start : self._end])
        return self._view

    # -- attributes

    def keys(self) -> Collection[str]:
        """The attribute keys, edits included, each once."""
        present: Mapping[str, bytes] = (self._view or self.view).attributes
        if not self._edits:
            return present
        edited = dict.fromkeys(present)
        for key, value in self._edits.items():
            if isinstance(value, _Removed):
                edited.pop(key, None)
            else:
                edited[key] = None
        return edited

    def __contains__(self, key: str) -> bool:
        """Whether the attribute is there, with whatever value."""
        if self._edits is not None and key in self._edits:
            return self._edits[key] is not _REMOVED
        return key in (self._view or self.view).attributes

    def get(self, key: str) -> Value:
        """Return the attribute's value; None when it is absent or empty. Lists and dicts are copies."""
        edits = self._edits
        if edits is not None and key in edits:
            edited = edits[key]
            return None if isinstance(edited, _Removed) else edited
        raw = (self._view or self.view).attributes.get(key)
        return decode_value(raw, 0, len(raw)) if raw else None

    def raw(self, key: str) -> bytes | None:
        """Return the attribute's encoded AnyValue as it came (edits do not show); None when it is absent."""
        raw: bytes | None = (self._view or self.view).attributes.get(key)
        return raw

    def encoded(self, key: str) -> bytes | None:
        """Return the attribute's encoded AnyValue, edits included; None when it is absent."""
        if self._edits is None or key not in self._edits:
            return self.raw(key)
        value = self._edits[key]
        return None if isinstance(value, _Removed) else encode_value(value)

    def set(self, key: str, value: Value) -> None:
        """Write the attribute, in place of an old one or behind all others."""
        if self._edits is None:
            self._edits = {}
        self._edits[key] = value
        self._tail = None

    @classmethod
    def fields(cls, values: Mapping[str, Value]) -> bytes:
        """Encode attributes for `append`."""
        tag = cls.ATTRIBUTES
        return b"".join([delimited(tag, encode_key_value(k, v)) for k, v in values.items()])

    def append(self, fields: bytes, values: dict[str, Value]) -> None:
        """Write attributes that MUST NOT be there yet, given as values and as their `fields`.

        Spares the encoding of what many elements have in common: 0.5 µs against 4 µs for eight attributes.
        `values` is the element's from now on.
        """
        if not self._edits:
            self._edits = values  # type: ignore[assignment] # removals are marked only after `set`
        else:
            self._edits.update(values)
            if self._tail is not None:
                before, covered = self._tail
                covered.update(values)  # most often the edits themselves: nothing new then
                fields, values = before + fields, covered
        self._tail = (fields, values)

    def remove(self, key: str) -> None:
        """Take the attribute away; nothing happens when it is absent."""
        if key in self:
            self.set(key, _REMOVED)  # type: ignore[arg-type] # the mark stays inside this class

    def rename(self, old: str, new: str) -> None:
        """Move a value to another key, replacing what is there; nothing happens when `old` is absent."""
        if old in self:
            self.set(new, self.get(old))
            self.remove(old)

    # -- the whole message

    @property
    def touched(self) -> bool:
        """Whether the element differs from the bytes it came in."""
        return self._frame < 0 or bool(self._edits)

    @property
    def place(self) -> tuple[bytes, int, int] | None:
        """Where the body stands as it came, edits aside: a buffer (the batch's `raw`), start and end.

        None once the message was replaced: only `body` has it then.
        """
        return None if self._frame < 0 else (self._buf, self._start, self._end)

    @property
    def edits(self) -> Mapping[str, Value | _Removed]:
        """What was written since the message came in, for hot loops: it goes before `view.attributes`.

        What stands for a removed attribute is false, as absent ones are.
        """
        return self._edits or _UNEDITED

    def body(self) -> bytes:
        """Encode the message, edits included."""
        if not self._edits:
            return self._buf[self._start : self._end]
        return b"".join(self._pieces(self._edits))

    def _pieces(self, edits: Mapping[str, Value | _Removed]) -> list[bytes | memoryview]:
        """Return the encoded message in pieces."""
        came = memoryview(self._buf)[self._start : self._end]
        if self._tail is None:
            return self._merged(came, edits)
        fields, covered = self._tail
        if len(covered) == len(edits):
            return [came, fields]
        others = {key: value for key, value in edits.items() if key not in covered}
        return [*self._merged(came, others), fields]

    def _merged(
        self, came: memoryview, edits: Mapping[str, Value | _Removed]
    ) -> list[bytes | memoryview]:
        present = (self._view or self.view).attributes
        replaced = {key: value for key, value in edits.items() if key in present}
        pieces: list[bytes | memoryview] = [came]
        if replaced:
            pieces = [*self._rewritten(replaced)]
        tag = self.ATTRIBUTES
        pieces += [
            delimited(tag, encode_key_value(key, value))
            for key, value in edits.items()
            if key not in replaced and not isinstance(value, _Removed)
        ]
        return pieces

    def _rewritten(self, edits: Mapping[str, Value | _Removed]) -> Iterator[bytes]:
        """Yield the body in pieces, edited attributes replaced where they stand; a second one of a key goes."""
        wanted = {key.encode(): key for key in edits}
        buf, at, end, attribute = self._buf, self._start, self._end, self.ATTRIBUTES[0]
        kept_from = at
        done: set[str] = set()
        while at < end:
            behind = skip(buf, at)
            if buf[at] == attribute:
                _, start = read_varint(buf, at + 1)
                raw_key = key_value(buf, start, behind)[0]
                if raw_key in wanted:
                    yield buf[kept_from:at]
                    kept_from = behind
                    key = wanted[raw_key]
                    value = edits[key]
                    if key not in done and not isinstance(value, _Removed):
                        yield delimited(self.ATTRIBUTES, encode_key_value(key, value))
                    done.add(key)
            at = behind
        yield buf[kept_from:end]

    def frame(self) -> bytes:
        """Encode the message as a field of its parent, ready to be joined with its neighbours."""
        if self._frame < 0 or self._edits:
            return delimited(self.TAG, self.body())
        return self._buf[self._frame : self._end]

    def message(self) -> Message:
        """Parse a protobuf object of what the element is now. Change it and hand it to `replace`."""
        return self.MESSAGE.FromString(self.body())

    def replace(self, message: Message | bytes) -> None:
        """Put another message, or its encoded body, in place of this one."""
        body = message if isinstance(message, bytes) else message.SerializeToString()
        self.rebase(body)
        self._edits, self._tail = None, None

    def rebase(self, body: bytes) -> None:
        """Put another encoded body in place of the one that came; what was written since stays written."""
        self._buf, self._frame, self._start, self._end = body, -1, 0, len(body)
        self._view = None


class Resource(Element):
    """What sent the telemetry."""

    __slots__ = ()
    ATTRIBUTES = b"\x0a"
    TAG = b"\x0a"
    MESSAGE = resource_pb2.Resource
    PARSE = PARSE["Resource"]


class Scope(Element):
    """The instrumentation scope."""

    __slots__ = ()
    ATTRIBUTES = b"\x1a"
    TAG = b"\x0a"
    MESSAGE = InstrumentationScope
    PARSE = PARSE["Scope"]

    @property
    def name(self) -> str:
        return str(self.view.name)

    @property
    def version(self) -> str:
        return str(self.view.version)


class Item(Element):
    """A span, a log record or a metric: what a request is counted in, with the group it belongs to."""

    __slots__ = ("_dropped", "group")
    TAG = b"\x12"

    def __init__(self, buf: bytes, frame: int, start: int, end: int, group: ScopeGroup) -> None:
        self._buf = buf  # not by super(): one call less for every span
        self._frame = frame
        self._start = start
        self._end = end
        self._view = None
        self._edits = None
        self._tail = None
        self.group = group
        self._dropped = False

    @property
    def dropped(self) -> bool:
        """Whether the item is taken out of its batch; set it to do so."""
        return self._dropped

    @dropped.setter
    def dropped(self, dropped: bool) -> None:
        self.group.dropped += dropped - self._dropped
        self._dropped = dropped

    @property
    def resource(self) -> Resource:
        return self.group.parent.resource

    @property
    def scope(self) -> Scope:
        return self.group.scope

    def carriers(self) -> Sequence[Element]:
        """Return what carries the attributes that people mean: the item itself, or a metric's data points."""
        return (self,)

    def settle(self) -> None:
        """Take over edits of the `carriers`; needed after editing data points."""


class Span(Item):
    """One span. Ids are raw bytes (16, 8, 8 or 0), times Unix nanoseconds; more fields are on `view`."""

    __slots__ = ()
    ATTRIBUTES = b"\x4a"
    MESSAGE = trace_pb2.Span
    PARSE = PARSE["Span"]

    @property
    def trace_id(self) -> bytes:
        at = self._start
        if (
            self._buf[at : at + 2] == b"\x0a\x10"
        ):  # first in every encoder: no parse for those who need no more
            return self._buf[at + 2 : at + 18]
        return bytes(self.view.trace_id)

    @property
    def span_id(self) -> bytes:
        return bytes(self.view.span_id)

    @property
    def parent_span_id(self) -> bytes:
        return bytes(self.view.parent_span_id)

    @property
    def name(self) -> str:
        return str(self.view.name)

    @property
    def kind(self) -> int:
        """0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer."""
        return int(self.view.kind)

    @property
    def start_ns(self) -> int:
        return int(self.view.start_ns)

    @property
    def end_ns(self) -> int:
        return int(self.view.end_ns)

    @property
    def status_code(self) -> int:
        """0 unset, 1 ok, 2 error."""
        return int(self.view.status.code)

    def events(self) -> list[Event]:
        """Return read-only views of the events, in order."""
        return [Event(body, -1, 0, len(body)) for body in self.view.events]


class Event(Element):
    """A span event, for reading; events are changed through `Span.message()`."""

    __slots__ = ()
    ATTRIBUTES = b"\x1a"
    TAG = b"\x5a"
    MESSAGE = trace_pb2.Span.Event
    PARSE = PARSE["Event"]

    @property
    def time_ns(self) -> int:
        return int(self.view.time_ns)

    @property
    def name(self) -> str:
        return str(self.view.name)


class LogRecord(Item):
    """One log record."""

    __slots__ = ()
    ATTRIBUTES = b"\x32"
    MESSAGE = logs_pb2.LogRecord
    PARSE = PARSE["LogRecord"]

    @property
    def time_ns(self) -> int:
        """When it happened, else when it was observed."""
        return int(self.view.time_ns or self.view.observed_ns)

    @property
    def body_value(self) -> Value:
        body = self.view.body
        return decode_value(body, 0, len(body))

    @property
    def trace_id(self) -> bytes:
        return bytes(self.view.trace_id)

    @property
    def span_id(self) -> bytes:
        return bytes(self.view.span_id)

    @property
    def event_name(self) -> str:
        return str(self.view.event_name)


class Point(Element):
    """A data point, for its attributes."""

    __slots__ = ()
    TAG = b"\x0a"


class NumberPoint(Point):
    """A point of a gauge or a sum."""

    __slots__ = ()
    ATTRIBUTES = b"\x3a"
    MESSAGE = metrics_pb2.NumberDataPoint
    PARSE = PARSE["NumberPoint"]


class HistogramPoint(Point):
    """A point of a histogram."""

    __slots__ = ()
    ATTRIBUTES = b"\x4a"
    MESSAGE = metrics_pb2.HistogramDataPoint
    PARSE = PARSE["HistogramPoint"]


class ExponentialHistogramPoint(Point):
    """A point of an exponential histogram."""

    __slots__ = ()
    ATTRIBUTES = b"\x0a"
    MESSAGE = metrics_pb2.ExponentialHistogramDataPoint
    PARSE = PARSE["ExponentialHistogramPoint"]


class SummaryPoint(Point):
    """A point of a summary."""

    __slots__ = ()
    ATTRIBUTES = b"\x3a"
    MESSAGE = metrics_pb2.SummaryDataPoint
    PARSE = PARSE["NumberPoint"]


_POINTS: Final[Mapping[int, type[Point]]] = {
    0x2A: NumberPoint,  # gauge
    0x3A: NumberPoint,  # sum
    0x4A: HistogramPoint,
    0x52: ExponentialHistogramPoint,
    0x5A: SummaryPoint,
}
"""Tag of the field of a Metric that holds points → their type."""


class Metric(Item):
    """One metric. Its own attributes are the `metadata`; what people call attributes are those of its `points`."""

    __slots__ = ("_points",)
    ATTRIBUTES = b"\x62"
    MESSAGE = metrics_pb2.Metric
    PARSE = PARSE["Metric"]

    def __init__(self, buf: bytes, frame: int, start: int, end: int, group: ScopeGroup) -> None:
        super().__init__(buf, frame, start, end, group)
        self._points: list[Point] | None = None

    @property
    def name(self) -> str:
        return str(self.view.name)

    def points(self) -> list[Point]:
        """Return the data points. After editing them call `settle`."""
        if self._points is None:
            self._points = [
                kind(self._buf, frame, start, end)
                for kind, holder_start, holder_end in self._holders()
                for tag, frame, start, end in _fields(self._buf, holder_start, holder_end)
                if tag == 0x0A
            ]
        return self._points

    def _holders(self) -> Iterator[tuple[type[Point], int, int]]:
        for tag, _, start, end in _fields(self._buf, self._start, self._end):
            if tag in _POINTS:
                yield _POINTS[tag], start, end

    def carriers(self) -> Sequence[Element]:
        return self.points()

    def settle(self) -> None:
        """Put edited points into the metric."""
        if not self._points or not any(point.touched for point in self._points):
            return
        points = iter(self._points)
        body = []
        for tag, frame, start, end in _fields(self._buf, self._start, self._end):
            if tag not in _POINTS:
                body.append(self._buf[frame:end])
                continue
            holder = [
                next(points).frame() if inner == 0x0A else self._buf[at:behind]
                for inner, at, _, behind in _fields(self._buf, start, end)
            ]
            body.append(delimited(bytes((tag,)), b"".join(holder)))
        self._points = None
        self.replace(b"".join(body))


_ITEMS: Final[Mapping[Signal, type[Item]]] = {
    Signal.TRACES: Span,
    Signal.LOGS: LogRecord,
    Signal.METRICS: Metric,
}


class ResourceGroup:
    """What one resource sent."""

    __slots__ = ("_rest", "resource", "scopes")

    def __init__(self, resource: Resource, rest: bytes) -> None:
        self.resource = resource
        self.scopes: list[ScopeGroup] = []
        self._rest = rest

    def envelope(self) -> bytes:
        """Encode everything but the scope groups: resource, schema URL, unknown fields."""
        return self.resource.frame() + self._rest


class ScopeGroup:
    """What one scope of one resource sent."""

    __slots__ = ("_rest", "dropped", "items", "parent", "scope")

    def __init__(self, parent: ResourceGroup, scope: Scope, rest: bytes) -> None:
        self.parent = parent
        self.scope = scope
        self.items: list[Item] = []
        self.dropped = 0
        """How many of the items are taken out."""
        self._rest = rest

    def envelope(self) -> bytes:
        """Encode everything but the items: scope, schema URL, unknown fields."""
        return self.scope.frame() + self._rest


class Receipt(Protocol):
    """Whoever keeps a batch's data on disk until others do."""

    def settle(self) -> None:
        """Forget the data."""


class Batch:
    """One OTLP request on its way through a pipeline.

    `received_ns` is the arrival time on the pipeline's clock (Unix nanoseconds, never going back): time is data.
    """

    __slots__ = ("_groups", "_items", "raw", "receipt", "received_ns", "signal", "source")

    def __init__(
        self, signal: Signal, raw: bytes, *, received_ns: int = 0, items: int | None = None
    ) -> None:
        """`items`: how many spans, log records or data points it holds, where the caller knows."""
        self.signal = signal
        self.raw = raw
        self.received_ns = received_ns
        self.source = ""
        """A name of what it holds; a durable queue that has it already does not take it again."""
        self.receipt: Receipt | None = None
        """To be settled by the shell once the batch is as safe behind this pipeline as it gets."""
        self._groups: list[ResourceGroup] | None = None
        self._items = items

    @property
    def groups(self) -> list[ResourceGroup]:
        """The decoded request."""
        if self._groups is None:
            self._groups = _decode(self.signal, self.raw)
        return self._groups

    @property
    def decoded(self) -> bool:
        """Whether anybody looked inside yet."""
        return self._groups is not None

    def recode(self, raw: bytes) -> None:
        """Put another encoding of the same items in place. MUST NOT be called once somebody looked inside."""
        if self._groups is not None:
            raise RuntimeError("a decoded batch is changed through its elements")
        self.raw = raw

    def items(self) -> Iterator[Item]:
        """Yield spans, log records or metrics in order, without the dropped ones."""
        for group in self.groups:
            for scope in group.scopes:
                for item in scope.items:
                    if not item._dropped:
                        yield item

    def spans(self) -> Iterator[Span]:
        """Yield the spans of a traces batch."""
        return self.items()  # type: ignore[return-value] # a traces batch holds spans only

    def log_records(self) -> Iterator[LogRecord]:
        """Yield the records of a logs batch."""
        return self.items()  # type: ignore[return-value] # a logs batch holds records only

    def __len__(self) -> int:
        """Return the number of spans, log records or data points."""
        if self._groups is None and self._items is not None:
            return self._items
        if self.signal is Signal.METRICS:
            return sum(count_points(item.body()) for item in self.items())
        return sum(
            len(scope.items) - scope.dropped for group in self.groups for scope in group.scopes
        )

    def release(self) -> None:
        """Forget what was decoded. Whoever made the batch calls it in the end: groups and items point at each other,
        and waiting for the garbage collector to find that costs a quarter of the CPU time of a busy pipeline."""
        for group in self._groups or ():
            for scope in group.scopes:
                scope.items, scope.dropped = [], 0
            group.scopes = []
        self._groups = None

    def encode(self) -> bytes:
        """Return the request; the very same bytes when nothing was changed."""
        if self._groups is None or not any(map(_group_touched, self._groups)):
            return self.raw
        return b"".join([piece for group in self._groups for piece in _encode_group(group)])


def _group_touched(group: ResourceGroup) -> bool:
    return group.resource.touched or any(
        scope.scope.touched or scope.dropped or any(item.touched for item in scope.items)
        for scope in group.scopes
    )


def _encode_group(group: ResourceGroup) -> list[bytes | memoryview]:
    """Return an encoded group in pieces: lengths are added up, so that only the last join copies."""
    pieces: list[bytes | memoryview] = [group.envelope()]
    for scope in group.scopes:
        items = (
            [item for item in scope.items if not item._dropped] if scope.dropped else scope.items
        )
        if items or not scope.items:
            pieces += _enclosed(b"\x12", [scope.envelope(), *_encode_items(items)])
    if len(pieces) == 1 and group.scopes:
        return []
    return _enclosed(b"\x0a", pieces)


def _encode_items(items: Iterable[Item]) -> list[bytes | memoryview]:
    """Return the frames of items in pieces; neighbours that nobody touched leave as one."""
    pieces: list[bytes | memoryview] = []
    buf, start, end = b"", 0, 0  # a run of neighbours
    for item in items:
        untouched = item._frame >= 0 and not item._edits
        if untouched and item._frame == end and item._buf is buf:
            end = item._end
            continue
        if end > start:
            pieces.append(memoryview(buf)[start:end])
        if untouched:
            buf, start, end = item._buf, item._frame, item._end
            continue
        buf, start, end = b"", 0, 0
        tail = item._tail
        if tail is not None and len(tail[1]) == len(item._edits or ()):
            size = item._end - item._start + len(tail[0])
            body = memoryview(item._buf)[item._start : item._end]
            pieces += (item.TAG + varint(size), body, tail[0])
        else:
            pieces.append(item.frame())
    if end > start:
        pieces.append(memoryview(buf)[start:end])
    return pieces


def _enclosed(tag: bytes, pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    return [tag + varint(sum(map(len, pieces))), *pieces]


def _decode(signal: Signal, raw: bytes) -> list[ResourceGroup]:
    return [
        _decode_group(signal, raw, start, end)
        for tag, _, start, end in _fields(raw, 0, len(raw))
        if tag == 0x0A
    ]


def _decode_group(signal: Signal, raw: bytes, start: int, end: int) -> ResourceGroup:
    resource, rest, children = _partition(Resource, raw, start, end)
    group = ResourceGroup(resource, rest)
    item_type = _ITEMS[signal]
    for _, child_start, child_end in children:
        scope, scope_rest, items = _partition(Scope, raw, child_start, child_end)
        scope_group = ScopeGroup(group, scope, scope_rest)
        scope_group.items = [item_type(raw, *item, scope_group) for item in items]
        group.scopes.append(scope_group)
    return group


def _partition(
    owner_type: type[_Owner], raw: bytes, start: int, end: int
) -> tuple[_Owner, bytes, list[tuple[int, int, int]]]:
    """Split a group into its owner (field 1), its other plain fields and its children (field 2: frame, start, end)."""
    owner = owner_type(b"", 0, 0, 0)  # an absent one encodes to nothing until it is edited
    rest: list[bytes] = []
    children: list[tuple[int, int, int]] = []
    at = start
    while at < end:
        tag = raw[at]
        if tag not in (0x12, 0x0A):
            behind = skip(raw, at)
            rest.append(raw[at:behind])
            at = behind
            continue
        size, body = raw[at + 1], at + 2
        if size > 127:
            size, body = read_varint(raw, at + 1)
        behind = body + size
        if tag == 0x12:
            children.append((at, body, behind))
        else:
            owner = owner_type(raw, at, body, behind)
        at = behind
    return owner, b"".join(rest), children


def _fields(buf: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag byte, start of the field, start of its body (length-delimited fields) and end, for every field."""
    while at < end:
        tag = buf[at]
        if tag < 128 and tag & 7 == 2:
            n = buf[at + 1]
            body = at + 2
            if n > 127:
                n, body = read_varint(buf, at + 1)
            yield tag, at, body, body + n
            at = body + n
        else:
            behind = skip(buf, at)
            yield tag, at, at, behind
            at = behind


def count_points(metric: bytes) -> int:
    """Count the data points of an encoded Metric."""
    count = 0
    for tag, _, start, end in _fields(metric, 0, len(metric)):
        if tag in _POINTS:
            count += sum(1 for inner, *_ in _fields(metric, start, end) if inner == 0x0A)
    return count


def split(raw: bytes) -> Iterator[tuple[bytes, bytes, Sequence[bytes]]]:
    """Yield (resource envelope, scope envelope, encoded items) for every scope group of an encoded request.

    For components that keep items as bytes: 0.05 µs a span against 1 µs for `Batch.groups`.
    """
    for group in _REQUEST(raw).groups:
        scopes = [(scope, tuple(scope.items)) for scope in group.scopes]
        resource = _without(group, "scopes")
        for scope, items in scopes:
            yield resource, _without(scope, "items"), items


def _without(view: Any, children: str) -> bytes:
    """Encode what a view of a group does not declare, in the order it came: everything but its children."""
    view.ClearField(children)
    rest: bytes = view.SerializeToString()
    return rest


def without_schema_url(envelope: bytes) -> bytes:
    """Return the envelope of a resource or scope group without its schema URL."""
    return _without(PARSE["Schema"](envelope), "schema_url")


def edit_span(span: bytes, attributes: Mapping[str, Value]) -> bytes:
    """Return an encoded span with these attributes written; None takes one away."""
    element = Span(span, -1, 0, len(span), _NOWHERE)
    for key, value in attributes.items():
        if value is None:
            element.remove(key)
        else:
            element.set(key, value)
    return element.body()


def with_trace_state(span: bytes, text: str) -> bytes:
    """Return an encoded span with another trace state; its other fields keep their bytes."""
    view = PARSE["TraceState"](span)
    view.trace_state = text
    edited: bytes = view.SerializeToString()
    return edited


_REQUEST: Final = PARSE["Request"]
_NOWHERE: Final = ScopeGroup(ResourceGroup(Resource(b"", 0, 0, 0), b""), Scope(b"", 0, 0, 0), b"")
"""The group of a span that stands alone."""


def frame(item: bytes) -> bytes:
    """Encode an item as a field of its scope group, as `assemble` takes them."""
    return delimited(Item.TAG, item)


def assemble(frames: Mapping[tuple[bytes, bytes], Iterable[bytes]]) -> bytes:
    """Encode a request from item frames by (resource envelope, scope envelope), in the mapping's order.

    Scope groups of equal resource envelopes that follow each other share one resource group.
    """
    parts: list[bytes] = []
    current: bytes | None = None
    scopes: list[bytes] = []
    for (resource, scope), items in frames.items():
        if current is not None and resource != current:
            parts.append(delimited(b"\x0a", b"".join([current, *scopes])))
            scopes = []
        current = resource
        scopes.append(delimited(b"\x12", b"".join([scope, *items])))
    if current is not None:
        parts.append(delimited(b"\x0a", b"".join([current, *scopes])))
    return b"".join(parts)
