"""Decides what of a request from outside is let in. Whatever the bytes are, it returns or raises `Malformed`.

In this order, because each step makes the next one safe: items are counted on the wire, before anything is allocated
for them; the parser proves form, texts and depth (`proof`); what can be repaired is (`repair`); items with invalid ids
are taken out, one by one. A request with nothing wrong leaves as the very same bytes object.

For who holds items as bytes and lets few go on, one parse may do instead (`reading`); then texts of attribute values
are proved, and repaired, when they go on.

Sources: OTLP specification 1.11 (partial success); trace.proto and logs.proto 1.10: a trace id has 16 bytes, a span id
8, all zeros is invalid; a log record with an invalid id counts as one without. One invalid id makes Tempo and the Go
Collector refuse the whole request, which is why it must not get that far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Final, NamedTuple

from opentelemetry.proto.trace.v1 import trace_pb2

from processors import untrusted
from processors.batch import Batch, LogRecord, Signal, Span, count_points
from processors.errors import Malformed, Oversized
from processors.proof import NO_ID, Proof, Unproved
from processors.reading import Group, read
from processors.repair import MOST_NESTED, Repair

_ID_SIZES: Final = {"trace_id": 16, "span_id": 8}
_POINT_HOLDERS: Final = frozenset((0x2A, 0x3A, 0x4A, 0x52, 0x5A))
"""Tags of gauge, sum, histogram, exponential histogram and summary in a Metric: each holds its points in field 1."""


class Admitted(NamedTuple):
    """What was let in."""

    raw: bytes
    """The request, without what was rejected; the very same object when nothing was wrong."""
    items: int
    """Spans, log records or data points in `raw`."""
    rejected: int = 0
    message: str = ""
    """For the sender: what was rejected or changed, and why."""
    repaired: int = 0
    """Strings that were no UTF-8 and now hold U+FFFD."""
    groups: Sequence[Group] | None = None
    """What was read, if texts of attribute values were not looked at."""


def admit(signal: Signal, raw: bytes, max_items: int, *, unproved: int = 0) -> Admitted:
    """Check one request. `unproved`: texts of attribute values may be left to `prove_texts` where spans have so many
    bytes, on average; 0: nowhere.

    Raises: `Malformed`, or its kind `Oversized`.
    """
    survey = Survey(signal, raw, max_items)
    if signal is Signal.TRACES and 0 < survey.items * unproved <= len(raw):
        groups = read(raw)
        if groups is not None:
            return Admitted(raw, survey.items, groups=groups)
    try:
        proof = Proof(signal, raw, survey.parents)
    except Unproved:
        return _admit_repaired(signal, raw)
    if _plain(signal, survey, proof):
        return Admitted(raw, survey.items)
    return _without_invalid(signal, raw)


def prove_texts(signal: Signal, raw: bytes) -> tuple[bytes, int]:
    """Return requests that were let in, joined, with their texts proved, and how many had to be repaired.

    Nothing is refused any more: a message that is none is left empty (the first of two states of a span, of which only
    the last one was looked at), and the limits of a request do not hold for several.
    """
    try:
        Proof(signal, raw)
    except Malformed:
        repair = Repair(signal, raw, most_fields=len(raw))
        return repair.raw, repair.strings
    return raw, 0


def _plain(signal: Signal, survey: Survey, proof: Proof) -> bool:
    """Whether all ids are right as they are, seen without decoding.

    Every span begins with its ids (`survey`), so none has more where there are as many as spans.
    """
    if proof.odd_ids:
        return False
    if signal is not Signal.TRACES:
        return True
    return not survey.odd and proof.trace_ids == proof.span_ids == survey.items


def _admit_repaired(signal: Signal, raw: bytes) -> Admitted:
    repair = Repair(signal, raw)
    if repair.malformed is not None:
        raise repair.malformed
    Proof(signal, repair.raw)
    admitted = _without_invalid(signal, repair.raw)
    notes = [admitted.message] if admitted.message else []
    too_deep = len(repair.too_deep)
    if signal is Signal.METRICS:
        too_deep = sum(map(count_points, repair.too_deep))
    if too_deep:
        notes.append(
            _number(too_deep, signal.items, "nests", "nest")
            + f" more than {MOST_NESTED} messages inside each other"
        )
    if repair.strings:
        notes.append(
            _number(repair.strings, "strings", "was", "were") + " no UTF-8 and had to be repaired"
        )
    return admitted._replace(
        rejected=admitted.rejected + too_deep, message="; ".join(notes), repaired=repair.strings
    )


def _number(number: int, things: str, one: str, many: str) -> str:
    """Return the begin of a sentence about one thing or many."""
    return f"1 {things[:-1]} {one}" if number == 1 else f"{number} {things} {many}"


# -- counting, on bytes that nobody has proved yet


class Survey:
    """What is seen of a request without decoding it."""

    __slots__ = ("fields", "items", "max_items", "odd", "parents")

    def __init__(self, signal: Signal, raw: bytes, max_items: int) -> None:
        """Raises: `Malformed`, `Oversized`."""
        self.max_items = max_items
        self.fields = 0
        self.items = 0
        self.odd = 0
        """Spans that do not begin as every encoder writes them: a trace id, then a span id, none of them zero."""
        self.parents = 0
        """Spans that go on with a parent's id of the right length."""
        look = _SURVEYS[signal]
        for tag, _, start, end in untrusted.fields(raw, 0, len(raw)):
            self.count_field()
            if tag == 0x0A:
                for inner, _, body, behind in untrusted.fields(raw, start, end):
                    self.count_field()
                    if inner == 0x12:
                        look(self, raw, body, behind)
        if self.items > max_items:
            raise Oversized(f"the request holds more than {max_items} {signal.items}")

    def count_field(self) -> None:
        """Count a resource, a scope, a metric or another field beside the items: three an item do."""
        self.fields += 1
        if self.fields > 3 * self.max_items + 1000:
            raise Oversized(f"the request holds too many fields for {self.max_items} items")


