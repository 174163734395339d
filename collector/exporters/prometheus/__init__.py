"""The `prometheus` exporter: the Collector's, with new series shown at 0 first.

`names` → `points` → `table` (the last point of every series) → `exposition` (what a scrape reads).
"""

from __future__ import annotations

from collector.exporters.prometheus.exporter import PrometheusExporter, build, check

__all__ = ["PrometheusExporter", "build", "check"]
