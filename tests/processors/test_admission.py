"""What is let in: untouched when right, repaired or thinned out where parts are wrong, refused when all of it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.admission import Admitted, admit
from processors.batch import Batch, Signal
from processors.errors import Malformed, Oversized
from processors.proof import ITEM_PATH, PIECE, WHOLE
from processors.wire import delimited, varint
from tests.ruler import Calls, at_most, nothing_decoded_is_left
from tests.telemetry import is_parsed, parse, span, spans_of, traces

IDS = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8
NO_TEXT = b"caf\xe9"
"""Latin-1: a lone 0xE9 is no UTF-8."""


def let_in(raw: bytes, signal: Signal = Signal.TRACES, items: int = 1000) -> Admitted:
    return admit(signal, raw, items)


def within(tags: bytes, body: bytes) -> bytes:
    """Wrap a body in fields of these tags, the first one outermost; in linear time."""
    heads = [body]
    size = len(body)
    for tag in reversed(tags):
        heads.append(bytes([tag]) + varint(size))
        size += len(heads[-1])
    return b"".join(reversed(heads))


def one_span(body: bytes) -> bytes:
    """Return a request with one span, or one log record, of these bytes."""
    return within(b"\x0a\x12\x12", body)


def large(spans: int = 110, size: int = 20_000) -> bytes:
    """Return a request that is proved in pieces."""
    raw = traces(*(span(n, attributes={"text": "x" * size}) for n in range(1, spans + 1)))
    assert len(raw) > WHOLE
    return raw


# -- nothing wrong


@pytest.mark.parametrize(
    "make", [lambda: traces(span(1), span(2)), large, lambda: b""], ids=["small", "large", "empty"]
)
def test_a_right_request_leaves_as_the_same_object(make: Callable[[], bytes]) -> None:
    raw = make()
    admitted = let_in(raw)
    assert admitted.raw is raw
    assert (admitted.rejected, admitted.message, admitted.repaired) == (0, "", 0)
    assert admitted.items == len(spans_of(raw))


def test_unknown_fields_are_left_alone() -> None:
    unknown = delimited(b"\xfa\x7f", b"from the future") + b"\xf8\x7f\x05"
    raw = one_span(IDS + unknown) + unknown
    assert let_in(raw).raw is raw


def test_an_indexed_string_of_profiles_counts_as_absent() -> None:
    key = delimited(b"\x0a", b"key")
    raw = one_span(IDS + delimited(b"\x4a", key + delimited(b"\x12", b"\x40\x07")))
    assert let_in(raw).raw is raw
    assert next(Batch(Signal.TRACES, raw).spans()).get("key") is None


def test_log_records_are_counted() -> None:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for _ in range(3):
        records.add().body.string_value = "said"
    raw = request.SerializeToString()
    assert let_in(raw, Signal.LOGS) == Admitted(raw, 3)


def metrics(points: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    found = request.resource_metrics.add().scope_metrics.add(schema_url="of the scope").metrics
    for n in range(points):
        found.add(name="sum", unit="1").sum.data_points.add(as_int=n)
        found[-1].sum.is_monotonic = True
        found.add(name="gauge").gauge.data_points.add(as_double=n)
        found.add(name="summary").summary.data_points.add(count=n)
        found.add(name="histogram").histogram.data_points.add(
            bucket_counts=[1, 2], explicit_bounds=[0.5]
        )
        found.add(name="exponential").exponential_histogram.data_points.add(count=n)
    return request


def test_metrics_are_counted_in_data_points_of_every_kind() -> None:
    raw = metrics(3).SerializeToString()
    assert let_in(raw, Signal.METRICS) == Admitted(raw, 15)


# -- texts


@pytest.mark.parametrize("size", [0, WHOLE // 2], ids=["small", "large"])
def test_one_bad_string_costs_nobody_anything(size: int) -> None:
    wrong = delimited(
        b"\x4a", delimited(b"\x0a", b"k") + delimited(b"\x12", delimited(b"\x0a", NO_TEXT))
    )
    raw = traces(*(span(n, attributes={"text": "x" * size}) for n in range(1, 4))) + one_span(
        IDS + wrong
    )
    admitted = let_in(raw)
    assert (admitted.items, admitted.rejected, admitted.repaired) == (4, 0, 1)
    assert admitted.message == "1 string was no UTF-8 and had to be repaired"
    assert spans_of(admitted.raw)[:3] == spans_of(
        traces(*(span(n, attributes={"text": "x" * size}) for n in range(1, 4)))
    )
    assert (
        spans_of(admitted.raw)[3].attributes[0].value.string_value == "caf\N{REPLACEMENT CHARACTER}"
    )


@pytest.mark.parametrize(
    ("where", "raw"),
    [
        ("name", one_span(IDS + within(b"\x2a", NO_TEXT))),
        ("key", one_span(IDS + within(b"\x4a\x0a", NO_TEXT))),
        ("list", one_span(IDS + within(b"\x4a\x12\x2a\x0a\x0a", NO_TEXT))),
        ("mapping", one_span(IDS + within(b"\x4a\x12\x32\x0a\x0a", NO_TEXT))),
        ("event", one_span(IDS + within(b"\x5a\x12", NO_TEXT))),
        ("resource", within(b"\x0a\x0a\x0a\x0a", NO_TEXT) + one_span(IDS)),
        ("scope", within(b"\x0a\x12\x0a\x0a", NO_TEXT) + one_span(IDS)),
        ("schema", within(b"\x0a\x1a", NO_TEXT) + one_span(IDS)),
    ],
)
def test_strings_are_repaired_wherever_they_are(where: str, raw: bytes) -> None:
    admitted = let_in(raw)
    assert (admitted.items, admitted.repaired) == (1, 1)
    assert parse(admitted.raw)
    assert "caf\N{REPLACEMENT CHARACTER}".encode() in admitted.raw


def test_bytes_need_not_be_text() -> None:
    value = delimited(b"\x12", delimited(b"\x3a", NO_TEXT))
    raw = one_span(IDS + delimited(b"\x4a", delimited(b"\x0a", b"k") + value))
    assert let_in(raw).raw is raw


# -- depth


UNKNOWN = b"\xfa\x7f"
"""Tag of a field that no message of OTLP has: it may stand in all of them."""
ARRAYS, MAPPINGS = b"\x2a\x0a", b"\x32\x0a\x12"
"""Tags from an AnyValue to the one inside it."""
PLACES = {
    "span": (Signal.TRACES, b"\x4a\x12"),
    "event": (Signal.TRACES, b"\x5a\x1a\x12"),
    "link": (Signal.TRACES, b"\x6a\x22\x12"),
    "body": (Signal.LOGS, b"\x2a"),
    "record": (Signal.LOGS, b"\x32\x12"),
    "gauge": (Signal.METRICS, b"\x2a\x0a\x3a\x12"),
    "exemplar": (Signal.METRICS, b"\x3a\x0a\x2a\x3a\x12"),
}
"""Tags from an item to an attribute's value."""


