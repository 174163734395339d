"""The text a scraper reads: Prometheus text format 0.0.4 and OpenMetrics 1.0.

Written here rather than by prometheus-client's `generate_latest`, which needs an object and a sorted label dict per
sample (4 µs) where the label text of a series never changes (0.5 µs). Its parsers check us in the tests.
Sources: prometheus.io/docs/instrumenting/exposition_formats, prometheus/OpenMetrics v1.0.0 specification.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf, isnan
from typing import Final

from collector.exporters.prometheus.points import Exemplar, Shown, exemplar_of
from collector.exporters.prometheus.table import Family

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exposition:
    """Writes families in one of the two formats."""

    def __init__(self, *, open_metrics: bool, timestamps: bool) -> None:
        self._open_metrics = open_metrics
        self._timestamps = timestamps
        self.content_type = OPEN_METRICS if open_metrics else TEXT

    def family(self, family: Family, shown: Iterable[Shown]) -> str:
        """Return a family and these of its series as text. For series that are held this is one scrape."""
        name = sample = family.name
        if self._open_metrics and family.kind == "counter":
            name = name.removesuffix(
                "_total"
            )  # there the sample has the suffix, the metric has not
            sample = f"{name}_total"
        text = family.help.replace("\\", r"\\").replace("\n", r"\n")
        if self._open_metrics:
            text = text.replace('"', r"\"")
        lines = [f"# HELP {name} {text}\n# TYPE {name} {family.kind}\n"]
        write = _WRITERS[family.kind]
        for one in shown:
            if one.held:
                one.held -= 1
                lines += write(self, sample, begun(one))
            else:
                lines += write(self, sample, one)
        return "".join(lines)

    @property
    def end(self) -> str:
        """What stands behind the last family."""
        return "# EOF\n" if self._open_metrics else ""

    def simple(self, name: str, one: Shown) -> Iterator[str]:
        """Write a counter or gauge."""
        braced = f"{{{one.labels}}}" if one.labels else ""
        exemplar = ""
        if one.exemplars and self._open_metrics:
            exemplar = spelled(exemplar_of(one.exemplars[-1]))
        yield f"{name}{braced} {number(one.value)}{self._time(one)}{exemplar}\n"

    def histogram(self, name: str, one: Shown) -> Iterator[str]:
        """Write buckets, count and sum."""
        time = self._time(one)
        head = f'{name}_bucket{{{one.labels},le="' if one.labels else f'{name}_bucket{{le="'
        traces = by_bucket(one) if one.exemplars and self._open_metrics else _NO_TRACES
        running = accumulate(one.counts)
        for place, (bound, count) in enumerate(zip((*one.bounds, inf), running, strict=True)):
            yield f'{head}{number(bound)}"}} {count}{time}{traces.get(place, "")}\n'
        yield from self._count_and_sum(name, one, time)

    def summary(self, name: str, one: Shown) -> Iterator[str]:
        """Write quantiles, count and sum."""
        time = self._time(one)
        head = f'{name}{{{one.labels},quantile="' if one.labels else f'{name}{{quantile="'
        for quantile, value in one.quantiles:
            yield f'{head}{number(quantile)}"}} {number(value)}{time}\n'
        yield from self._count_and_sum(name, one, time)

    def _count_and_sum(self, name: str, one: Shown, time: str) -> Iterator[str]:
        braced = f"{{{one.labels}}}" if one.labels else ""
        yield f"{name}_count{braced} {one.count}{time}\n{name}_sum{braced} {number(one.value)}{time}\n"

    def _time(self, one: Shown) -> str:
        if not self._timestamps:
            return ""
        return f" {one.time_ns / 1e9:.3f}" if self._open_metrics else f" {one.time_ns // 10**6}"


_WRITERS: Final[Mapping[str, Callable[[Exposition, str, Shown], Iterator[str]]]] = {
    "counter": Exposition.simple,
    "gauge": Exposition.simple,
    "histogram": Exposition.histogram,
    "summary": Exposition.summary,
}
_NO_TRACES: Final[Mapping[int, str]] = {}


def by_bucket(one: Shown) -> Mapping[int, str]:
    """Return the newest exemplar of each bucket, written out."""
    exemplars = sorted(map(exemplar_of, one.exemplars), key=lambda exemplar: exemplar.time_ns)
    return {bisect_left(one.bounds, exemplar.value): spelled(exemplar) for exemplar in exemplars}


def spelled(exemplar: Exemplar) -> str:
    """Write an exemplar behind a sample."""
    time = f" {exemplar.time_ns / 1e9:.3f}" if exemplar.time_ns else ""
    return f" # {{{exemplar.labels}}} {number(exemplar.value)}{time}"


def number(value: float) -> str:
    """Write an integer exactly, and a double as the shortest decimal that is the double."""
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if isnan(value) else repr(value)


def begun(one: Shown) -> Shown:
    """Return a series as it was when it began."""
    zero = Shown(one.labels)
    zero.time_ns = one.time_ns
    zero.bounds = one.bounds
    zero.counts = (0,) * len(one.counts)
    return zero
