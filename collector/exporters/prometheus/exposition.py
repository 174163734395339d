"""The text a scraper reads: Prometheus text format 0.0.4 and OpenMetrics 1.0.

Written here rather than by prometheus-client's `generate_latest`, which needs an object and a sorted label dict per
sample (4 µs) where the label text of a series never changes (0.4 µs). Its parsers check us in the tests.
Sources: prometheus.io/docs/instrumenting/exposition_formats, prometheus/OpenMetrics v1.0.0 specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from math import inf, isnan
from typing import Final

from collector.exporters.prometheus.points import Exemplar, Point, by_bucket
from collector.exporters.prometheus.table import Family, Shown

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exposition:
    """Writes families in one of the two formats."""

    def __init__(self, *, open_metrics: bool, timestamps: bool) -> None:
        self._open_metrics = open_metrics
        self._timestamps = timestamps
        self.content_type = OPEN_METRICS if open_metrics else TEXT

    def text(self, families: Iterable[tuple[Family, list[Shown]]]) -> str:
        """Return everything as text. Series that are held count this as one scrape."""
        lines = [line for family, shown in families for line in self._family(family, shown)]
        if self._open_metrics:
            lines.append("# EOF\n")
        return "".join(lines)

    def _family(self, family: Family, shown: list[Shown]) -> Iterator[str]:
        name, sample = family.name, family.name
        if self._open_metrics and family.kind == "counter":
            name = family.name.removesuffix("_total")
            sample = f"{name}_total"
        text = family.help.replace("\\", r"\\").replace("\n", r"\n")
        if self._open_metrics:
            text = text.replace('"', r"\"")
        yield f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n"
        write = _WRITERS[family.kind]
        for one in shown:
            point = one.point
            if one.held:
                one.held -= 1
                point = zero(point)
            yield from write(self, sample, one.labels, point)

    def simple(self, name: str, labels: str, point: Point) -> Iterator[str]:
        """Write a counter or gauge."""
        braced = f"{{{labels}}}" if labels else ""
        exemplar = self._exemplar(point.exemplars[-1]) if point.exemplars else ""
        yield f"{name}{braced} {number(point.value)}{self._time(point)}{exemplar}\n"

    def histogram(self, name: str, labels: str, point: Point) -> Iterator[str]:
        """Write buckets, count and sum."""
        time = self._time(point)
        comma = f"{labels}," if labels else ""
        head = f'{name}_bucket{{{comma}le="'
        exemplars = by_bucket(point) if point.exemplars and self._open_metrics else {}
        running = accumulate(point.counts)
        for place, (bound, count) in enumerate(zip((*point.bounds, inf), running, strict=True)):
            exemplar = self._exemplar(exemplars[place]) if place in exemplars else ""
            yield f'{head}{number(float(bound))}"}} {count}{time}{exemplar}\n'
        yield from self._count_and_sum(name, labels, point, time)

    def summary(self, name: str, labels: str, point: Point) -> Iterator[str]:
        """Write quantiles, count and sum."""
        time = self._time(point)
        comma = f"{labels}," if labels else ""
        for quantile, value in point.quantiles:
            rank = number(float(quantile))
            yield f'{name}{{{comma}quantile="{rank}"}} {number(value)}{time}\n'
        yield from self._count_and_sum(name, labels, point, time)

    def _count_and_sum(self, name: str, labels: str, point: Point, time: str) -> Iterator[str]:
        braced = f"{{{labels}}}" if labels else ""
        yield f"{name}_count{braced} {point.count}{time}\n"
        yield f"{name}_sum{braced} {number(point.value)}{time}\n"

    def _time(self, point: Point) -> str:
        if not self._timestamps:
            return ""
        return f" {point.time_ns / 1e9:.3f}" if self._open_metrics else f" {point.time_ns // 10**6}"

    def _exemplar(self, exemplar: Exemplar) -> str:
        """Only OpenMetrics has exemplars."""
        if not self._open_metrics:
            return ""
        time = f" {exemplar.time_ns / 1e9:.3f}" if exemplar.time_ns else ""
        return f" # {{{exemplar.labels}}} {number(exemplar.value)}{time}"


_WRITERS: Final[dict[str, Callable[[Exposition, str, str, Point], Iterator[str]]]] = {
    "counter": Exposition.simple,
    "gauge": Exposition.simple,
    "histogram": Exposition.histogram,
    "summary": Exposition.summary,
}


def number(value: float) -> str:
    """Write an integer exactly, and a double as the shortest decimal that is the double."""
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if isnan(value) else repr(value)


def zero(point: Point) -> Point:
    """Return the point a series began with."""
    return Point(
        attributes=None,
        start_ns=point.start_ns,
        time_ns=point.time_ns,
        bounds=point.bounds,
        counts=(0,) * len(point.counts),
    )
