"""The exporter: takes metrics batches, answers scrapes."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final

from prometheus_client.exposition import choose_encoder

from collector.errors import StartError
from collector.exporters.prometheus.exposition import Exposition
from collector.exporters.prometheus.table import Shape, Table
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Context
from processors.stats import Stats

PATH: Final = "/metrics"
OPEN_METRICS_TYPE: Final = "application/openmetrics-text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote; names are the Collector's."""

    endpoint: str
    namespace: str
    const_labels: Mapping[str, str]
    send_timestamps: bool
    metric_expiration: int
    """Nanoseconds."""
    enable_open_metrics: bool
    add_metric_suffixes: bool
    without_scope_info: bool
    resource_to_telemetry_conversion: Mapping[str, bool]
    max_series: int

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(**{name: settings[name] for name in cls.__slots__})

    @property
    def shape(self) -> Shape:
        return Shape(
            namespace=self.namespace,
            const_labels=self.const_labels,
            suffixes=self.add_metric_suffixes,
            resource_labels=self.resource_to_telemetry_conversion["enabled"],
            scope_labels=not self.without_scope_info,
            expiration_ns=self.metric_expiration,
            max_series=self.max_series,
        )


class PrometheusExporter:
    """Keeps the last point of every series and serves them at `/metrics`."""

    signals: ClassVar[frozenset[Signal]] = frozenset((Signal.METRICS,))

    def __init__(self, config: Config) -> None:
        self.stats = Stats()
        self.port = 0
        """Where it listens, once started."""
        self._config = config
        self._lock = threading.Lock()
        self._table = Table(config.shape, time.time_ns())
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen. Raises: `StartError`."""
        host, _, port = self._config.endpoint.rpartition(":")
        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), self._handler())
        except OSError as failure:
            raise StartError(
                f"prometheus exporter cannot listen on {self._config.endpoint}: {failure.strerror}"
            ) from failure
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def room(self) -> Overloaded | None:
        """There is always room: memory is bounded by `max_series`."""
        return None

    def export(self, batch: Batch) -> None:
        """Update the series."""
        with self._lock:
            self._table.take(batch, time.time_ns())

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition in the format a scraper accepts, and its content type."""
        chosen = choose_encoder(accept)[1]
        open_metrics = self._config.enable_open_metrics and chosen.startswith(OPEN_METRICS_TYPE)
        exposition = Exposition(open_metrics=open_metrics, timestamps=self._config.send_timestamps)
        with self._lock:
            text = exposition.text(self._table.live(time.time_ns()))
        return text.encode(), exposition.content_type

    def stop(self, deadline_s: float) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scrape = self.scrape

        class Handler(BaseHTTPRequestHandler):
            """Answers GET /metrics."""

            def do_GET(self) -> None:
                if self.path.partition("?")[0] != PATH:
                    self.send_error(404)
                    return
                body, content_type = scrape(self.headers.get("Accept", ""))
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                if "gzip" in self.headers.get("Accept-Encoding", ""):
                    body = gzip.compress(body, 1)
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing per request."""

        return Handler


def build(settings: Mapping[str, Any], context: Context) -> PrometheusExporter:
    """Build the exporter."""
    return PrometheusExporter(Config.load(settings))
