"""HTTP servers of the process: one event loop in one thread for all of them, uvicorn's parser, bare ASGI.

Uvicorn's protocol is used without its `Server`, which handles signals, exits the process when a port is taken and
wakes up ten times a second. What it lacks against slow and hostile clients is added here: the head of a request has a
deadline and a size, an answer must be read in time, connections are counted. How long a body may take is up to the
application. An offer to go on in another protocol is passed over, and the request served in this one: Java's client
offers HTTP/2 in every first request, and the parser drops the body of what offers anything.

An application MUST NOT block the loop; what blocks runs in a thread pool of its own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from array import array
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from collector import logs
from collector.addresses import cannot_listen
from collector.door import Door, bind_tcp, bind_unix
from collector.errors import StartError
from collector.tls import Renewal, ServerTls, load_chain, server_context

_T = TypeVar("_T")
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
Headers: TypeAlias = Iterable[tuple[str, str]]

_SILENT: Final = logging.getLogger("otelcol_llm.http")
_SILENT.setLevel(
    logging.CRITICAL + 1
)  # uvicorn logs per request what anybody on the network can cause


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a client may do to the server."""

    head_timeout_s: float = 10.0
    head_bytes: int = 16 << 10
    idle_timeout_s: float = 60.0
    write_timeout_s: float = 30.0
    connections: int = 10_000


async def respond(
    send: Send, status: int, body: bytes, content_type: str, headers: Headers = ()
) -> None:
    """Send a whole answer."""
    head = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    head += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


class HttpServer:
    """One listening address that serves one application."""

    def __init__(
        self,
        app: App,
        endpoint: str,
        *,
        unix: bool = False,
        tls: ServerTls | None = None,
        limits: HttpLimits | None = None,
    ) -> None:
        """`endpoint`: host:port, or a path with `unix`. Port 0 takes a free one: see `port`."""
        self._app = app
        self._endpoint = endpoint
        self._unix = unix
        self._tls = tls
        self._limits = limits or HttpLimits()
        self._state = ServerState()
        self._door: Door | None = None
        self._renewing: asyncio.TimerHandle | None = None
        self.port = 0
        """The bound port, once started."""

    def start(self) -> None:
        """Listen. Raises: `StartError`."""
        context, renewal = server_context(self._tls) if self._tls else (None, None)
        listening = self._bind()
        if not self._unix:
            self.port = listening.getsockname()[1]
        try:
            loop = _LOOP.join()
        except BaseException:
            listening.close()
            raise
        asyncio.run_coroutine_threadsafe(self._listen(listening, context, renewal), loop).result()

    def stop(self, deadline_s: float) -> None:
        """Take no new requests, finish those in flight, cut off what is left after `deadline_s`."""
        door, self._door = self._door, None
        if door is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(door, deadline_s), _LOOP.loop).result()
        _LOOP.leave()
        if self._unix:
            with suppress(FileNotFoundError):
                Path(self._endpoint).unlink()

    def _bind(self) -> socket.socket:
        try:
            return bind_unix(self._endpoint) if self._unix else bind_tcp(self._endpoint)
        except OSError as error:
            raise cannot_listen(self._endpoint, error) from error

    async def _listen(
        self, listening: socket.socket, context: ssl.SSLContext | None, renewal: Renewal | None
    ) -> None:
        loop = asyncio.get_running_loop()
        config = Config(
            _answering(self._app),
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=self._limits.idle_timeout_s,  # type: ignore[arg-type] # any number does
        )
        config.load()
        self._door = Door(
            lambda: _Connection(config, self._state, self._limits, loop),
            listening,
            context,
            self._limits.head_timeout_s,
        )
        if context and renewal:
            self._renew(context, renewal, self._tls.reload_interval_s if self._tls else 0.0)

    def _renew(self, context: ssl.SSLContext, renewal: Renewal, interval_s: float) -> None:
        """Look at the certificates now and again."""
        found = renewal.renewed()
        if found is not None:
            try:
                load_chain(context, found)
            except StartError as error:
                logs.warn("New certificates cannot be used.", problem=str(error))
        if interval_s:
            loop = asyncio.get_running_loop()
            self._renewing = loop.call_later(interval_s, self._renew, context, renewal, interval_s)

    async def _close(self, door: Door, deadline_s: float) -> None:
        """Leave nothing behind: no socket, no task."""
        await door.close()
        if self._renewing:
            self._renewing.cancel()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=deadline_s)
        for connection in list(self._state.connections):
            connection.transport.abort()
        while left := list(self._state.tasks):
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        while self._state.connections:  # an abort takes a turn of the loop, with TLS a few
            await asyncio.sleep(0)


