"""Proves that bytes are a well-formed OTLP request in UTF-8: in C, in bounded memory, without decoding them.

Parsing with the OTLP classes proves the same, but makes an object per message: a request of empty spans grows 88-fold.
Here the parser is given *merging* types: those of OTLP with every repeated field declared singular. Occurrences of a
singular message merge into one, so the same code checks every tag, length and string while little adds up: what a
request of any shape costs is about its own size.

What does add up, on purpose: ids, so that all of them can be looked at, and the keys of an item's attributes, to count
them. AnyValue is unrolled to `max_depth` types; the last holds a message that is never complete, so `IsInitialized`
tells, in C, whether anything was nested deeper.

Large requests are proved in pieces: neighbouring fields of a message are a message of the same type. It keeps what
adds up bounded. (UTF-8 is a third of the cost of large texts; checked in Python it would be dearer.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from processors import untrusted
from processors.batch import Signal
from processors.errors import Malformed, Oversized

WHOLE: Final = 2 << 20
"""Up to here a request is proved in one go, without a copy."""
PIECE: Final = 128 << 10
"""Larger ones are cut about here."""
MAX_ATTRIBUTES: Final = 1_000_000
"""Attributes of all items of one request: with them the index of its batch stays around 100 MB."""
MAX_WALKED: Final = 300_000
"""Fields that are walked one by one to cut a large request: 0.2 s."""

Descriptor: TypeAlias = Any
"""Of a message or a field: the type stubs know the Python classes, the parser has its own in C."""
_F: Final = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "otelcol_llm.proof"
NO_ID: Final = bytes(8)
"""A span id that is none."""
_IDS: Final = frozenset(("trace_id", "span_id", "parent_span_id"))
_COMMON: Final = "opentelemetry.proto.common.v1."
ANY_VALUE: Final = _COMMON + "AnyValue"
_NESTING: Final = frozenset(
    _COMMON + name for name in ("AnyValue", "ArrayValue", "KeyValueList", "KeyValue")
)
_ITEMS: Final = frozenset(
    f"opentelemetry.proto.{name}"
    for name in ("trace.v1.Span", "logs.v1.LogRecord", "metrics.v1.Metric")
)
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


@dataclass(slots=True)
class Node:
    """A merging type: how to parse it, its message fields by tag, and how to get from it to the items."""

    parse: Callable[[bytes | memoryview], Any]
    children: dict[int, Node] = field(default_factory=dict)
    items: Callable[[Any], Any] | None = None


class Proof:
    """Proves one request; afterwards says what its items hold."""

    __slots__ = (
        "_keys",
        "_references",
        "_traces",
        "_walked",
        "attributes",
        "odd_ids",
        "span_ids",
        "trace_ids",
    )

    def __init__(self, signal: Signal, raw: bytes, max_depth: int, parents: int = -1) -> None:
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
        self._keys = _KEYS[signal]
        self._references = _REFERENCES[signal]
        self._traces = signal is Signal.TRACES
        node = request_node(signal, max_depth)
        if len(raw) <= WHOLE:
            self._parse(node, raw, parents)
        else:
            self._cut(node, raw, 0, len(raw))

    def _cut(self, node: Node, raw: bytes, at: int, end: int) -> None:
        """Prove raw[at:end], a message of `node`, piece by piece; what is large in it, by itself."""
        begin, came = at, memoryview(raw)
        while at < end:
            tag, body, behind = untrusted.field(raw, at, end)
            self._walked += 1
            if self._walked > MAX_WALKED:
                raise Oversized(f"the request holds more than {MAX_WALKED} fields in large items")
            if behind - at > PIECE and tag in node.children:
                self._parse(node, came[begin:at])
                self._cut(node.children[tag], raw, body, behind)
                begin = behind
            elif behind - begin > PIECE:
                self._parse(node, came[begin:behind])
                begin = behind
            at = behind
        self._parse(node, came[begin:end])

    def _parse(self, node: Node, piece: bytes | memoryview, parents: int = -1) -> None:
        message = parse(node, piece)
        if node.items is not None:
            self._look(node.items(message), parents)

    def _look(self, item: Any, parents: int) -> None:
        """Look at what the items of a piece have in common."""
        self.attributes += len(self._keys(item))
        if self.attributes > MAX_ATTRIBUTES:
            raise Oversized(f"the request holds more than {MAX_ATTRIBUTES} attributes")
        if self._traces:
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


def parse(node: Node, piece: bytes | memoryview) -> Any:
    """Parse the body of a message. Raises: `Unproved`."""
    try:
        message = node.parse(piece)
    except DecodeError as error:
        raise Unproved("the request is no OTLP protobuf of its signal") from error
    if not message.IsInitialized():
        raise Unproved("the request nests attribute values too deep")
    return message


def item_type(signal: Signal) -> Descriptor:
    """Return the type of a signal's items."""
    found: Descriptor = signal.request.DESCRIPTOR
    for number in (1, 2, 2):
        found = found.fields_by_number[number].message_type
    return found


