"""Reads a traces request in one parse: it proves the request and gives views of its spans.

For components that hold spans as bytes, look at few of their attributes and let few of them go on: the sampler. Of
large spans, what `proof` and `views` do in two parses costs half as much again. Two things differ:

- Texts of attribute values are not looked at, for large ones a third of the time of a proof. So nobody but the holder
  may see the spans before `Reading.prove` was called on what goes on; `Batch` calls it for anybody else.
- Attributes are a map to real AnyValues, because only those prove their form. Who wants one serialises it again.

The types are those of OTLP (their descriptors), but: attributes of a span are a map, its events merge into one (as in
`proof`) and so do its links, all of whose ids are kept, the status stays encoded and is looked at by itself (its last
one: another before it is proved with the texts), and texts of values are bytes.

Whatever is odd about a request is left to `proof` and `repair`: `read` returns None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from processors.encoded import outline
from processors.proof import NO_ID

LARGEST: Final = 2 << 20
"""Bytes of a request. What is made of hostile ones, an object for every two bytes, stays below 100 MB."""
WORTHWHILE: Final = 4 << 10
"""Bytes of a span, on average, from which on one parse surely costs less than two. A request of 100 spans took
admission and sampler 1.24 ms instead of 1.60 with 11 kB a span, 0.74 to 0.76 instead of 0.73 with 2.3 kB, 1.00 instead
of 0.80 with 550 B."""
_F: Final = descriptor_pb2.FieldDescriptorProto
_NO_TRACE: Final = bytes(16)
_TRACE_SIZES: Final = frozenset((0, 16))
_SPAN_SIZES: Final = frozenset((0, 8))
"""Of ids that refer to a span, or to none."""
_STATUSES: Final = frozenset((b"", b"\x18\x00", b"\x18\x01", b"\x18\x02"))
"""Those without a message, as most are."""
_trace_id: Final = attrgetter("trace_id")
_span_id: Final = attrgetter("span_id")
_parent: Final = attrgetter("parent_span_id")
_status: Final = attrgetter("status")


class Group(NamedTuple):
    """The spans of one scope group."""

    resource: bytes
    """The resource group without scopes: the same object for scopes that came in one."""
    scope: bytes
    places: Sequence[tuple[int, int, int]]
    """Of the spans in the request: see `encoded.outline`."""
    views: Sequence[Any]
    """As `views` has them, but for `attributes`, which map to messages, events and links. They share memory."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one parse of a request gave."""

    groups: Sequence[Group]
    prove: Callable[[bytes], bytes]
    """Returns an encoded request of these spans with all its texts proved, or repaired where they are no UTF-8."""


def read(raw: bytes) -> list[Group] | None:
    """Read a request; None where something about it is odd, or it is large."""
    if len(raw) > LARGEST:
        return None
    try:
        parsed = [scope.spans for group in _PARSE(raw).groups for scope in group.scopes]
        groups = [
            Group(resource, scope, places, list(spans))
            for (resource, scope, places), spans in zip(outline(raw), parsed, strict=True)
        ]
        are_plain = all(_is_plain(raw, group) for group in groups)
    except DecodeError:
        return None
    return groups if are_plain else None


def _is_plain(raw: bytes, group: Group) -> bool:
    """Whether spans have no ids but those they begin with, as in every encoder, all ids are such, and what stayed
    encoded is well-formed. Raises: `DecodeError`."""
    places, views = group.places, group.views
    trace_ids, span_ids = list(map(_trace_id, views)), list(map(_span_id, views))
    if trace_ids != [raw[body + 2 : body + 18] for _, body, _ in places] or _NO_TRACE in trace_ids:
        return False
    if span_ids != [raw[body + 20 : body + 28] for _, body, _ in places] or NO_ID in span_ids:
        return False
    for status in set(map(_status, views)) - _STATUSES:
        trace_pb2.Status.FromString(status)
    parents = set(map(_parent, views))
    if NO_ID in parents or not _SPAN_SIZES.issuperset(map(len, parents)):
        return False
    links = [view.links for view in views if view.HasField("links")]
    return all(
        _TRACE_SIZES.issuperset(map(len, link.trace_id))
        and _SPAN_SIZES.issuperset(map(len, link.span_id))
        for link in links
    )


# -- types

_NAMES: Final = {
    "resource_spans": "groups",
    "scope_spans": "scopes",
    "start_time_unix_nano": "start_ns",
    "end_time_unix_nano": "end_ns",
    "dropped_attributes_count": "dropped_attributes",
    "dropped_events_count": "dropped_events",
    "dropped_links_count": "dropped_links",
}
"""As `views` has them."""
_MERGED: Final = frozenset(("attributes", "events", "links", "entity_refs"))
"""Fields of which one message is made, not one for each."""


def _load(
    message: Any, adapt: Callable[[descriptor_pb2.DescriptorProto], None]
) -> Callable[[bytes], Any]:
    """Return what parses an OTLP message by its adapted type."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for declared in file.message_type:
            adapt(declared)
        pool.Add(file)
    parse: Callable[[bytes], Any] = message_factory.GetMessageClass(
        pool.FindMessageTypeByName(message.DESCRIPTOR.full_name)
    ).FromString
    return parse


def _leave(message: descriptor_pb2.DescriptorProto) -> None:
    """Leave texts of values as bytes, and the status: of several, only the last one is looked at."""
    for field in message.field:
        if field.name in ("string_value", "status"):
            field.type = _F.TYPE_BYTES
            field.ClearField("type_name")


def _adapt(message: descriptor_pb2.DescriptorProto) -> None:
    _leave(message)
    for nested in message.nested_type:
        _adapt(nested)
    for field in message.field:
        if field.name in _MERGED:
            field.label = _F.LABEL_OPTIONAL
        elif message.name == "Link" and field.type == _F.TYPE_BYTES:
            field.label = _F.LABEL_REPEATED
        if message.name == "Span" and field.name == "attributes":
            _make_map(message, field)
        field.name = _NAMES.get(field.name, field.name)
        field.ClearField("json_name")


def _make_map(
    message: descriptor_pb2.DescriptorProto, field: descriptor_pb2.FieldDescriptorProto
) -> None:
    """Make a repeated KeyValue a map, which is the same on the wire."""
    entry = message.nested_type.add(name="AttributesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_F.TYPE_STRING, label=_F.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=_F.TYPE_MESSAGE,
        label=_F.LABEL_OPTIONAL,
        type_name=f".{common_pb2.AnyValue.DESCRIPTOR.full_name}",
    )
    field.label = _F.LABEL_REPEATED
    field.type_name = f".{trace_pb2.Span.DESCRIPTOR.full_name}.AttributesEntry"


_PARSE: Final = _load(trace_service_pb2.ExportTraceServiceRequest, _adapt)
parse_span: Final = _load(trace_pb2.Span, _leave)
"""Parses an encoded span of which the texts of values may not be proved: they are bytes, as is the status."""
