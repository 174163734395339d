"""OTLP/JSON in and out: golden cases, properties, and hostile documents."""

import contextlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from collector.errors import Rejected, TooLarge
from collector.otlp_json import MOST_TOKENS, decode, encode, weight
from processors.batch import Signal
from processors.wire import varint

GOLDEN = Path(__file__).parents[1] / "golden" / "otlp_json"
ACCEPTED = yaml.safe_load((GOLDEN / "accepted.yaml").read_text())
REFUSED = yaml.safe_load((GOLDEN / "refused.yaml").read_text())


def document(span: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def decoded(text: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(encode(Signal.TRACES, decode(Signal.TRACES, text.encode())))
    return shown


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED)
def test_documents_mean_what_the_specification_says(case: dict[str, Any]) -> None:
    assert decoded(json.dumps(document(case["in"]))) == document(case["out"])


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refusals_name_the_place_and_quote_nothing(case: list[str]) -> None:
    text, message = case
    with pytest.raises(Rejected) as refusal:
        decode(Signal.TRACES, text.encode())
    assert str(refusal.value) == message


def test_broken_unicode_becomes_the_replacement_character() -> None:
    text = json.dumps(document({"name": "#"}))
    for broken in (r"\ud800", r"\udc00\ud800", r"a\ud83d"):
        span = decoded(text.replace("#", broken))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        assert "\N{REPLACEMENT CHARACTER}" in span["name"]
    raw = decode(Signal.TRACES, text.encode().replace(b"#", b"\xff"))
    assert "\N{REPLACEMENT CHARACTER}".encode() in raw


def test_surrogate_pairs_are_one_character() -> None:
    text = json.dumps(document({"name": "\N{GRINNING FACE}"}), ensure_ascii=True)
    assert "\N{GRINNING FACE}".encode() in decode(Signal.TRACES, text.encode())


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode(Signal.TRACES, b'\xef\xbb\xbf{"resourceSpans":[]}') == b""


def test_the_last_of_equal_keys_counts() -> None:
    assert decode(Signal.LOGS, b'{"resourceLogs":[{}],"resourceLogs":[]}') == b""


@pytest.mark.parametrize("digits", [5_000, 100_000])
def test_endless_numbers_are_refused(digits: int) -> None:
    text = json.dumps(document({"flags": 7})).replace("7", "7" * digits)
    with pytest.raises(Rejected):
        decode(Signal.TRACES, text.encode())


@pytest.mark.parametrize("depth", [45, 100, 1_000, 100_000])
def test_bottomless_values_are_refused(depth: int) -> None:
    opening, closing = '{"arrayValue":{"values":[', "]}}"
    value = opening * depth + closing * depth
    body = '{"resourceSpans":[{"resource":{"attributes":[{"value":' + value + "}]}}]}"
    if depth == 45:
        assert decode(Signal.TRACES, body.encode())
        return
    with pytest.raises(Rejected, match="nested too deeply"):
        decode(Signal.TRACES, body.encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_request_or_a_refusal(body: bytes) -> None:
    for signal in Signal:
        with contextlib.suppress(Rejected):
            assert isinstance(decode(signal, body), bytes)


_NAMES = (
    *("resourceSpans", "scopeSpans", "spans", "traceId", "kind", "events", "attributes", "status"),
    *("key", "value", "intValue", "doubleValue", "bytesValue", "boolValue", "arrayValue", "values"),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_any_json_gives_a_request_or_a_refusal(value: Any) -> None:
    try:
        raw = decode(Signal.TRACES, json.dumps(value).encode())
    except Rejected:
        return
    assert decode(Signal.TRACES, encode(Signal.TRACES, raw).encode()) == raw


_VALUES = st.recursive(
    st.builds(AnyValue, string_value=st.text(max_size=8))
    | st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1))
    | st.builds(AnyValue, double_value=st.floats())
    | st.builds(AnyValue, bool_value=st.booleans())
    | st.builds(AnyValue, bytes_value=st.binary(max_size=8))
    | st.just(AnyValue()),
    lambda inner: (
        st.lists(inner, max_size=3).map(
            lambda values: AnyValue(array_value={"values": values})  # type: ignore[arg-type]
        )
        | st.lists(inner, max_size=3).map(
            lambda values: AnyValue(
                kvlist_value={  # type: ignore[arg-type]
                    "values": [KeyValue(key=str(i), value=v) for i, v in enumerate(values)]
                }
            )
        )
    ),
    max_leaves=6,
)
_ATTRIBUTES = st.lists(st.builds(KeyValue, key=st.text(max_size=5), value=_VALUES), max_size=3)
_NANOS = st.integers(0, 2**64 - 1)


@st.composite
def traces(draw: st.DrawFn) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(schema_url=draw(st.text(max_size=3)))
    group.resource.attributes.extend(draw(_ATTRIBUTES))
    span = group.scope_spans.add().spans.add(
        trace_id=draw(st.binary(max_size=16)),
        span_id=draw(st.binary(max_size=8)),
        kind=draw(st.integers(0, 9)),  # type: ignore[arg-type] # newer senders
        start_time_unix_nano=draw(_NANOS),
        flags=draw(st.integers(0, 2**32 - 1)),
        attributes=draw(_ATTRIBUTES),
    )
    span.events.add(time_unix_nano=draw(_NANOS), attributes=draw(_ATTRIBUTES))
    span.links.add(trace_id=draw(st.binary(max_size=16)), attributes=draw(_ATTRIBUTES))
    return request.SerializeToString()


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    record = scope.log_records.add(
        severity_number=draw(st.integers(0, 24)),  # type: ignore[arg-type]
        time_unix_nano=draw(_NANOS),
        event_name=draw(st.text(max_size=4)),
    )
    record.body.CopyFrom(draw(_VALUES))
    return request.SerializeToString()


_INT = st.integers(-(2**63), 2**63 - 1)


@st.composite
def metrics(draw: st.DrawFn) -> bytes:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    gauge = scope.metrics.add(name="g").gauge
    gauge.data_points.add(as_int=draw(_INT), time_unix_nano=draw(_NANOS))
    gauge.data_points.add(as_double=draw(st.floats()))
    total = scope.metrics.add(name="s").sum
    total.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    total.is_monotonic = draw(st.booleans())
    histogram = scope.metrics.add(name="h").histogram.data_points.add(
        count=draw(_NANOS),
        bucket_counts=draw(st.lists(_NANOS, max_size=3)),
        explicit_bounds=draw(st.lists(st.floats(), max_size=3)),
        sum=draw(st.none() | st.floats()),
    )
    histogram.exemplars.add(as_int=draw(_INT), span_id=draw(st.binary(max_size=8)))
    point = scope.metrics.add(name="e").exponential_histogram.data_points.add(
        scale=draw(st.integers(-(2**31), 2**31 - 1))
    )
    point.positive.offset = draw(st.integers(-(2**31), 2**31 - 1))
    point.positive.bucket_counts.extend(draw(st.lists(_NANOS, max_size=3)))
    scope.metrics.add(name="q").summary.data_points.add().quantile_values.add(quantile=0.5)
    return request.SerializeToString()


@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize(
    ("signal", "requests"),
    [(Signal.TRACES, traces()), (Signal.LOGS, logs()), (Signal.METRICS, metrics())],
)
def test_requests_survive_the_way_through_json(
    signal: Signal, requests: st.SearchStrategy[bytes], data: st.DataObject
) -> None:
    raw = data.draw(requests)
    text = encode(signal, raw)
    assert "\n" not in text
    again = decode(signal, text.encode())
    # Compared as JSON too: a NaN keeps its meaning, not its bits.
    assert encode(signal, again) == text
    assert len(again) == len(raw)


def test_unpacked_numbers_and_unknown_fields_are_read() -> None:
    point = b"\x31" + (7).to_bytes(8, "little") + b"\x31" + (9).to_bytes(8, "little")
    future = b"\xfa\x7f\x01x\xf8\x7f\x05\xfd\x7f\x00\x00\x00\x00"
    exponential = nested((0x52, 0x0A, 0x42), b"\x10\x07\x10\x09")
    histogram = nested((0x4A, 0x0A), point + future)
    raw = nested((0x0A, 0x12, 0x12), histogram) + nested((0x0A, 0x12, 0x12), exponential)
    first, second = json.loads(encode(Signal.METRICS, raw))["resourceMetrics"]
    points = first["scopeMetrics"][0]["metrics"][0]["histogram"]["dataPoints"]
    assert points == [{"bucketCounts": ["7", "9"]}]
    points = second["scopeMetrics"][0]["metrics"][0]["exponentialHistogram"]["dataPoints"]
    assert points == [{"positive": {"bucketCounts": ["7", "9"]}}]


@pytest.mark.parametrize(
    "odd",
    [
        b"\x28\x01",  # the name as a varint
        b"\x32\x01\x02",  # the kind as bytes
        b"\x08\x01",  # the trace id as a varint
        b"\x3d\x01\x02\x03\x04",  # the start in four bytes
        b"\x48\x01",  # an attribute as a varint
        b"\x7b\x0a\x01x\x7b\x28\x01\x7c\x7c",  # the status as a group with a group inside
        b"\x2a\x01n\x28\x01",  # the name as text, and then as a varint
    ],
)
def test_a_field_of_another_wire_type_is_left_out(odd: bytes) -> None:
    body = b"\x2a\x01n" + odd + b"\x30\x02"
    ExportTraceServiceRequest.FromString(nested((0x0A, 0x12, 0x12), body))  # parsers accept it
    shown = json.loads(encode(Signal.TRACES, nested((0x0A, 0x12, 0x12), body)))
    assert shown == document({"name": "n", "kind": 2})


@pytest.mark.parametrize("number", [3, -1, 2**31, 2**32 + 2, 2**63, 2**64 + 2**33 + 5, 2**70 - 1])
def test_a_varint_that_is_too_large_is_cut_off_as_parsers_do(number: int) -> None:
    raw = nested((0x0A, 0x12, 0x12), b"\x30" + varint(number) + b"\x50" + varint(number))
    parsed = ExportTraceServiceRequest.FromString(raw).resource_spans[0].scope_spans[0].spans[0]
    span = json.loads(encode(Signal.TRACES, raw))["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span == {"kind": parsed.kind, "droppedAttributesCount": parsed.dropped_attributes_count}


def nested(tags: tuple[int, ...], body: bytes) -> bytes:
    for tag in reversed(tags):
        body = bytes((tag, len(body))) + body
    return body


@pytest.mark.parametrize("token", ["{", "[", ",", "{},", '"",', '"\\"",[', '"\\\\",'])
def test_a_document_of_too_many_tokens_is_refused_before_it_is_decoded(token: str) -> None:
    with pytest.raises(TooLarge, match="more than 1,000,000 objects, lists and commas"):
        weight(token.encode() * (MOST_TOKENS + 1))


@pytest.mark.parametrize("end", ['"', "", "\\"])
@pytest.mark.parametrize("text", ["{[,", '\\",', "\\\\{"])
def test_what_is_in_texts_is_no_token(text: str, end: str) -> None:
    """Whether they end or not, and however many of their quotes are escaped."""
    assert weight(f'["{text * 2 * MOST_TOKENS}{end}'.encode()) < 1_000


def test_a_document_weighs_what_it_takes() -> None:
    attributes = b",".join([b'{"key":"a","value":{"intValue":"1"}}'] * (MOST_TOKENS // 5))
    raw = b'{"resourceSpans":[{"resource":{"attributes":[%b]}}]}' % attributes
    assert weight(raw) / 3 < peak_of(lambda: decode(Signal.TRACES, raw)) < 1.5 * weight(raw)


@pytest.mark.parametrize("text", ["a", "\xe4", "\N{PILE OF POO}"])
def test_a_document_weighs_what_its_texts_take(text: str) -> None:
    raw = f'{{"resourceSpans":[],"x":"{text}{"x" * 10_000_000}"}}'.encode()
    assert peak_of(lambda: decode(Signal.TRACES, raw)) < 2.1 * len(raw) + 1.1 * weight(raw)


def test_to_weigh_a_document_takes_no_memory() -> None:
    raw = b'"ab":1,' * (MOST_TOKENS + 1)

    def refused() -> None:
        with pytest.raises(TooLarge):
            weight(raw)

    assert peak_of(refused) < 1_000_000


def peak_of(act: Callable[[], object]) -> int:
    """Return the most bytes that were allocated while something was done."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
