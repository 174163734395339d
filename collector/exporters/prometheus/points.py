"""OTLP data points → what a series shows.

Numbers and histograms are read through views that leave attributes and exemplars encoded (1 µs a point against 20 with
the objects of the schema); exponential histograms and summaries, which are rare, through the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, ldexp
from typing import Any, Final

from opentelemetry.proto.metrics.v1 import metrics_pb2

from collector.exporters.prometheus.layout import Read, read_histogram, read_number
from processors.views import PARSE

DELTA: Final = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA
NO_VALUE: Final = metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK


class Shown:
    """One series and its last point. What a kind of metric does not have is empty."""

    __slots__ = (
        "bounds", "count", "counts", "exemplars", "held", "labels", "quantiles", "seen_ns", "start_ns",
        "time_ns", "value",
    )  # fmt: skip

    def __init__(self, labels: str) -> None:
        self.labels = labels
        """`name="value",…`, escaped; empty without labels."""
        self.start_ns = self.time_ns = self.seen_ns = 0
        self.value: float = 0
        """The number, or the sum of a histogram or summary."""
        self.count = 0
        self.bounds: tuple[float, ...] = ()
        self.counts: tuple[int, ...] = ()
        """Per bucket, one more than bounds."""
        self.quantiles: tuple[tuple[float, float], ...] = ()
        self.exemplars: tuple[bytes, ...] = ()
        """Encoded."""
        self.held = 0
        """Scrapes that still see it at 0."""


def _as_it_is(point: Any) -> Any:
    return point


def _unreadable(point: Any) -> Read | None:
    return None


@dataclass(frozen=True, slots=True)
class Points:
    """The points of one metric, whatever they are."""

    kind: str
    """Prometheus type."""
    points: Sequence[Any]
    delta: bool
    grows: bool
    """Grows from its start: a counter or a histogram."""
    store: Callable[[Shown, Any, bool], None]
    """(series, point, delta): put the point into the series."""
    parse: Callable[[Any], Any] = _as_it_is
    """Make a point of what `points` holds."""
    read: Callable[[Any], Read | None] = _unreadable
    """Read a point without parsing it, where its layout allows."""


def points_of(metric: Any) -> Points | None:
    """Return the points of a `MetricData` view; None when it has none of a known kind."""
    if metric.HasField("sum"):
        data = metric.sum
        kind = "counter" if data.monotonic else "gauge"
        delta = data.temporality == DELTA
        return Points(kind, data.points, delta, data.monotonic, _number, *_NUMBERS)
    if metric.HasField("gauge"):
        return Points("gauge", metric.gauge.points, False, False, _number, *_NUMBERS)
    if metric.HasField("histogram"):
        data = metric.histogram
        delta = data.temporality == DELTA
        return Points("histogram", data.points, delta, True, _histogram, *_HISTOGRAMS)
    if metric.exponential_histogram:
        exponential = metrics_pb2.ExponentialHistogram.FromString(metric.exponential_histogram)
        delta = exponential.aggregation_temporality == DELTA
        made = [_Converted(point, _exponential(point)) for point in exponential.data_points]
        return Points("histogram", made, delta, True, _histogram)
    if metric.summary:
        summary = metrics_pb2.Summary.FromString(metric.summary)
        made = [_Converted(point, {}) for point in summary.data_points]
        return Points("summary", made, False, False, _summary)
    return None


_NUMBERS: Final = (PARSE["Number"], read_number)
_HISTOGRAMS: Final = (PARSE["Histogram"], read_histogram)


def _number(shown: Shown, point: Any, delta: bool) -> None:
    value = point.as_int or point.as_double
    shown.value = shown.value + value if delta else value
    if point.exemplars:
        shown.exemplars = tuple(point.exemplars)


def _histogram(shown: Shown, point: Any, delta: bool) -> None:
    bounds, counts = tuple(point.bounds), tuple(point.counts) or (point.count,)
    if delta and bounds == shown.bounds:
        counts = tuple(map(sum, zip(shown.counts, counts, strict=True)))
        shown.count += point.count
        shown.value += point.sum
    else:
        shown.count = point.count
        shown.value = point.sum
    shown.bounds, shown.counts = bounds, counts
    if point.exemplars:
        shown.exemplars = tuple(point.exemplars)


def store_read(shown: Shown, read: Read, delta: bool) -> None:
    """Put a point that was read without parsing into its series, whose bounds it shares."""
    if delta:
        shown.value += read.value
        shown.count += read.total
        shown.counts = tuple(map(sum, zip(shown.counts, read.counts, strict=True)))
    else:
        shown.value, shown.count, shown.counts = read.value, read.total, read.counts
    shown.time_ns = read.time_ns


def _summary(shown: Shown, point: Any, delta: bool) -> None:
    shown.count = point.count
    shown.value = point.sum
    shown.quantiles = tuple((q.quantile, q.value) for q in point.quantile_values)


class _Converted:
    """A point of the schema, read as the views of numbers and histograms are."""

    def __init__(self, point: Any, buckets: dict[float, int]) -> None:
        self.start_ns = point.start_time_unix_nano
        self.time_ns = point.time_unix_nano
        self.flags = point.flags
        self.attributes = [pair.SerializeToString() for pair in point.attributes]
        self.count = point.count
        self.sum = point.sum
        self.bounds = tuple(buckets)
        self.counts = (*buckets.values(), point.count - sum(buckets.values()))
        self.exemplars = [one.SerializeToString() for one in getattr(point, "exemplars", ())]
        self.quantile_values = getattr(point, "quantile_values", ())


def is_sound(point: Any) -> bool:
    """Say whether a histogram's buckets can be shown: one count more than bounds, which are finite and ascend.

    OTLP demands it of senders, but nobody makes sure. One series that is spelled wrongly costs the whole scrape.
    """
    bounds, counts = tuple(point.bounds), tuple(point.counts)
    if not counts:
        return not bounds
    ascending = all(map(isfinite, bounds)) and all(low < high for low, high in pairwise(bounds))
    return ascending and len(counts) == len(bounds) + 1 and min(counts) >= 0


def _exponential(point: Any) -> dict[float, int]:
    """Return buckets at powers of two, by upper bound: the text formats have no native histograms.

    Source: opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram (bucket i covers
    (2^(i / 2^scale), 2^((i + 1) / 2^scale)], and its mirror image for negative values).
    """
    above = {ldexp(1.0, top): n for _, top, n in _powers(point.positive, point.scale)}
    below = {-ldexp(1.0, bottom): n for bottom, _, n in _powers(point.negative, point.scale)}
    zero = {point.zero_threshold: point.zero_count}
    return dict(sorted((below | zero | above).items()))


def _powers(buckets: Any, scale: int) -> Iterable[tuple[int, int, int]]:
    """Merge buckets into powers of two; yield exponent of the lower and the upper bound, and the count."""
    merged: dict[tuple[int, int], int] = {}
    for index, count in enumerate(buckets.bucket_counts, buckets.offset):
        if not count:
            continue
        if scale >= 0:
            power = index >> scale
            span = (power, power + 1)
        else:
            span = (index << -scale, (index + 1) << -scale)
        within = tuple(max(_LEAST_POWER, min(_GREATEST_POWER, power)) for power in span)
        merged[within[0], within[1]] = merged.get((within[0], within[1]), 0) + count
    return [(bottom, top, count) for (bottom, top), count in merged.items()]


_LEAST_POWER: Final = -1074
_GREATEST_POWER: Final = 1023
"""Exponents a double can have."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A trace that stands for a value."""

    labels: str
    value: float
    time_ns: int


def exemplar_of(encoded: bytes) -> Exemplar:
    """Decode an OTLP exemplar."""
    view = PARSE["Exemplar"](encoded)
    ids = (("trace_id", view.trace_id), ("span_id", view.span_id))
    labels = ",".join([f'{name}="{value.hex()}"' for name, value in ids if value])
    return Exemplar(labels, view.as_int or view.as_double, view.time_ns)
