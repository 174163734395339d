"""`health_check`: 200 while the collector takes data, 503 while it starts, stops or refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from collector.addresses import address_findings
from collector.http_server import HttpServer
from collector.pages import Answer, page
from processors.errors import Finding
from processors.ports import Context
from processors.stats import Stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote."""

    endpoint: str
    path: str
    response_body: Mapping[str, str] | None = None

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(
            endpoint=settings["endpoint"],
            path=settings["path"],
            response_body=settings.get("response_body"),
        )


class HealthCheck:
    """The page. `Context.ready` says what is in the way of taking data."""

    def __init__(self, config: Config, context: Context) -> None:
        self.stats = Stats()
        self._config = config
        self._ready = context.ready
        self._began = time.monotonic()
        self._server = HttpServer(page(config.path, self.render), config.endpoint)

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._server.port

    def start(self) -> None:
        """Listen. Raises: `StartError`."""
        self._server.start()

    def stop(self, deadline_s: float) -> None:
        """Close the port."""
        self._server.stop(deadline_s)

    def render(self, accept: str) -> Answer:
        """Say how things are, in JSON or in the configured words."""
        obstacle = self._ready()
        status = 503 if obstacle else 200
        texts = self._config.response_body
        if texts is not None:
            return Answer(
                status, texts["unhealthy" if obstacle else "healthy"].encode(), "text/plain"
            )
        state = {
            "status": obstacle or "Server available",
            "uptime_s": round(time.monotonic() - self._began, 3),
        }
        return Answer(status, json.dumps(state).encode() + b"\n", "application/json")


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    yield from address_findings(settings["endpoint"], "endpoint")


def build(settings: Mapping[str, Any], context: Context) -> HealthCheck:
    """Build the extension."""
    return HealthCheck(Config.load(settings), context)