def item(signal: Signal, body: bytes) -> bytes:
    """Return a request of one item."""
    return one_span((IDS if signal is Signal.TRACES else b"") + body)


def nested(place: str, steps: bytes, messages: int, size: int = 0) -> bytes:
    """Return a request of one item that takes so many messages inside each other, the last one of this size."""
    signal, head = PLACES[place]
    path = head + steps * messages
    return item(signal, within(path[: messages - len(ITEM_PATH)], delimited(UNKNOWN, bytes(size))))


@pytest.mark.parametrize("size", [0, 2 * PIECE, WHOLE], ids=["small", "cut", "large"])
@pytest.mark.parametrize("steps", [ARRAYS, MAPPINGS], ids=["arrays", "mappings"])
@pytest.mark.parametrize("place", PLACES)
def test_as_many_messages_are_taken_inside_each_other_as_the_parser_takes(
    place: str, steps: bytes, size: int
) -> None:
    signal, _ = PLACES[place]
    neighbour = item(signal, delimited(UNKNOWN, bytes(WHOLE if size == 2 * PIECE else 0)))
    fits, deeper = (nested(place, steps, messages, size) for messages in (100, 101))
    assert (is_parsed(signal, fits), is_parsed(signal, deeper)) == (True, False)
    raw = neighbour + fits
    assert let_in(raw, signal).raw is raw
    admitted = let_in(deeper + raw, signal)
    assert (admitted.raw, admitted.rejected) == (within(b"\x0a\x12", b"") + raw, 1)
    assert admitted.message.endswith(" nests more than 100 messages inside each other")


@pytest.mark.parametrize("levels", [1_000, 100_000])
@pytest.mark.parametrize(("size", "most"), [(0, 2_000), (WHOLE, 25_000)], ids=["small", "large"])
def test_to_leave_out_what_nests_deeper_costs_little_however_deep(
    levels: int, size: int, most: int
) -> None:
    raw = nested("span", ARRAYS, levels, size) + traces(span(1))
    let_in(raw)  # the first request of all has the parsers built
    with Calls() as calls:
        admitted = let_in(raw)
    assert calls.made < most
    assert (admitted.items, admitted.rejected) == (1, 1)
    assert [one.name for one in spans_of(admitted.raw)] == ["span 1"]


