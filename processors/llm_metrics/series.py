"""The series: what was counted so far, and how it leaves as OTLP.

Invariants
- A series only grows, from 0 at its start; counters are integers (money in attoUSD), so sums are exact.
- `flush` tells every series that changed since the last one; and all of them every `REFRESH_NS`, so that what reads
  them can tell idle from gone.
- The number of series of a metric is bounded: the label set that has no room becomes `other` in every open label.
- A series that did not change for `IDLE_NS` is forgotten; when it comes back it is a new one, with a new start.

Format (opentelemetry-proto 1.10, metrics.proto): numbers and times are fixed-width, so a point is a few bytes behind
each other, of which only time and value change. The cost of a point is in `flush`, not in counting.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, Final, TypeAlias

from processors.llm_metrics.catalogue import ATTO, LABELS, OTHER, Metric
from processors.stats import Stats
from processors.wire import delimited, encode_key_value, varint

REFRESH_NS: Final = 60 * 10**9
"""How often an idle series is told again. Must be well under the `metric_expiration` of whoever serves them (5 m)."""
IDLE_NS: Final = 24 * 3600 * 10**9
_OVERFLOW: Final = "otelcol_llm_metrics_series_overflow_total"
_SWEEP_NS: Final = 600 * 10**9

_U64: Final = Struct("<Q").pack
_F64: Final = Struct("<d").pack
_LARGEST: Final = (1 << 63) - 1
_WHOLE: Final = Struct("<cq").pack
_DOLLARS: Final = Struct("<cd").pack
"""Tag and value: fields as_int (0x31, "1") and as_double (0x21, "!")."""
_COUNT_AND_SUM: Final = Struct("<cQcd").pack
"""Tags and values: fields count (0x21, "!") and sum (0x29, ")")."""
_CUMULATIVE: Final = b"\x10\x02"
_MONOTONIC: Final = b"\x18\x01"
_NO_VALUE: Final = b"\x40\x01"
"""Flags of a NumberDataPoint: no recorded value."""

Values: TypeAlias = tuple[str, ...]


class Counter:
    """An integer that only grows."""

    __slots__ = (
        "attributes", "exemplar", "family", "head", "queued", "seen_ns", "sent", "value"
    )  # fmt: skip

    def __init__(self, family: Family, attributes: bytes, now_ns: int) -> None:
        self.family = family
        self.attributes = attributes
        start = b"\x11" + _U64(now_ns)
        self.head = b"\x0a" + varint(27 + len(attributes)) + start
        """Of a point without exemplar: its tag, length and start."""
        self.seen_ns = now_ns
        self.value = 0
        self.sent = -1
        self.queued = False
        self.exemplar = b""

    @property
    def changed(self) -> bool:
        return self.value != self.sent

    def exemplify(self, value: float, exemplar: bytes) -> None:
        """Show a trace beside the value; `exemplar` is an encoded Exemplar behind its length."""
        self.exemplar = b"\x2a" + exemplar
        self.family.queue(self)

    def point(self, stamp: bytes) -> bytes:
        """Encode a NumberDataPoint; `stamp` is the encoded time field."""
        self.sent = value = self.value
        if self.family.metric.money:
            number = _DOLLARS(b"!", value / ATTO)
        else:
            number = _WHOLE(b"1", value if value < _LARGEST else _LARGEST)
        if not self.exemplar:
            return b"".join((self.head, stamp, number, self.attributes))
        parts = (self.head[-9:], stamp, number, self.exemplar, self.attributes)
        return delimited(b"\x0a", b"".join(parts))


class Gauge:
    """A number that is what it was last."""

    __slots__ = ("attributes", "family", "queued", "seen_ns", "sent", "value")

    def __init__(self, family: Family, attributes: bytes, now_ns: int) -> None:
        self.family = family
        self.attributes = attributes
        self.seen_ns = now_ns
        self.value = 0.0
        self.sent: float | None = None
        self.queued = False

    @property
    def changed(self) -> bool:
        return self.value != self.sent

    def set(self, value: float) -> None:
        self.value = value
        self.seen_ns = self.family.book.now_ns

    def keep(self, value: float) -> None:
        """Set a value that is never idle."""
        self.value = value
        self.seen_ns = _LARGEST

    def point(self, stamp: bytes) -> bytes:
        """Encode a NumberDataPoint; `stamp` is the encoded time field."""
        self.sent = self.value
        return delimited(b"\x0a", b"".join((stamp, b"\x21", _F64(self.value), self.attributes)))


class Histogram:
    """Observations in fixed buckets, upper bounds inclusive."""

    __slots__ = (
        "attributes", "counts", "exemplars", "family", "queued", "seen_ns", "sent", "start", "sum"
    )  # fmt: skip

    def __init__(self, family: Family, attributes: bytes, now_ns: int) -> None:
        self.family = family
        self.attributes = attributes
        self.start = b"\x11" + _U64(now_ns)
        self.seen_ns = now_ns
        self.counts = [0] * (len(family.metric.buckets) + 1)
        self.sum = 0.0
        self.sent = -1
        self.queued = False
        self.exemplars: dict[int, bytes] = _NONE

    def observe(self, value: float) -> None:
        """Count a value, to be told at the next flush."""
        self.counts[bisect_left(self.family.metric.buckets, value)] += 1
        self.sum += value
        self.family.queue(self)

    @property
    def changed(self) -> bool:
        return sum(self.counts) != self.sent

    def exemplify(self, value: float, exemplar: bytes) -> None:
        """Show a trace beside the bucket of a value; `exemplar` is an encoded Exemplar behind its length."""
        if self.exemplars is _NONE:
            self.exemplars = {}
        bucket = bisect_left(self.family.metric.buckets, value)
        self.exemplars[bucket] = b"\x42" + exemplar
        self.family.queue(self)

    def point(self, stamp: bytes) -> bytes:
        """Encode a HistogramDataPoint; `stamp` is the encoded time field."""
        counts, family = self.counts, self.family
        self.sent = sum(counts)
        parts = (
            self.start, stamp, _COUNT_AND_SUM(b"!", self.sent, b")", self.sum), family.counts_tag,
            family.pack_counts(*counts), family.bounds, *self.exemplars.values(), self.attributes,
        )  # fmt: skip
        return delimited(b"\x0a", b"".join(parts))


_NONE: Final[dict[int, bytes]] = {}

Series: TypeAlias = Counter | Gauge | Histogram

_FORMS: Final[Mapping[str, tuple[Any, bytes, bytes, bytes]]] = {
    # kind: (class, tag of the attributes in a point, tag of the data in a Metric, what follows the points)
    "counter": (Counter, b"\x3a", b"\x3a", _CUMULATIVE + _MONOTONIC),
    "gauge": (Gauge, b"\x3a", b"\x2a", b""),
    "histogram": (Histogram, b"\x4a", b"\x4a", _CUMULATIVE),
}


class Family:
    """All series of one metric."""

    __slots__ = (
        "_gone", "_head", "_queue", "_series", "book", "bounds", "counts_tag", "limit", "metric",
        "pack_counts",
    )  # fmt: skip

    def __init__(self, book: Book, metric: Metric, limit: int) -> None:
        self.book = book
        self.metric = metric
        bounds = metric.buckets
        self.bounds = delimited(b"\x3a", Struct(f"<{len(bounds)}d").pack(*bounds))
        counts = Struct(f"<{len(bounds) + 1}Q")
        self.counts_tag = delimited(b"\x32", bytes(counts.size))[: -counts.size]
        self.pack_counts = counts.pack
        self.limit = limit
        """Series it may have."""
        self._series: dict[Values, Series] = {}
        self._queue: list[Series] = []
        self._gone: list[bytes] = []
        """Attributes of gauges that are to be shown no more."""
        self._head = _described(metric)

    def __len__(self) -> int:
        return len(self._series)

    def series(self, values: Values) -> Series:
        """Return the series of these label values, a new one if need be, or the one of `other`."""
        found = self._series.get(values)
        if found is None:
            if len(self._series) >= self.limit:
                self.book.stats.counters[_OVERFLOW, self.metric.name] += 1
                values = tuple(map(_fold, self.metric.labels, values))
                found = self._series.get(values)
            if found is None:
                found = self._series[values] = self._new(values)
        return found

    def _new(self, values: Values) -> Series:
        form, tag, _, _ = _FORMS[self.metric.kind]
        made: Series = form(self, _attributes(tag, self.metric.labels, values), self.book.now_ns)
        return made

    def queue(self, series: Series) -> None:
        """Have it told at the next flush."""
        if not series.queued:
            series.queued = True
            self._queue.append(series)

    def withdraw(self, values: Values) -> None:
        """Forget a gauge's series, and have whoever shows it show it no more."""
        series = self._series.pop(values)
        self._gone.append(series.attributes)
        if series.queued:
            self._queue.remove(series)

    def refresh(self) -> None:
        """Have everything told at the next flush."""
        for series in self._series.values():
            self.queue(series)

    def adopt(self, predecessor: Family) -> None:
        """Take the series of another family of the metric over."""
        for values, series in predecessor._series.items():
            series.family = self
            series.queued = False
            self.queue(self._series.setdefault(values, series))
        predecessor._series, predecessor._queue = {}, []

    def drop_idle(self, before_ns: int) -> bool:
        """Forget the series that did not change since; say whether there were any."""
        idle = [values for values, one in self._series.items() if one.seen_ns < before_ns]
        for values in idle:
            del self._series[values]
        return bool(idle)

    def live(self, label: str) -> set[str]:
        """Return the values of a label that series carry."""
        if label not in self.metric.labels:
            return set()
        place = self.metric.labels.index(label)
        return {values[place] for values in self._series}

    def encode(self, now_ns: int) -> tuple[bytes, int]:
        """Encode what is queued as one Metric field; return it and the number of points."""
        stamp = b"\x19" + _U64(now_ns)
        queue, self._queue = self._queue, []
        points = []
        for series in queue:
            series.queued = False
            if series.seen_ns < now_ns and series.changed:
                series.seen_ns = now_ns
            points.append(series.point(stamp))
        points += [delimited(b"\x0a", stamp + attributes + _NO_VALUE) for attributes in self._gone]
        self._gone.clear()
        _, _, tag, trailer = _FORMS[self.metric.kind]
        data = delimited(tag, b"".join((*points, trailer)))
        return delimited(b"\x12", self._head + data), len(points)

    @property
    def waiting(self) -> bool:
        return bool(self._queue or self._gone)


