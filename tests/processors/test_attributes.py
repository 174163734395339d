"""`attributes`, `resource` and their conditions do what the Collector's processors of these names do."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.config.settings import resolve
from collector.registry import components, schema_of
from processors.batch import Batch, Signal
from processors.errors import InvalidConfig
from processors.ports import Context
from tests.telemetry import batch, span, spans_of


def build(kind: str, written: dict[str, Any]) -> Any:
    component = components("processors")[kind]
    return component.build(resolve(schema_of(component.schema), written), Context(id=kind))


def after(
    actions: list[dict[str, Any]], attributes: dict[str, object], **rest: Any
) -> dict[str, object]:
    """Return a span's attributes after these actions."""
    sent = batch(span(attributes=attributes))
    (left,) = spans_of(build("attributes", {"actions": actions, **rest}).process(sent))
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in left.attributes}


A = {"a": "1"}


@pytest.mark.parametrize(
    ("action", "before", "expected"),
    [
        ({"action": "insert", "key": "b", "value": 2}, A, {"a": "1", "b": 2}),
        ({"action": "insert", "key": "a", "value": 2}, A, {"a": "1"}),
        ({"action": "update", "key": "a", "value": 2.5}, A, {"a": 2.5}),
        ({"action": "update", "key": "b", "value": 2}, A, {"a": "1"}),
        ({"action": "upsert", "key": "a", "value": True}, A, {"a": True}),
        ({"action": "upsert", "key": "b", "from_attribute": "a"}, A, {"a": "1", "b": "1"}),
        ({"action": "upsert", "key": "b", "from_attribute": "x"}, A, {"a": "1"}),
        ({"action": "delete", "key": "a"}, A, {}),
        ({"action": "delete", "pattern": "^a"}, {"a": 1, "ab": 2, "b": 3}, {"b": 3}),
        (
            {"action": "extract", "key": "url", "pattern": "^/v(?P<version>[0-9]+)/(?P<what>.*)"},
            {"url": "/v2/orders"},
            {"url": "/v2/orders", "version": "2", "what": "orders"},
        ),
        (
            {"action": "extract", "key": "url", "pattern": "(?P<x>z)"},
            {"url": "abc"},
            {"url": "abc"},
        ),
        ({"action": "convert", "key": "a", "converted_type": "int"}, A, {"a": 1}),
        ({"action": "convert", "key": "a", "converted_type": "double"}, A, {"a": 1.0}),
        ({"action": "convert", "key": "a", "converted_type": "string"}, {"a": True}, {"a": "true"}),
        ({"action": "convert", "key": "a", "converted_type": "string"}, {"a": 7}, {"a": "7"}),
        ({"action": "convert", "key": "a", "converted_type": "int"}, {"a": "x"}, {"a": "x"}),
        ({"action": "convert", "key": "a", "converted_type": "double"}, {"a": "x"}, {"a": "x"}),
    ],
)
def test_actions(
    action: dict[str, Any], before: dict[str, object], expected: dict[str, object]
) -> None:
    assert after([action], before) == expected


@pytest.mark.parametrize("value", ["text", 7, 2.5, True, b"bytes", ["a"]])
def test_hash_hides_any_value(value: object) -> None:
    (hashed,) = after([{"action": "hash", "key": "a"}], {"a": value}).values()
    assert len(str(hashed)) == 64


def test_hash_is_that_of_the_collector() -> None:
    found = after([{"action": "hash", "pattern": "a"}], {"a": "abc"})
    assert found == {"a": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"action": "insert", "key": "a"}, "needs 'value' or 'from_attribute'"),
        ({"action": "insert", "value": 1}, "needs 'key'"),
        ({"action": "delete"}, "expected key or pattern"),
        ({"action": "delete", "pattern": "a("}, "expected an RE2 expression"),
        ({"action": "extract", "key": "a", "pattern": "b"}, "at least one named group"),
        ({"action": "convert", "key": "a"}, "needs 'converted_type'"),
        ({"action": "insert", "key": "a", "from_context": "x"}, "not available to processors"),
    ],
)
def test_actions_that_make_no_sense_are_refused(action: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidConfig, match=text) as refused:
        build("attributes", {"actions": [action]})
    assert refused.value.path.startswith("actions[0]")