def _survey_spans(survey: Survey, raw: bytes, at: int, end: int) -> None:
    """Look at the spans of a scope group: every received span passes here, 0.35 µs.

    One `unpack_from` reads what stands in front: tag and length of the frame, trace id, span id, and the two bytes
    behind. Frames of less than 128 bytes or more than 2 MiB are left to `untrusted`, and their ids to a closer look.
    """
    items = odd = parents = 0
    room = survey.max_items - survey.items
    unpack, last = _HEAD.unpack_from, end - _HEAD.size - 1
    while at < end and items <= room:
        if at <= last:
            frame, low, high, first, trace, more, second, span, behind = unpack(raw, at)
            if frame == 0x12 and low > 127:
                if high < 128:
                    at += low - 125 + (high << 7)
                else:
                    top, first, trace, more, second, span, behind = _LONGER.unpack_from(raw, at + 3)
                    if top > 127:
                        first = 0
                        at = untrusted.field(raw, at, end)[2]
                    else:
                        at += low - 124 + ((high - 128) << 7) + (top << 14)
                items += 1
                if first != 0x100A or second != 0x0812 or not span or not (trace or more):
                    odd += 1
                elif behind == 0x0822:
                    parents += 1
                continue
        tag, _, at = untrusted.field(raw, at, end)
        if tag == 0x12:
            items += 1
            odd += 1
        else:
            survey.count_field()
    if at > end:
        raise Malformed("the request is cut off: a field is longer than what holds it")
    survey.items += items
    survey.odd += odd
    survey.parents += parents


_HEAD: Final = Struct("<BBBHQQHQH")
"""Frame of two bytes of length, 0A 10, trace id, 12 08, span id, and what is behind: 22 08 for a parent's id."""
_LONGER: Final = Struct("<BHQQHQH")
"""The same from the third byte of length on."""


def _survey_records(survey: Survey, raw: bytes, at: int, end: int, item: int = 0x12) -> None:
    """Count the log records of a scope group, or the data points of a metric."""
    while at < end and survey.items <= survey.max_items:
        tag, _, at = untrusted.field(raw, at, end)
        if tag == item:
            survey.items += 1
        else:
            survey.count_field()


def _survey_metrics(survey: Survey, raw: bytes, at: int, end: int) -> None:
    """Count the data points of a scope group; metrics themselves count as groups."""
    for tag, _, body, behind in untrusted.fields(raw, at, end):
        survey.count_field()
        if tag == 0x12:
            for kind, _, inner, stop in untrusted.fields(raw, body, behind):
                if kind in _POINT_HOLDERS:
                    _survey_records(survey, raw, inner, stop, 0x0A)


_SURVEYS: Final[Mapping[Signal, Callable[[Survey, bytes, int, int], None]]] = {
    Signal.TRACES: _survey_spans,
    Signal.LOGS: _survey_records,
    Signal.METRICS: _survey_metrics,
}


# -- ids


def _without_invalid(signal: Signal, raw: bytes) -> Admitted:
    """Look at the ids of every item: spans with invalid ones are taken out, log records lose them.

    A parent's id of zeros is none, as in the Go Collector, where what follows only asks whether there is one.
    """
    with Batch(signal, raw) as batch:
        rejected = 0
        if signal is Signal.TRACES:
            for span in batch.spans():
                span.dropped = not _identified(span)
                rejected += span.dropped
                if span.parent_span_id == NO_ID:
                    root = span.message()
                    root.ClearField("parent_span_id")
                    span.replace(root)
        elif signal is Signal.LOGS:
            for record in batch.log_records():
                _clear_invalid_ids(record)
        message = ""
        if rejected:
            message = _number(rejected, "spans", "has", "have") + " an invalid trace or span id"
        return Admitted(batch.encode(), len(batch), rejected, message)


def _identified(span: Span) -> bool:
    """Whether a receiver may take the span: its own ids are there, once; those it refers to have the right length."""
    if span.trace_id != span.view.trace_id:
        return False  # the first of two, which we would read, and the last, which others would
    if len(span.trace_id) != 16 or len(span.span_id) != 8 or len(span.parent_span_id) not in (0, 8):
        return False
    if not any(span.trace_id) or not any(span.span_id):
        return False
    return all(
        len(link.trace_id) in (0, 16) and len(link.span_id) in (0, 8)
        for link in map(trace_pb2.Span.Link.FromString, span.encoded_links())
    )


def _clear_invalid_ids(record: LogRecord) -> None:
    lengths = {"trace_id": len(record.trace_id), "span_id": len(record.span_id)}
    invalid = [name for name, size in lengths.items() if size not in (0, _ID_SIZES[name])]
    if invalid:
        message = record.message()
        for name in invalid:
            message.ClearField(name)
        record.replace(message)
