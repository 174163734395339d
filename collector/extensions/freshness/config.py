"""What the user wrote about freshness."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_NS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Somebody to ask or to send to over HTTP."""

    url: str
    """Without a slash at the end; empty where nobody is configured."""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Place:
        return cls(url=settings["endpoint"].rstrip("/"), headers=tuple(settings["headers"].items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Times in seconds."""

    interval_s: float
    target_s: float
    timeout_s: float
    poll_s: float
    environment: str
    tenant: str
    """What the probes of this collector are called in the label `tenant`."""
    send: Place
    metrics: Place
    traces: Place
    trace_path: str

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(
            interval_s=settings["interval"] / _NS,
            target_s=settings["target"] / _NS,
            timeout_s=settings["timeout"] / _NS,
            poll_s=settings["poll_interval"] / _NS,
            environment=settings["environment"],
            tenant=f"probe-{settings['instance'] or socket.gethostname()}",
            send=Place.load(settings["send"]),
            metrics=Place.load(settings["metrics"]),
            traces=Place.load(settings["traces"]),
            trace_path=settings["traces"]["path"],
        )
