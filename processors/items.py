"""What a request is counted in: spans, log records and metrics, and the groups they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from processors.elements import Element, Resource, Scope
from processors.views import PARSE, status_code
from processors.wire import (
    Value,
    decode_value,
    delimited,
    fields,
)


class Item(Element):
    """A span, a log record or a metric: what a request is counted in, with the group it belongs to."""

    __slots__ = ("_dropped", "group")
    TAG = b"\x12"

    def __init__(self, buf: bytes, frame: int, start: int, end: int, group: ScopeGroup) -> None:
        """For items that are in no batch, or not yet: `batch` makes its own without this call."""
        super().__init__(buf, frame, start, end)
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
        return status_code(self.view)

    def events(self) -> list[Event]:
        """Return read-only views of the events, in order."""
        return [Event(body, -1, 0, len(body)) for body in self.encoded_events()]

    def encoded_events(self) -> Sequence[bytes]:
        """Return the events as they came, in order."""
        return self._many("SpanEvents").events if self.view.HasField("last_event") else ()

    def encoded_links(self) -> Sequence[bytes]:
        """Return the links as they came, in order."""
        return self._many("SpanLinks").links if self.view.HasField("last_link") else ()

    def _many(self, layout: str) -> Any:
        return PARSE[layout](self._buf[self._start : self._end])


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


POINTS: Final[Mapping[int, type[Point]]] = {
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
    """Unset until somebody asks for them."""
    ATTRIBUTES = b"\x62"
    MESSAGE = metrics_pb2.Metric
    PARSE = PARSE["Metric"]

    @property
    def name(self) -> str:
        return str(self.view.name)

    def points(self) -> list[Point]:
        """Return the data points. After editing them call `settle`."""
        if not hasattr(self, "_points"):
            self._points = [
                kind(self._buf, frame, start, end)
                for kind, holder_start, holder_end in self._holders()
                for tag, frame, start, end in fields(self._buf, holder_start, holder_end)
                if tag == 0x0A
            ]
        return self._points

    def _holders(self) -> Iterator[tuple[type[Point], int, int]]:
        for tag, _, start, end in fields(self._buf, self._start, self._end):
            if tag in POINTS:
                yield POINTS[tag], start, end

    def carriers(self) -> Sequence[Element]:
        return self.points()

    def settle(self) -> None:
        """Put edited points into the metric."""
        if not hasattr(self, "_points") or not any(point.touched for point in self._points):
            return
        points = iter(self._points)
        body = []
        for tag, frame, start, end in fields(self._buf, self._start, self._end):
            if tag not in POINTS:
                body.append(self._buf[frame:end])
                continue
            holder = [
                next(points).frame() if inner == 0x0A else self._buf[at:behind]
                for inner, at, _, behind in fields(self._buf, start, end)
            ]
            body.append(delimited(bytes((tag,)), b"".join(holder)))
        del self._points
        self.replace(b"".join(body))


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
