"""What the user wrote about an `otlp` receiver, schema-checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from collector.addresses import address_findings
from collector.component import Limits
from collector.tls import ServerTls
from processors.batch import Signal
from processors.errors import Finding

MILLISECOND = 1_000_000
_FOREVER = 2**31 - 1
"""gRPC's infinity for options in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcConfig:
    """`protocols.grpc`."""

    address: str
    options: tuple[tuple[str, int], ...]
    """Of the gRPC library (grpc/impl/channel_arg_names.h)."""
    tls: ServerTls | None

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> GrpcConfig:
        unix = settings["transport"] == "unix"
        return cls(
            address=f"unix:{settings['endpoint']}" if unix else host_port(settings["endpoint"]),
            options=tuple(_grpc_options(settings)),
            tls=ServerTls.load(settings["tls"]) if "tls" in settings else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """`protocols.http.cors`."""

    allowed_origins: tuple[str, ...]
    allowed_headers: tuple[str, ...]
    exposed_headers: tuple[str, ...]
    max_age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """`protocols.http`. Times in seconds, sizes in bytes."""

    address: str
    unix: bool
    paths: tuple[tuple[str, Signal], ...]
    max_request_body_size: int
    compression_algorithms: frozenset[str]
    read_header_timeout_s: float
    read_timeout_s: float
    write_timeout_s: float
    idle_timeout_s: float
    keep_alives_enabled: bool
    response_headers: tuple[tuple[str, str], ...]
    cors: Cors | None
    tls: ServerTls | None

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> HttpConfig:
        cors = settings.get("cors")
        return cls(
            address=settings["endpoint"],
            unix=settings["transport"] == "unix",
            paths=tuple(
                ("/" + settings[f"{signal.label}_url_path"].lstrip("/"), signal)
                for signal in Signal
            ),
            max_request_body_size=settings["max_request_body_size"] or 64 << 20,
            compression_algorithms=frozenset(settings["compression_algorithms"]),
            read_header_timeout_s=settings["read_header_timeout"] / 1e9 or 10.0,
            read_timeout_s=settings["read_timeout"] / 1e9,
            write_timeout_s=settings["write_timeout"] / 1e9 or 30.0,
            idle_timeout_s=settings["idle_timeout"] / 1e9 or 60.0,
            keep_alives_enabled=settings["keep_alives_enabled"],
            response_headers=tuple(settings["response_headers"].items()),
            cors=Cors(
                allowed_origins=tuple(cors["allowed_origins"]),
                allowed_headers=tuple(cors["allowed_headers"]),
                exposed_headers=tuple(cors["exposed_headers"]),
                max_age=cors["max_age"],
            )
            if cors
            else None,
            tls=ServerTls.load(settings["tls"]) if "tls" in settings else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One `otlp` receiver."""

    grpc: GrpcConfig | None
    http: HttpConfig | None
    limits: Limits

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        protocols = settings["protocols"]
        return cls(
            grpc=GrpcConfig.load(protocols["grpc"]) if "grpc" in protocols else None,
            http=HttpConfig.load(protocols["http"]) if "http" in protocols else None,
            limits=Limits(**settings["limits"]),
        )


def host_port(endpoint: str) -> str:
    """Return the endpoint with a host: Go listens everywhere on `:4317`."""
    return f"[::]{endpoint}" if endpoint.startswith(":") else endpoint


def _grpc_options(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Translate the Collector's keys. Fixed ones: a handshake may take 5 s, the head of a call 16 KiB."""
    server = settings["keepalive"]["server_parameters"]
    clients = settings["keepalive"]["enforcement_policy"]
    yield "grpc.max_receive_message_length", (settings["max_recv_msg_size_mib"] or 64) << 20
    yield "grpc.max_concurrent_streams", settings["max_concurrent_streams"] or 128
    yield "grpc.server_handshake_timeout_ms", 5000
    yield "grpc.max_metadata_size", 16 << 10
    yield "grpc.max_connection_idle_ms", _milliseconds(server["max_connection_idle"])
    yield "grpc.max_connection_age_ms", _milliseconds(server["max_connection_age"])
    yield "grpc.max_connection_age_grace_ms", _milliseconds(server["max_connection_age_grace"])
    yield "grpc.keepalive_time_ms", _milliseconds(server["time"])
    yield "grpc.keepalive_timeout_ms", _milliseconds(server["timeout"])
    yield "grpc.keepalive_permit_without_calls", int(clients["permit_without_stream"])
    yield (
        "grpc.http2.min_recv_ping_interval_without_data_ms",
        min(clients["min_time"] // MILLISECOND, _FOREVER),
    )


def _milliseconds(duration_ns: int) -> int:
    return min(duration_ns // MILLISECOND, _FOREVER) if duration_ns else _FOREVER


def findings(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Say what the schema cannot."""
    for name, protocol in settings["protocols"].items():
        path = f"protocols.{name}"
        for key in ("auth", "middlewares"):
            if key in protocol:
                text = f"there are no authenticators and middlewares yet, so {key} would protect nothing; remove it"
                yield Finding(f"{path}.{key}", text)
        if "tls" in protocol:
            yield from ServerTls.findings(protocol["tls"], f"{path}.tls", grpc=name == "grpc")
        if protocol["transport"] != "unix":
            yield from address_findings(protocol["endpoint"], f"{path}.endpoint", "can send")
