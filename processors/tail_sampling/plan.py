"""What is looked at in every span: compiled from what the policies need to know, and nothing more.

A policy asks at construction (`Watch`), for instance for "some span carries this attribute with a value that …", gets a
bit or the promise that a field of `Trace` will be kept up to date, and looks at the trace when it votes. So a decision
does not read the spans again. What comes in was parsed with its request (`arrivals`); what is read again, after a
reload or a restart, is parsed whole only where one of the wanted keys occurs in its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

from processors import semconv
from processors.tail_sampling.calls import (
    COST_KEYS,
    COUNTED_KEYS,
    Calls,
    Count,
    is_counted,
    note_cost,
    note_tokens,
)
from processors.tail_sampling.traces import Envelope, Trace, text_value
from processors.tail_sampling.tracestate import explicit_randomness
from processors.views import PARSE, status_code

HeadNote: TypeAlias = Callable[[Trace, Any], None]
"""Notes something about a span from its view, which may lack attributes, events and links."""
AttributesNote: TypeAlias = Callable[[Trace, bytes, Mapping[str, bytes]], None]
"""The same from the span's id and the attributes that were asked for; there may be more of them."""
WholeNote: TypeAlias = Callable[[Trace, Any, Envelope], None]
"""The same from a complete view."""
ValueTest: TypeAlias = Callable[[bytes], bool]
"""Says whether an encoded AnyValue is one that is looked for."""

_parse_head: Final[Callable[[bytes], Any]] = PARSE["SpanHead"]
_parse_whole: Final[Callable[[bytes], Any]] = PARSE["WholeSpan"]
_NONE: Final[Mapping[str, bytes]] = {}
_USD, _STATUS = COST_KEYS


class Watch:
    """Collects what the policies want to know."""

    def __init__(self, count: Count) -> None:
        """`count`: counts what cannot be read."""
        self._count = count
        self.keys: dict[str, None] = {}
        """Attributes without any of which a span's attributes are of no interest."""
        self.others: dict[str, None] = {}
        """Attributes that are read besides."""
        self.everything = False
        self.wants_status = False
        self.wants_extent = False
        """Whether every span must be read whole."""
        self.heads: dict[HeadNote, None] = {}
        self.attributes: dict[AttributesNote, None] = {}
        self.wholes: dict[WholeNote, None] = {}
        self.values: list[tuple[int, str, ValueTest]] = []
        self.resources: list[tuple[int, str, ValueTest]] = []
        self.sizes = False
        """Whether `Trace.wire_size` must be kept up to date."""
        self._bits = 0

    def bit(self) -> int:
        """Return a bit of `Trace.matched` and `Trace.failed` that nobody else uses."""
        self._bits += 1
        return 1 << (self._bits - 1)

    def any_attribute(self, key: str, span: ValueTest, resource: ValueTest) -> int:
        """Return the bit that is set once a span or a resource carries `key` with a value that passes its test."""
        bit = self.bit()
        self.keys[key] = None
        self.values.append((bit, key, span))
        self.resources.append((bit, key, resource))
        return bit

    def head(self, note: HeadNote) -> None:
        """Call `note` for every span; asked for twice, it is called once."""
        self.heads[note] = None

    def among(
        self, note: AttributesNote, keys: Collection[str], others: Collection[str] = ()
    ) -> None:
        """Call `note` for every span that carries one of the keys, and perhaps for others. What else it reads is
        among `others`."""
        self.attributes[note] = None
        self.keys.update(dict.fromkeys(keys))
        self.others.update(dict.fromkeys(others))

    def whole(self, note: WholeNote) -> None:
        """Call `note` for every span."""
        self.wholes[note] = None
        self.everything = True

    def statuses(self) -> None:
        """Keep `Trace.statuses` up to date."""
        self.wants_status = True

    def extent(self) -> None:
        """Keep `Trace.start_ns` and `end_ns` up to date; times of 0 are unknown and left out."""
        self.wants_extent = True

    def randomness(self) -> None:
        """Keep `Trace.rv` up to date."""
        self.head(_note_randomness)

    def costs(self) -> None:
        """Keep `Trace.calls.costs` up to date."""
        self.among(self._note_cost, COST_KEYS)

    def tokens(self) -> None:
        """Keep `Trace.calls.tokens` up to date."""
        self.among(self._note_tokens, (semconv.APP_LLM_SPAN_CLASS,), COUNTED_KEYS)

    def _note_cost(self, trace: Trace, span_id: bytes, attributes: Mapping[str, bytes]) -> None:
        if _USD in attributes or _STATUS in attributes:
            note_cost(_calls_of(trace), span_id, attributes, self._count)

    def _note_tokens(self, trace: Trace, span_id: bytes, attributes: Mapping[str, bytes]) -> None:
        if is_counted(attributes):
            note_tokens(_calls_of(trace), span_id, attributes, self._count)

    def text(self, key: str) -> None:
        """Keep `Trace.texts[key]` up to date."""
        self.among(_text_note(key), (key,))


