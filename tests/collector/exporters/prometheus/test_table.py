"""What a scrape shows of what was exported."""

from __future__ import annotations

import time

import pytest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from collector.exporters.prometheus.exposition import Exposition
from collector.exporters.prometheus.table import Shape, Table
from processors.stats import Stats
from tests.telemetry import key_values

from .support import CUMULATIVE, DELTA, batch, counter, exporter, gauge, histogram, lines

MINUTE = 60 * 10**9


def test_the_last_point_of_a_series_is_shown() -> None:
    one = exporter()
    one.export(batch(counter("calls", 3, labels={"a": "x"})))
    one.export(
        batch(counter("calls", 5, labels={"a": "x"}), counter("calls", 1, labels={"a": "y"}))
    )
    assert lines(one) == ['calls_total{a="x"} 5', 'calls_total{a="y"} 1']


def test_attributes_in_another_order_are_the_same_series() -> None:
    one = exporter()
    one.export(batch(counter("calls", 3, labels={"a": "x", "b": "y"})))
    one.export(batch(counter("calls", 4, labels={"b": "y", "a": "x"})))
    assert lines(one) == ['calls_total{a="x",b="y"} 4']


def test_deltas_add_up() -> None:
    one = exporter()
    for value in (3, 4):
        one.export(batch(counter("calls", value, temporality=DELTA)))
        one.export(batch(histogram("took", [1, value], [0.5], 2.0, temporality=DELTA)))
    assert lines(one) == [
        "calls_total 7",
        'took_bucket{le="0.5"} 2',
        'took_bucket{le="+Inf"} 9',
        "took_count 9",
        "took_sum 4.0",
    ]


def test_deltas_with_other_buckets_begin_anew() -> None:
    one = exporter()
    one.export(batch(histogram("took", [1, 1], [0.5], 2.0, temporality=DELTA)))
    one.export(batch(histogram("took", [2, 1], [0.7], 3.0, temporality=DELTA)))
    assert lines(one)[:2] == ['took_bucket{le="0.7"} 2', 'took_bucket{le="+Inf"} 3']


def test_a_sender_with_other_buckets_replaces_what_another_sent() -> None:
    """As when two versions of an application run side by side."""
    one = exporter()
    for _ in range(3):
        one.export(batch(histogram("took", [1, 1, 1], [0.5, 1], 2.0)))
        one.export(batch(histogram("took", [2, 1], [0.7], 3.0)))
    one.export(batch(histogram("took", [1, 1, 1], [0.5, 1], 2.0)))
    assert lines(one)[:2] == ['took_bucket{le="0.5"} 1', 'took_bucket{le="1.0"} 2']


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
@pytest.mark.parametrize(
    ("counts", "bounds"),
    [
        ([], [1.0, 2.0]),
        ([1, 1], [1.0, 2.0]),
        ([1, 1, 1], [2.0, 1.0]),
        ([1, 1, 1], [1.0, 1.0]),
        ([1, 1], [float("nan")]),
        ([1, 1], [float("inf")]),
    ],
)
def test_buckets_that_cannot_be_shown_cost_nobody_else_the_scrape(
    counts: list[int], bounds: list[float], temporality: int
) -> None:
    one = exporter()
    one.export(batch(histogram("took", [1, 1, 1], [1.0, 2.0], 2.0, temporality=temporality)))
    shown = lines(one)
    one.export(batch(histogram("took", counts, bounds, 2.0, temporality=temporality)))
    one.export(batch(counter("calls", 1)))
    assert lines(one) == [*shown, "calls_total 1"]
    assert counted(one.stats)["malformed"] == 1


def test_a_metric_without_a_name_is_dropped_and_counted() -> None:
    one = exporter()
    one.export(batch(gauge("", 1.0), gauge("é", 1.0), gauge("calls", 1.0)))
    assert lines(one) == ["calls 1.0"]
    assert counted(one.stats)["malformed"] == 2


def test_no_sender_writes_the_labels_of_the_format() -> None:
    one = exporter()
    metric = histogram("took", [1], [], 2.0)
    metric.histogram.data_points[0].attributes.extend(key_values({"le": "5", "__name__": "x"}))
    one.export(batch(metric, gauge("size", 1.0, le="5")))
    assert lines(one) == [
        'took_bucket{exported_le="5",key__name__="x",le="+Inf"} 1',
        'took_count{exported_le="5",key__name__="x"} 1',
        'took_sum{exported_le="5",key__name__="x"} 2.0',
        'size{le="5"} 1.0',
    ]