@given(
    st.sampled_from(sorted(PLACES)),
    st.lists(st.sampled_from((ARRAYS, MAPPINGS)), min_size=1, max_size=5).map(b"".join),
    st.integers(95, 105),
    st.sampled_from((0, 0, 0, WHOLE)),
)
@settings(max_examples=200, deadline=None)
def test_an_item_is_taken_where_the_official_classes_parse_a_request_of_it_alone(
    place: str, steps: bytes, messages: int, size: int
) -> None:
    signal, _ = PLACES[place]
    raw = nested(place, steps, messages, size)
    admitted = let_in(raw, signal)
    assert (admitted.raw == raw) == is_parsed(signal, raw)
    assert is_parsed(signal, admitted.raw)


@pytest.mark.parametrize("size", [0, WHOLE], ids=["small", "large"])
@pytest.mark.parametrize("head", [b"\x0a\x0a\x0a\x12", b"\x0a\x12\x0a\x1a\x12"])
def test_a_request_whose_resource_or_scope_nests_deeper_is_refused(head: bytes, size: int) -> None:
    path = head + ARRAYS * 50
    filler = one_span(IDS + delimited(UNKNOWN, bytes(size)))
    fits = filler + within(path[:100], b"")
    assert let_in(fits).raw is fits
    with pytest.raises(Malformed, match="nests more than 100 messages"):
        let_in(filler + within(path[:101], b""))


def test_metrics_that_nest_too_deep_count_by_their_points() -> None:
    points = delimited(b"\x0a", b"") * 2 + within(b"\x0a\x3a\x12" + ARRAYS * 50, b"")
    raw = one_span(delimited(b"\x2a", points)) + metrics(1).SerializeToString()
    admitted = let_in(raw, Signal.METRICS)
    assert (admitted.items, admitted.rejected) == (5, 3)
    assert admitted.message == "3 metric_points nest more than 100 messages inside each other"


def test_ids_of_a_link_that_is_large_by_itself_are_looked_at() -> None:
    state = delimited(b"\x1a", b"s" * WHOLE)
    link = delimited(b"\x6a", delimited(b"\x0a", b"l" * 15) + delimited(b"\x12", b"l" * 8) + state)
    admitted = let_in(traces(span(1)) + one_span(IDS + link))
    assert (admitted.items, admitted.rejected) == (1, 1)


# -- ids


@pytest.mark.parametrize(
    ("signal", "raw"),
    [
        (Signal.TRACES, traces(span(attributes={"text": "x" * (1 << 21)}))),
        (Signal.TRACES, traces(span()) + one_span(b"")),
        (Signal.LOGS, one_span(delimited(b"\x4a", b"short"))),
    ],
    ids=["two MiB", "invalid", "invalid record"],
)
def test_looking_at_ids_leaves_nothing_decoded(signal: Signal, raw: bytes) -> None:
    with nothing_decoded_is_left():
        let_in(raw, signal)


@pytest.mark.parametrize(
    "ids",
    [
        b"",
        b"\x0a\x10" + bytes(16) + b"\x12\x08" + b"s" * 8,
        b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + bytes(8),
        b"\x0a\x10" + b"t" * 16,
        b"\x0a\x0f" + b"t" * 15 + b"\x12\x08" + b"s" * 8,
        b"\x0a\x10" + b"t" * 16 + b"\x12\x09" + b"s" * 9,
        IDS + delimited(b"\x22", b"p" * 7),
        IDS + delimited(b"\x6a", delimited(b"\x0a", b"l" * 15) + delimited(b"\x12", b"l" * 8)),
        IDS + delimited(b"\x6a", delimited(b"\x0a", b"l" * 16) + delimited(b"\x12", b"l" * 7)),
    ],
)
@pytest.mark.parametrize("filler", [b"", delimited(b"\x2a", b"n" * 40)], ids=["short", "long"])
def test_a_span_with_an_invalid_id_is_left_out_alone(ids: bytes, filler: bytes) -> None:
    admitted = let_in(traces(span(1)) + one_span(ids + filler) + traces(span(2)))
    assert (admitted.items, admitted.rejected) == (2, 1)
    assert "invalid" in admitted.message
    assert [one.name for one in spans_of(admitted.raw)] == ["span 1", "span 2"]


