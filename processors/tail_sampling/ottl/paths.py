"""What a path of a condition reads: a table of names for each context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from processors.tail_sampling.ottl.syntax import Path, fail
from processors.tail_sampling.ottl.values import Any_, Id, Subject, Time, index
from processors.tail_sampling.tracestate import parse as parse_tracestate
from processors.views import status_code, status_message
from processors.wire import decode_value

Read: TypeAlias = Callable[[Subject], Any_]

_KINDS: Final = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_DEPRECATED_KINDS: Final = tuple(f"SPAN_KIND_{name.upper()}" for name in _KINDS)


def _kind_name(names: tuple[str, ...], view: Any) -> str:
    return names[view.kind] if 0 <= view.kind < len(names) else ""


def _hex(raw: bytes, size: int) -> str:
    """An id that is missing is all zeros."""
    return raw.hex().rjust(2 * size, "0")


def _id(raw: bytes, size: int) -> Id:
    return Id(raw.rjust(size, b"\0"))


_SPAN: Final[Mapping[str, Callable[[Any], Any_]]] = {
    "name": lambda span: span.name,
    "kind": lambda span: span.kind,
    "kind.string": lambda span: _kind_name(_KINDS, span),
    "kind.deprecated_string": lambda span: _kind_name(_DEPRECATED_KINDS, span),
    "status.code": status_code,
    "status.message": status_message,
    "trace_id": lambda span: _id(span.trace_id, 16),
    "trace_id.string": lambda span: _hex(span.trace_id, 16),
    "span_id": lambda span: _id(span.span_id, 8),
    "span_id.string": lambda span: _hex(span.span_id, 8),
    "parent_span_id": lambda span: _id(span.parent_span_id, 8),
    "parent_span_id.string": lambda span: _hex(span.parent_span_id, 8),
    "trace_state": lambda span: span.trace_state,
    "start_time_unix_nano": lambda span: span.start_ns,
    "end_time_unix_nano": lambda span: span.end_ns,
    "start_time": lambda span: Time(span.start_ns),
    "end_time": lambda span: Time(span.end_ns),
    "flags": lambda span: span.flags,
    "dropped_attributes_count": lambda span: span.dropped_attributes,
    "dropped_events_count": lambda span: span.dropped_events,
    "dropped_links_count": lambda span: span.dropped_links,
    "events": lambda span: [None] * len(span.events),
    "links": lambda span: [None] * len(span.links),
}
_EVENT: Final[Mapping[str, Callable[[Any], Any_]]] = {
    "name": lambda event: event.name,
    "time_unix_nano": lambda event: event.time_ns,
    "time": lambda event: Time(event.time_ns),
    "dropped_attributes_count": lambda event: event.dropped_attributes,
}
_SCOPE: Final[Mapping[str, Callable[[Any], Any_]]] = {
    "name": lambda scope: scope.scope.name,
    "version": lambda scope: scope.scope.version,
    "schema_url": lambda scope: scope.schema_url,
    "dropped_attributes_count": lambda scope: scope.scope.dropped_attributes,
}
_RESOURCE: Final[Mapping[str, Callable[[Any], Any_]]] = {
    "schema_url": lambda group: group.schema_url,
    "dropped_attributes_count": lambda group: group.resource.dropped_attributes,
}

_Part: TypeAlias = "tuple[Callable[[Subject], Any], Mapping[str, Callable[[Any], Any_]]]"
"""How to get at a context's view, and what it has besides attributes."""

_CONTEXTS: Final[Mapping[str, _Part]] = {
    "span": (lambda subject: subject.span, _SPAN),
    "spanevent": (lambda subject: subject.event, _EVENT),
    "scope": (lambda subject: subject.envelope.instrumentation, _SCOPE),
    "instrumentation_scope": (lambda subject: subject.envelope.instrumentation, _SCOPE),
    "resource": (lambda subject: subject.envelope.group, _RESOURCE),
}
_INNER: Final = {"scope": "scope", "instrumentation_scope": "scope", "resource": "resource"}
"""Contexts whose attributes stand in a part of their view."""


def read_path(text: str, path: Path, context: str) -> Read:
    """Return what reads a path of a condition on `context`. Raises: `InvalidConfig` for one that does not exist."""
    fields = path.fields
    where = context
    if fields[0].name in _CONTEXTS and not fields[0].keys and len(fields) > 1:
        where, fields = fields[0].name, fields[1:]
    if where == "spanevent" != context:
        problem = (
            'segment "spanevent" is not a valid path nor a valid OTTL keyword for the span context'
        )
        raise fail(text, path.at, problem)
    name = ".".join(field.name for field in fields)
    keys = fields[-1].keys
    if any(field.keys for field in fields[:-1]):
        raise fail(text, path.at, f'"{where}.{name}" cannot be indexed in the middle')
    view_of, table = _CONTEXTS[where]
    if name == "attributes":
        if keys and not isinstance(keys[0], str):
            raise fail(text, path.at, "attributes are indexed by their key, a text")
        return _attributes(view_of, _INNER.get(where, ""), keys)
    if where == "spanevent" and name == "event_index" and not keys:
        return lambda subject: subject.event_index
    if where == "span" and name == "trace_state" and len(keys) == 1 and isinstance(keys[0], str):
        return _trace_state_member(keys[0])
    if name not in table or keys:
        problem = (
            f'segment "{name}" from path "{where}.{name}" is not a valid path nor a valid OTTL keyword'
            f" for the {where} context"
        )
        raise fail(text, path.at, problem)
    read = table[name]
    return lambda subject: read(view_of(subject))


def _attributes(view_of: Callable[[Subject], Any], inner: str, keys: tuple[str | int, ...]) -> Read:
    """What is absent, or missing in a map, is nil; to look inside anything else, also what is empty, is an error."""

    def attributes(subject: Subject) -> Mapping[str, bytes]:
        view = view_of(subject)
        found: Mapping[str, bytes] = (getattr(view, inner) if inner else view).attributes
        return found

    if not keys:
        return lambda subject: {
            key: decode_value(raw, 0, len(raw)) for key, raw in attributes(subject).items()
        }
    first, others = str(keys[0]), keys[1:]

    def read(subject: Subject) -> Any_:
        raw = attributes(subject).get(first)
        if raw is None:
            return None
        value: Any_ = decode_value(raw, 0, len(raw)) if raw else None
        for key in others:
            if isinstance(value, dict) and isinstance(key, str) and key not in value:
                return None
            value = index(value, key)
        return value

    return read


def _trace_state_member(key: str) -> Read:
    def read(subject: Subject) -> Any_:
        members = parse_tracestate(subject.span.trace_state)
        return None if members is None else members.get(key, "")

    return read