def test_a_new_series_is_shown_at_zero_twice_and_then_with_all_it_counted() -> None:
    one = exporter()
    now = time.time_ns()
    one.export(batch(counter("calls", 3, began_ns=now)))
    assert lines(one) == ["calls_total 0"]
    one.export(batch(counter("calls", 5, began_ns=now)))
    assert lines(one) == ["calls_total 0"]
    assert lines(one) == ["calls_total 5"]


def test_a_new_histogram_is_held_whole() -> None:
    one = exporter()
    one.export(batch(histogram("took", [1, 1], [0.5], 2.0, began_ns=time.time_ns())))
    held = lines(one)
    lines(one)
    assert held == [
        'took_bucket{le="0.5"} 0',
        'took_bucket{le="+Inf"} 0',
        "took_count 0",
        "took_sum 0",
    ]
    assert lines(one)[2:] == ["took_count 2", "took_sum 2.0"]


def test_a_series_that_began_before_us_resumes() -> None:
    one = exporter()
    one.export(batch(counter("calls", 3)))
    assert lines(one) == ["calls_total 3"]


def test_gauges_are_not_held() -> None:
    one = exporter()
    one.export(batch(gauge("depth", 3.0)))
    assert lines(one) == ["depth 3.0"]


def test_points_of_another_type_are_dropped_and_counted() -> None:
    one = exporter(add_metric_suffixes=False)
    one.export(batch(counter("calls", 3)))
    one.export(batch(gauge("calls", 9.0)))
    assert lines(one) == ["calls 3"]
    assert counted(one.stats) == {"type_conflict": 1, "malformed": 0, "no_room": 0}


def test_a_series_that_has_no_value_any_more_is_not_shown_until_it_has_one_again() -> None:
    one = exporter()
    one.export(batch(counter("calls", 3), gauge("depth", 2.0)))
    empty = [counter("calls", 0), gauge("depth", 0.0)]
    for point in (empty[0].sum.data_points[0], empty[1].gauge.data_points[0]):
        point.flags = metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
    one.export(batch(*empty))
    assert lines(one) == []
    one.export(batch(counter("calls", 4), gauge("depth", 1.0)))
    assert lines(one) == ["calls_total 4", "depth 1.0"]


def test_a_metric_without_data_is_no_metric() -> None:
    one = exporter()
    one.export(batch(metrics_pb2.Metric(name="nothing")))
    assert lines(one) == []


def test_up_down_counters_are_gauges() -> None:
    one = exporter()
    metric = counter("inflight", -2)
    metric.sum.is_monotonic = False
    one.export(batch(metric))
    assert lines(one) == ["inflight -2"]


def test_summaries_keep_their_quantiles() -> None:
    one = exporter()
    metric = metrics_pb2.Metric(name="took", unit="s")
    point = metric.summary.data_points.add(count=4, sum=2.5, attributes=key_values({"a": "x"}))
    point.quantile_values.add(quantile=0.5, value=0.4)
    one.export(batch(metric))
    assert lines(one) == [
        'took_seconds{a="x",quantile="0.5"} 0.4',
        'took_seconds_count{a="x"} 4',
        'took_seconds_sum{a="x"} 2.5',
    ]


def exponential(scale: int, offset: int, counts: list[int]) -> metrics_pb2.Metric:
    metric = metrics_pb2.Metric(name="took")
    metric.exponential_histogram.aggregation_temporality = CUMULATIVE  # type: ignore[assignment] # an enum's number
    point = metric.exponential_histogram.data_points.add(
        count=sum(counts) + 2, sum=10.0, scale=scale, zero_count=1, start_time_unix_nano=1
    )
    point.positive.offset = offset
    point.positive.bucket_counts.extend(counts)
    point.negative.offset = 0
    point.negative.bucket_counts.append(1)
    return metric


def test_exponential_histograms_get_buckets_at_powers_of_two() -> None:
    one = exporter()
    one.export(batch(exponential(1, 0, [3, 2, 1])))  # (1, 1.41] (1.41, 2] (2, 2.83]
    assert lines(one) == [
        'took_bucket{le="-1.0"} 1',
        'took_bucket{le="0.0"} 2',
        'took_bucket{le="2.0"} 7',
        'took_bucket{le="4.0"} 8',
        'took_bucket{le="+Inf"} 8',
        "took_count 8",
        "took_sum 10.0",
    ]


