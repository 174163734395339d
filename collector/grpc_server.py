"""A gRPC server for calls of one message and one reply, both raw bytes, that serves them on the thread that gets them.

`grpc.server` moves a call between its own thread and one of a pool four times: to run it, to ask for the message, to
hand the message over, to finish. On one core that is 165 µs of CPU for 55 kB, here 100. So this server uses the layer
below, `grpc._cython.cygrpc`, on which `grpc.server` and `grpc.aio` are built both: the same C core with its ports,
TLS, options and limits.

Life of a call, each step an event of one completion queue, handled by one thread:

    accepted ─► refused or unknown ──────────────────────► answered
        └─────► waits for a place ─► read ─► taken by the service ─┘

Invariants
- The message of a call stays unread, in the window of its connection (64 kB), until the call has a place.
- A call keeps its place until it is answered. There are `PLACES`, and fewer while messages are large: what a message
  will weigh nobody can know before it is read, so the number starts small, grows with each small message and shrinks
  with each large one. A call that is not read within `slow_s` is slow rather than large and lets another one in;
  where slow ones have all places and others wait, the slowest is cancelled once it took longer than `pressed_s`.
- Of large messages few are read at the same time, so that the first bytes of one are still in the processor's cache
  when its last ones come; those who take long for it do not hold up the others.
- A call is answered once, by whatever thread; everything else belongs to the server's thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from grpc._cython import cygrpc  # type: ignore[attr-defined] # not in the stubs

from collector import logs

PLACES: Final = 8
"""Calls that are read or taken at once."""
READ_S: Final = 30.0
"""How long a message may take to arrive: who sends the head of a call and no body would hold a place for ever."""
PRESSED_S: Final = 5.0
"""The same, for the call that is being read for longest, while all places are taken and others wait."""
SLOW_S: Final = 1.0
MEMORY_BYTES: Final = 128 << 20
"""What messages that are read or taken may weigh together, as far as that can be known."""
FEWEST: Final = 2
"""Places, however large messages are."""
CACHE_BYTES: Final = 4 << 20
"""What messages that are read at the same time may weigh together. With 1.1 MB each, three at a time took the sampler 5
to 10 % less CPU time than eight."""
BRISK_S: Final = 0.05
"""How long who is read keeps others from it: a sender on the same host needs a few milliseconds for a megabyte."""
_GRACE_S: Final = 5.0
"""What cancelled calls get to end."""
_SWEEP_S: Final = 5.0
_DETAILS: Final = "grpc-status-details-bin"


class Refusal(NamedTuple):
    """How a call is refused: gRPC status, a sentence, a serialized `google.rpc.Status`."""

    code: int
    text: str
    details: bytes = b""


_OUR_FAULT: Final = Refusal(14, "the call failed because of an internal error")
"""UNAVAILABLE: senders may come back with it."""


class Service(Protocol):
    """Who serves the calls. Everything is called on the server's thread and MUST NOT block, nor raise."""

    def refusal(self, method: str, open_calls: int) -> Refusal | None:
        """Say whether a call is refused; asked when it comes and before it is read. `open_calls`: without this one."""

    def take(self, call: Call, message: bytes | None) -> None:
        """Answer the call, now or later from another thread; None: it ended without a message, or it is
        `unreadable`."""


class Call:
    """A call that was accepted."""

    __slots__ = ("_core", "_server", "method", "placed", "unreadable")

    def __init__(self, server: GrpcServer, core: Any, method: str) -> None:
        self._server = server
        self._core = core
        self.method = method
        self.placed = False
        self.unreadable = False
        """Whether its message came and was too large or badly compressed; who sent it is told so by the C core."""

    def read(self, then: Callable[[bytes | None], None]) -> None:
        """Ask for the message; `then` gets it, or None when it does not come."""

        def done(event: Any) -> None:
            self.unreadable = not event.success
            then(event.batch_operations[0].message())

        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(0),), done)

    def answer(self, reply: bytes) -> None:
        """Answer OK."""
        self._finish(
            cygrpc.SendMessageOperation(reply, 0),
            cygrpc.SendStatusFromServerOperation((), cygrpc.StatusCode.ok, b"", 0),
        )

    def refuse(self, refusal: Refusal) -> None:
        """Answer with another status."""
        trailing = ((_DETAILS, refusal.details),) if refusal.details else ()
        text = refusal.text.encode("utf-8", "replace")
        self._finish(cygrpc.SendStatusFromServerOperation(trailing, refusal.code, text, 0))

    def cancel(self) -> None:
        """End it without an answer; what was asked of it fails."""
        self._core.cancel()

    def _finish(self, *operations: Any) -> None:
        first, last = (
            cygrpc.SendInitialMetadataOperation((), 0),
            cygrpc.ReceiveCloseOnServerOperation(0),
        )
        self._core.start_server_batch((first, *operations, last), self._finished)

    def _finished(self, event: Any) -> None:
        self._server.forget(self)