@pytest.mark.parametrize("second", [b"\x0a\x10" + b"u" * 16, b"\x0a\x01u", b"\x12\x01u"])
def test_a_span_with_an_id_twice_is_left_out(second: bytes) -> None:
    admitted = let_in(one_span(IDS + within(b"\x2a", b"n" * 100) + second) + traces(span(1)))
    assert (admitted.items, admitted.rejected) == (1, 1)


def test_ids_may_stand_in_any_order() -> None:
    name = delimited(b"\x2a", b"n" * 40)
    raw = one_span(name + b"\x12\x08" + b"s" * 8 + b"\x0a\x10" + b"t" * 16)
    assert let_in(raw) == Admitted(raw, 1)


def test_a_link_may_lack_ids() -> None:
    raw = one_span(IDS + within(b"\x6a\x1a", b"state"))
    assert let_in(raw) == Admitted(raw, 1)


@pytest.mark.parametrize("filler", [b"", b"\x2a\x04name"], ids=["right behind", "later"])
def test_a_span_whose_parent_is_zero_is_a_root(filler: bytes) -> None:
    child = IDS + b"\x22\x08" + b"p" * 8
    raw = one_span(IDS + filler + b"\x22\x08" + bytes(8)) + one_span(child)
    admitted = let_in(raw)
    assert (admitted.items, admitted.rejected, admitted.message) == (2, 0, "")
    assert admitted.raw == one_span(IDS + filler) + one_span(child)


def test_ids_that_begin_with_zeros_are_valid() -> None:
    raw = one_span(
        b"\x0a\x10" + bytes(15) + b"\x01\x12\x08" + bytes(7) + b"\x01" + delimited(b"\x2a", b"n")
    )
    assert let_in(raw) == Admitted(raw, 1)


def test_a_log_record_loses_ids_that_are_none() -> None:
    body = delimited(b"\x2a", delimited(b"\x0a", b"said"))
    wrong = one_span(body + delimited(b"\x4a", b"short") + delimited(b"\x52", b"s" * 8))
    right = one_span(body + delimited(b"\x4a", b"t" * 16) + delimited(b"\x52", b"s" * 8))
    admitted = let_in(wrong + right, Signal.LOGS)
    assert (admitted.items, admitted.rejected) == (2, 0)
    found = [(one.trace_id, one.span_id) for one in Batch(Signal.LOGS, admitted.raw).log_records()]
    assert found == [(b"", b"s" * 8), (b"t" * 16, b"s" * 8)]


# -- limits and bombs


def test_more_items_than_allowed_are_refused() -> None:
    raw = traces(*(span(n) for n in range(1, 12)))
    assert let_in(raw, items=11).items == 11
    with pytest.raises(Oversized):
        let_in(raw, items=10)


def test_a_parent_behind_a_trace_state_is_looked_at() -> None:
    state = delimited(b"\x1a", b"ot=th:8") + b"\x22\x08" + b"p" * 8 + within(b"\x2a", b"n" * 100)
    raw = one_span(IDS + state)
    assert let_in(raw) == Admitted(raw, 1)
    admitted = let_in(
        raw + one_span(IDS + state.replace(b"\x22\x08" + b"p" * 8, b"\x22\x07" + b"p" * 7))
    )
    assert (admitted.items, admitted.rejected) == (1, 1)


def test_spans_of_every_length_are_counted() -> None:
    sizes = (0, 90, 100, 130, 16_000, 16_400, 100_000, 2_100_000)
    raw = b"".join(one_span(IDS + within(b"\x2a", b"n" * size)) for size in sizes)
    assert let_in(raw) == Admitted(raw, len(sizes))
    assert let_in(one_span(IDS + within(b"\x2a", b"n" * 2_100_000))).items == 1
    with pytest.raises(Malformed):
        let_in(within(b"\x0a\x12", b"\x12\xff\xff\x01" + IDS + b"\x22\x08" + b"p" * 8))


def test_more_data_points_than_allowed_are_refused() -> None:
    raw = metrics(3).SerializeToString()
    assert let_in(raw, Signal.METRICS, items=15).items == 15
    with pytest.raises(Oversized):
        let_in(raw, Signal.METRICS, items=14)


