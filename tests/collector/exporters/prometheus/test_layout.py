"""Reading a point by its layout gives what parsing it gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1 import metrics_pb2

from collector.exporters.prometheus.layout import read_histogram, read_number
from tests.telemetry import key_values

from .support import batch, counter, exporter, histogram, lines

LABELS = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=20), max_size=3)
TIMES = st.integers(1, 2**63)


@given(LABELS, TIMES, st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)))
def test_numbers(labels: dict[str, str], time_ns: int, value: float) -> None:
    point = metrics_pb2.NumberDataPoint(
        start_time_unix_nano=1, time_unix_nano=time_ns, attributes=key_values(labels)
    )
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    found = read_number(point.SerializeToString())
    assert found is not None
    assert (found.time_ns, found.value) == (time_ns, value)
    assert (
        found.identity
        == metrics_pb2.NumberDataPoint(attributes=point.attributes).SerializeToString()
    )


@given(LABELS, st.lists(st.integers(0, 2**40), min_size=2, max_size=40), st.floats(allow_nan=False))
def test_histograms(labels: dict[str, str], counts: list[int], total: float) -> None:
    point = metrics_pb2.HistogramDataPoint(
        start_time_unix_nano=1, time_unix_nano=2, count=sum(counts), sum=total, bucket_counts=counts,
        explicit_bounds=range(len(counts) - 1), attributes=key_values(labels),
    )  # fmt: skip
    raw = point.SerializeToString()
    found = read_histogram(raw)
    if not sum(counts):
        return  # a count of 0 is not encoded, so the layout is another one
    assert found is not None
    assert (found.value, found.total, found.counts) == (total, sum(counts), tuple(counts))
    assert raw.endswith(found.identity)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_not_understood(raw: bytes) -> None:
    assert read_number(raw) is None or len(raw) >= 27


@pytest.mark.parametrize(
    "fields",
    [
        {"time_unix_nano": 1, "as_int": 1},
        {"start_time_unix_nano": 1, "time_unix_nano": 1},
        {
            "start_time_unix_nano": 1,
            "time_unix_nano": 1,
            "exemplars": [metrics_pb2.Exemplar(as_int=1)],
        },
        {
            "start_time_unix_nano": 1,
            "time_unix_nano": 1,
            "as_int": 3,
            "exemplars": [metrics_pb2.Exemplar(as_int=1)],
        },
        {
            "start_time_unix_nano": 1,
            "time_unix_nano": 1,
            "attributes": key_values({"long": "x" * 20}),
        },
    ],
)
def test_numbers_of_another_layout_are_parsed(fields: dict[str, Any]) -> None:
    assert read_number(metrics_pb2.NumberDataPoint(**fields).SerializeToString()) is None


def test_a_value_of_unknown_kind_is_parsed() -> None:
    assert read_number(b"\x11" + bytes(8) + b"\x19" + bytes(8) + b"\x41" + bytes(8)) is None


WHOLE = {"start_time_unix_nano": 1, "time_unix_nano": 1, "count": 1, "sum": 1.0}


@pytest.mark.parametrize(
    "fields",
    [
        {"time_unix_nano": 1},
        {**WHOLE, "sum": None, "attributes": key_values({"long": "x" * 40})},
        WHOLE,
        {**WHOLE, "bucket_counts": [1]},
        {
            **WHOLE,
            "bucket_counts": [1, 0],
            "explicit_bounds": [1.0],
            "exemplars": [metrics_pb2.Exemplar(as_int=1)],
        },
    ],
)
def test_histograms_of_another_layout_are_parsed(fields: dict[str, Any]) -> None:
    assert read_histogram(metrics_pb2.HistogramDataPoint(**fields).SerializeToString()) is None


def test_a_series_goes_on_whatever_layout_its_points_have() -> None:
    one = exporter()
    for value in (1, 2):
        one.export(batch(counter("calls", value, labels={"a": "x"})))
    traced = counter("calls", 3, labels={"a": "x"})
    traced.sum.data_points[0].exemplars.add(as_int=1)
    one.export(batch(traced))
    flagged = counter("calls", 4, labels={"a": "x"})
    flagged.sum.data_points[0].flags = 2
    one.export(batch(flagged))
    assert lines(one) == ['calls_total{a="x"} 4']


def test_minima_and_maxima_of_an_sdk_do_no_harm() -> None:
    one = exporter()
    for value in range(5):
        metric = histogram("took", [1, value], [0.5], 2.0)
        metric.histogram.data_points[0].time_unix_nano = 1
        metric.histogram.data_points[0].min = value
        metric.histogram.data_points[0].max = value
        one.export(batch(metric))
    assert lines(one)[1] == 'took_bucket{le="+Inf"} 5'
