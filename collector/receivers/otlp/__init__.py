"""The `otlp` receiver: OTLP over gRPC and over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from collector.component import Intake
from collector.receivers.otlp.config import Config, findings
from collector.receivers.otlp.grpc import OtlpGrpcServer
from collector.receivers.otlp.http import OtlpHttpServer
from processors.errors import Finding
from processors.ports import Context
from processors.stats import Stats


class OtlpReceiver:
    """Listens for the configured protocols."""

    def __init__(self, config: Config) -> None:
        self.stats = Stats()
        self.grpc = OtlpGrpcServer(config.grpc, config.limits) if config.grpc else None
        self.http = OtlpHttpServer(config.http, config.limits) if config.http else None
        self._servers = [server for server in (self.grpc, self.http) if server is not None]
        self.transports = [server.transport for server in self._servers]

    def start(self, intake: Intake) -> None:
        """Listen. Raises: `StartError`."""
        try:
            for server in self._servers:
                server.start(intake)
        except Exception:
            self.stop(0)
            raise

    def stop(self, deadline_s: float) -> None:
        """Accept nothing new, finish what is in flight or give up after `deadline_s` seconds."""
        until = time.monotonic() + deadline_s
        for server in self._servers:
            server.stop(max(0.0, until - time.monotonic()))


def build(settings: Mapping[str, Any], context: Context) -> OtlpReceiver:
    """Make the receiver."""
    return OtlpReceiver(Config.load(settings))


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    return findings(settings)
