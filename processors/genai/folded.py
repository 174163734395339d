"""A trace at rest: what later spans of it are judged by, in as few bytes as that takes.

As objects the ledger's traces take 2 kB each; folded, one with a single call takes 130 bytes. Most traces are plain and
never become objects; the others are folded when they were quiet. Folding loses nothing that a verdict depends on.

Format, little-endian: a head, then items in the order in which they came.
    head    when its last span came, Unix ns (8) · where its first record begins (2), 0 without one · flags (1)
    link    of a span that left no record: span id (8) · parent (8) · sort (1) · a tool's start, end (8 each)
    record  as a link, of the sort RECORD, then: start, end (8 each) · input, output (4 each) · models (8) ·
            response id (8) · request id (8) · mark of the scope (5), kind, verdict and switches (3)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from processors.genai.call import COUNTED, Call, Report
from processors.genai.reasons import REASONS
from processors.genai.trace import LINK_BYTES, Trace, link_size
from processors.genai.usage import NO_USAGE, Usage

_HEAD: Final = struct.Struct("<QHB")
_RECORD: Final = struct.Struct("<8s8scQQIIQqqQ")
_pack_head: Final = _HEAD.pack
_pack_record: Final = _RECORD.pack
_START: Final = _HEAD.size
_SIZE: Final = _RECORD.size
_SORT_AT: Final = 16
_SORT: Final = b"\x02"
_RECORD_SORT: Final = _SORT[0]

_FORGOTTEN: Final = 1
"""Flag: calls were counted before the trace was forgotten."""
_MIXED: Final = 2
"""Flag: its records could repeat each other."""

_SCOPE: Final = (1 << 40) - 1
_INPUT, _OUTPUT, _AGGREGATE, _STANDS_FOR_ONE, _LOG = (1 << bit for bit in range(40, 45))
_LOG_AT: Final = _SIZE - 3
_LOG_BIT: Final = _LOG >> 40
"""The same in the byte where it lies."""
_KIND_AT: Final = 45
_VERDICT_AT: Final = 48
_VERDICT: Final = 0x7F
_CACHED: Final = 1 << 55
_KIND_MARKS: Final = {kind: kind << _KIND_AT for kind in range(6)}
_VERDICTS: Final = (COUNTED, *REASONS)
_VERDICT_NUMBERS: Final = {verdict: number for number, verdict in enumerate(_VERDICTS)}

_NOT_KEPT: Final = NO_USAGE[2:]

_MAX_RECORDS: Final = 256
_MAX_LINKS: Final = 2048
"""Larger traces stay objects: to unfold them for a request would cost more than the memory is worth."""
_MAX_EXTENDED: Final = 4096
"""Up to so many bytes adding to a plain trace, which copies it, is cheaper than unfolding it."""

FORGOTTEN: Final = _HEAD.pack(0, 0, _FORGOTTEN)
"""All that is known of a trace whose calls were counted before it was forgotten."""


def seen_ns(entry: bytes) -> int:
    """Return when the last span came."""
    return int.from_bytes(entry[:8], "little")


def was_forgotten(entry: bytes) -> bool:
    """Whether calls of the trace were counted before it was forgotten."""
    return bool(entry[10] & _FORGOTTEN)


def has_record(entry: bytes, span_id: bytes) -> bool:
    """Whether this span left a record."""
    return entry.find(span_id, _START) >= 0 and span_id in span_ids(entry)


def span_ids(entry: bytes) -> list[bytes]:
    """Return the ids of the spans that left records."""
    at, end, ids = _first(entry) or len(entry), len(entry), []
    while at < end:
        if entry[at + _SORT_AT] != _RECORD_SORT:
            at += link_size(entry[at + _SORT_AT])
            continue
        if not entry[at + _LOG_AT] & _LOG_BIT:
            ids.append(entry[at : at + 8])
        at += _SIZE
    return ids


def _places(entry: bytes) -> list[int]:
    """Return where records begin."""
    at, end, places = _first(entry) or len(entry), len(entry), []
    while at < end:
        if entry[at + _SORT_AT] == _RECORD_SORT:
            places.append(at)
            at += _SIZE
        else:
            at += link_size(entry[at + _SORT_AT])
    return places


def _first(entry: bytes) -> int:
    return entry[8] | entry[9] << 8


# -- plain traces, which never become objects


def extended(
    entry: bytes | None, now_ns: int, reports: Iterable[Report], links: bytes
) -> bytes | None:
    """Add spans to a trace if all of its calls count, since none can repeat another: one parent and one scope.

    Returns None when it is not that plain, or large.
    """
    if entry is None:
        first, flags, items = 0, 0, b""
    else:
        first, flags, items = entry[8] | entry[9] << 8, entry[10], entry[_START:]
        if flags & _MIXED or len(entry) > _MAX_EXTENDED:
            return None
    for report in reports:
        record = _written(report, 0)
        if record is None:
            return None
        if first:
            at = first - _START
            if items[at + 8 : at + 16] != record[8:16] or items[at + 65 : at + 70] != record[65:70]:
                return None
        else:
            first = _START + len(items)
        items += record
    return _pack_head(now_ns, first, flags) + items + links


def _written(report: Report, marks: int) -> bytes | None:
    """Write a record; None when a value has no room, which no real one needs."""
    span_id, parent, scope, usage, models, response_id, request_id, start, end, kind, cached = (
        report
    )
    counted, output = usage[0], usage[1]
    marks |= scope | _KIND_MARKS.get(kind, 0)
    if counted is None:
        counted = 0
    else:
        marks |= _INPUT
    if output is None:
        output = 0
    else:
        marks |= _OUTPUT
    if cached:
        marks |= _CACHED
    if len(span_id) != 8 or len(parent) not in (8, 0):
        return None
    try:
        return _pack_record(
            span_id,
            parent,
            _SORT,
            start,
            end,
            counted,
            output,
            models,
            response_id,
            request_id,
            marks,
        )
    except struct.error:
        return None


# -- from objects and back


def folded(trace: Trace) -> bytes | None:
    """Write a trace down; None when it has to stay an object: open, large, or with running totals among its calls."""
    if trace.open or len(trace.calls) + len(trace.logs) > _MAX_RECORDS:
        return None
    links = trace.links_without_record()
    records = [_folded(call, 0) for call in trace.calls.values()]
    records += [_folded(log, _LOG) for log in trace.logs]
    written = [record for record in records if record is not None]
    if len(written) < len(records) or len(links) > _MAX_LINKS * LINK_BYTES:
        return None
    flags = _FORGOTTEN * trace.forgotten | _MIXED * (not trace.is_plain)
    head = _pack_head(trace.seen_ns, _START if written else 0, flags)
    return b"".join((head, *written, links))


def _folded(call: Call, marks: int) -> bytes | None:
    if call.loop or call.agent is not None:
        return None  # compared by more than a record holds
    if call.aggregate:
        marks |= _AGGREGATE
    if call.stands_for_one:
        marks |= _STANDS_FOR_ONE
    return _written(call.report, marks | _VERDICT_NUMBERS[call.verdict or COUNTED] << _VERDICT_AT)


def unfolded(entry: bytes | None) -> Trace:
    """Return the trace as an object; a new one for None."""
    if entry is None:
        return Trace()
    trace = Trace(forgotten=was_forgotten(entry))
    trace.seen_ns = seen_ns(entry)
    links, after = [], _START
    for at in _places(entry):
        links.append(entry[after:at])
        after = at + _SIZE
        values = _RECORD.unpack_from(entry, at)
        call = _unfolded_call(values)
        if values[-1] & _LOG:
            trace.logs.add(call)
        else:
            trace.add(call)
    trace.link(b"".join((*links, entry[after:])))
    return trace


def _unfolded_call(values: tuple[Any, ...]) -> Call:
    span_id, parent, _, start, end, counted, output, models, response_id, request_id, marks = values
    usage = Usage(
        counted if marks & _INPUT else None,
        output if marks & _OUTPUT else None,
        *_NOT_KEPT,
    )
    kind, scope = marks >> _KIND_AT & 7, marks & _SCOPE
    cached = bool(marks & _CACHED)
    call = Call(
        span_id, parent, scope, usage, models, response_id, request_id, start, end, kind, cached
    )  # fmt: skip
    call.aggregate = bool(marks & _AGGREGATE)
    call.stands_for_one = bool(marks & _STANDS_FOR_ONE)
    call.verdict = _VERDICTS[marks >> _VERDICT_AT & _VERDICT]
    return call
