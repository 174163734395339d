"""Export to an OTLP/HTTP endpoint: the Collector's `otlp_http` (`otlphttp`).

Which status may be retried: OTLP specification 1.11, "Failures" (HTTP): 429, 502, 503, 504 and connections lost without
an answer. Redirects are not followed. Of an answer at most 64 KiB are read, and it is never decompressed.
"""

from __future__ import annotations

import ipaddress
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import (  # type: ignore[attr-defined] # typeshed does not know the second
    getproxies_environment,
    proxy_bypass_environment,
)

import httpcore

from collector import otlp_json
from collector.errors import ExportFailed
from collector.exporters import client_tls
from collector.exporters.client_tls import ClientTls
from collector.exporters.deadlines import DeadlineBackend
from collector.exporters.delivery import Answer, CredentialsRefused
from collector.exporters.otlp import (
    MAX_REPLY_BYTES,
    partial_success,
    partial_success_json,
    reason,
    throttle_s,
    user_agent,
)
from collector.exporters.queue_config import NANOSECONDS, QueueConfig
from collector.exporters.retry import RetryConfig
from collector.exporters.sender import Sender, sending_findings, shelf_of
from processors.batch import Signal
from processors.errors import Finding
from processors.ports import Context
from processors.requests import Request

RETRYABLE: Final = frozenset((429, 502, 503, 504))
_LOST: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
_INVALID: Final = frozenset((400, 413))
"""The content is at fault, or its size: parts of it may be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote."""

    urls: Mapping[Signal, str]
    json: bool
    tls: ClientTls
    timeout_s: float
    compression: str
    level: int
    headers: tuple[tuple[str, str], ...]
    proxy_url: str
    keep_alive: bool
    idle_s: float
    max_idle: int

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(
            urls=_urls(settings),
            json=settings["encoding"] == "json",
            tls=ClientTls.load(settings["tls"]),
            timeout_s=settings["timeout"] / NANOSECONDS,
            compression=settings["compression"],
            level=settings["compression_params"]["level"],
            headers=tuple(settings["headers"].items()),
            proxy_url=settings["proxy_url"],
            keep_alive=not settings["disable_keep_alives"],
            idle_s=settings["idle_conn_timeout"] / NANOSECONDS,
            max_idle=settings["max_idle_conns"],
        )


def _urls(settings: Mapping[str, Any]) -> dict[Signal, str]:
    """Return where each signal goes; one without any endpoint is missing."""
    base = settings["endpoint"].rstrip("/")
    urls = {
        signal: settings[f"{signal.label}_endpoint"] or (base and base + signal.http_path)
        for signal in Signal
    }
    return {signal: url for signal, url in urls.items() if url}


