"""Reads what components counted into Prometheus families, at the moment of a scrape."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector

from collector import logs
from collector.telemetry import COUNTER, Metric
from processors.stats import Histogram, Stats

Source = tuple[str, Stats]
"""A component id and what it counted."""


class SelfTelemetry(Collector):
    """Reads everything that counts at the moment of a scrape."""

    def __init__(
        self,
        metrics: Iterable[Metric],
        constant: Mapping[str, str],
        sources: Callable[[], Iterable[Source]],
    ) -> None:
        """`constant`: labels on every series; `sources`: everything that counts now, asked at every scrape."""
        self._rows = {metric.name: metric for metric in metrics}
        self._constant = dict(constant)
        self._sources = sources
        self._unknown: set[str] = set()

    def collect(self) -> Iterator[Family]:
        """Yield one family per metric that somebody counted."""
        values: dict[str, dict[tuple[str, ...], float]] = {}
        histograms: dict[str, dict[tuple[str, ...], list[Histogram]]] = {}
        for owner, stats in self._sources():
            for key, number in list(stats.counters.items()):
                self._add(values, owner, key, number)
            for key, read in list(stats.gauges.items()):
                self._add(values, owner, key, read())
            for key, histogram in list(stats.histograms.items()):
                row = self._row(key[0])
                if row is not None:
                    labels = self._labels(row, owner, key)
                    histograms.setdefault(row.name, {}).setdefault(labels, []).append(histogram)
        for name, series in values.items():
            yield self._family(self._rows[name], series)
        for name, observed in histograms.items():
            yield self._histogram(self._rows[name], observed)

    def _add(
        self,
        values: dict[str, dict[tuple[str, ...], float]],
        owner: str,
        key: tuple[str, ...],
        n: float,
    ) -> None:
        row = self._row(key[0])
        if row is None:
            return
        labels = self._labels(row, owner, key)
        series = values.setdefault(row.name, {})
        series[labels] = series.get(labels, 0) + n

    def _row(self, name: str) -> Metric | None:
        """Return a name's row. Other people's components may count what the table does not have: told once."""
        row = self._rows.get(name)
        if row is None and name not in self._unknown:
            self._unknown.add(name)
            logs.warn("A component counts what the table of metrics does not have.", metric=name)
        return row

    def _labels(self, row: Metric, owner: str, key: tuple[str, ...]) -> tuple[str, ...]:
        own = (owner,) if row.owner else ()
        return (*self._constant.values(), *own, *key[1:])

    def _names(self, row: Metric) -> list[str]:
        return [*self._constant, *((row.owner,) if row.owner else ()), *row.labels]

    def _family(self, row: Metric, series: Mapping[tuple[str, ...], float]) -> Family:
        make = CounterMetricFamily if row.kind == COUNTER else GaugeMetricFamily
        family = make(row.name.removesuffix("_total"), row.help, labels=self._names(row))
        for labels, value in series.items():
            family.add_metric(labels, value)
        return family

    def _histogram(
        self, row: Metric, observed: Mapping[tuple[str, ...], list[Histogram]]
    ) -> Family:
        family = HistogramMetricFamily(row.name, row.help, labels=self._names(row))
        for labels, parts in observed.items():
            bounds = [*map(str, parts[0].bounds), "+Inf"]
            counts = [sum(column) for column in zip(*(part.counts for part in parts), strict=True)]
            running = 0
            buckets = []
            for bound, count in zip(bounds, counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(labels, buckets, sum(part.sum for part in parts))
        return family


def process_stats() -> Stats:
    """Return the figures of this process, read when scraped (Linux: /proc)."""
    stats = Stats()
    began = time.monotonic()
    stats.gauges["otelcol_process_uptime_seconds_total",] = lambda: time.monotonic() - began
    stats.gauges["otelcol_process_cpu_seconds_total",] = time.process_time
    stats.gauges["otelcol_process_memory_rss",] = rss_bytes
    return stats


def rss_bytes() -> int:
    """Return the resident size of this process in bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
