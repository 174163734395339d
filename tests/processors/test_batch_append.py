"""Attributes that are appended in encoded form are like any others to those who read, change or encode them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from processors.batch import Batch, Signal, Span
from tests.telemetry import batch, span, spans_of

SHARED = {"status": "priced", "source": "base", "tier": 272_000}


def one_span(**attributes: object) -> tuple[Batch, Span]:
    made = batch(span(1, attributes={"model": "gpt-4o"} | attributes), span(2), span(3))
    return made, next(iter(made.spans()))


def append(element: Span, values: dict[str, Any]) -> None:
    element.append(Span.fields(values), dict(values), Span.fields(values))


def sent(made: Batch) -> dict[str, Any]:
    first = spans_of(made)[0]
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in first.attributes
    }


def test_appended_attributes_read_and_leave_like_written_ones() -> None:
    made, first = one_span()
    append(first, SHARED)
    assert {key: first.get(key) for key in SHARED} == SHARED
    assert sorted(first.keys()) == ["model", "source", "status", "tier"]
    assert dict(first.edits) == SHARED
    assert sent(made) == {"model": "gpt-4o"} | SHARED


def test_they_stand_behind_what_was_written_before() -> None:
    made, first = one_span(feature="search")
    first.set("feature", "answer")
    first.set("new", 1)
    append(first, SHARED)
    append(first, {"cost": 0.5})
    assert sent(made) == {"model": "gpt-4o", "feature": "answer", "new": 1, "cost": 0.5} | SHARED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda e: e.set("status", "unpriced"), SHARED | {"status": "unpriced"}),
        (lambda e: e.remove("tier"), {"status": "priced", "source": "base"}),
        (lambda e: e.set("more", 2.5), SHARED | {"more": 2.5}),
    ],
)
def test_they_can_be_changed_afterwards(change: Any, expected: dict[str, Any]) -> None:
    made, first = one_span()
    append(first, SHARED)
    change(first)
    assert sent(made) == {"model": "gpt-4o"} | expected


def test_a_replaced_message_starts_anew() -> None:
    made, first = one_span()
    append(first, SHARED)
    message = first.message()
    del message.attributes[0]  # type: ignore[attr-defined] # a span
    first.replace(message)
    assert sent(made) == SHARED


@pytest.mark.parametrize("touched", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("dropped", [(), (0,), (1,), (2,), (0, 1)])
def test_neighbours_leave_as_they_came(touched: tuple[int, ...], dropped: tuple[int, ...]) -> None:
    made = batch(span(1), span(2), span(3))
    came = list(spans_of(made.raw))
    for position, element in enumerate(made.spans()):
        if position in touched:
            append(element, SHARED)
            came[position].attributes.add(key="status").value.string_value = "priced"
            came[position].attributes.add(key="source").value.string_value = "base"
            came[position].attributes.add(key="tier").value.int_value = 272_000
        element.dropped = position in dropped
    expected = [one for position, one in enumerate(came) if position not in dropped]
    assert spans_of(made) == expected


def test_untouched_batches_are_the_same_object() -> None:
    made = batch(span(1), span(2))
    assert len(list(made.spans())) == 2
    assert made.encode() is made.raw


def test_a_log_record_takes_its_own_fields() -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(severity_number=9)
    made = Batch(Signal.LOGS, request.SerializeToString())
    (record,) = made.log_records()
    record.append(type(record).fields(SHARED), dict(SHARED), type(record).fields(SHARED))
    (out,) = ExportLogsServiceRequest.FromString(made.encode()).resource_logs
    assert [pair.key for pair in out.scope_logs[0].log_records[0].attributes] == list(SHARED)


def test_an_attribute_is_encoded_as_it_will_leave() -> None:
    one = Span.alone(Span.fields({"a": "x", "b": 1}))
    one.set("b", 2)
    one.set("c", None)
    one.remove("a")
    assert [one.encoded(key) for key in "abcd"] == [None, b"\x18\x02", b"", None]
    assert Span.alone(one.body()).encoded("b") == b"\x18\x02"
