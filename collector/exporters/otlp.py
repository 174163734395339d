"""What OTLP over gRPC and over HTTP have in common: replies, throttling, who we say we are.

Source: OTLP specification 1.11, "Partial Success", "Failures", "OTLP/gRPC Throttling", "OTLP/HTTP Throttling".
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.exporters.delivery import TAKEN, Answer
from collector.otlp_json import REJECTED
from processors.batch import Signal
from processors.wire import read_varint, skip

MAX_REPLY_BYTES: Final = 64 << 10
"""What is read of a reply; the Collector reads as much. A reply without a limit was CVE-2026-39882."""
MAX_REASON: Final = 300
"""Characters of a destination's own words that are passed on."""
LONGEST_THROTTLE_S: Final = 300.0

_REPLIES: Final[Mapping[Signal, tuple[type[Message], str]]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


@cache
def user_agent() -> str:
    """Return what we call ourselves, in the Collector's form: name/version (system/machine)."""
    try:
        release = version("otelcol-llm")
    except PackageNotFoundError:  # run from a source tree
        release = "0"
    system = f"{platform.system().lower()}/{platform.machine()}"
    return f"otelcol-llm/{release} ({system})"


def partial_success(signal: Signal, reply: bytes) -> Answer:
    """Return what a success reply says. One that cannot be read is a success: the status said so."""
    if not reply:
        return TAKEN
    kind, field = _REPLIES[signal]
    try:
        partial: Any = kind.FromString(reply).partial_success  # type: ignore[attr-defined] # all three have it
    except DecodeError:
        return TAKEN
    return Answer(max(0, getattr(partial, field)), partial.error_message)


def partial_success_json(signal: Signal, reply: bytes) -> Answer:
    """The same for a reply in JSON; 64-bit integers may be strings."""
    if not reply:
        return TAKEN
    field = REJECTED[signal]
    try:
        partial = json.loads(reply)["partialSuccess"]
        return Answer(max(0, int(partial.get(field, 0))), str(partial.get("errorMessage", "")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return TAKEN


def reason(reply: bytes, content_type: bytes) -> str:
    """Return the message of a google.rpc.Status, as OTLP/HTTP answers a failure with; empty when there is none."""
    try:
        if content_type.startswith(b"application/json"):
            text = json.loads(reply)["message"]
        elif content_type.startswith(b"application/x-protobuf"):
            text = b"".join(_bodies(reply, 0x12)[-1:]).decode("utf-8", "replace")
        else:
            return ""
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return ""
    return str(text)[:MAX_REASON]


def throttle_s(seconds: float) -> float:
    """Return the wait that a destination asked for, within reason; a time in the past means now."""
    return min(max(seconds, 0.0), LONGEST_THROTTLE_S)


def retry_info_s(status: bytes) -> float | None:
    """Return the delay in the RetryInfo of a serialized google.rpc.Status; None when there is none.

    Layout: Status {3: repeated Any details}, RetryInfo {1: Duration retry_delay} (googleapis google/rpc, 2026-08).
    """
    try:
        for detail in _bodies(status, 0x1A):
            packed = Packed.FromString(detail)
            if packed.type_url.endswith("/google.rpc.RetryInfo"):
                delays = [Duration.FromString(body) for body in _bodies(packed.value, 0x0A)]
                return throttle_s(delays[-1].ToNanoseconds() / 1e9 if delays else 0.0)
    except (DecodeError, IndexError, RecursionError):
        return None
    return None


def _bodies(message: bytes, tag: int) -> list[bytes]:
    """Return the bodies of a length-delimited field. Raises: IndexError when the message is cut short."""
    bodies: list[bytes] = []
    at = 0
    while at < len(message):
        if message[at] == tag:
            size, at = read_varint(message, at + 1)
            bodies.append(message[at : at + size])
            at += size
        else:
            at = skip(message, at)
    return bodies
