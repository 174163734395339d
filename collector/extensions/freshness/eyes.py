"""Where a probe is looked for: the Prometheus and the trace store that the dashboards ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol
from urllib.parse import urlencode

import httpcore

from collector.extensions.freshness.config import Config, Place
from collector.extensions.freshness.probe import FEATURE, Probe

_TIMEOUT_S: Final = 10.0
_OK: Final = 200
_MISSING: Final = 404


class Unreachable(Exception):
    """Who should be asked, or sent to, does not answer as it should; the text says how."""


class Eye(Protocol):
    """Looks for probes in one place. Called by one thread."""

    signal: str

    def expect(self, outstanding: int) -> float:
        """Say, before a probe is sent, what will tell that it is there. `outstanding`: earlier ones not seen yet."""

    def sees(self, probe: Probe, mark: float) -> bool:
        """Say whether the probe is there. Raises: `Unreachable`."""


class Web:
    """HTTP requests with a deadline, over kept connections."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(keepalive_expiry=60.0)

    def ask(self, place: Place, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """GET, or POST the protobuf `body`. Raises: `Unreachable`."""
        url = place.url + path
        kind = [] if body is None else [("Content-Type", "application/x-protobuf")]
        parts = ("connect", "read", "write", "pool")
        try:
            answer = self._pool.request(
                "GET" if body is None else "POST",
                url,
                headers=[("Accept", "application/json"), *kind, *place.headers],
                content=body,
                extensions={"timeout": dict.fromkeys(parts, _TIMEOUT_S)},
            )
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as why:
            raise Unreachable(f"{url} does not answer: {why or type(why).__name__}") from why
        return answer.status, answer.content

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class Metrics:
    """Sees a probe in Prometheus, by the increase of the calls that this collector's probes are counted as.

    A counter has no memory of single calls, and new series for single calls are what must not be. So the increases seen
    so far are added up, a fall read as a restart as `increase()` does, and the n-th probe is there with the n-th.
    """

    signal = "metrics"

    def __init__(self, place: Place, tenant: str, web: Web) -> None:
        labels = f'data_mode="synthetic",feature="{FEATURE}",tenant={json.dumps(tenant)}'
        query = urlencode({"query": f"sum(llm_requests_total{{{labels}}})"})
        self._path = f"/api/v1/query?{query}"
        self._place = place
        self._web = web
        self._last: float | None = None
        self._arrived = 0.0

    def expect(self, outstanding: int) -> float:
        with suppress(Unreachable):  # told when the probe is looked for
            self._look()
        return self._arrived + outstanding + 1

    def sees(self, probe: Probe, mark: float) -> bool:
        self._look()
        return self._arrived >= mark

    def _look(self) -> None:
        found = self._read()
        if self._last is None:
            self._last = found or 0.0
        elif found is not None:
            self._arrived += found - self._last if found >= self._last else found
            self._last = found

    def _read(self) -> float | None:
        """Return the counter, None where there is none. Raises: `Unreachable`."""
        status, body = self._web.ask(self._place, self._path)
        if status != _OK:
            raise Unreachable(f"{self._place.url} answered {status} to a query")
        try:
            series = json.loads(body)["data"]["result"]
            return float(series[0]["value"][1]) if series else None
        except (ValueError, LookupError, TypeError) as why:
            raise Unreachable(f"{self._place.url} answered what is no query result") from why


class Traces:
    """Sees a probe in the trace store, by its id: all 32 digits, since Tempo leaves out leading zeros elsewhere."""

    signal = "traces"

    def __init__(self, place: Place, path: str, web: Web) -> None:
        self._place = place
        self._path = path
        self._web = web

    def expect(self, outstanding: int) -> float:
        return 0.0

    def sees(self, probe: Probe, mark: float) -> bool:
        path = self._path.replace("{trace_id}", probe.trace_id.hex())
        status, body = self._web.ask(self._place, path)
        if status not in (_OK, _MISSING):
            raise Unreachable(f"{self._place.url} answered {status} to the search for a trace")
        return status == _OK and b'"spans"' in body  # an empty trace may be answered with 200


def eyes(config: Config, web: Web) -> Mapping[str, Eye]:
    """Return who looks, by signal: only where somebody is configured."""
    found: dict[str, Eye] = {}
    if config.metrics.url:
        found[Metrics.signal] = Metrics(config.metrics, config.tenant, web)
    if config.traces.url:
        found[Traces.signal] = Traces(config.traces, config.trace_path, web)
    return found