MARK = [{"action": "insert", "key": "marked", "value": True}]
PLAIN = {"kind": "x", "n": 5}


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ({"services": ["shop"]}, True),
        ({"services": ["other"]}, False),
        ({"span_names": ["span 1"]}, True),
        ({"span_names": ["span"]}, False),
        ({"span_kinds": ["SPAN_KIND_INTERNAL"]}, True),
        ({"span_kinds": ["SPAN_KIND_SERVER"]}, False),
        ({"attributes": [{"key": "kind"}]}, True),
        ({"attributes": [{"key": "kind", "value": "x"}, {"key": "n", "value": 5}]}, True),
        ({"attributes": [{"key": "n", "value": 5.0}]}, False),
        ({"attributes": [{"key": "absent"}]}, False),
        ({"resources": [{"key": "service.name", "value": "shop"}]}, True),
        ({"libraries": [{"name": "test"}]}, True),
        ({"libraries": [{"name": "test", "version": "1"}]}, False),
        ({"services": ["shop"], "span_names": ["other"]}, False),
    ],
)
def test_include_and_exclude_are_opposites(condition: dict[str, Any], matches: bool) -> None:
    block = {"match_type": "strict", **condition}
    assert ("marked" in after(MARK, PLAIN, include=block)) is matches
    assert ("marked" in after(MARK, PLAIN, exclude=block)) is not matches


def test_expressions_match_anywhere() -> None:
    block = {
        "match_type": "regexp",
        "span_names": ["pan"],
        "attributes": [{"key": "kind", "value": "[xy]"}],
    }
    assert "marked" in after(MARK, PLAIN, include=block)


def test_a_bad_expression_is_refused_where_it_stands() -> None:
    with pytest.raises(InvalidConfig, match="expected an RE2 expression"):
        build(
            "attributes", {"actions": MARK, "include": {"match_type": "regexp", "services": ["a("]}}
        )


def test_resources_are_edited_once_for_all_their_spans() -> None:
    sent = batch(span(1), span(2))
    actions = [{"action": "upsert", "key": "deployment.environment.name", "value": "prod"}]
    left = build("resource", {"attributes": actions}).process(sent)
    (group,) = left.groups
    assert group.resource.get("deployment.environment.name") == "prod"
    assert len(spans_of(left)) == 2


def metrics() -> Batch:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        metric = scope.metrics.add(name=kind, description="kept")
        for number in (1, 2):
            point = getattr(metric, kind).data_points.add(time_unix_nano=number)
            point.attributes.add(key="n").value.int_value = number
    return Batch(Signal.METRICS, request.SerializeToString())


def test_data_points_of_every_kind_are_edited() -> None:
    sent = metrics()
    before = ExportMetricsServiceRequest.FromString(sent.raw)
    left = build("attributes", {"actions": MARK}).process(sent)
    assert len(left) == 10
    after_ = ExportMetricsServiceRequest.FromString(left.encode())
    for metric in after_.resource_metrics[0].scope_metrics[0].metrics:
        for point in getattr(metric, metric.name).data_points:
            assert point.attributes[-1].key == "marked"
            del point.attributes[-1]
    assert after_ == before


def test_metrics_are_chosen_by_name() -> None:
    block = {"match_type": "strict", "metric_names": ["sum"]}
    left = build("attributes", {"actions": MARK, "include": block}).process(metrics())
    names = [
        metric.name
        for metric in ExportMetricsServiceRequest.FromString(left.encode())
        .resource_metrics[0]
        .scope_metrics[0]
        .metrics
        for point in getattr(metric, metric.name).data_points
        if point.attributes[-1].key == "marked"
    ]
    assert names == ["sum", "sum"]
