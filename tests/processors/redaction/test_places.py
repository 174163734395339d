"""Every place where text can be, under every action, whether the batch was decoded before or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from processors.batch import Batch, Signal
from tests.processors.redaction.support import attributes, processor, through

MAIL = "ann.lee@pii.example"
IDS = {"trace_id": b"t" * 16, "span_id": b"s" * 8}


def _spans(**fields: Any) -> tuple[Signal, ExportTraceServiceRequest]:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(**IDS, **fields)
    return Signal.TRACES, request


def _logs(**fields: Any) -> tuple[Signal, ExportLogsServiceRequest]:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(**fields)
    return Signal.LOGS, request


def _resource() -> tuple[Signal, ExportTraceServiceRequest]:
    signal, request = _spans(name="call")
    request.resource_spans[0].resource.attributes.extend(attributes({"owner": MAIL}))
    return signal, request


def _scope(**fields: Any) -> tuple[Signal, ExportTraceServiceRequest]:
    signal, request = _spans(name="call")
    scope = request.resource_spans[0].scope_spans[0].scope
    scope.name = fields.get("name", "scope")
    scope.attributes.extend(attributes(fields.get("attributes", {})))
    return signal, request


def _metric(kind: str, **fields: Any) -> tuple[Signal, ExportMetricsServiceRequest]:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="calls", **fields)
    point = getattr(metric, kind).data_points.add()
    point.attributes.extend(attributes({"by": MAIL}))
    if kind in ("sum", "histogram"):
        point.exemplars.add().filtered_attributes.extend(attributes({"by": MAIL}))
    return Signal.METRICS, request


MADE: dict[str, Callable[[], tuple[Signal, Any]]] = {
    "span name": lambda: _spans(name=f"write to {MAIL}"),
    "span attribute": lambda: _spans(attributes=attributes({"a": f"of {MAIL}."})),
    "attribute key": lambda: _spans(attributes=attributes({f"of {MAIL}": 1})),
    "list": lambda: _spans(attributes=attributes({"a": ["x", [MAIL]]})),
    "map": lambda: _spans(attributes=attributes({"a": {"b": {"c": MAIL}}})),
    "map key": lambda: _spans(attributes=attributes({"a": {MAIL: 1}})),
    "bytes": lambda: _spans(attributes=attributes({"a": MAIL.encode()})),
    "json text": lambda: _spans(attributes=attributes({"a": f'{{"to":"{MAIL}","n":1}}'})),
    "event attribute": lambda: _spans(
        events=[Span.Event(name="e", attributes=attributes({"m": MAIL}))]
    ),
    "event name": lambda: _spans(events=[Span.Event(name=f"mail {MAIL}")]),
    "link attribute": lambda: _spans(links=[Span.Link(attributes=attributes({"m": MAIL}))]),
    "link state": lambda: _spans(links=[Span.Link(trace_state=f"a={MAIL}")]),
    "trace state": lambda: _spans(trace_state=f"a={MAIL}"),
    "status": lambda: _spans(status=Status(message=f"no such user {MAIL}", code=2)),
    "resource": _resource,
    "scope attribute": lambda: _scope(attributes={"m": MAIL}),
    "scope name": lambda: _scope(name=f"of {MAIL}"),
    "log body": lambda: _logs(body=attributes({"b": f"sent to {MAIL}"})[0].value),
    "log body map": lambda: _logs(body=attributes({"b": {"to": [MAIL]}})[0].value),
    "log attribute": lambda: _logs(attributes=attributes({"a": MAIL})),
    "log event name": lambda: _logs(event_name=f"mail {MAIL}"),
    "log severity": lambda: _logs(severity_text=MAIL),
    **{
        f"{kind} point": lambda kind=kind: _metric(kind)
        for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    },
    "metric description": lambda: _metric("gauge", description=f"by {MAIL}"),
    "metric unit": lambda: _metric("gauge", unit=MAIL),
}
ACTIONS = ("replace", "mask", "hash", "remove", "drop_attribute", "drop_record")


@pytest.mark.parametrize("decoded", [False, True], ids=["raw", "decoded"])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", MADE)
def test_nothing_of_a_mail_address_is_left_in_any_place(place: str, action: str, decoded: bool):
    signal, request = MADE[place]()
    out = through(processor({"action": action}), signal, request, decoded=decoded)
    assert b"ann.lee" not in out.SerializeToString()
    assert b"pii.example" not in out.SerializeToString()


@pytest.mark.parametrize("place", MADE)
def test_keep_counts_and_changes_nothing(place: str):
    signal, request = MADE[place]()
    subject = processor({"action": "keep"})
    assert through(subject, signal, request) == request
    assert sum(v for k, v in subject.stats.counters.items() if k[0] == "llm_redactions_total") > 0


@pytest.mark.parametrize("place", MADE)
def test_a_dry_run_counts_and_changes_nothing_but_the_receipt(place: str):
    signal, request = MADE[place]()
    subject = processor({"action": "drop_record", "dry_run": True, "summary": "silent"})
    assert through(subject, signal, request) == request
    assert sum(v for k, v in subject.stats.counters.items() if k[0] == "llm_redactions_total") > 0


@pytest.mark.parametrize("place", MADE)
def test_redacting_twice_changes_nothing_more(place: str):
    signal, request = MADE[place]()
    subject = processor({"action": "hash"})
    once = through(subject, signal, request)
    assert through(processor({"action": "hash"}), signal, once) == once


def test_a_place_that_is_out_of_scope_stays():
    signal, request = _spans(name=f"write to {MAIL}", attributes=attributes({"a": MAIL}))
    out = through(processor({"scope": {"places": ["attributes"]}}), signal, request)
    span = out.resource_spans[0].scope_spans[0].spans[0]
    assert span.name == f"write to {MAIL}"
    assert span.attributes[0].value.string_value == "[EMAIL]"


def test_a_record_that_must_go_is_a_log_record_an_event_or_a_link():
    subject = processor({"action": "drop_record"})
    signal, request = _logs(body=attributes({"b": MAIL})[0].value)
    assert not through(subject, signal, request).resource_logs[0].scope_logs[0].log_records
    signal, request = _spans(
        name="call",
        events=[Span.Event(name=MAIL), Span.Event(name="fine")],
        attributes=attributes({"a": MAIL, "b": "x"}),
    )
    span = through(subject, signal, request).resource_spans[0].scope_spans[0].spans[0]
    assert [event.name for event in span.events] == ["fine"]
    assert "a" not in {pair.key for pair in span.attributes}


def test_a_batch_without_a_hit_leaves_as_the_very_same_bytes():
    _, request = _spans(name="call", attributes=attributes({"a": "nothing here", "n": 42}))
    raw = request.SerializeToString()
    assert processor({"action": "replace"}).process(Batch(Signal.TRACES, raw)).encode() is raw
