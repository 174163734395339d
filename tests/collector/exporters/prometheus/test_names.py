"""OTLP names become Prometheus names as the Go Collector spells them."""

from __future__ import annotations

import pytest

from collector.exporters.prometheus.names import label_name, metric_name
from processors.llm_metrics.catalogue import METRICS


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("llm_requests_total", "{request}", "counter", "llm_requests_total"),
        ("http.server.duration", "ms", "histogram", "http_server_duration_milliseconds"),
        ("system.memory.usage", "By", "gauge", "system_memory_usage_bytes"),
        ("requests", "1", "counter", "requests_total"),
        ("cpu.utilization", "1", "gauge", "cpu_utilization_ratio"),
        ("network.io", "By/s", "gauge", "network_io_bytes_per_second"),
        ("llm.decode.tokens_per_second", "{token}/s", "histogram", "llm_decode_tokens_per_second"),
        ("2xx.responses", "", "counter", "_2xx_responses_total"),
        ("ünïcode", "", "gauge", "n_code"),
        ("total.errors", "", "counter", "errors_total"),
    ],
)
def test_names_get_units_and_type_suffixes(name: str, unit: str, kind: str, expected: str) -> None:
    assert metric_name(name, unit, kind, "", suffixes=True) == expected


def test_without_suffixes_only_characters_change() -> None:
    assert metric_name("a.b-c", "By", "counter", "", suffixes=False) == "a_b_c"


def test_a_namespace_goes_before() -> None:
    assert metric_name("calls", "", "counter", "my-app", suffixes=True) == "my_app_calls_total"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_catalogue_comes_out_as_it_is_written(metric: object) -> None:
    name, unit, kind = metric.name, metric.unit, metric.kind  # type: ignore[attr-defined] # a Metric
    assert metric_name(name, unit, kind, "", suffixes=True) == name
    assert metric_name(name, unit, kind, "", suffixes=False) == name


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("service.name", "service_name"),
        ("1st", "key_1st"),
        ("_private", "key_private"),
        ("__reserved", "__reserved"),
        ("__name__", "key__name__"),
        ("", "key_"),
        ("ok_1", "ok_1"),
    ],
)
def test_attribute_keys_become_label_names(key: str, expected: str) -> None:
    assert label_name(key) == expected
