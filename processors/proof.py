"""Proves that bytes are a well-formed OTLP request in UTF-8: in C, in bounded memory, without decoding them.

Parsing with the OTLP classes proves the same, but makes an object per message: a request of empty spans grows 88-fold.
Here the parser is given *merging* types: those of OTLP with every repeated field declared singular. Occurrences of a
singular message merge into one, so the same code checks every tag, length and string while little adds up: what a
request of any shape costs is about its own size.

What does add up, on purpose: ids, so that all of them can be looked at, and the keys of an item's attributes, to count
them. How deep messages nest is limited by the parser alone.

Large requests are proved in pieces: neighbouring fields of a message are a message of the same type. It keeps what
adds up bounded. A piece is parsed as a request that holds it alone, so that the parser counts as deep as in the whole.
(UTF-8 is a third of the cost of large texts; checked in Python it would be dearer.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from processors import untrusted
from processors.batch import Signal
from processors.errors import Malformed, Oversized
from processors.wire import varint

WHOLE: Final = 2 << 20
"""Up to here a request is proved in one go, without a copy."""
PIECE: Final = 256 << 10
"""Larger ones are cut about here; what is cut inside the group of a resource is copied to be parsed."""
MAX_ATTRIBUTES: Final = 1_000_000
"""Attributes of all items of one request: with them the index of its batch stays around 100 MB."""
MAX_WALKED: Final = 300_000
"""Fields that are walked one by one to cut a large request, or written around its pieces: 0.2 s."""

Descriptor: TypeAlias = Any
"""Of a message or a field: the type stubs know the Python classes, the parser has its own in C."""
_F: Final = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "otelcol_llm.proof"
NO_ID: Final = bytes(8)
"""A span id that is none."""
_IDS: Final = frozenset(("trace_id", "span_id", "parent_span_id"))
_KEY_VALUE: Final = "opentelemetry.proto.common.v1.KeyValue"
ITEMS: Final = frozenset(
    f"opentelemetry.proto.{name}"
    for name in ("trace.v1.Span", "logs.v1.LogRecord", "metrics.v1.Metric")
)
"""The types of items."""
ITEM_PATH: Final = (b"\x0a", b"\x12", b"\x12")
"""Tags on the way from a request to an item: group of a resource, group of a scope, item."""
_ITEM: Final[Mapping[Signal, Callable[[Any], Any]]] = {
    Signal.TRACES: attrgetter("resource_spans.scope_spans.spans"),
    Signal.LOGS: attrgetter("resource_logs.scope_logs.log_records"),
    Signal.METRICS: attrgetter("resource_metrics.scope_metrics.metrics"),
}
_KEYS: Final[Mapping[Signal, Callable[[Any], Any]]] = {
    Signal.TRACES: attrgetter("attributes.key"),
    Signal.LOGS: attrgetter("attributes.key"),
    Signal.METRICS: attrgetter("metadata.key"),
}
_REFERENCES: Final[Mapping[Signal, Sequence[tuple[Callable[[Any], Any], int]]]] = {
    Signal.TRACES: (
        (attrgetter("links.trace_id"), 16),
        (attrgetter("links.span_id"), 8),
    ),
    Signal.LOGS: ((attrgetter("trace_id"), 16), (attrgetter("span_id"), 8)),
    Signal.METRICS: (),
}
"""Ids that refer to spans: where they are in an item, and how long they are when not empty."""


class Unproved(Malformed):
    """The bytes are no request, hold a string that is no UTF-8 or nest too deep. The parser does not say which."""


class Proof:
    """Proves one request; afterwards says what its items hold."""

    __slots__ = (
        "_keys",
        "_references",
        "_signal",
        "_walked",
        "attributes",
        "odd_ids",
        "span_ids",
        "trace_ids",
    )

    def __init__(self, signal: Signal, raw: bytes, parents: int = -1) -> None:
        """`parents`: how many parent ids are known to have the right length.

        Raises: `Unproved`, `Oversized`.
        """
        self.attributes = 0
        self.trace_ids = 0
        self.span_ids = 0
        """How many ids the spans hold."""
        self.odd_ids = False
        """Whether an id other than those of the spans themselves has a length that no id has."""
        self._walked = 0
        self._signal = signal
        self._keys = _KEYS[signal]
        self._references = _REFERENCES[signal]
        if len(raw) <= WHOLE:
            self._parse(raw, (), parents)
        else:
            self._cut(signal.request.DESCRIPTOR, raw, 0, len(raw), ())

    def _cut(
        self, kind: Descriptor, raw: bytes, at: int, end: int, path: tuple[bytes, ...]
    ) -> None:
        """Prove raw[at:end], a message in fields of these tags, piece by piece; what is large in it, by itself."""
        begin, came = at, memoryview(raw)
        while at < end:
            tag, body, behind = untrusted.any_field(raw, at, end)
            self._walked += 1
            if self._walked > MAX_WALKED:
                raise Oversized(f"the request holds more than {MAX_WALKED} fields in large items")
            large = _held(kind, tag) if behind - at > PIECE else None
            if large is not None:
                # Even where nothing is before it: what is too deep for the parser is not gone into.
                self._parse(came[begin:at], path)
                self._cut(large, raw, body, behind, (*path, varint(tag)))
                begin = behind
            elif behind - begin > PIECE:
                self._parse(came[begin:behind], path)
                begin = behind
            at = behind
        self._parse(came[begin:end], path)

    def _parse(self, piece: bytes | memoryview, path: tuple[bytes, ...], parents: int = -1) -> None:
        self._walked += len(path)
        self._look(_ITEM[self._signal](parse(self._signal, piece, path)), parents)

    def _look(self, item: Any, parents: int) -> None:
        """Look at what the items of a piece have in common."""
        self.attributes += len(self._keys(item))
        if self.attributes > MAX_ATTRIBUTES:
            raise Oversized(f"the request holds more than {MAX_ATTRIBUTES} attributes")
        if self._signal is Signal.TRACES:
            self.trace_ids += len(item.trace_id)
            self.span_ids += len(item.span_id)
            above = item.parent_span_id
            if len(above) != parents:
                self._check_ids(above, 8)
            if NO_ID in above:
                self.odd_ids = True
        for ids, size in self._references:
            self._check_ids(ids(item), size)

    def _check_ids(self, ids: Sequence[bytes], size: int) -> None:
        if ids and not {0, size}.issuperset(map(len, ids)):
            self.odd_ids = True


def parse(signal: Signal, piece: bytes | memoryview, path: tuple[bytes, ...] = ()) -> Any:
    """Parse a request that holds nothing but this piece of a message, in fields of these tags. Raises: `Unproved`."""
    try:
        return _parser(signal)(_within(path, piece) if path else piece)
    except DecodeError as error:
        raise Unproved("the request is no OTLP protobuf of its signal") from error


def _within(path: tuple[bytes, ...], body: bytes | memoryview) -> bytes:
    """Encode fields of these tags inside each other, the first one outermost: the innermost one holds `body`."""
    heads: list[bytes | memoryview] = [body]
    size = len(body)
    for tag in reversed(path):
        head = tag + varint(size)
        heads.append(head)
        size += len(head)
    return b"".join(reversed(heads))


def _held(kind: Descriptor, tag: int) -> Descriptor | None:
    """Return the type of the message that a field of `kind` holds, None where it is none."""
    part = kind.fields_by_number.get(tag >> 3)
    return part.message_type if part is not None and tag & 7 == 2 else None


@cache
def _parser(signal: Signal) -> Callable[[bytes | memoryview], Any]:
    """Return what parses requests of a signal as merging types."""
    types = _Types()
    name = types.add(signal.request.DESCRIPTOR)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(types.file)
    merging = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    return merging.FromString  # type: ignore[return-value] # the stubs know of bytes only


class _Types:
    """Derives the merging types of one request type from its descriptor."""

    def __init__(self) -> None:
        self.file = descriptor_pb2.FileDescriptorProto(
            name="proof.proto", package=_PACKAGE, syntax="proto3"
        )
        self._names: set[str] = set()

    def add(self, message: Descriptor, counted: bool = False) -> str:
        """Declare the merging type of `message`; returns its name. `counted`: its keys add up."""
        name: str = message.full_name.replace(".", "_") + ("_counted" if counted else "")
        if name not in self._names:
            self._names.add(name)
            declared = self.file.message_type.add(name=name)
            for part in message.fields:
                self._declare(declared, part, counted)
        return name

    def _declare(
        self, declared: descriptor_pb2.DescriptorProto, part: Descriptor, counted: bool
    ) -> None:
        added = declared.field.add(
            name=part.name, number=part.number, label=_F.LABEL_OPTIONAL, type=part.type
        )
        kind = part.message_type
        if kind is not None:
            of_item = part.containing_type.full_name in ITEMS and kind.full_name == _KEY_VALUE
            added.type_name = f".{_PACKAGE}.{self.add(kind, of_item)}"
            return
        if part.type == _F.TYPE_ENUM:
            added.type = _F.TYPE_INT32
        if part.is_repeated or part.name in _IDS or (counted and part.name == "key"):
            added.label = _F.LABEL_REPEATED
