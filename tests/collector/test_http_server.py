"""The HTTP server that receivers, exporters and extensions share."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from collector.http_server import App, HttpLimits, HttpServer, Receive, Scope, Send, respond


@contextmanager
def serving(app: App, limits: HttpLimits | None = None) -> Iterator[int]:
    server = HttpServer(app, "127.0.0.1:0", limits=limits)
    server.start()
    try:
        yield server.port
    finally:
        server.stop(1)
        server.stop(1)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, b"hello", "text/plain", [("X-Path", scope["path"])])


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("secret")


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, bytes(64 << 20), "text/plain")


def test_an_application_answers() -> None:
    with serving(hello) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/there", trust_env=False)
    assert (answer.status_code, answer.text, answer.headers["x-path"]) == (200, "hello", "/there")


def test_a_failing_application_is_500_and_tells_nothing() -> None:
    with serving(broken) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
    assert (answer.status_code, answer.text) == (500, "internal error")


def test_connections_are_limited() -> None:
    with serving(hello, HttpLimits(connections=2)) as port:
        kept = [
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) for _ in range(2)
        ]
        for client in kept:
            assert client.get("/").status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
        for client in kept:
            assert client.get("/").status_code == 200
            client.close()


def test_a_client_that_does_not_read_is_cut_off() -> None:
    received = 0
    with (
        serving(endless, HttpLimits(write_timeout_s=0.0)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        suppress(ConnectionResetError),
    ):
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        while piece := plain.recv(1 << 20):
            received += len(piece)
    assert received < 64 << 20


def test_the_loop_ends_with_the_last_server() -> None:
    with serving(hello), serving(hello):
        assert [thread.name for thread in threading.enumerate()].count("http") == 1
    assert "http" not in [thread.name for thread in threading.enumerate()]
