"""OTLP data points → what a Prometheus series shows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ldexp
from typing import Any, Final

from opentelemetry.proto.metrics.v1 import metrics_pb2

_DELTA: Final = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
_NO_VALUE: Final = metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A trace that stands for a value."""

    labels: str
    value: float
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of any kind. What a kind does not have is empty."""

    attributes: Any
    start_ns: int
    time_ns: int
    value: float = 0
    count: int = 0
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    """Per bucket, one more than bounds."""
    quantiles: tuple[tuple[float, float], ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    cumulative: bool = False
    """Grows from its start: a counter or a histogram."""
    delta: bool = False

    def after(self, before: Point) -> Point:
        """Return what to show when this point follows another: itself, or the sum of deltas."""
        if not self.delta:
            return self
        if self.bounds != before.bounds:
            return self
        return replace(
            self,
            start_ns=before.start_ns,
            value=before.value + self.value,
            count=before.count + self.count,
            counts=tuple(map(sum, zip(before.counts, self.counts, strict=True))),
        )


def points_of(metric: metrics_pb2.Metric) -> tuple[str, list[Point]]:
    """Return the Prometheus type of a metric and its points, those without a value left out."""
    data = metric.WhichOneof("data")
    if data is None:
        return "unknown", []
    body = getattr(metric, data)
    present = [point for point in body.data_points if not point.flags & _NO_VALUE]
    kind, read = _KINDS[data]
    if data == "sum" and not body.is_monotonic:
        kind = "gauge"
    delta = getattr(body, "aggregation_temporality", 0) == _DELTA
    cumulative = kind in ("counter", "histogram")
    return kind, [read(point, cumulative=cumulative, delta=delta) for point in present]


def _number(point: Any, cumulative: bool, delta: bool) -> Point:
    whole = point.WhichOneof("value") == "as_int"
    return Point(
        attributes=point.attributes,
        start_ns=point.start_time_unix_nano,
        time_ns=point.time_unix_nano,
        value=point.as_int if whole else point.as_double,
        exemplars=_exemplars(point.exemplars),
        cumulative=cumulative,
        delta=delta,
    )


def _histogram(point: Any, cumulative: bool, delta: bool) -> Point:
    return Point(
        attributes=point.attributes,
        start_ns=point.start_time_unix_nano,
        time_ns=point.time_unix_nano,
        value=point.sum,
        count=point.count,
        bounds=tuple(point.explicit_bounds),
        counts=tuple(point.bucket_counts) or (point.count,),
        exemplars=_exemplars(point.exemplars),
        cumulative=cumulative,
        delta=delta,
    )


def _exponential(point: Any, cumulative: bool, delta: bool) -> Point:
    """Buckets at powers of two: the text formats have no native histograms.

    Source: opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram (index i covers
    (2^(i / 2^scale), 2^((i + 1) / 2^scale)]).
    """
    below = {
        -ldexp(1.0, power): n for power, n in _by_power(point.negative, point.scale, lower=True)
    }
    above = {
        ldexp(1.0, power): n for power, n in _by_power(point.positive, point.scale, lower=False)
    }
    middle = {point.zero_threshold: point.zero_count}
    merged = dict(sorted((below | middle | above).items()))
    return Point(
        attributes=point.attributes,
        start_ns=point.start_time_unix_nano,
        time_ns=point.time_unix_nano,
        value=point.sum,
        count=point.count,
        bounds=tuple(merged),
        counts=(*merged.values(), 0),
        exemplars=_exemplars(point.exemplars),
        cumulative=cumulative,
        delta=delta,
    )


def _by_power(buckets: Any, scale: int, *, lower: bool) -> Iterable[tuple[int, int]]:
    """Merge buckets into powers of two; the power is that of the upper (or lower) bound."""
    merged: dict[int, int] = {}
    for place, count in enumerate(buckets.bucket_counts):
        index = buckets.offset + place
        power = index >> scale if scale >= 0 else index << -scale
        width = 1 if scale >= 0 else 1 << -scale
        if count:
            power = max(-1022, min(1023, power if lower else power + width))
            merged[power] = merged.get(power, 0) + count
    return merged.items()


def _summary(point: Any, cumulative: bool, delta: bool) -> Point:
    return Point(
        attributes=point.attributes,
        start_ns=point.start_time_unix_nano,
        time_ns=point.time_unix_nano,
        value=point.sum,
        count=point.count,
        quantiles=tuple((q.quantile, q.value) for q in point.quantile_values),
        cumulative=cumulative,
        delta=delta,
    )


_KINDS: Final = {
    "gauge": ("gauge", _number),
    "sum": ("counter", _number),
    "histogram": ("histogram", _histogram),
    "exponential_histogram": ("histogram", _exponential),
    "summary": ("summary", _summary),
}


def _exemplars(exemplars: Sequence[Any]) -> tuple[Exemplar, ...]:
    return tuple(map(_exemplar, exemplars))


def _exemplar(exemplar: Any) -> Exemplar:
    labels = []
    if exemplar.trace_id:
        labels.append(f'trace_id="{exemplar.trace_id.hex()}"')
    if exemplar.span_id:
        labels.append(f'span_id="{exemplar.span_id.hex()}"')
    whole = exemplar.WhichOneof("value") == "as_int"
    value = exemplar.as_int if whole else exemplar.as_double
    return Exemplar(",".join(labels), value, exemplar.time_unix_nano)


def by_bucket(point: Point) -> dict[int, Exemplar]:
    """Return the newest exemplar of each bucket."""
    ordered = sorted(point.exemplars, key=lambda exemplar: exemplar.time_ns)
    return {bisect_left(point.bounds, exemplar.value): exemplar for exemplar in ordered}