def _note_randomness(trace: Trace, view: Any) -> None:
    if trace.rv is None and "rv:" in view.trace_state:
        trace.rv = explicit_randomness(view.trace_state)


def _calls_of(trace: Trace) -> Calls:
    if trace.calls is None:
        trace.calls = Calls()
    return trace.calls


@cache
def _text_note(key: str) -> AttributesNote:
    def note(trace: Trace, span_id: bytes, attributes: Mapping[str, bytes]) -> None:
        value = text_value(attributes.get(key))
        if value:
            if trace.texts is None:
                trace.texts = {}
            trace.texts.setdefault(key, {})[value] = None

    return note


def _read_whole(span: bytes) -> tuple[Any, Mapping[str, bytes]]:
    view = _parse_whole(span)
    return view, view.attributes


def _read_head(span: bytes) -> tuple[Any, Mapping[str, bytes]]:
    return _parse_head(span), _NONE


def _reader(watch: Watch) -> Callable[[bytes], tuple[Any, Mapping[str, bytes]]]:
    """Return what reads an encoded span: whole where a wanted key occurs in its bytes, else its head."""
    if watch.everything:
        return _read_whole
    if not watch.keys:
        return _read_head
    first, *others = [key.encode() for key in watch.keys]

    def read(span: bytes) -> tuple[Any, Mapping[str, bytes]]:
        if first in span:
            return _read_whole(span)
        for key in others:
            if key in span:
                return _read_whole(span)
        return _parse_head(span), _NONE

    return read


_STATUSES: Final = {b"": 1, b"\x18\x00": 1, b"\x18\x01": 2, b"\x18\x02": 4}
"""Encoded status without a message, as most are → its bit in `Trace.statuses`."""


class Plan:
    """The compiled form of a `Watch`."""

    def __init__(self, watch: Watch) -> None:
        self.everything = watch.everything
        """Whether a view MUST be complete, and so must the attributes beside it."""
        self.keys = (*watch.keys, *watch.others)
        """Attributes that are looked at."""
        self.read = _reader(watch)
        """Return a view of an encoded span, and its attributes where they matter."""
        self._status = watch.wants_status
        self._extent = watch.wants_extent
        self._heads = tuple(watch.heads)
        self._attributes = tuple(watch.attributes)
        self._wholes = tuple(watch.wholes)
        self._values = tuple(watch.values)
        self._resources = tuple(watch.resources)
        self.sizes = watch.sizes

    def observe(
        self, trace: Trace, envelope: Envelope, view: Any, attributes: Mapping[str, bytes]
    ) -> None:
        """Bring what is known of a trace up to date with one more span, as `read` or `arrivals` give it."""
        if self._status:
            trace.statuses |= _STATUSES.get(view.status) or 1 << status_code(view)
        if self._extent:
            start = view.start_ns
            if start and (start < trace.start_ns or not trace.start_ns):
                trace.start_ns = start
            end = view.end_ns
            if end > trace.end_ns:
                trace.end_ns = end
        for note in self._heads:
            note(trace, view)
        if attributes:
            for bit, key, passes in self._values:
                if not trace.matched & bit:
                    raw = attributes.get(key)
                    if raw is not None and passes(raw):
                        trace.matched |= bit
            for note_attributes in self._attributes:
                note_attributes(trace, view.span_id, attributes)
        for note_whole in self._wholes:
            note_whole(trace, view, envelope)

    def observe_resource(self, trace: Trace, envelope: Envelope) -> None:
        """Bring what is known of a trace up to date with one more resource."""
        if envelope.read_by is not self:
            envelope.read_by = self
            envelope.matched = 0
            if self._resources:
                attributes = envelope.group.resource.attributes
                for bit, key, passes in self._resources:
                    raw = attributes.get(key)
                    if raw is not None and passes(raw):
                        envelope.matched |= bit
        trace.matched |= envelope.matched

    def catch_up(self, trace: Trace) -> None:
        """Read a trace's spans again when another plan did before: after a reload or a restart."""
        if trace.plan is not self:
            for _ in self.read_again(trace):
                pass

    def read_again(self, trace: Trace) -> Iterator[None]:
        """Do the same a share at a time, pausing between two. What comes meanwhile is read in its turn, too."""
        trace.reset(None)
        for number, share in enumerate(trace.read()):
            if number:
                yield
            for envelope, span in share:
                self.observe_resource(trace, envelope)
                self.observe(trace, envelope, *self.read(span))
        trace.plan = self