MEBI = 1 << 20
BOMBS = {
    "spans": within(b"\x0a\x12", b"\x12\x00" * 8 * MEBI),
    "resources": b"\x0a\x00" * 8 * MEBI,
    "scopes": delimited(b"\x0a", b"\x12\x00" * 8 * MEBI),
    "scope fields": within(b"\x0a\x12", b"\x1a\x00" * 8 * MEBI),
    "attributes": one_span(IDS + b"\x4a\x00" * 8 * MEBI),
    "events": one_span(IDS + b"\x5a\x00" * 8 * MEBI),
    "links": one_span(IDS + b"\x6a\x00" * 8 * MEBI),
    "keys": delimited(
        b"\x0a", delimited(b"\x12", delimited(b"\x12", IDS + b"\x4a\x02\x0a\x00" * 6000) * 400)
    ),
}


def test_fields_beside_the_items_are_limited_too() -> None:
    raw = within(b"\x0a\x12", b"\x1a\x00" * 2000)
    for signal in Signal:
        with pytest.raises(Oversized):
            let_in(raw, signal, items=10)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_with_little_work_and_in_little_memory(bomb: bytes) -> None:
    items = 100_000
    with pytest.raises(Oversized), at_most(64 * MEBI), Calls() as calls:
        admit(Signal.TRACES, bomb, items)
    assert calls.made < 20 * items  # of millions of fields


def test_a_bomb_is_one() -> None:
    with pytest.raises((DecodeError, MemoryError)), at_most(64 * MEBI):
        ExportTraceServiceRequest.FromString(BOMBS["spans"])


def test_what_needs_repair_and_holds_too_many_fields_is_refused() -> None:
    pairs = within(b"\x4a\x12\x32", b"\x0a\x00" * 30_000 + within(b"\x0a\x0a", NO_TEXT))
    with pytest.raises(Oversized):
        let_in(one_span(IDS + pairs) * 12)


def test_one_large_attribute_is_no_bomb() -> None:
    raw = traces(span(1, attributes={"document": "x" * (4 * MEBI)}))
    assert let_in(raw) == Admitted(raw, 1)


# -- garbage


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff" * 100,
        traces(span(1))[:-1],
        large()[:-1],
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b\x0c",
        b"\x8a\x00\x00",
        b"\x02\x00",
        one_span(IDS + b"\x4a\x7f"),
        one_span(IDS + within(b"\x4a\x12", b"\x21")),
        within(b"\x0a\x0a", b"\x4d") + one_span(IDS),
        one_span(IDS + delimited(b"\x4a", b"\x0a\x05abc")),
        delimited(b"\x0a", delimited(b"\x12", b"\x12" + b"\x50" + b"x" * 40)),
        delimited(b"\x0a", delimited(b"\x12", b"\x12\xff\xff\xff\xff\x7f" + b"x" * 40)),
        one_span(IDS + delimited(b"\x39", b"")[:1]),
    ],
    ids=range(14),
)
def test_what_is_no_request_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        let_in(raw)


def test_what_only_the_parser_finds_wrong_is_malformed() -> None:
    three_bytes_of_doubles = within(b"\x0a\x12\x12\x4a\x0a\x3a", b"abc")
    with pytest.raises(Malformed):
        let_in(three_bytes_of_doubles, Signal.METRICS)


@given(st.binary(max_size=300), st.sampled_from(Signal))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_request_or_a_refusal(raw: bytes, signal: Signal) -> None:
    try:
        admitted = let_in(raw, signal)
    except Malformed:
        return
    assert signal.request.FromString(admitted.raw) is not None
    assert len(Batch(signal, admitted.raw)) == admitted.items


REAL = traces(
    *(span(n, attributes={"a": "text", "b": ["x", {"y": 1}], "c": 1.5}) for n in range(1, 6))
)


@given(
    st.lists(st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(REAL)),
)
@settings(max_examples=500, deadline=None)
def test_a_damaged_request_is_taken_in_part_or_refused(
    flips: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(REAL)
    for at, byte in flips:
        damaged[at] = byte
    raw = bytes(damaged[:cut] if cut % 3 == 0 else damaged)
    try:
        admitted = let_in(raw)
    except Malformed:
        return
    again = let_in(admitted.raw)
    assert again == Admitted(admitted.raw, admitted.items)
    walked = [one.trace_id for one in Batch(Signal.TRACES, admitted.raw).spans()]
    assert walked == [one.trace_id for one in spans_of(admitted.raw)]


@given(st.integers(PIECE - 200, PIECE + 200), st.integers(15, 20))
@settings(max_examples=20, deadline=None)
def test_where_a_large_request_is_cut_does_not_matter(size: int, spans: int) -> None:
    raw = traces(*(span(n, attributes={"text": "x" * size, "n": n}) for n in range(1, spans + 1)))
    assert let_in(raw) == Admitted(raw, spans)