class HttpTransport:
    """See `sender.Transport`. One connection for every request that is on its way."""

    def __init__(self, config: Config, connections: int) -> None:
        self._config = config
        self._connections = connections
        self._compress = _compressor(config)
        self._headers = _headers(config)
        self._network = DeadlineBackend()
        self._pool: httpcore.ConnectionPool | None = None

    def connect(self) -> None:
        config = self._config
        secure = any(url.startswith("https:") for url in config.urls.values())
        proxy = config.proxy_url or proxy_of(
            urlsplit(next(iter(config.urls.values()))), getproxies_environment()
        )
        self._pool = httpcore.ConnectionPool(
            ssl_context=config.tls.context() if secure else None,
            proxy=httpcore.Proxy(proxy) if proxy else None,
            max_connections=self._connections,
            max_keepalive_connections=config.max_idle if config.keep_alive else 0,
            keepalive_expiry=config.idle_s or None,
            network_backend=self._network,
        )

    def push(self, request: Request) -> Answer:
        body = self._compress(_encode(request, self._config.json))
        try:
            status, headers, reply = self._post(request.signal, body)
        except KeyError:
            text = f"No endpoint for {request.signal.label} is configured."
            raise ExportFailed(text, retryable=False) from None
        except (*_LOST, httpcore.ProxyError) as error:
            text = f"{type(error).__name__}: {error}"
            raise ExportFailed(text, retryable=True) from error
        if not 200 <= status < 300:
            raise failure(status, headers, reply)
        if len(reply) > MAX_REPLY_BYTES:
            text = f"The answer is longer than {MAX_REPLY_BYTES} bytes."
            raise ExportFailed(text, retryable=False)
        read = partial_success_json if self._config.json else partial_success
        return read(request.signal, reply)

    def _post(self, signal: Signal, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Return status, headers and as much of the body as counts."""
        pool, config = self._pool, self._config
        if pool is None:
            raise httpcore.ConnectError("the connections are closed")
        deadline = time.monotonic() + config.timeout_s
        bounds = dict.fromkeys(("connect", "read", "write"), deadline)
        name = {"sni_hostname": config.tls.server_name} if config.tls.server_name else {}
        with pool.stream(
            "POST",
            config.urls[signal],
            headers=[*self._headers, ("Content-Length", str(len(body)))],
            content=body,
            extensions={"timeout": {**bounds, "pool": config.timeout_s}, **name},
        ) as response:
            return response.status, response.headers, _read(response)

    def disconnect(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            self._network.interrupt()
            pool.close()


def _read(response: httpcore.Response) -> bytes:
    """Return as much of a body as counts. One that breaks off leaves a failure what it is, but no success certain."""
    reply = bytearray()
    try:
        for piece in response.iter_stream():
            reply += piece
            if len(reply) > MAX_REPLY_BYTES:
                break
    except _LOST:
        if 200 <= response.status < 300:
            raise
    return bytes(reply)


def failure(status: int, headers: Iterable[tuple[bytes, bytes]], reply: bytes) -> ExportFailed:
    """Return what a status other than success means for its request."""
    told = {name.lower(): value for name, value in headers}
    why = reason(reply, told.get(b"content-type", b"").lower())
    text = f"HTTP status {status}: {why}" if why else f"HTTP status {status}"
    if status == 401:
        return CredentialsRefused(text)
    retryable = status in RETRYABLE
    asked = told.get(b"retry-after")
    return ExportFailed(
        text,
        retryable=retryable,
        retry_after_s=retry_after_s(asked.decode("latin-1")) if retryable and asked else None,
        invalid=status in _INVALID,
    )


def retry_after_s(value: str, now: datetime | None = None) -> float | None:
    """Return the wait that a Retry-After header asks for: seconds or an HTTP-date; None when it is neither.

    Source: RFC 9110, 10.2.3.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return throttle_s(float(value))
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return throttle_s((moment - (now or datetime.now(UTC))).total_seconds())


def _encode(request: Request, as_json: bool) -> bytes:
    return otlp_json.encode(request.signal, request.raw).encode() if as_json else request.raw


_WINDOWS: Final = {"gzip": zlib.MAX_WBITS | 16, "zlib": zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""HTTP's "deflate" is zlib's format (RFC 9110, 8.4.1.2)."""


def _compressor(config: Config) -> Callable[[bytes], bytes]:
    window = _WINDOWS.get(config.compression)
    if window is None:
        return bytes

    def compress(body: bytes) -> bytes:
        compressor = zlib.compressobj(config.level, zlib.DEFLATED, window)
        return compressor.compress(body) + compressor.flush()

    return compress


def _headers(config: Config) -> list[tuple[str, str]]:
    """Return what is sent with every request; the user's own headers win."""
    headers = {
        "Content-Type": "application/json" if config.json else "application/x-protobuf",
        "User-Agent": user_agent(),
    }
    if config.compression in _WINDOWS:
        headers["Content-Encoding"] = config.compression
    given = {name.lower() for name, _ in config.headers}
    own = [(name, value) for name, value in headers.items() if name.lower() not in given]
    hosts = {urlsplit(url).netloc.rpartition("@")[2] for url in config.urls.values()}
    host = [] if "host" in given or len(hosts) != 1 else [("Host", hosts.pop())]
    return [*host, *own, *config.headers]


def proxy_of(url: SplitResult, proxies: Mapping[str, str]) -> str:
    """Return the proxy for a URL, of those of an environment; none for this machine itself, as in Go."""
    host = url.hostname or ""
    if host == "localhost" or proxy_bypass_environment(host, proxies):
        return ""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return ""
    return proxies.get(url.scheme, "")


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    yield from sending_findings(settings, context)
    yield from client_tls.findings(settings["tls"], grpc_client=False)
    if not _urls(settings):
        yield Finding("endpoint", "expected endpoint or the endpoint of a signal, got neither")
    for key in ("endpoint", *(f"{signal.label}_endpoint" for signal in Signal)):
        url = urlsplit(settings[key])
        if settings[key] and (url.scheme not in ("http", "https") or not url.hostname):
            yield Finding(key, "expected a URL such as http://localhost:4318")
    if settings["proxy_url"] and urlsplit(settings["proxy_url"]).scheme != "http":
        yield Finding("proxy_url", "expected a URL such as http://proxy:3128")


def build(settings: Mapping[str, Any], context: Context) -> Sender:
    """Make the exporter."""
    sending = QueueConfig.load(settings["sending_queue"])
    return Sender(
        transport=HttpTransport(Config.load(settings), sending.num_consumers),
        sending=sending,
        retry=RetryConfig.load(
            settings["retry_on_failure"], durable=bool(settings["sending_queue"]["storage"])
        ),
        say=partial(context.say, exporter=context.id),
        open_shelf=shelf_of(settings, context),
    )
