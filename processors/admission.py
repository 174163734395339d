"""Decides what of a request from outside is let in. Whatever the bytes are, it returns or raises `Malformed`.

In this order, because each step makes the next one safe: items are counted on the wire, before anything is allocated
for them; the parser proves form, texts and depth (`proof`); what can be repaired is (`repair`); items with invalid ids
are taken out, one by one. A request with nothing wrong leaves as the very same bytes object.

Sources: OTLP specification 1.11 (partial success); trace.proto and logs.proto 1.10: a trace id has 16 bytes, a span id
8, all zeros is invalid; a log record with an invalid id counts as one without. One invalid id makes Tempo and the Go
Collector refuse the whole request, which is why it must not get that far.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from opentelemetry.proto.trace.v1 import trace_pb2

from processors import untrusted
from processors.batch import Batch, LogRecord, Signal, Span, count_points
from processors.errors import Malformed, Oversized
from processors.proof import Proof, Unproved
from processors.repair import Repair

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


def admit(signal: Signal, raw: bytes, max_items: int, max_depth: int) -> Admitted:
    """Check one request. Raises: `Malformed`, or its kind `Oversized`."""
    items, plain = _survey(signal, raw, max_items)
    try:
        proof = Proof(signal, raw, max_depth)
    except Unproved:
        return _admit_repaired(signal, raw, max_depth)
    once = signal is not Signal.TRACES or proof.ids == 2 * items
    if plain and once and not proof.odd_ids:
        return Admitted(raw, items)
    return _without_invalid(signal, raw)


def _admit_repaired(signal: Signal, raw: bytes, max_depth: int) -> Admitted:
    repair = Repair(signal, raw, max_depth)
    Proof(signal, repair.raw, max_depth)
    admitted = _without_invalid(signal, repair.raw)
    notes = [admitted.message] if admitted.message else []
    too_deep = len(repair.too_deep)
    if signal is Signal.METRICS:
        too_deep = sum(map(count_points, repair.too_deep))
    if too_deep:
        notes.append(f"{too_deep} {signal.items} nest more than {max_depth} levels")
    if repair.strings:
        notes.append(f"{repair.strings} strings were no UTF-8 and were repaired")
    return admitted._replace(
        rejected=admitted.rejected + too_deep, message="; ".join(notes), repaired=repair.strings
    )


# -- counting, on bytes that nobody has proved yet


def _survey(signal: Signal, raw: bytes, max_items: int) -> tuple[int, bool]:
    """Count the items, and say whether spans all begin with valid ids, as every encoder writes them."""
    scope = _survey_metrics if signal is Signal.METRICS else _survey_items
    items, plain, groups = 0, True, 0
    for tag, _, start, end in untrusted.fields(raw, 0, len(raw)):
        groups = _at_most(max_items, groups + 1, "groups")
        if tag == 0x0A:
            for inner, _, body, behind in untrusted.fields(raw, start, end):
                groups = _at_most(max_items, groups + 1, "groups")
                if inner == 0x12:
                    more, odd = scope(raw, body, behind, max_items - items)
                    items += more
                    plain = plain and not odd
    return items, plain or signal is not Signal.TRACES


def _at_most(limit: int, n: int, what: str) -> int:
    if n > limit:
        raise Oversized(f"the request holds more {what} than allowed")
    return n


def _survey_items(raw: bytes, at: int, end: int, room: int) -> tuple[int, int]:
    """Count the items of a scope group, and those that do not begin with a trace and a span id, none of them zero.

    Every received span passes here: 0.25 µs. What is not the usual case is left to `untrusted`.
    """
    items = odd = others = 0
    while at < end:
        if raw[at] != 0x12 or end - at < 32:
            tag, _, at = untrusted.field(raw, at, end)
            others += 1
            if tag == 0x12:
                items += 1
                odd += 1
            _at_most(room + 3, others, "fields")
            continue
        size = raw[at + 1]
        body = at + 2
        if size > 127:
            high = raw[body]
            if high < 128:
                size += (high << 7) - 128
                body += 1
            else:
                size, body = untrusted.varint(raw, at + 1, end)
        at = body + size
        items += 1
        if (
            size < 28
            or raw[body] != 0x0A
            or raw[body + 1] != 16
            or raw[body + 18] != 0x12
            or raw[body + 19] != 8
            or not (raw[body + 2] or any(raw[body + 3 : body + 18]))
            or not (raw[body + 20] or any(raw[body + 21 : body + 28]))
        ):
            odd += 1
        if items > room or at > end:
            break
    _at_most(room, items, "items")
    if at > end:
        raise Malformed("the request is cut off: a field is longer than what holds it")
    return items, odd


def _survey_metrics(raw: bytes, at: int, end: int, room: int) -> tuple[int, int]:
    """Count the data points of a scope group; a metric without any counts against the limit as one."""
    points = metrics = 0
    for tag, _, body, behind in untrusted.fields(raw, at, end):
        metrics = _at_most(room + 3, metrics + 1, "fields")
        if tag == 0x12:
            for kind, _, inner, stop in untrusted.fields(raw, body, behind):
                if kind in _POINT_HOLDERS:
                    for field, *_ in untrusted.fields(raw, inner, stop):
                        points = _at_most(room, points + (field == 0x0A), "data points")
    return points, 0


# -- ids


def _without_invalid(signal: Signal, raw: bytes) -> Admitted:
    """Look at the ids of every item: spans with invalid ones are taken out, log records lose them."""
    batch = Batch(signal, raw)
    rejected = 0
    if signal is Signal.TRACES:
        for span in batch.spans():
            span.dropped = not _identified(span)
            rejected += span.dropped
    elif signal is Signal.LOGS:
        for record in batch.log_records():
            _clear_invalid_ids(record)
    message = f"{rejected} spans have an invalid trace or span id" if rejected else ""
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
        for link in map(trace_pb2.Span.Link.FromString, span.view.links)
    )


def _clear_invalid_ids(record: LogRecord) -> None:
    lengths = {"trace_id": len(record.trace_id), "span_id": len(record.span_id)}
    invalid = [name for name, size in lengths.items() if size not in (0, _ID_SIZES[name])]
    if invalid:
        message = record.message()
        for name in invalid:
            message.ClearField(name)
        record.replace(message)