class _Parser(HttpRequestParser):
    """A parser that does not end where another protocol is offered."""

    def __init__(self, connection: _Connection) -> None:
        super().__init__(connection)
        self._connection = connection
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    def feed_data(self, data: bytes | bytearray | memoryview[int] | array[int]) -> None:
        parser: _Parser | None = self
        rest = memoryview(data)
        while parser and rest:
            try:
                HttpRequestParser.feed_data(parser, rest)
                rest = rest[:0]
            except HttpParserUpgrade as stopped:
                rest = rest[stopped.args[0] :]
                parser = self._connection.pass_over_offer()


class _Connection(HttpToolsProtocol):
    """Uvicorn's connection with the limits it lacks."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        limits: HttpLimits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, state, {}, loop)
        self.parser = _Parser(self)
        self._offered = False
        """Whether the head that is being read offers another protocol."""
        self.logger = _SILENT
        self._limits = limits
        self._head_bytes = 0
        """Of a head; or of what is no body either, trailers and extensions of chunks, since the last piece of one."""
        self._head_open = True
        self._heard = False
        """Whether the parser made anything of the data that is being read."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            transport.abort()
            return
        self._expire_after(self._limits.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expire_never()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = False
        super().data_received(data)
        if (
            self._head_open or not self._heard
        ):  # a header that never ends is not reported by the parser
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._heard = True
        self._head_bytes = 0
        self._head_open = True
        if self._timer is None:
            self._expire_after(self._limits.head_timeout_s)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._expire_never()
        self._offered = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._offered:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._heard = True
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._heard = True
        if not self._offered:
            super().on_message_complete()

    def pass_over_offer(self) -> _Parser | None:
        """Read the head again without the offer of another protocol (RFC 9110, 7.8); return what reads on."""
        if not self._offered:
            return None
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = parser = _Parser(self)
        parser.feed_data(b"\r\n".join((*lines, b"", b"")))
        return parser

    def pause_writing(self) -> None:
        self._expire_after(self._limits.write_timeout_s)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._expire_never()
        super().resume_writing()

    def _count_head(self, size: int) -> None:
        """The parser turns the exception into status 400 and closes."""
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            raise ValueError("the head of the request is too large")

    def _expire_after(self, seconds: float) -> None:
        self._expire_never()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _expire_never(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Loop:
    """The event loop of all HTTP servers, running as long as there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers = 0
        self._thread: threading.Thread | None = None
        self.loop: asyncio.AbstractEventLoop

    def join(self) -> asyncio.AbstractEventLoop:
        """Start the loop for the first server."""
        with self._lock:
            self._servers += 1
            if self._thread is None:
                self.loop = asyncio.new_event_loop()
                self.loop.set_exception_handler(_say_failure)
                self._thread = threading.Thread(
                    target=self.loop.run_forever, name="http", daemon=True
                )
                self._thread.start()
            return self.loop

    def leave(self) -> None:
        """Stop the loop behind the last server."""
        with self._lock:
            self._servers -= 1
            if self._servers or self._thread is None:
                return
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self._thread = None
            self.loop.close()


_LOOP: Final = _Loop()
"""One for the process, whatever graphs come and go: a reload starts new servers before it stops old ones."""


def _answering(app: App) -> App:
    """Answer 500 for what escapes an application, and say so."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as failure:  # noqa: BLE001 - the edge of the application
            logs.failure("An HTTP request failed.", failure)
            await respond(send, 500, b"internal error", "text/plain")

    return answering


def _say_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    failure = context.get("exception")
    if not isinstance(failure, (ConnectionError, ssl.SSLError)):  # what clients do
        logs.warn(
            "The HTTP loop met a problem.",
            problem=str(context.get("message")),
            failure=repr(failure),
        )