class GrpcServer:
    """Listens, and hands calls to a service."""

    def __init__(
        self,
        service: Service,
        options: Sequence[tuple[str, Any]],
        *,
        patience_s: float = READ_S,
        pressed_s: float = PRESSED_S,
        slow_s: float = SLOW_S,
        brisk_s: float = BRISK_S,
    ) -> None:
        """`options`: of the C core (grpc/impl/channel_arg_names.h)."""
        self._service = service
        self._patience_s = patience_s
        self._pressed_s = pressed_s
        self._slow_s = slow_s
        self._brisk_s = brisk_s
        self._places = FEWEST
        self._readers = FEWEST
        self._taken = 0
        self._open = 0
        self._waiting: deque[Call] = deque()
        self._reading: dict[Call, float] = {}
        self._look_s = 0.0
        self._gone = threading.Event()
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server((*options, ("grpc.so_reuseport", 0)), False)
        self._server.register_completion_queue(self._queue)

    def listen(self, address: str, credentials: Any = None) -> int:
        """Open a port and return its number; 0 when it cannot be had. `credentials`: of `grpc`, None = no TLS."""
        where = address.encode()
        try:
            if credentials is None:
                port: int = self._server.add_http2_port(where)
            else:
                port = self._server.add_http2_port(where, credentials._credentials)
        except RuntimeError:
            return 0
        return port

    def start(self) -> None:
        """Serve from now on."""
        self._server.start()
        self._server.request_call(self._queue, self._queue, self._accept)
        threading.Thread(target=self._run, name="otlp-grpc", daemon=True).start()

    def stop(self, deadline_s: float) -> None:
        """Take no new calls, finish those that are open, cancel what is left after `deadline_s`."""
        self._server.shutdown(self._queue, self._end)
        if not self._gone.wait(deadline_s):
            self._server.cancel_all_calls()
            self._gone.wait(_GRACE_S)

    # -- on the server's thread

    def forget(self, call: Call) -> None:
        """A call has ended."""
        self._open -= 1
        if call.placed:
            self._taken -= 1
            self._read_next()

    def _run(self) -> None:
        while not self._gone.is_set():
            now_s = time.monotonic()
            if now_s >= self._look_s:
                self._look(now_s)
            event = self._queue.poll(time.time() + self._look_s - now_s)
            if event.tag is not None:
                self._handle(event)
            event = None  # it keeps its call alive

    def _handle(self, event: Any) -> None:
        try:
            event.tag(event)
        except Exception as bug:  # noqa: BLE001 - it costs one call, not the server
            logs.failure("A gRPC event failed.", bug)

    def _end(self, event: Any) -> None:
        self._gone.set()

    def _accept(self, event: Any) -> None:
        if not event.success:  # the server is shutting down
            return
        with suppress(ValueError):  # it has just begun to: this call is served, but no other
            self._server.request_call(self._queue, self._queue, self._accept)
        call = Call(self, event.call, event.call_details.method.decode("utf-8", "replace"))
        refused = self._service.refusal(call.method, self._open)
        self._open += 1
        if refused is not None:
            call.refuse(refused)
            return
        self._waiting.append(call)
        self._read_next()
        if self._waiting:
            self._look_s = min(self._look_s, time.monotonic() + self._brisk_s)

    def _read_next(self) -> None:
        while self._waiting and self._has_place():
            call = self._waiting.popleft()
            refused = self._service.refusal(call.method, 0)
            if refused is not None:
                call.refuse(refused)
                continue
            call.placed = True
            self._taken += 1
            self._reading[call] = time.monotonic()
            call.read(self._reader(call))

    def _has_place(self) -> bool:
        if self._taken >= PLACES:
            return False
        now_s, reading = time.monotonic(), len(self._reading)
        return (
            self._taken - self._read_since(now_s - self._slow_s) < self._places
            and reading - self._read_since(now_s - self._brisk_s) < self._readers
        )

    def _read_since(self, latest_s: float) -> int:
        """Return how many calls are being read for so long."""
        return sum(began_s <= latest_s for began_s in self._reading.values())

    def _weigh(self, size: int) -> None:
        """Let the size of one message say how many may be taken, and read, at once."""
        self._places = _as_many(self._places, size, MEMORY_BYTES)
        self._readers = _as_many(self._readers, size, CACHE_BYTES)

    def _reader(self, call: Call) -> Callable[[bytes | None], None]:
        def read(message: bytes | None) -> None:
            del self._reading[call]
            self._weigh(len(message or b""))
            try:
                self._service.take(call, message)
            except Exception as bug:  # noqa: BLE001 - it costs this call, not its place
                logs.failure("A gRPC call failed.", bug)
                call.refuse(_OUR_FAULT)
            self._read_next()

        return read

    def _look(self, now_s: float) -> None:
        """Cancel what takes too long to read, and let others in."""
        for place, (call, began_s) in enumerate(self._reading.items()):
            first_of_many = place == 0 and self._waiting and self._taken >= PLACES
            if began_s <= now_s - (self._pressed_s if first_of_many else self._patience_s):
                call.cancel()
        self._read_next()
        pause_s = self._brisk_s if self._waiting else min(self._patience_s / 4, _SWEEP_S)
        self._look_s = now_s + pause_s


def _as_many(places: int, size: int, most: int) -> int:
    """Return how many places there are after a message of this size, where all together may weigh `most`."""
    return min(PLACES, places + 1) if size * PLACES <= most else max(FEWEST, most // size)