def _fold(label: str, value: str) -> str:
    return value if LABELS[label].limit is None else OTHER


@lru_cache(maxsize=8192)
def _attributes(tag: bytes, labels: tuple[str, ...], values: Values) -> bytes:
    """Encode label names and values; the families of one label set share the bytes."""
    pairs = zip(labels, values, strict=True)
    return b"".join([delimited(tag, encode_key_value(name, value)) for name, value in pairs])


def _described(metric: Metric) -> bytes:
    texts = ((b"\x0a", metric.name), (b"\x12", metric.help), (b"\x1a", metric.unit))
    return b"".join([delimited(tag, text.encode()) for tag, text in texts if text])


class Book:
    """All metrics of one connector."""

    def __init__(self, metrics: Iterable[Metric], limit: int, stats: Stats) -> None:
        """`limit`: series a metric may have."""
        self.stats = stats
        self.now_ns = 0
        """The pipeline's clock, as far as it was told."""
        self._families = {metric.name: Family(self, metric, limit) for metric in metrics}
        self._refreshed_ns = 0
        self._swept_ns = 0

    def __getitem__(self, metric: Metric) -> Family:
        return self._families[metric.name]

    def __iter__(self) -> Iterator[Family]:
        return iter(self._families.values())

    def one(self, metric: Metric, *values: str) -> Any:
        """Return a series by all its label values, queued for the next flush."""
        family = self[metric]
        series = family.series(values)
        family.queue(series)
        return series

    def flush(self) -> tuple[bytes, int]:
        """Encode what changed as an OTLP metrics request; return it, empty when nothing did, and its points."""
        if self.now_ns - self._refreshed_ns >= REFRESH_NS:
            self._refreshed_ns = self.now_ns
            for family in self:
                family.refresh()
        told = [family.encode(self.now_ns) for family in self if family.waiting]
        if not told:
            return b"", 0
        scope = delimited(b"\x12", b"".join([metric for metric, _ in told]))
        return delimited(b"\x0a", scope), sum(points for _, points in told)

    def adopt(self, predecessor: Book, but: Collection[Metric]) -> None:
        """Take the series of another book over, apart from some metrics."""
        self.now_ns = predecessor.now_ns
        for family in predecessor:
            if family.metric not in but:
                self[family.metric].adopt(family)

    def sweep(self) -> bool:
        """Forget idle series, now and then; say whether any were forgotten."""
        if self.now_ns - self._swept_ns < _SWEEP_NS:
            return False
        self._swept_ns = self.now_ns
        return bool([family for family in self if family.drop_idle(self.now_ns - IDLE_NS)])

    def live(self, label: str) -> set[str]:
        """Return the values of a label that any series carries."""
        return set().union(*(family.live(label) for family in self))