def item_node(signal: Signal, max_depth: int) -> Node:
    """Return the merging type of a signal's items."""
    return request_node(signal, max_depth).children[0x0A].children[0x12].children[0x12]


@cache
def request_node(signal: Signal, max_depth: int) -> Node:
    """Build the merging types of a signal; returns the request's."""
    return _Types(max_depth).load(signal)


class _Types:
    """Derives the merging types of one request type from its descriptor."""

    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self._file = descriptor_pb2.FileDescriptorProto(
            name="proof.proto", package=_PACKAGE, syntax="proto3", dependency=["too_deep.proto"]
        )
        self._children: dict[str, dict[int, str]] = {"TooDeep": {}}

    def load(self, signal: Signal) -> Node:
        root = self._add(signal.request.DESCRIPTOR)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(_too_deep())
        pool.Add(self._file)
        nodes = {name: Node(_parser(pool, f"{_PACKAGE}.{name}")) for name in self._children}
        for name, children in self._children.items():
            nodes[name].children = {tag: nodes[child] for tag, child in children.items()}
        _mark_items(nodes[root], signal.request.DESCRIPTOR)
        return nodes[root]

    def _add(self, message: Descriptor, depth: int = 0, counted: bool = False) -> str:
        """Declare the merging type of `message` inside `depth` AnyValues; returns its name."""
        if depth > self._max_depth:
            return "TooDeep"
        name: str = message.full_name.replace(".", "_") + (f"_{depth}" if depth else "")
        name += "_counted" if counted else ""
        if name not in self._children:
            children = self._children[name] = {}
            declared = self._file.message_type.add(name=name)
            for part in message.fields:
                kind = self._declare(declared, part, depth, counted)
                if kind and part.number < 16:
                    children[part.number << 3 | 2] = kind
        return name

    def _declare(
        self,
        declared: descriptor_pb2.DescriptorProto,
        part: Descriptor,
        depth: int,
        counted: bool,
    ) -> str:
        """Add one field; returns the name of its merging type, empty for a scalar."""
        added = declared.field.add(
            name=part.name, number=part.number, label=_F.LABEL_OPTIONAL, type=part.type
        )
        if part.message_type is None:
            if part.type == _F.TYPE_ENUM:
                added.type = _F.TYPE_INT32
            if part.is_repeated or part.name in _IDS or (counted and part.name == "key"):
                added.label = _F.LABEL_REPEATED
            return ""
        inside = depth + (part.message_type.full_name == ANY_VALUE)
        if part.message_type.full_name not in _NESTING:
            inside = 0
        owner = part.containing_type.full_name
        kind = self._add(
            part.message_type,
            inside,
            owner in _ITEMS and part.message_type.full_name == _COMMON + "KeyValue",
        )
        added.type_name = f".{_PACKAGE}.{kind}"
        return kind


def _parser(pool: descriptor_pool.DescriptorPool, name: str) -> Callable[[bytes | memoryview], Any]:
    parse: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName(name)).FromString
    return parse  # type: ignore[no-any-return] # the stubs know of bytes only


def _too_deep() -> descriptor_pb2.FileDescriptorProto:
    """Declare the message that is never complete; proto3 has no required fields, so it has its own file."""
    file = descriptor_pb2.FileDescriptorProto(
        name="too_deep.proto", package=_PACKAGE, syntax="proto2"
    )
    file.message_type.add(name="TooDeep").field.add(
        name="never", number=(1 << 29) - 1, type=_F.TYPE_BOOL, label=_F.LABEL_REQUIRED
    )
    return file


def _mark_items(node: Node, message: Descriptor) -> None:
    """Tell the nodes of request, resource group, scope group and item how to get to the items."""
    path: list[tuple[Node, str]] = []
    for number in (1, 2, 2):
        part = message.fields_by_number[number]
        path.append((node, part.name))
        node, message = node.children[number << 3 | 2], part.message_type
    node.items = lambda item: item
    names = [name for _, name in path]
    for level, (holder, _) in enumerate(path):
        holder.items = attrgetter(".".join(names[level:]))
