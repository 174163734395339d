"""Export to an OTLP/gRPC endpoint: the Collector's `otlp_grpc` (earlier `otlp`).

Requests and replies stay bytes; the stubs have no serializers. Which status may be retried: OTLP specification 1.11,
"Failures" (gRPC). C-core compresses with zlib's default level and has no option for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import grpc

from collector.errors import ExportFailed
from collector.exporters import client_tls
from collector.exporters.client_tls import ClientTls
from collector.exporters.delivery import Answer, CredentialsRefused
from collector.exporters.otlp import (
    MAX_REPLY_BYTES,
    partial_success,
    retry_info_s,
    user_agent,
)
from collector.exporters.queue_config import NANOSECONDS, QueueConfig
from collector.exporters.retry import RetryConfig
from collector.exporters.sender import Sender, sending_findings, shelf_of
from processors.batch import Signal
from processors.errors import Finding
from processors.ports import Context
from processors.requests import Request

_Call: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, bytes]"

RETRYABLE: Final = frozenset(
    (
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)
"""RESOURCE_EXHAUSTED is retryable too, but only with RetryInfo."""

_COMPRESSION: Final = {
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
    "none": grpc.Compression.NoCompression,
    "": grpc.Compression.NoCompression,
}

_TOO_LARGE: Final = ("larger than max", "exceeds maximum size")
"""How gRPC servers (Go, C-core; Java) say that a message is over their limit."""
_REPLY_TOO_LARGE: Final = "CLIENT: Received"
"""How C-core says that the reply is over ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote."""

    target: str
    secure: bool
    tls: ClientTls
    timeout_s: float
    compression: str
    headers: tuple[tuple[str, str], ...]
    wait_for_ready: bool
    options: tuple[tuple[str, Any], ...]

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        scheme, _, rest = settings["endpoint"].rpartition("://")
        plain = scheme in ("http", "https")
        tls = ClientTls.load(settings["tls"])
        return cls(
            target=rest if plain else settings["endpoint"],
            secure=scheme == "https" or (scheme != "http" and not tls.insecure),
            tls=tls,
            timeout_s=settings["timeout"] / NANOSECONDS,
            compression=settings["compression"],
            headers=tuple((key.lower(), value) for key, value in settings["headers"].items()),
            wait_for_ready=settings["wait_for_ready"],
            options=_options(settings),
        )


def _options(settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return the channel's arguments (grpc/include/grpc/impl/channel_arg_names.h)."""
    options: dict[str, Any] = {
        "grpc.primary_user_agent": user_agent(),
        "grpc.max_send_message_length": -1,
        "grpc.max_receive_message_length": MAX_REPLY_BYTES,
        "grpc.lb_policy_name": settings["balancer_name"],
        "grpc.initial_reconnect_backoff_ms": 1_000,
        "grpc.max_reconnect_backoff_ms": 5_000,
        "grpc.dns_min_time_between_resolutions_ms": 10_000,
    }
    keepalive = settings.get("keepalive")
    if keepalive:
        options["grpc.keepalive_time_ms"] = keepalive["time"] // 1_000_000
        options["grpc.keepalive_timeout_ms"] = keepalive["timeout"] // 1_000_000
        options["grpc.keepalive_permit_without_calls"] = int(keepalive["permit_without_stream"])
    if settings["write_buffer_size"]:
        options["grpc.http2.write_buffer_size"] = settings["write_buffer_size"]
    if tls_name := settings["tls"]["server_name_override"]:
        options["grpc.ssl_target_name_override"] = tls_name
    if settings["authority"]:
        options["grpc.default_authority"] = settings["authority"]
    return tuple(options.items())


class GrpcTransport:
    """See `sender.Transport`. One channel: HTTP/2 carries all calls at once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._channel: grpc.Channel | None = None
        self._calls: dict[Signal, _Call] = {}

    def connect(self) -> None:
        config = self._config
        compression = _COMPRESSION[config.compression]
        if config.secure:
            credentials = config.tls.grpc_credentials()
            channel = grpc.secure_channel(config.target, credentials, config.options, compression)
        else:
            channel = grpc.insecure_channel(config.target, config.options, compression)
        self._calls = {
            signal: channel.unary_unary(signal.grpc_method, None, None) for signal in Signal
        }
        self._channel = channel

    def push(self, request: Request) -> Answer:
        call, config = self._calls[request.signal], self._config
        try:
            reply = call(
                request.raw,
                timeout=config.timeout_s,
                metadata=config.headers,
                wait_for_ready=config.wait_for_ready,
            )
        except grpc.RpcError as error:
            raise failure(error) from error
        except ValueError as error:  # "Cannot invoke RPC on closed channel!"
            raise ExportFailed("The connection is closed.", retryable=True) from error
        return partial_success(request.signal, reply)

    def disconnect(self) -> None:
        if self._channel is not None:
            self._channel.close()


def failure(error: grpc.RpcError) -> ExportFailed:
    """Return what a failed call means for its request."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return CredentialsRefused(f"{code.name}: {details}")
    metadata: dict[str, Any] = {entry.key: entry.value for entry in error.trailing_metadata() or ()}
    asked_s = retry_info_s(metadata.get("grpc-status-details-bin", b""))
    exhausted = code is grpc.StatusCode.RESOURCE_EXHAUSTED
    ours = _REPLY_TOO_LARGE in details
    too_large = exhausted and not ours and any(text in details for text in _TOO_LARGE)
    return ExportFailed(
        f"{code.name}: {details}",
        retryable=code in RETRYABLE or (exhausted and asked_s is not None),
        retry_after_s=asked_s,
        invalid=code is grpc.StatusCode.INVALID_ARGUMENT or too_large,
    )


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    yield from sending_findings(settings, context)
    yield from client_tls.findings(settings["tls"], grpc_client=True)


def build(settings: Mapping[str, Any], context: Context) -> Sender:
    """Make the exporter."""
    return Sender(
        transport=GrpcTransport(Config.load(settings)),
        sending=QueueConfig.load(settings["sending_queue"]),
        retry=RetryConfig.load(
            settings["retry_on_failure"], durable=bool(settings["sending_queue"]["storage"])
        ),
        say=partial(context.say, exporter=context.id),
        open_shelf=shelf_of(settings, context),
    )
