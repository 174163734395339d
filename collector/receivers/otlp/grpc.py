"""OTLP over gRPC: raw bytes in, refusals before the body is read.

A request is processed on the thread that read it, which spares the switches between threads. What may take its time
goes to a pool instead, so that the next calls are read meanwhile: requests that wait for room or for a commit, and
large ones.

A status UNKNOWN must not be retried by a sender: everything is caught here, and what is our own fault is told as
UNAVAILABLE, so that the sender keeps its data.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final

from collector import logs
from collector.component import Intake, Limits, Taken
from collector.errors import Rejected, StartError, status_of
from collector.grpc_server import PLACES, READ_S, Call, GrpcServer, Refusal
from collector.receivers.otlp.config import GrpcConfig
from collector.receivers.otlp.status import MAX_MESSAGE, OUR_FAULT, response, rpc_status, text_of
from collector.tls import grpc_credentials
from processors.batch import Signal
from processors.errors import Overloaded

_TRANSPORT: Final = "grpc"
PROMPT_BYTES: Final = 2 << 20
"""Larger requests are processed in the pool: they would keep others from being read for too long."""
MAX_CALLS: Final = 1_000
"""Open calls beyond which new ones are refused: each holds a window of unread bytes (64 kB)."""
_SIGNALS: Final = {signal.grpc_method: signal for signal in Signal}
_UNKNOWN: Final = Refusal(12, "Method not found!")
"""UNIMPLEMENTED, in the words of gRPC."""


class OtlpGrpcServer:
    """One listening address."""

    transport: ClassVar = _TRANSPORT

    def __init__(self, config: GrpcConfig, limits: Limits, patience_s: float = READ_S) -> None:
        """`patience_s`: how long a message may take to arrive."""
        self.config = config
        self._patience_s = patience_s
        self._limits = limits
        self._server: GrpcServer | None = None
        self._pool: ThreadPoolExecutor | None = None
        self.port = 0
        """The bound port, once started."""

    def start(self, intake: Intake) -> None:
        """Listen. Raises: `StartError`."""
        config = self.config
        pool = ThreadPoolExecutor(PLACES, thread_name_prefix="otlp-grpc-wait")
        server = GrpcServer(
            _Export(intake, self._limits, pool),
            config.options,
            patience_s=self._patience_s,
        )
        self.port = server.listen(
            config.address, grpc_credentials(config.tls) if config.tls else None
        )
        if not self.port:
            raise StartError(
                f"expected a free address of this machine, but {config.address} cannot be opened: another program or a"
                " second collector uses it, or it is another machine's; stop that one, or name another address"
            )
        server.start()
        self._server, self._pool = server, pool

    def stop(self, deadline_s: float) -> None:
        """Take no new calls, finish those in flight, cancel what is left after `deadline_s`."""
        server, self._server = self._server, None
        if server is not None and self._pool is not None:
            server.stop(deadline_s)
            self._pool.shutdown(wait=False)


class _Export:
    """Serves the calls: see `grpc_server.Service`."""

    def __init__(self, intake: Intake, limits: Limits, pool: ThreadPoolExecutor) -> None:
        self._intake = intake
        self._limits = limits
        self._pool = pool

    def refusal(self, method: str, open_calls: int) -> Refusal | None:
        signal = _SIGNALS.get(method)
        if signal is None or signal not in self._intake.signals:
            return _UNKNOWN
        try:
            refused = self._intake.refusal(signal)
        except Exception as error:  # noqa: BLE001 - the server must not stop for it
            return _refusal(error)
        if refused is None and open_calls >= MAX_CALLS:
            refused = Overloaded(f"more than {MAX_CALLS} calls are open")
            self._intake.turned_away(signal, refused, _TRANSPORT)
        return _refusal(refused) if refused is not None else None

    def take(self, call: Call, message: bytes | None) -> None:
        signal = _SIGNALS[call.method]
        if message is None:
            if call.unreadable:
                self._intake.turned_away(signal, _UNREADABLE, _TRANSPORT)
            call.refuse(_NO_MESSAGE)
            return
        try:
            may_wait = len(message) > PROMPT_BYTES or self._intake.crowded(signal)
            self._intake.reserve(len(message))
        except Exception as error:  # noqa: BLE001 - see `_answer`
            self._intake.turned_away(signal, error, _TRANSPORT)
            call.refuse(_refusal(error))
            return
        if may_wait:
            self._pool.submit(self._take_in_time, call, signal, message)
        else:
            self._take_at_once(call, signal, message)

    def _take_at_once(self, call: Call, signal: Signal, raw: bytes) -> None:
        size = len(raw)
        try:
            offered = self._intake.offer(signal, raw, self._limits, _TRANSPORT)
        except Exception as error:  # noqa: BLE001 - see `_answer`
            self._intake.release(size)
            call.refuse(_refusal(error))
            return
        if offered.settled():
            self._answer(call, size, offered.result)
        else:
            self._pool.submit(self._answer, call, size, offered.result)

    def _take_in_time(self, call: Call, signal: Signal, raw: bytes) -> None:
        def consume() -> Taken:
            return self._intake.consume(signal, raw, self._limits, _TRANSPORT)

        self._answer(call, len(raw), consume)

    def _answer(self, call: Call, size: int, result: Callable[[], Taken]) -> None:
        """Answer with what became of a request of `size` bytes."""
        refusal: Refusal | None = None
        try:
            reply = response(result())
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender must get to know
            refusal = _refusal(error)
        self._intake.release(size)
        if refusal is None:
            call.answer(reply)
        else:
            call.refuse(refusal)


def _refusal(error: Exception) -> Refusal:
    text = text_of(error)
    if text is OUR_FAULT:
        logs.error("A request failed.", failure=type(error).__name__)
    return Refusal(status_of(error).grpc, text[:MAX_MESSAGE], rpc_status(error))


_UNREADABLE: Final = Rejected("expected a message within the limits")
_NO_MESSAGE: Final = _refusal(Rejected("expected one request message, the call ended without one"))
