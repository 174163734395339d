"""OTLP over gRPC: raw bytes in, no deserializer, refusals before the body is read.

Every call is served as a stream of requests, which costs the same as a unary call (162 µs of CPU for 55 kB) and leaves
the message unread until the handler asks for it. So overload, shutdown and a full machine are answered without reading:
200 parallel calls of 60 MiB cost what the few that are being read cost. At most `threads` messages are read at once.

An exception that leaves a handler becomes UNKNOWN, which a sender must not retry: everything is caught here, and what
is our own fault is told as UNAVAILABLE, so that the sender keeps its data.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc

from collector import logs
from collector.component import Intake, Limits
from collector.errors import Rejected, StartError, status_of
from collector.receivers.otlp.config import GrpcConfig
from collector.receivers.otlp.status import MAX_MESSAGE, OUR_FAULT, response, rpc_status, text_of
from collector.tls import grpc_credentials
from processors.batch import Signal
from processors.errors import Overloaded

THREADS: Final = 8
"""Requests that are read and processed at once: the pipeline runs one at a time, the others wait for a commit."""
MAX_CALLS: Final = 1_000
"""Open calls beyond which new ones are refused: each holds a window of unread bytes (64 kB)."""
READ_S: Final = 30.0
"""How long a message may take to arrive: who sends the head of a call and no body would hold a thread for ever."""
DETAILS: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_SIGNALS: Final = {signal.grpc_method: signal for signal in Signal}

Handler = Callable[[Iterator[bytes], grpc.ServicerContext], bytes]


class Readers:
    """The calls whose message is being read; those that take too long are cancelled."""

    def __init__(self, patience_s: float = READ_S) -> None:
        self._patience_s = patience_s
        self._began: dict[grpc.ServicerContext, float] = {}

    def read(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        """Return the message of a call; None when there is none. Raises: `grpc.RpcError` when it was cancelled."""
        self._began[context] = time.monotonic()
        try:
            return next(requests, None)
        finally:
            del self._began[context]

    def sweep(self) -> None:
        """Cancel what takes too long."""
        latest = time.monotonic() - self._patience_s
        for context, began in list(self._began.items()):
            if began <= latest:
                context.cancel()  # type: ignore[no-untyped-call] # as the stubs have it

    def sweep_until(self, stopped: threading.Event) -> None:
        """Sweep now and then, on a thread of its own."""
        while not stopped.wait(min(self._patience_s / 4, 5.0)):
            self.sweep()


class GrpcServer:
    """One listening address."""

    def __init__(self, config: GrpcConfig, limits: Limits, readers: Readers | None = None) -> None:
        self.config = config
        self._readers = readers or Readers()
        self._stopped = threading.Event()
        self._limits = limits
        self._server: grpc.Server | None = None
        self._pools: tuple[ThreadPoolExecutor, ...] = ()
        self.port = 0
        """The bound port, once started."""

    def start(self, intake: Intake) -> None:
        """Listen. Raises: `StartError`."""
        config = self.config
        calls = ThreadPoolExecutor(THREADS, thread_name_prefix="otlp-grpc")
        refusals = ThreadPoolExecutor(1, thread_name_prefix="otlp-grpc-refuse")
        self._pools = (calls, refusals)
        server = grpc.server(
            calls,
            handlers=[_Export(intake, self._limits, self._readers, refusals)],
            options=[*config.options, ("grpc.so_reuseport", 0)],
        )
        try:
            if config.tls is None:
                self.port = server.add_insecure_port(config.address)
            else:
                self.port = server.add_secure_port(config.address, grpc_credentials(config.tls))
        except RuntimeError as error:
            raise StartError(
                f"expected a free address for OTLP over gRPC, could not listen on {config.address}:"
                " another program, or a second collector, uses it, or it is none of this machine's"
            ) from error
        server.start()
        self._server = server
        self._stopped.clear()
        threading.Thread(
            target=self._readers.sweep_until,
            args=(self._stopped,),
            name="otlp-grpc-sweep",
            daemon=True,
        ).start()

    def stop(self, deadline_s: float) -> None:
        """Take no new calls, finish those in flight, cancel what is left after `deadline_s`."""
        self._stopped.set()
        server, self._server = self._server, None
        if server is not None:
            server.stop(deadline_s).wait()
        for pool in self._pools:
            pool.shutdown(wait=False)


class _Export(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Finds the handler of a call. `service` runs on the thread that accepts calls and MUST NOT block."""

    def __init__(
        self, intake: Intake, limits: Limits, readers: Readers, refusals: ThreadPoolExecutor
    ) -> None:
        """`refusals`: where calls are refused, so that these need not wait for those that are served."""
        self._intake = intake
        self._limits = limits
        self._readers = readers
        self._refusals = refusals
        self._lock = threading.Lock()
        self._open = 0
        self._handlers = {
            method: grpc.stream_unary_rpc_method_handler(self._handler(signal))
            for method, signal in _SIGNALS.items()
            if signal in intake.signals
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return who serves the call; None for what nobody takes, which gRPC tells as UNIMPLEMENTED."""
        method = handler_call_details.method
        handler = self._handlers.get(method)
        if handler is None:
            return None
        refused = self._intake.refusal(_SIGNALS[method])
        if refused is None and self._open >= MAX_CALLS:
            refused = Overloaded(f"more than {MAX_CALLS} calls are open")
        if refused is not None:
            return grpc.stream_unary_rpc_method_handler(self._refuse(refused))
        with self._lock:
            self._open += 1
        return handler

    def _refuse(self, refused: Overloaded) -> Handler:
        """Make a handler that answers without reading."""

        def refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            return _abort(context, refused)

        refuse.experimental_thread_pool = self._refusals  # type: ignore[attr-defined] # how grpcio is told
        return refuse

    def _handler(self, signal: Signal) -> Handler:
        def export(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            try:
                return self._take(signal, requests, context)
            except grpc.RpcError:
                raise  # the sender is gone, or the message was too large: gRPC has answered
            except Exception as error:  # noqa: BLE001 - what escapes becomes UNKNOWN and the data is lost
                return _abort(context, error)
            finally:
                with self._lock:
                    self._open -= 1

        return export

    def _take(
        self, signal: Signal, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> bytes:
        intake = self._intake
        refused = intake.refusal(signal)  # asked again: the call may have waited for a thread
        if refused is not None:
            raise refused
        raw = self._readers.read(requests, context)
        if raw is None:
            raise Rejected("expected one request message, the call ended without one")
        intake.reserve(len(raw))
        try:
            return response(intake.consume(signal, raw, self._limits, "grpc"))
        finally:
            intake.release(len(raw))


def _abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    if text_of(error) is OUR_FAULT:
        logs.error("A request failed.", failure=type(error).__name__)
    context.set_trailing_metadata(((DETAILS, rpc_status(error)),))
    context.abort(_CODES[status_of(error).grpc], text_of(error)[:MAX_MESSAGE])
