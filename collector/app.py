"""The composition root: build from a configuration, start, tick, reload, stop, in this order and no other.

Threads: this one (signals, supervision), the receivers' own, one ticker, the exporters' senders.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

from prometheus_client import CollectorRegistry

from collector import handover, logs
from collector.clock import Clock
from collector.config.model import GraphConfig, Loaded, Telemetry
from collector.errors import CollectorError, ConfigError, StartError, starting
from collector.graph import Graph
from collector.http_server import HttpServer
from collector.intake import Gate, InFlight
from collector.pages import Answer, encoder, page
from collector.self_metrics import SelfTelemetry, process_stats
from collector.signals import Signals
from collector.state import State
from collector.telemetry import METRICS
from collector.tuning import calm_garbage_collection, keep_freed_memory
from processors.errors import InvalidConfig
from processors.stats import Stats

TICK_S = 0.1
DRAIN_S = 20.0
"""How long a stop waits for requests in flight and queues, together."""
RELOAD_POLL_S = 2.0
IN_FLIGHT_BYTES = 128 << 20


@dataclass(slots=True)
class Reloads:
    """How the last reload went, for `/metrics`."""

    successful: bool = True
    succeeded_at: float = 0.0


class App:
    """One running collector. `start`, then `reload` any number of times, then `stop`."""

    def __init__(self, config: GraphConfig, secret: bytes | None = None) -> None:
        """Build everything. Raises: `InvalidConfig`, `StartError`."""
        gate = Gate(Clock(), InFlight(IN_FLIGHT_BYTES))
        self.state = State(gate, secret=secret)
        self.graph = Graph(config, self.state)
        self.reloads = Reloads(succeeded_at=time.time())
        self._own = self._own_stats()
        self._process = process_stats()
        self._metrics = self._metrics_server(config.telemetry)
        self._stopping = threading.Event()
        self._swap = threading.Lock()
        self._ticker = threading.Thread(target=self._tick_forever, name="ticker", daemon=True)

    def start(self) -> None:
        """Open everything, receivers last. Raises: `StartError`."""
        if self._metrics is not None:
            with starting("service.telemetry.metrics"):
                self._metrics.start()
        try:
            self.graph.start()
            handover.open_receivers(self.graph)
        except StartError:
            self.stop(0.0)
            raise
        handover.take_over(self.graph)
        self.state.running = True
        calm_garbage_collection()
        self._ticker.start()

    def reload(self, config: GraphConfig) -> None:
        """Swap to another configuration. Raises: `InvalidConfig`, `StartError`; nothing has changed then."""
        old = self.graph
        new = Graph(config, self.state, previous=old)
        new.start()
        try:
            handover.open_receivers(new, old)
        except StartError:
            handover.abandon(new)
            raise
        with self._swap:
            handover.take_over(new, old)
            self.graph = new
        handover.retire(old, new, DRAIN_S)
        self.reloads.successful, self.reloads.succeeded_at = True, time.time()

    def stop(self, deadline_s: float = DRAIN_S) -> None:
        """Accept nothing new, hand on everything held, deliver until the deadline."""
        until = time.monotonic() + deadline_s
        self._stopping.set()
        graph = self.graph
        self.state.gate.draining = True
        handover.stop_receivers(graph.receivers.values(), deadline_s)
        if self._ticker.is_alive():
            self._ticker.join()
        self.state.gate.closed = True
        graph.close_pipelines()
        graph.drain(max(0.0, until - time.monotonic()))
        for exporter in graph.exporters.values():
            exporter.stop(max(0.0, until - time.monotonic()))
        for extension in reversed(graph.extensions.values()):
            extension.stop(max(0.0, until - time.monotonic()))
        if self._metrics is not None:
            self._metrics.stop(max(0.0, until - time.monotonic()))

    def _tick_forever(self) -> None:
        while not self._stopping.wait(TICK_S):
            with self._swap:
                try:
                    self.graph.tick()
                except Exception as failure:  # noqa: BLE001 - the ticker must survive a bug of one tick
                    logs.failure("A tick failed.", failure)

    # -- telemetry

    def _own_stats(self) -> Stats:
        stats = Stats()
        in_flight = self.state.gate.in_flight
        stats.gauges["otelcol_llm_in_flight_bytes",] = lambda: in_flight.size
        stats.gauges["otelcol_llm_in_flight_bytes_limit",] = lambda: in_flight.limit
        stats.gauges["otelcol_llm_config_last_reload_successful",] = lambda: int(
            self.reloads.successful
        )
        stats.gauges["otelcol_llm_config_last_reload_success_timestamp_seconds",] = lambda: (
            self.reloads.succeeded_at
        )
        return stats

    def _metrics_server(self, telemetry: Telemetry) -> HttpServer | None:
        if telemetry.metrics_level == "none":
            return None
        registry = CollectorRegistry(auto_describe=False)
        registry.register(SelfTelemetry(METRICS, telemetry.resource, self.sources))

        def render(accept: str) -> Answer:
            encode, content_type = encoder(accept)
            return Answer(200, encode(registry), content_type)

        return HttpServer(
            page("/metrics", render), f"{telemetry.metrics_host}:{telemetry.metrics_port}"
        )

    def sources(self) -> list[tuple[str, Stats]]:
        """Return everything that counts now, with the id of its component."""
        return [("", self._own), ("", self._process), *self.graph.sources()]


def run(
    loaded: Loaded,
    load_again: Callable[[], Loaded],
    signals: Signals,
    secret: bytes | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP and changed files reload. Returns the exit code."""
    keep_freed_memory()
    telemetry = loaded.config.telemetry
    logs.set_up(telemetry.log_level, telemetry.log_encoding)
    try:
        app = App(loaded.config, secret)
        app.start()
    except StartError as failure:
        logs.error(str(failure))
        return 1
    logs.say("Everything is ready. Begin running and processing data.")
    digests = {source.path: source.digest for source in loaded.sources}
    while not (asked := signals.wait(RELOAD_POLL_S)) & {SIGTERM, SIGINT}:
        now = {path: digest_of(path) for path in digests}
        if SIGHUP in asked or now != digests:
            digests = now | _reload(app, load_again)
    logs.say("Stopping.")
    app.stop()
    logs.say("Stopped.")
    return 0


def _reload(app: App, load_again: Callable[[], Loaded]) -> dict[str, str]:
    """Load and swap; on any problem the old configuration goes on. Returns the files to watch from now on."""
    try:
        loaded = load_again()
        app.reload(loaded.config)
    except ConfigError as error:
        for problem in error.problems:
            if not problem.warning:
                _keep(app, problem.text, path=problem.path, place=problem.place)
        return {}
    except (CollectorError, InvalidConfig) as error:
        _keep(app, str(error))
        return {}
    logs.say("The configuration was reloaded.")
    return {source.path: source.digest for source in loaded.sources}


def _keep(app: App, problem: str, **fields: str) -> None:
    app.reloads.successful = False
    text = "The configuration is broken and was not loaded; the old one goes on."
    logs.error(text, problem=problem, **fields)


def digest_of(path: str) -> str:
    """Return the content hash of a file, empty when it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