def test_coarse_exponential_buckets_keep_their_bounds() -> None:
    one = exporter()
    one.export(batch(exponential(-1, -1, [3, 0, 2])))  # (1/4, 1] and (4, 16]
    assert lines(one)[2:4] == ['took_bucket{le="1.0"} 5', 'took_bucket{le="16.0"} 7']


def test_resources_become_job_instance_and_target_info() -> None:
    one = exporter()
    resource = {
        "service.name": "bot",
        "service.namespace": "shop",
        "service.instance.id": "i-1",
        "host": "h",
    }
    one.export(batch(gauge("depth", 1.0), resource=resource))
    assert lines(one) == [
        'target_info{host="h",instance="i-1",job="shop/bot"} 1',
        'depth{instance="i-1",job="shop/bot"} 1.0',
    ]


def test_a_resource_that_says_only_who_it_is_needs_no_target_info() -> None:
    one = exporter()
    one.export(batch(gauge("depth", 1.0), resource={"service.name": "bot"}))
    assert lines(one) == ['depth{job="bot"} 1.0']


def test_resource_attributes_become_labels_on_request() -> None:
    one = exporter(resource_to_telemetry_conversion={"enabled": True})
    one.export(batch(gauge("depth", 1.0), resource={"service.name": "bot", "host": "h"}))
    assert lines(one)[1] == 'depth{host="h",job="bot",service_name="bot"} 1.0'


def test_scopes_become_labels_unless_unwanted() -> None:
    told, untold = exporter(), exporter(without_scope_info=True)
    for one in (told, untold):
        one.export(batch(gauge("depth", 1.0), scope="meter"))
    assert lines(told) == ['depth{otel_scope_name="meter"} 1.0']
    assert lines(untold) == ["depth 1.0"]


def test_constant_labels_go_before_others_and_colliding_keys_are_joined() -> None:
    one = exporter(const_labels={"site": "eu"}, namespace="app")
    one.export(batch(gauge("depth", 1.0, **{"a.b": 1, "a_b": True, "site": "us"})))
    assert lines(one) == ['app_depth{a_b="1;true",site="eu"} 1.0']


def test_idle_series_disappear_and_resume() -> None:
    table = Table(shape(), began_ns=0)
    table.take(batch(counter("calls", 3, began_ns=5)), now_ns=0)
    assert [text(table, 0) for _ in range(3)][2] == "calls_total 3\n"
    assert text(table, 6 * MINUTE) == ""
    table.take(batch(counter("calls", 4, began_ns=5)), now_ns=7 * MINUTE)
    assert text(table, 7 * MINUTE) == "calls_total 4\n"


def test_a_full_table_lets_expired_series_go_and_drops_new_ones() -> None:
    table = Table(shape(max_series=2), began_ns=10)
    for name in ("a", "b", "c"):
        table.take(batch(counter(name, 1)), now_ns=0)
    assert (table.size, table.dropped["no_room"]) == (2, 1)
    table.take(batch(counter("c", 1)), now_ns=6 * MINUTE)
    assert text(table, 6 * MINUTE) == "c_total 1\n"
    assert table.size == 1


def test_what_is_remembered_about_origins_is_bounded() -> None:
    table = Table(shape(), began_ns=10)
    for number in range(2_100):
        table.take(
            batch(gauge("depth", 1.0), resource={"service.name": f"s{number % 3}", "n": number}),
            now_ns=0,
        )
    assert len(table._origins) <= 2_001


def test_names_that_nobody_uses_any_more_are_forgotten() -> None:
    table = Table(shape(max_series=10), began_ns=10)
    for first in range(0, 20_100, 100):
        metrics = [counter(f"m{number}", 1) for number in range(first, first + 100)]
        table.take(batch(*metrics), now_ns=0)
    assert len(table._families) < 200


def shape(max_series: int = 100) -> Shape:
    return Shape(
        namespace="", const_labels={}, suffixes=True, resource_labels=False, scope_labels=True,
        expiration_ns=5 * MINUTE, max_series=max_series,
    )  # fmt: skip


def text(table: Table, now_ns: int) -> str:
    exposition = Exposition(open_metrics=False, timestamps=False)
    shown = [(family, table.live(family, now_ns)) for family in table.families()]
    written = "".join(exposition.family(*one) for one in shown if one[1])
    return "".join(line for line in written.splitlines(keepends=True) if line[0] != "#")


def counted(stats: Stats) -> dict[str, float]:
    name = "otelcol_llm_prometheus_dropped_points_total"
    return {key[1]: read() for key, read in stats.gauges.items() if key[0] == name}
