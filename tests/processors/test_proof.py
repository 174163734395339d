"""What is proved: what the official classes would parse, no less and no more, whatever the bytes and their size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from processors.admission import admit
from processors.batch import Signal
from processors.errors import Malformed
from processors.proof import PIECE, WHOLE, Proof, Unproved
from tests.telemetry import is_parsed, key_values, span, traces

ATTRIBUTES = key_values(
    {
        "text": "é😀 plain",
        "list": ["x", {"deep": [1, {"deeper": "ü"}]}],
        "number": 1.5,
        "count": 300,
        "yes": True,
        "raw": b"\xff\xfe",
    }
)


def a_trace() -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add(schema_url="https://schema")
    group.resource.attributes.extend(ATTRIBUTES)
    scope = group.scope_spans.add(schema_url="scope's")
    scope.scope.name, scope.scope.version = "näme", "1"
    one = scope.spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=b"p" * 8, trace_state="a=b", name="né"
    )
    one.start_time_unix_nano, one.end_time_unix_nano, one.flags = 1 << 60, 1 << 61, 257
    one.kind = Span.SPAN_KIND_CLIENT
    one.attributes.extend(ATTRIBUTES)
    one.events.add(name="évent", time_unix_nano=5).attributes.extend(ATTRIBUTES)
    one.links.add(trace_id=b"t" * 16, span_id=b"s" * 8).attributes.extend(ATTRIBUTES)
    one.status.message, one.status.code = "fâiled", Status.STATUS_CODE_ERROR
    return request.SerializeToString()


def a_log() -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(severity_text="wärn")
    record.body.CopyFrom(ATTRIBUTES[1].value)
    record.attributes.extend(ATTRIBUTES)
    record.trace_id, record.span_id = b"t" * 16, b"s" * 8
    return request.SerializeToString()


def some_metrics() -> bytes:
    request = ExportMetricsServiceRequest()
    found = request.resource_metrics.add().scope_metrics.add().metrics
    found.add(name="süm", unit="1").sum.data_points.add(as_int=5).attributes.extend(ATTRIBUTES)
    found[0].sum.data_points[0].exemplars.add(trace_id=b"t" * 16, as_double=1.5)
    found.add(name="histogram").histogram.data_points.add(
        bucket_counts=[1, 2], explicit_bounds=[0.5], attributes=ATTRIBUTES
    )
    buckets = found.add(name="exponential").exponential_histogram.data_points.add(count=3).positive
    buckets.bucket_counts.extend([1, 300])
    found.add(name="summary").summary.data_points.add().quantile_values.add(quantile=0.5, value=1)
    return request.SerializeToString()


WHOLE_REQUESTS = {
    Signal.TRACES: a_trace(),
    Signal.LOGS: a_log(),
    Signal.METRICS: some_metrics(),
}
DAMAGE = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.sampled_from("=+-")),
    max_size=4,
)
"""Where, with which byte, and whether it replaces one, goes before it or takes it away."""


def damaged(raw: bytes, damage: list[tuple[float, int, str]]) -> bytes:
    changed = bytearray(raw)
    for where, byte, how in damage:
        at = int(where * len(changed))
        changed[at : at + (how != "+")] = b"" if how == "-" else bytes([byte])
    return bytes(changed)


def is_proved(signal: Signal, raw: bytes) -> bool:
    try:
        Proof(signal, raw)
    except Unproved:
        return False
    return True


@pytest.mark.parametrize("signal", Signal)
def test_a_whole_request_is_proved(signal: Signal) -> None:
    assert is_proved(signal, WHOLE_REQUESTS[signal])


@given(st.sampled_from(Signal), DAMAGE)
@settings(max_examples=1000, deadline=None)
def test_what_is_proved_is_what_the_official_classes_parse(
    signal: Signal, damage: list[tuple[float, int, str]]
) -> None:
    raw = damaged(WHOLE_REQUESTS[signal], damage)
    assert is_proved(signal, raw) == is_parsed(signal, raw)


@given(st.sampled_from(Signal), st.binary(max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_proved_where_the_official_classes_parse_them(
    signal: Signal, raw: bytes
) -> None:
    assert is_proved(signal, raw) == is_parsed(signal, raw)


LARGE = traces(*(span(n, attributes={"text": "é" * PIECE}) for n in range(1, 10)))
assert len(LARGE) > WHOLE


def outcome(raw: bytes) -> tuple[int, int, int] | None:
    try:
        admitted = admit(Signal.TRACES, raw, 1000)
    except Malformed:
        return None
    return admitted.items, admitted.rejected, admitted.repaired


@given(DAMAGE)
@settings(max_examples=100, deadline=None)
def test_of_a_request_that_is_proved_in_pieces_the_same_is_let_in(
    damage: list[tuple[float, int, str]],
) -> None:
    raw = damaged(WHOLE_REQUESTS[Signal.TRACES], damage)
    small, large = outcome(raw), outcome(LARGE + raw)
    assert large == (None if small is None else (small[0] + 9, small[1], small[2]))
