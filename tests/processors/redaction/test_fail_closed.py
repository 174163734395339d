"""A text that cannot be judged does not go on; the rest of the batch does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from processors.batch import Batch, Signal
from processors.redaction.cleaner import Cleaner, Receipt
from processors.redaction.detectors.contact import EMAIL
from processors.redaction.detectors.model import Detector
from processors.redaction.engine import Engine
from processors.redaction.external import Layer
from processors.redaction.policy import Actions, Allowed, Config
from processors.stats import Stats

from .support import attributes, plain_attributes, processor, span_request

ERRORS = "otelcol_llm_redaction_errors_total"


def _broken(value: bytes) -> bool:
    raise RuntimeError("a detector that is broken")


BROKEN = Detector(entity="BROKEN", prefilter="secret-word", pattern=b"secret-word", check=_broken)


class Scripted:
    """An external detector that answers, raises, or runs out of time."""

    def __init__(self, answer: Sequence[tuple[int, int, str, float]] | Exception) -> None:
        self.answer = answer

    def find(self, text: str, timeout_ns: int) -> Sequence[tuple[int, int, str, float]]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def cleaner(*layers: Layer, detectors: Sequence[Detector] = EMAIL.detectors) -> Cleaner:
    config = Config(
        entities=("EMAIL",), action="replace", mask={"char": "*", "keep_last": 4, "keep_domain": False}, hash_keys=(),
        allow_values=(), patterns=(), min_confidence=0.5, scope={}, secret_keys=(), pseudonym_keys=(),
        ignored_keys=(), ignored_key_patterns=(), detectors=(), data_urls={}, dry_run=False, audit=False,
        summary="info",
    )  # fmt: skip
    return Cleaner(Engine(detectors), Actions(config, None), Allowed(()), Stats(), layers=layers)


def layer(answer: Sequence[tuple[int, int, str, float]] | Exception, **other: Any) -> Layer:
    settings: dict[str, Any] = {
        "name": "names", "entities": frozenset(), "keys": (), "timeout_ns": 10**6, "max_bytes": 1000,
        "redact_on_error": True, **other,
    }  # fmt: skip
    return Layer(external=Scripted(answer), **settings)


def test_a_text_on_which_a_detector_raises_is_replaced_whole():
    subject = cleaner(detectors=(BROKEN,))
    assert (
        subject.clean(b"the secret-word is x", None, "", "body", Receipt()) == b"[REDACTED:ERROR]"
    )
    assert subject.stats.counters[ERRORS, "built_in"] == 1


def test_a_text_without_a_candidate_never_meets_the_broken_detector():
    assert cleaner(detectors=(BROKEN,)).clean(b"fine", None, "", "body", Receipt()) is None


@pytest.mark.parametrize("error", [RuntimeError("broken"), TimeoutError()])
def test_a_text_on_which_another_layer_fails_is_replaced_whole(error: Exception):
    subject = cleaner(layer(error))
    assert (ERRORS, "names") in subject.stats.counters  # before it failed
    assert subject.clean(b"Ann Lee", None, "", "body", Receipt()) == b"[REDACTED:ERROR]"


def test_a_failing_layer_may_be_passed_over_on_demand():
    subject = cleaner(layer(TimeoutError(), redact_on_error=False))
    assert subject.clean(b"to ann@example.com", None, "", "body", Receipt()) == b"to [EMAIL]"


def test_what_another_layer_finds_is_redacted_beside_what_patterns_find():
    text = "Zoë Lee wrote to ann@example.com"
    subject = cleaner(layer([(0, 7, "PERSON", 0.9)]))
    assert subject.clean(text.encode(), None, "", "body", Receipt()) == b"[PERSON] wrote to [EMAIL]"


def test_another_layer_sees_long_texts_in_pieces():
    seen: list[int] = []

    class Counting:
        def find(self, text: str, timeout_ns: int) -> list[tuple[int, int, str, float]]:
            seen.append(len(text))
            return [(0, 1, "FIRST", 0.9)]

    subject = cleaner(Layer(**{**_settings(), "external": Counting(), "max_bytes": 4}))
    assert (
        subject.clean(b"abcdefghij", None, "", "body", Receipt()) == b"[FIRST]bcd[FIRST]fgh[FIRST]j"
    )
    assert seen == [4, 4, 2]


def _settings() -> dict[str, Any]:
    one = layer([])
    return {name: getattr(one, name) for name in Layer.__slots__}


def test_what_is_left_of_a_failed_batch_is_ids_times_and_numbers():
    request = span_request(
        name="secret name",
        start_time_unix_nano=5,
        kind=3,
        attributes=attributes(
            {"gen_ai.usage.input_tokens": 12, "gen_ai.prompt": "secret", "Ann Lee": 1}
        ),
        events=[Span.Event(name="secret")],
        links=[Span.Link(trace_state="secret")],
        status=Status(message="secret", code=2),
    )
    request.resource_spans[0].resource.attributes.extend(attributes({"owner": "secret"}))
    subject = processor({"action": "replace"})
    batch = subject.fail_closed(Batch(Signal.TRACES, request.SerializeToString()))
    raw = batch.encode()
    assert b"secret" not in raw
    assert b"Ann Lee" not in raw
    span = ExportTraceServiceRequest.FromString(raw).resource_spans[0].scope_spans[0].spans[0]
    assert (span.trace_id, span.start_time_unix_nano, span.kind, span.status.code) == (
        b"t" * 16,
        5,
        3,
        2,
    )
    assert plain_attributes(span.attributes) == {"gen_ai.usage.input_tokens": 12}
    assert span.name == "[REDACTED:ERROR]"


def test_a_failed_log_keeps_its_time_and_severity():
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            time_unix_nano=7, severity_number=9, severity_text="secret", event_name="secret"
        )
    )
    record.body.string_value = "secret"
    batch = processor({}).fail_closed(Batch(Signal.LOGS, request.SerializeToString()))
    kept = (
        ExportLogsServiceRequest.FromString(batch.encode())
        .resource_logs[0]
        .scope_logs[0]
        .log_records[0]
    )
    assert b"secret" not in batch.encode()
    assert (kept.time_unix_nano, kept.severity_number) == (7, 9)
    assert kept.body.string_value == "[REDACTED:ERROR]"


def test_failed_metrics_are_dropped_for_their_attributes_are_what_they_are():
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="calls")
    assert processor({}).fail_closed(Batch(Signal.METRICS, request.SerializeToString())) is None
