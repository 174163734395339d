"""The exporter: takes metrics batches, answers scrapes."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from collector.addresses import address_findings
from collector.exporters.prometheus.exposition import Exposition
from collector.exporters.prometheus.table import Shape, Table
from collector.http_server import HttpServer, Receive, Scope, Send, respond
from collector.pages import encoder
from collector.tls import ServerTls
from processors.batch import Batch, Signal
from processors.errors import Finding, Overloaded
from processors.ports import Context
from processors.stats import Stats

PATH: Final = "/metrics"
_OPEN_METRICS: Final = "application/openmetrics-text"
_PLAIN: Final = "text/plain; charset=utf-8"
_GZIP_LEVEL: Final = 1
"""A scrape compresses to 2 % at level 1 already; higher levels cost time for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote; names are the Collector's."""

    endpoint: str
    tls: ServerTls | None
    open_metrics: bool
    timestamps: bool
    shape: Shape

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        shape = Shape(
            namespace=settings["namespace"],
            const_labels=settings["const_labels"],
            suffixes=settings["add_metric_suffixes"],
            resource_labels=settings["resource_to_telemetry_conversion"]["enabled"],
            scope_labels=not settings["without_scope_info"],
            expiration_ns=settings["metric_expiration"],
            max_series=settings["max_series"],
        )
        return cls(
            endpoint=settings["endpoint"],
            tls=ServerTls.load(settings["tls"]) if "tls" in settings else None,
            open_metrics=settings["enable_open_metrics"],
            timestamps=settings["send_timestamps"],
            shape=shape,
        )


class PrometheusExporter:
    """Keeps the last point of every series and serves them at `/metrics`."""

    signals: ClassVar[frozenset[Signal]] = frozenset((Signal.METRICS,))

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._table = Table(config.shape, time.time_ns())
        self._server = HttpServer(self._serve, config.endpoint, tls=config.tls)
        self.stats = Stats()
        table = self._table
        self.stats.gauges["otelcol_llm_prometheus_series",] = lambda: table.size
        for reason in table.dropped:
            key = ("otelcol_llm_prometheus_dropped_points_total", reason)
            self.stats.gauges[key] = lambda reason=reason: table.dropped[reason]  # type: ignore[misc] # a default binds it

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._server.port

    def start(self) -> None:
        """Listen. Raises: `StartError`."""
        self._server.start()

    def room(self) -> Overloaded | None:
        """There is always room: memory is bounded by `max_series`."""
        return None

    def export(self, batch: Batch) -> None:
        """Update the series."""
        with self._lock:
            self._table.take(batch, time.time_ns())

    def stop(self, deadline_s: float) -> None:
        """Close the port."""
        self._server.stop(deadline_s)

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition in the format a scraper accepts, and its content type."""
        chosen = encoder(accept)[1]
        exposition = Exposition(
            open_metrics=self._config.open_metrics and chosen.startswith(_OPEN_METRICS),
            timestamps=self._config.timestamps,
        )
        return "".join(self._texts(exposition)).encode(), exposition.content_type

    def _texts(self, exposition: Exposition) -> Iterator[str]:
        """Yield the text of each family; between two of them exports go on."""
        now_ns = time.time_ns()
        with self._lock:
            families = self._table.families()
        for family in families:
            with self._lock:
                shown = self._table.live(family, now_ns)
                text = exposition.family(family, shown) if shown else ""
            yield text
        yield exposition.end

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != PATH:
            await respond(send, 404, b"The metrics are at /metrics.\n", _PLAIN)
        elif scope["method"] not in ("GET", "HEAD"):
            allow = [("Allow", "GET, HEAD")]
            await respond(send, 405, b"The metrics can only be read.\n", _PLAIN, allow)
        else:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            zipped = "gzip" in headers.get(b"accept-encoding", "")
            accept = headers.get(b"accept", "")
            body, content_type = await asyncio.to_thread(self._answer, accept, zipped)
            more = [("Content-Encoding", "gzip")] if zipped else []
            await respond(send, 200, body, content_type, [*more, ("Vary", "Accept-Encoding")])

    def _answer(self, accept: str, zipped: bool) -> tuple[bytes, str]:
        body, content_type = self.scrape(accept)
        return (gzip.compress(body, _GZIP_LEVEL) if zipped else body), content_type


def build(settings: Mapping[str, Any], context: Context) -> PrometheusExporter:
    """Build the exporter."""
    return PrometheusExporter(Config.load(settings))


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    yield from address_findings(settings["endpoint"], "endpoint", "reads all metrics")
    if "tls" in settings:
        yield from ServerTls.findings(settings["tls"], "tls", grpc=False)
