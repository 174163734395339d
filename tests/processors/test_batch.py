"""A batch: bytes in, views, edits, bytes out. What nobody touched leaves as it came."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Batch, Signal, Span
from processors.encoded import assemble
from processors.wire import Value, decode_value, encode_value
from tests.telemetry import batch, key_values, span, spans_of, traces

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
SCALARS = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=200)
    | st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
def test_values_survive_encoding(value: Value) -> None:
    encoded = encode_value(value)
    assert decode_value(encoded, 0, len(encoded)) == value


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_integers_that_otlp_does_not_have_are_refused(value: int) -> None:
    with pytest.raises(OverflowError):
        encode_value(value)


@given(st.dictionaries(TEXTS, SCALARS.filter(lambda v: v is not None), max_size=8), TEXTS, SCALARS)
def test_an_edit_changes_one_attribute_and_nothing_else(
    before: dict[str, Any], key: str, value: Any
) -> None:
    sent = batch(span(attributes=before), span(2, attributes=before))
    first = next(sent.spans())
    assert {k: first.get(k) for k in first.keys()} == before  # noqa: SIM118 - no mapping
    first.set(key, value)
    assert first.get(key) == value
    assert key in first
    left = list(Batch(Signal.TRACES, sent.encode()).spans())
    assert {k: left[0].get(k) for k in left[0].keys()} == {**before, key: value}  # noqa: SIM118 - no mapping
    assert left[1].frame() == next(iter(list(sent.spans())[1:])).frame()


@given(st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=6), st.data())
def test_a_removed_attribute_is_gone(before: dict[str, str], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(before)))
    sent = batch(span(attributes=before))
    (one,) = sent.spans()
    one.remove(key)
    one.remove("never there" + key)
    assert key not in one
    assert one.get(key) is None
    assert set(one.keys()) == set(before) - {key}
    (left,) = spans_of(sent)
    assert [a.key for a in left.attributes] == [k for k in before if k != key]


def test_rename_moves_a_value_and_replaces_what_is_there() -> None:
    sent = batch(span(attributes={"a": 1, "b": 2}))
    (one,) = sent.spans()
    one.rename("a", "b")
    one.rename("absent", "b")
    assert [(a.key, a.value.int_value) for a in spans_of(sent)[0].attributes] == [("b", 1)]


def test_present_keys_are_those_that_came() -> None:
    sent = next(batch(span(attributes={"a": 1, "b": 2})).spans())
    assert sorted(sent.present) == ["a", "b"]
    sent.set("c", 3)
    sent.remove("a")
    assert sorted(sent.present) == ["a", "b"]
    sent.replace(sent.body())
    assert sorted(sent.present) == ["b", "c"]


def test_views_made_at_once_are_those_that_are_made_one_by_one() -> None:
    raw = traces(span(1, attributes={"a": 1})) + traces(span(2), span(3, name="n"))
    sent = Batch(Signal.TRACES, raw)
    last = list(sent.spans())[-1]
    last.replace(next(batch(span(4)).spans()).body())
    sent.view_all()
    seen = [(one.span_id, one.name, one.present) for one in sent.spans()]
    alone = [Span.alone(one.body()) for one in sent.spans()]
    assert seen == [(one.span_id, one.name, one.present) for one in alone]
    assert seen[-1][0] == next(batch(span(4)).spans()).span_id
    assert sent.encode() != raw


def test_untouched_bytes_are_the_same_object_even_when_read() -> None:
    sent = batch(span(attributes={"a": 1}), span(2))
    assert [one.get("a") for one in sent.spans()] == [1, None]
    assert sent.encode() is sent.raw


def test_unknown_fields_survive_an_edit() -> None:
    request = ExportTraceServiceRequest.FromString(traces(span()))
    unknown = b"\xfa\x3e\x03abc"  # field 1007, length-delimited
    raw = request.resource_spans[0].scope_spans[0].spans[0].SerializeToString() + unknown
    scope = b"\x12" + bytes([len(raw)]) + raw + unknown
    group = b"\x12" + bytes([len(scope)]) + scope + unknown
    sent = Batch(Signal.TRACES, b"\x0a" + bytes([len(group)]) + group)
    next(sent.spans()).set("a", 1)
    assert sent.encode().count(unknown) == 3


def test_a_key_that_occurs_twice_reads_as_its_last_value_and_is_edited_once() -> None:
    request = ExportTraceServiceRequest.FromString(traces(span()))
    one = request.resource_spans[0].scope_spans[0].spans[0]
    one.attributes.extend(key_values({"a": 1}) + key_values({"a": 2}))
    sent = Batch(Signal.TRACES, request.SerializeToString())
    (read,) = sent.spans()
    assert read.get("a") == 2
    assert sent.encode() is sent.raw
    read.set("a", 3)
    assert [a.value.int_value for a in spans_of(sent)[0].attributes] == [3]


def test_dropped_items_leave_and_empty_groups_with_them() -> None:
    sent = batch(span(1), span(2))
    for one in sent.spans():
        one.dropped = True
    assert len(sent) == 0
    assert sent.encode() == b""


def test_resource_and_scope_are_edited_even_where_absent() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="s")
    sent = Batch(Signal.TRACES, request.SerializeToString())
    (one,) = sent.spans()
    one.resource.set("service.name", "x")
    one.scope.set("k", "v")
    left = ExportTraceServiceRequest.FromString(sent.encode()).resource_spans[0]
    assert left.resource.attributes[0].value.string_value == "x"
    assert left.scope_spans[0].scope.attributes[0].key == "k"


def test_a_replaced_message_leaves() -> None:
    sent = batch(span())
    (one,) = sent.spans()
    message = one.message()
    message.name = "renamed"  # type: ignore[attr-defined]
    one.replace(message)
    assert one.name == "renamed"
    assert spans_of(sent)[0].name == "renamed"


def test_fields_of_a_span_are_read() -> None:
    request = traces(span(3, 5, name="n", kind=3, ms=(1, 4), status=2, parent=2), scope="lib")
    parsed = ExportTraceServiceRequest.FromString(request)
    event = parsed.resource_spans[0].scope_spans[0].spans[0].events.add(name="e", time_unix_nano=9)
    event.attributes.extend(key_values({"k": "v"}))
    (one,) = Batch(Signal.TRACES, parsed.SerializeToString()).spans()
    assert (one.trace_id[-1], one.span_id[-1], one.parent_span_id[-1]) == (5, 3, 2)
    assert (one.name, one.kind, one.status_code, one.end_ns - one.start_ns) == (
        "n",
        3,
        2,
        3_000_000,
    )
    assert (one.scope.name, one.scope.version) == ("lib", "")
    assert [(e.name, e.time_ns, e.get("k")) for e in one.events()] == [("e", 9, "v")]


def test_events_and_links_are_read_even_when_the_last_one_is_empty() -> None:
    parsed = ExportTraceServiceRequest.FromString(traces(span(1), span(2)))
    one, _ = parsed.resource_spans[0].scope_spans[0].spans
    one.events.add(name="e")
    one.events.add()
    one.links.add(trace_state="a=b")
    one.links.add()
    some, none = Batch(Signal.TRACES, parsed.SerializeToString()).spans()
    assert [event.name for event in some.events()] == ["e", ""]
    assert [len(link) for link in some.encoded_links()] == [5, 0]
    assert (none.events(), list(none.encoded_events()), list(none.encoded_links())) == ([], [], [])


def test_views_that_were_made_together_are_those_of_each_span() -> None:
    raw = traces(*(span(n, name=f"n{n}", attributes={"n": n}, status=n % 3) for n in range(1, 5)))
    together, alone = Batch(Signal.TRACES, raw), Batch(Signal.TRACES, raw)
    together.view_all()
    for one, other in zip(together.spans(), alone.spans(), strict=True):
        assert one.seen is not None
        assert other.seen is None
        view, attributes = other.see()
        assert other.seen == (view, attributes)
        assert (one.view, dict(one.seen[1])) == (view, dict(attributes))


def test_a_span_that_was_replaced_is_seen_anew() -> None:
    one = next(Batch(Signal.TRACES, traces(span(1, attributes={"k": 1}))).spans())
    assert one.get("k") == 1
    one.replace(b"")
    assert (one.get("k"), one.name, one.present) == (None, "", ())


def test_fields_of_a_log_record_are_read() -> None:
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(observed_time_unix_nano=7, event_name="e")
    )
    record.body.kvlist_value.values.extend(key_values({"a": [1, {"b": 2.5}]}))
    record.trace_id, record.span_id = b"t" * 16, b"s" * 8
    (one,) = Batch(Signal.LOGS, request.SerializeToString()).log_records()
    assert (one.time_ns, one.event_name, one.body_value) == (7, "e", {"a": [1, {"b": 2.5}]})
    assert (one.trace_id, one.span_id) == (b"t" * 16, b"s" * 8)


def test_metrics_are_counted_in_data_points() -> None:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    metrics.add(name="a").gauge.data_points.add()
    two = metrics.add(name="b").histogram.data_points
    two.add()
    two.add()
    metrics.add(name="empty")
    assert len(Batch(Signal.METRICS, request.SerializeToString())) == 3


def test_frames_are_assembled_under_their_envelopes() -> None:
    sent = Batch(
        Signal.TRACES,
        traces(span(1), span(2)) + traces(span(3), resource={"service.name": "other"}),
    )
    frames: dict[tuple[bytes, bytes], list[bytes]] = {}
    for one in sent.spans():
        frames.setdefault((one.group.parent.envelope(), one.group.envelope()), []).append(
            one.frame()
        )
    assert assemble(frames) == sent.raw


def test_released_batches_can_be_read_again() -> None:
    sent = batch(span(1), span(2))
    assert len(list(sent.spans())) == 2
    sent.release()
    assert len(list(sent.spans())) == 2
