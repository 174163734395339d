"""A scripted OTLP backend, over gRPC and over HTTP: answers as told, and remembers what it was sent.

A script is a function from a `Received` request to a `Reply`. Both servers listen on free loopback ports.
"""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector import otlp_json
from processors.batch import Batch, Signal
from processors.wire import delimited


@dataclass(frozen=True)
class Received:
    """One request as it arrived. `number` counts requests from 0."""

    number: int
    signal: Signal
    raw: bytes
    headers: dict[str, str]

    @property
    def ids(self) -> list[bytes]:
        """Span ids, or the names of what has none."""
        items = Batch(self.signal, self.raw).items()
        return [
            item.view.span_id if hasattr(item.view, "span_id") else item.view.name.encode()
            for item in items
        ]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What to answer, in both languages."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    status: int = 200
    text: str = ""
    retry_info_s: float | None = None
    retry_after: str | None = None
    rejected: int = 0
    padding: int = 0
    """Bytes added to the body of the reply."""
    encoding: str | None = None
    """HTTP content encoding of the reply."""
    hang: bool = False
    """Answer only when the test ends."""
    reset: bool = False
    """Close the connection without an answer (HTTP)."""


OK = Reply()
UNAVAILABLE = Reply(code=grpc.StatusCode.UNAVAILABLE, status=503, text="try later")
INVALID = Reply(code=grpc.StatusCode.INVALID_ARGUMENT, status=400, text="no good")
Script = Callable[[Received], Reply]


def answer_in_turn(*replies: Reply) -> Script:
    """Give these replies one after the other, then the last one for ever."""
    return lambda received: replies[min(received.number, len(replies) - 1)]


def refuse_ids(bad: set[bytes]) -> Script:
    """Call every request invalid that holds one of these ids."""
    return lambda received: INVALID if bad & set(received.ids) else OK


@dataclass
class Backend:
    """What a scripted server saw. Change `script` at any time."""

    script: Script
    endpoint: str = ""
    received: list[Received] = field(default_factory=list)
    delivered: Counter[bytes] = field(default_factory=Counter)
    """Ids of accepted requests."""
    released: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, signal: Signal, raw: bytes, headers: dict[str, str]) -> Reply:
        with self.arrived:
            request = Received(len(self.received), signal, raw, headers)
            self.received.append(request)
            reply = self.script(request)
            if reply.code is grpc.StatusCode.OK and reply.status == 200 and not reply.hang:
                self.delivered.update(request.ids)
            self.arrived.notify_all()
        if reply.hang:
            self.released.wait(60)
        return reply

    def wait_for(self, what: Callable[[], Any], limit_s: float = 10.0) -> None:
        """Wait until `what` is true of the backend."""
        with self.arrived:
            assert self.arrived.wait_for(what, limit_s), f"{len(self.received)} requests arrived"


_RESPONSES = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


def success(signal: Signal, reply: Reply) -> bytes:
    """Return the body of a reply to an accepted request."""
    kind, rejected = _RESPONSES[signal]
    response = kind()
    if reply.rejected:
        setattr(response.partial_success, rejected, reply.rejected)
        response.partial_success.error_message = reply.text
    body = response.SerializeToString()
    return body + (delimited(b"\xfa\x7f", bytes(reply.padding)) if reply.padding else b"")


def status_details(retry_s: float) -> bytes:
    """Return a google.rpc.Status with a RetryInfo, as gRPC servers send it in the trailers."""
    delay = Duration()
    delay.FromNanoseconds(int(retry_s * 1e9))
    info = Packed(
        type_url="type.googleapis.com/google.rpc.RetryInfo",
        value=delimited(b"\x0a", delay.SerializeToString()),
    )
    return b"\x08\x0e" + delimited(b"\x12", b"wait") + delimited(b"\x1a", info.SerializeToString())


class _Grpc(grpc.GenericRpcHandler):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        for signal in Signal:
            if details.method == signal.grpc_method:
                return grpc.unary_unary_rpc_method_handler(self._export(signal))
        return None

    def _export(self, signal: Signal) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def export(raw: bytes, context: grpc.ServicerContext) -> bytes:
            headers = {entry.key: str(entry.value) for entry in context.invocation_metadata()}
            reply = self._backend.take(signal, raw, headers)
            if reply.retry_info_s is not None:
                details = status_details(reply.retry_info_s)
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            if reply.code is not grpc.StatusCode.OK:
                context.abort(reply.code, reply.text)
            return success(signal, reply)

        return export


@contextmanager
def grpc_backend(
    script: Script, credentials: grpc.ServerCredentials | None = None, **options: Any
) -> Iterator[Backend]:
    """Serve a backend over gRPC. `options`: channel arguments, dots as double underscores."""
    backend = Backend(script)
    arguments = [(name.replace("__", "."), value) for name, value in options.items()]
    with ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool, [_Grpc(backend)], options=[("grpc.so_reuseport", 0), *arguments])
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        backend.endpoint = f"127.0.0.1:{port}"
        try:
            yield backend
        finally:
            backend.released.set()
            server.stop(0).wait()


class _HttpHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    backend: Backend

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        signal = next(signal for signal in Signal if self.path.endswith(signal.http_path))
        raw = _decompressed(body, headers.get("content-encoding", ""))
        as_json = headers["content-type"] == "application/json"
        raw = otlp_json.decode(signal, raw) if as_json else raw
        reply = self.backend.take(signal, raw, headers)
        if reply.reset:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(reply, self._body(signal, reply, as_json))

    def _body(self, signal: Signal, reply: Reply, as_json: bool) -> bytes:
        if reply.status != 200:
            return reply.text.encode() + b" " * reply.padding
        if not as_json:
            return success(signal, reply)
        field_name = "rejected" + "".join(
            word.capitalize() for word in _RESPONSES[signal][1].split("_")[1:]
        )
        partial = {field_name: str(reply.rejected), "errorMessage": reply.text}
        return json.dumps({"partialSuccess": partial} if reply.rejected else {}).encode()

    def _answer(self, reply: Reply, body: bytes) -> None:
        self.send_response(reply.status)
        if reply.retry_after is not None:
            self.send_header("Retry-After", reply.retry_after)
        if reply.encoding:
            self.send_header("Content-Encoding", reply.encoding)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client read enough

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding in ("zlib", "deflate") else body


class _HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go away."""


@contextmanager
def http_backend(script: Script, context: Any = None) -> Iterator[Backend]:
    """Serve a backend over HTTP. `context`: an `ssl.SSLContext` for HTTPS."""
    backend = Backend(script)
    handler = type("Handler", (_HttpHandler,), {"backend": backend})
    with _HttpServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        scheme = "https" if context is not None else "http"
        backend.endpoint = f"{scheme}://localhost:{server.server_address[1]}"
        try:
            yield backend
        finally:
            backend.released.set()
            server.shutdown()
            thread.join()
