"""The door of a server: sockets that listen, and connections on their way in.

Knows who has been accepted and is not yet served: `asyncio.Server` forgets them when it closes.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from collector import logs

_BACKLOG: Final = 2048
_PAUSE_S: Final = 1.0
"""How long nobody is accepted after that failed."""


class Door:
    """Lets connections in."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        listening: socket.socket,
        context: ssl.SSLContext | None,
        handshake_timeout_s: float,
    ) -> None:
        """Listen from now on; called on the loop."""
        self._protocol = protocol
        self._listening = listening
        self._context = context
        self._handshake_timeout_s = handshake_timeout_s if context else None
        self._loop = asyncio.get_running_loop()
        self._entering: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(_BACKLOG)
        self._open()

    async def close(self) -> None:
        """Let nobody in any more; who is half in is sent away."""
        if self._pause:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        await asyncio.sleep(0)  # those accepted in this turn own their socket from the next one on
        entering = list(self._entering)
        for task in entering:
            task.cancel()
        await asyncio.gather(*entering, return_exceptions=True)

    def _open(self) -> None:
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as failure:  # most likely no file descriptors are left
            self._loop.remove_reader(self._listening)
            self._pause = self._loop.call_later(_PAUSE_S, self._open)
            logs.warn("A connection could not be accepted.", problem=str(failure))
            return
        accepted.setblocking(False)
        task = self._loop.create_task(self._enter(accepted))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _enter(self, accepted: socket.socket) -> None:
        with suppress(OSError):  # the client left, or speaks no TLS
            await self._loop.connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_timeout_s,
            )


def bind_tcp(endpoint: str) -> socket.socket:
    """Bind to host:port; without a host, to every address of this machine. Raises: `OSError`."""
    host, _, port = endpoint.rpartition(":")
    if not host and socket.has_dualstack_ipv6():
        listening = socket.create_server(
            ("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True
        )
    else:
        name = host.strip("[]") or "0.0.0.0"  # noqa: S104 - an endpoint without a host asks for it
        try:
            found = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM)
        except UnicodeError as error:  # such as an empty or too long part between dots
            raise socket.gaierror(socket.EAI_NONAME, "no host can have this name") from error
        listening = socket.create_server(found[0][4], family=found[0][0])
    # Inherited by connections; asyncio does it only for sockets that name their protocol, and answers wait 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def bind_unix(path: str) -> socket.socket:
    """Bind to a path; a socket that a killed process left behind is removed. Raises: `OSError`."""
    if Path(path).is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(path)
    except OSError:
        listening.close()
        raise
    return listening
