"""The HTTP server that receivers, exporters and extensions share."""

from __future__ import annotations

import gc
import itertools
import os
import resource
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
import trustme

from collector.http_server import App, HttpLimits, HttpServer, Receive, Scope, Send, respond
from collector.pages import Answer, encoder, page
from collector.tls import ServerTls
from tests.e2e.servers import poll


@contextmanager
def serving(
    app: App, limits: HttpLimits | None = None, tls: ServerTls | None = None
) -> Iterator[int]:
    server = HttpServer(app, "127.0.0.1:0", limits=limits, tls=tls)
    server.start()
    try:
        yield server.port
    finally:
        server.stop(1)
        server.stop(1)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, b"hello", "text/plain", [("X-Path", scope["path"])])


def send_all(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        connection.sendall(piece)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ZeroDivisionError("secret")


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
    cut = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2):  # the second part waits until the first is gone, or the client
            await send({"type": "http.response.body", "body": bytes(64 << 20), "more_body": True})
        cut.set()

    with (
        serving(endless, HttpLimits(write_timeout_s=0.0)) as port,
        socket.create_connection(("127.0.0.1", port)) as plain,
    ):
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert cut.wait(60)


@pytest.mark.parametrize(
    "beginning", [b"0\r\n", b"0\r\nX: ", b"1;x="], ids=["name", "value", "extension"]
)
def test_what_follows_a_head_and_is_no_body_is_limited_too(beginning: bytes) -> None:
    """The trailer or chunk extension never ends; nobody is told of it before it does."""
    with (
        serving(hello, HttpLimits(head_bytes=10_000)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
    ):
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        endless = itertools.chain([beginning], itertools.repeat(b"x" * 10_000, 1_000))
        with pytest.raises(ConnectionError):
            send_all(plain, endless)


def test_who_sends_a_body_to_a_page_gets_one_answer() -> None:
    with (
        serving(page("/", lambda accept: Answer(200, b"shown", "text/plain"))) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
    ):
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx")
        with plain.makefile("rb") as answer:
            assert answer.read().endswith(b"shown")


@pytest.mark.parametrize("version", ["\xff", "1.x", "", "1.0.0"])
def test_an_exposition_has_a_format_whatever_is_accepted(version: str) -> None:
    _, content_type = encoder(f"application/openmetrics-text;version={version}")
    assert content_type.startswith(("text/plain", "application/openmetrics-text"))


def test_chunks_and_requests_in_one_piece_are_no_head() -> None:
    chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    many = (chunked + b"1\r\nx\r\n" * 200 + b"0\r\nX: y\r\n\r\n") * 50
    with (
        serving(hello, HttpLimits(head_bytes=1_000)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
    ):
        plain.sendall(many + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        with plain.makefile("rb") as answers:
            assert answers.read().count(b" 200 OK") == 51


def test_the_loop_ends_with_the_last_server() -> None:
    with serving(hello), serving(hello):
        assert [thread.name for thread in threading.enumerate()].count("http") == 1
    assert "http" not in [thread.name for thread in threading.enumerate()]


@pytest.fixture(scope="module")
def tls() -> ServerTls:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    chain = b"".join(one.bytes() for one in certificate.cert_chain_pems).decode()
    text = {"cert_pem": chain, "key_pem": certificate.private_key_pem.bytes().decode()}
    versions = {"min_version": "1.2", "max_version": ""}
    return ServerTls.load(text | versions | {"client_ca_file_reload": False, "reload_interval": 0})


@pytest.mark.parametrize(
    "said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half a hello"]
)
def test_who_is_half_way_through_the_handshake_is_sent_away_at_a_stop(
    said: bytes, tls: ServerTls
) -> None:
    with serving(hello, tls=tls) as port:
        waiting = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(20)]
        for plain in waiting:
            plain.sendall(said)
    for plain in waiting:
        with plain, suppress(ConnectionResetError):
            assert plain.recv(1) == b""
    gc.collect()  # what was left open warns, and a warning fails the test


def test_nothing_is_left_of_connections_made_while_a_server_stops() -> None:
    ports, over = [0], threading.Event()

    def knock() -> None:
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", ports[0]), timeout=20) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            client.recv(1)

    def knock_on() -> None:
        while not over.is_set():
            knock()

    clients = [threading.Thread(target=knock_on) for _ in range(2)]
    for client in clients:
        client.start()
    for _ in range(30):
        with serving(hello) as ports[0]:
            pass
        gc.collect()
    over.set()
    for client in clients:
        client.join()


def test_a_connection_that_finds_no_descriptor_is_accepted_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(hello) as port, socket.socket() as client:
        client.settimeout(20)
        free = os.dup(client.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, usual[1]))
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            poll("the server to fail", lambda: "could not be accepted" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        assert client.recv(12) == b"HTTP/1.1 200"
