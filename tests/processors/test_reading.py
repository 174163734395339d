"""One parse instead of two: it lets in what the two let in, and gives the same views of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.admission import admit, prove_texts
from processors.batch import Batch, Signal
from processors.encoded import outline, span_views
from processors.errors import Malformed
from processors.reading import LARGEST, Group, Reading, parse_span
from processors.wire import decode_value, delimited
from tests.telemetry import span, traces

NO_TEXT = b"caf\xe9"
EMPTY_LINK = b"\x6a\x00"
VALUES: Mapping[str, Any] = {
    "text": "Grüße",
    "empty": "",
    "none": None,
    "zero": 0,
    "negative": -7,
    "double": 0.0,
    "false": False,
    "bytes": b"\xff\x00",
    "list": ["a", 1, ["b", {}], None],
    "map": {"k": {"l": [True]}, "": ""},
}


def groups_of(raw: bytes) -> list[Group] | None:
    found = admit(Signal.TRACES, raw, 1000, unproved=1).groups
    return list(found) if found is not None else None


def rich() -> ExportTraceServiceRequest:
    """A request with everything that a span may hold, in two groups."""
    request = ExportTraceServiceRequest.FromString(
        traces(
            span(1, attributes=VALUES, status=2),
            span(2, parent=1, kind=3),
        )
    )
    first, second = request.resource_spans[0].scope_spans[0].spans
    first.trace_state, second.flags = "a=b", 0x301
    first.status.message = "out of tokens"
    for name in ("a", "b"):
        event = first.events.add(name=name, time_unix_nano=3)
        event.attributes.extend(first.attributes)
    second.links.add(trace_id=b"l" * 16, span_id=b"m" * 8).attributes.extend(first.attributes)
    other = request.resource_spans.add()
    other.CopyFrom(request.resource_spans[0])
    other.scope_spans.add().spans.add().CopyFrom(second)
    return request


def test_what_is_read_is_what_two_parses_say() -> None:
    raw = rich().SerializeToString()
    groups = groups_of(raw)
    assert groups is not None
    assert [(*group[:2], list(group.places)) for group in groups] == [
        (resource, scope, list(places)) for resource, scope, places in outline(raw)
    ]
    for group, views in zip(groups, span_views(raw), strict=True):
        for one, other in zip(group.views, views, strict=True):
            for name in ("trace_id", "span_id", "parent_span_id", "trace_state", "kind", "flags"):
                assert getattr(one, name) == getattr(other, name)
            for name in ("start_ns", "end_ns", "status", "name", "dropped_events"):
                assert getattr(one, name) == getattr(other, name)
            assert {
                key: decoded(value.SerializeToString()) for key, value in one.attributes.items()
            } == {key: decoded(value) for key, value in other.attributes.items()}


def decoded(value: bytes) -> Any:
    return decode_value(value, 0, len(value))


@pytest.mark.parametrize(
    "part", ["value of a span", "value of an event", "value of a link", "value of a resource"]
)
def test_a_text_that_is_no_utf_8_is_let_in_and_repaired_when_it_goes_on(part: str) -> None:
    request = rich()
    one, other = request.resource_spans[0].scope_spans[0].spans
    holder = {
        "value of a span": one,
        "value of an event": one.events[0],
        "value of a link": other.links[0],
        "value of a resource": request.resource_spans[0].resource,
    }[part]
    holder.attributes.add(key="bad").value.string_value = "MARK"
    raw = request.SerializeToString().replace(b"MARK", NO_TEXT)
    admitted = admit(Signal.TRACES, raw, 1000, unproved=1)
    assert admitted.raw is raw
    assert (admitted.items, admitted.repaired) == (5, 0)
    proved, repaired = prove_texts(Signal.TRACES, raw)
    assert (repaired, "caf\ufffd".encode() in proved) == (1, True)
    assert proved == admit(Signal.TRACES, raw, 1000).raw


def set_ids(**ids: bytes) -> bytes:
    request = rich()
    one = request.resource_spans[0].scope_spans[0].spans[1]
    for name, value in ids.items():
        setattr(one, name, value)
    return request.SerializeToString()


def linked(**ids: bytes) -> bytes:
    request = rich()
    request.resource_spans[0].scope_spans[0].spans[1].links.add(**ids)
    return request.SerializeToString()


def with_field(*fields: bytes) -> bytes:
    ids = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8
    body = delimited(b"\x12", delimited(b"\x12", ids + b"".join(fields)))
    return delimited(b"\x0a", body)


@pytest.mark.parametrize(
    "raw",
    [
        set_ids(trace_id=b""),
        set_ids(trace_id=bytes(16)),
        set_ids(span_id=b"short"),
        set_ids(parent_span_id=b"short"),
        set_ids(parent_span_id=bytes(8)),
        linked(trace_id=b"short"),
        linked(span_id=b"short"),
        with_field(b"\x0a\x10" + b"u" * 16),
        with_field(b"\x12\x08" + b"u" * 8),
        with_field(delimited(b"\x2a", NO_TEXT)),
        with_field(delimited(b"\x1a", NO_TEXT)),
        with_field(delimited(b"\x7a", delimited(b"\x12", NO_TEXT))),
        with_field(delimited(b"\x4a", delimited(b"\x0a", NO_TEXT))),
        with_field(delimited(b"\x5a", delimited(b"\x12", NO_TEXT))),
        with_field(delimited(b"\x6a", delimited(b"\x0a", b"short")), EMPTY_LINK),
        with_field(delimited(b"\x6a", delimited(b"\x1a", NO_TEXT)), EMPTY_LINK),
        traces(span(1, attributes={"text": "x" * LARGEST})),
    ],
    ids=[
        "no trace id", "zeros for a trace id", "a short span id", "a short parent id", "zeros for a parent id",
        "a short trace id in a link", "a short span id in a link", "two trace ids", "two span ids",
        "a name that is no text", "a trace state that is no text", "a status that is no text", "a key that is no text",
        "an event's name that is no text", "a short id in a link before another",
        "a link's trace state that is no text", "much",
    ],
)  # fmt: skip
def test_what_is_odd_is_left_to_a_closer_look(raw: bytes) -> None:
    assert groups_of(raw) is None
    assert admit(Signal.TRACES, raw, 1000, unproved=1) == admit(Signal.TRACES, raw, 1000)


BAD_TEXT = delimited(b"\x4a", delimited(b"\x12", delimited(b"\x0a", NO_TEXT)))


@pytest.mark.parametrize(
    "odd",
    [
        b"\x9b\x01\x0a\x01x\x13\x14\x9c\x01",
        b"\xaa\x00\x01n",
        delimited(b"\x4a", b"\x8a\x80\x00\x01k"),
        delimited(b"\x4a", b"\x1b\x18\x07\x1c\x0a\x01k"),
        delimited(b"\x0a", b"t" * 16),
        EMPTY_LINK,
        delimited(b"\x7a", delimited(b"\x12", NO_TEXT)) + b"\x7a\x00",
    ],
    ids=[
        "groups", "a tag at length", "a key's tag at length", "a group in an attribute", "the same id again", "a link",
        "a second status",
    ],
)  # fmt: skip
def test_what_only_the_parser_understands_is_repaired_as_late_as_at_once(odd: bytes) -> None:
    raw = with_field(odd, BAD_TEXT)
    strict = admit(Signal.TRACES, raw, 1000)
    read = admit(Signal.TRACES, raw, 1000, unproved=1)
    assert (strict.items, strict.rejected, read.groups is None) == (1, 0, False)
    assert prove_texts(Signal.TRACES, read.raw) == (strict.raw, strict.repaired)


def test_a_status_that_is_none_and_another_one_hid_is_left_empty_at_last() -> None:
    raw = with_field(b"\x7a\x02\x12\x7f", b"\x7a\x02\x18\x02")
    assert groups_of(raw) is not None
    assert prove_texts(Signal.TRACES, raw) == (with_field(b"\x7a\x00", b"\x7a\x02\x18\x02"), 0)


def test_what_was_let_in_is_proved_however_much_was_joined() -> None:
    many = b"\x4a\x02\x0a\x00" * 160_000
    raw = with_field(many, BAD_TEXT)
    assert groups_of(raw) is not None
    proved, repaired = prove_texts(Signal.TRACES, with_field(many) * 6 + raw)
    assert (repaired, proved.count("\ufffd".encode())) == (1, 1)


RICH = rich().SerializeToString()


@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), min_size=1, max_size=3
    ),
    cut=st.one_of(st.none(), st.integers(0, len(RICH))),
)
@settings(max_examples=400, deadline=None)
def test_the_same_is_let_in_whatever_the_bytes_are(
    changes: list[tuple[int, int]], cut: int | None
) -> None:
    """Both refuse, or both let in the same spans: read ones once their texts are proved."""
    damaged = bytearray(RICH)
    for at, byte in changes:
        damaged[at] = byte
    raw = bytes(damaged[:cut])
    try:
        strict = admit(Signal.TRACES, raw, 1000)
    except Malformed:
        with pytest.raises(Malformed):
            admit(Signal.TRACES, raw, 1000, unproved=1)
        return
    read = admit(Signal.TRACES, raw, 1000, unproved=1)
    if read.groups is None:
        assert read == strict
        return
    assert (read.items, read.rejected, strict.rejected) == (strict.items, 0, 0)
    assert prove_texts(Signal.TRACES, read.raw) == (strict.raw, strict.repaired)


def test_requests_of_small_spans_are_not_read() -> None:
    raw = traces(span(1, attributes={"text": "x" * 400}), span(2))
    average = len(raw) // 2
    for unproved, is_read in ((0, False), (average, True), (average + 1, False)):
        groups = admit(Signal.TRACES, raw, 1000, unproved=unproved).groups
        assert (groups is not None) is is_read


def test_whoever_does_not_know_better_gets_proved_texts() -> None:
    raw = traces(span(1, attributes={"text": "MARK"})).replace(b"MARK", NO_TEXT)
    calls: list[bytes] = []

    def prove(came: bytes) -> bytes:
        calls.append(came)
        return prove_texts(Signal.TRACES, came)[0]

    def batch() -> Batch:
        return Batch(Signal.TRACES, raw, items=1, reading=Reading(groups_of(raw) or [], prove))

    assert batch().peek() is raw
    assert not calls
    for use in (Batch.encode, lambda one: next(one.spans()).get("text"), lambda one: one.raw):
        one = batch()
        use(one)
        assert calls.pop() is raw
        assert (one.reading, next(one.spans()).get("text")) == (None, "caf\ufffd")
        assert not calls


def test_a_span_can_be_parsed_before_its_texts_are_proved() -> None:
    raw = with_field(
        delimited(b"\x4a", b"\x0a\x01k" + delimited(b"\x12", delimited(b"\x0a", NO_TEXT)))
    )
    ((_, _, ((_, body, behind),)),) = outline(raw)
    parsed = parse_span(raw[body:behind])
    assert parsed.attributes[0].value.string_value == NO_TEXT
    assert parsed.SerializeToString() == raw[body:behind]
