"""A network backend for `httpcore` whose timeouts are points in time, so that one bound holds for a whole request.

Usual timeouts bound each read and write: a server that takes 1 KB/s, or answers a byte at a time, never exceeds them.
Here a "timeout" handed to httpcore is a deadline on `time.monotonic`, and every operation gets what is left of it.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

import httpcore

_PIECE: Final = 64 << 10
"""What is written at once: small, so that the deadline is looked at while a slow reader takes its time."""


def _left(deadline: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("the time for the request is up")
    return left


class DeadlineBackend(httpcore.NetworkBackend):
    """Connects by TCP."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._ended = False

    def interrupt(self) -> None:
        """Make everything fail that is being read or written, now and from now on; closing alone would not wake the
        threads, and a pool that is closed knows nothing of a connection that is just being made."""
        with self._lock:
            self._ended = True
            connections = list(self._sockets)
        for connection in connections:
            with suppress(OSError):
                # An SSLSocket's own method would take the TLS layer away from under its reader.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def wrap(self, stream: httpcore.NetworkStream) -> httpcore.NetworkStream:
        """Return the stream with deadlines in place of timeouts. Raises: `httpcore.ConnectError` after `interrupt`."""
        connection = stream.get_extra_info("socket")
        with self._lock:
            self._sockets.add(connection)
            ended = self._ended
        if ended:
            stream.close()
            raise httpcore.ConnectError("the connections are closed")
        return _DeadlineStream(self, stream, connection)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        stream = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        return self.wrap(stream)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(
        self, backend: DeadlineBackend, inner: httpcore.NetworkStream, connection: socket.socket
    ) -> None:
        self._backend = backend
        self._inner = inner
        self._socket = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        try:
            while rest:
                self._socket.settimeout(_left(timeout, httpcore.WriteTimeout))
                rest = rest[self._socket.send(rest[:_PIECE]) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return self._backend.wrap(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
