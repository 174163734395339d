"""What OTLP over HTTP adds: throttling headers, one deadline, hostile servers, proxies, addresses."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config.settings import resolve
from collector.errors import ExportFailed
from collector.exporters import otlp_http
from collector.exporters.deadlines import DeadlineBackend
from collector.exporters.delivery import TAKEN, Answer
from collector.exporters.otlp import partial_success_json
from collector.exporters.otlp_http import (
    Config,
    HttpTransport,
    failure,
    proxy_of,
    retry_after_s,
)
from collector.registry import schema_of
from processors.batch import Signal
from processors.errors import Finding
from processors.ports import Context
from processors.requests import Request
from tests.backends import OK, Reply, answer_in_turn, http_backend
from tests.countable import span_ids, traces

SCHEMA = schema_of("collector/exporters/otlp_http.schema.json")
CONTEXT = Context(id="otlp_http")


def transport(**written: Any) -> HttpTransport:
    made = HttpTransport(Config.load(resolve(SCHEMA, written)), 4)
    made.connect()
    return made


def request(text: str = "") -> Request:
    return Request(Signal.TRACES, traces(span_ids(1), text=text).encode(), 1)


NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("1000000000", 300.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2036 12:00:00 GMT", 300.0),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30.0),
        ("Sat Nov 21 12:00:30 2026", 30.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, expected: float | None) -> None:
    assert retry_after_s(value, NOW) == expected


@given(st.text(max_size=40))
def test_any_retry_after_is_understood_or_ignored(value: str) -> None:
    wait = retry_after_s(value, NOW)
    assert wait is None or 0 <= wait <= 300


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", TAKEN),
        (b"{}", TAKEN),
        (b'{"partialSuccess":{}}', TAKEN),
        (b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"bad"}}', Answer(3, "bad")),
        (b'{"partialSuccess":{"rejectedSpans":3}}', Answer(3, "")),
        (b'{"partialSuccess":{"rejectedSpans":-3}}', TAKEN),
        (b'{"partialSuccess":{"rejectedSpans":"x"}}', TAKEN),
        (b'{"partialSuccess":[]}', TAKEN),
        (b"<html>", TAKEN),
        (b"\xff", TAKEN),
        (b"[" * 10_000, TAKEN),
    ],
)
def test_replies_in_json_are_read_with_care(body: bytes, expected: Answer) -> None:
    assert partial_success_json(Signal.TRACES, body) == expected


# ------------------------------------------------------------------ hostile servers


@contextmanager
def raw_server(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Accept one connection and hand it to `serve`, with an event that is set when the test is over."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                try:
                    serve(connection, over)
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def drip(connection: socket.socket, over: threading.Event) -> None:
    """Answer a byte at a time: no single read ever takes long."""
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * 100_000:
        if over.wait(0.01):
            return
        connection.sendall(bytes([byte]))


def sip(connection: socket.socket, over: threading.Event) -> None:
    """Read a little at a time: no single write ever takes long."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while not over.wait(0.01):
        connection.recv(1024)


def endless_headers(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")


def endless_body(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    while not over.is_set():
        connection.sendall(bytes(65536))


def nonsense(connection: socket.socket, over: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


@pytest.mark.parametrize("serve", [drip, sip])
def test_one_deadline_holds_for_the_whole_request(
    serve: Callable[[socket.socket, threading.Event], None],
) -> None:
    with raw_server(serve) as endpoint:
        sender = transport(endpoint=endpoint, timeout="300ms", compression="none")
        began = time.monotonic()
        with pytest.raises(ExportFailed) as failed:
            sender.push(request("x" * 8_000_000))
        sender.disconnect()
    assert failed.value.retryable
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("serve", "retryable"), [(endless_headers, True), (endless_body, False), (nonsense, True)]
)
def test_hostile_answers_are_cut_short(
    serve: Callable[[socket.socket, threading.Event], None], retryable: bool
) -> None:
    with raw_server(serve) as endpoint:
        sender = transport(endpoint=endpoint, timeout="1h")
        with pytest.raises(ExportFailed) as failed:
            sender.push(request())
        sender.disconnect()
    assert failed.value.retryable == retryable


def test_a_compressed_answer_is_not_decompressed() -> None:
    with http_backend(answer_in_turn(Reply(encoding="gzip", padding=1000))) as backend:
        sender = transport(endpoint=backend.endpoint)
        assert sender.push(request()) == TAKEN
        sender.disconnect()


def test_a_connection_lost_without_an_answer_is_tried_again() -> None:
    with http_backend(answer_in_turn(Reply(reset=True))) as backend:
        sender = transport(endpoint=backend.endpoint)
        with pytest.raises(ExportFailed) as failed:
            sender.push(request())
        sender.disconnect()
        assert failed.value.retryable


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        (b"application/x-protobuf", b"\x08\x03\x12\x07no good", "HTTP status 400: no good"),
        (b"application/json", b'{"code":3,"message":"no good"}', "HTTP status 400: no good"),
        (b"application/json; charset=utf-8", b'{"code":3}', "HTTP status 400"),
        (b"application/json", b"[" * 60_000, "HTTP status 400"),
        (b"application/x-protobuf", b"\x0b" * 60_000, "HTTP status 400"),
        (b"application/x-protobuf", b"\xff", "HTTP status 400"),
        (b"text/html", b"<html>", "HTTP status 400"),
        (b"application/x-protobuf", b"", "HTTP status 400"),
    ],
)
def test_a_failure_tells_the_destinations_reason(kind: bytes, body: bytes, text: str) -> None:
    assert str(failure(400, [(b"Content-Type", kind)], body)) == text


@pytest.mark.parametrize(
    ("status", "retryable", "asked_s"),
    [(b"200 OK", True, None), (b"400 Bad Request", False, None), (b"503 Busy", True, 7.0)],
)
def test_a_status_holds_though_its_body_breaks_off(
    status: bytes, retryable: bool, asked_s: float | None
) -> None:
    """Only of a success it is unknown then what was taken."""

    def break_off(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        head = b"HTTP/1.1 " + status + b"\r\nRetry-After: 7\r\nContent-Length: 50\r\n\r\n"
        connection.sendall(head + b"\x08")

    with raw_server(break_off) as endpoint:
        sender = transport(endpoint=endpoint)
        with pytest.raises(ExportFailed) as failed:
            sender.push(request())
        sender.disconnect()
    assert (failed.value.retryable, failed.value.retry_after_s) == (retryable, asked_s)


def test_after_disconnecting_nothing_is_sent() -> None:
    sender = transport(endpoint="http://127.0.0.1:1")
    sender.disconnect()
    sender.disconnect()
    with pytest.raises(ExportFailed) as failed:
        sender.push(request())
    assert failed.value.retryable


@pytest.mark.parametrize("keep", [True, False])
def test_connections_are_used_again_unless_told_otherwise(keep: bool) -> None:
    with http_backend(answer_in_turn(OK)) as backend:
        sender = transport(endpoint=backend.endpoint, disable_keep_alives=not keep)
        for _ in range(3):
            sender.push(request())
        sender.disconnect()
        assert len(backend.received) == 3


# ------------------------------------------------------------------ addresses


def test_each_signal_can_have_its_own_address() -> None:
    with http_backend(answer_in_turn(OK)) as backend:
        sender = transport(
            endpoint="http://127.0.0.1:1", traces_endpoint=backend.endpoint + "/custom/v1/traces"
        )
        sender.push(request())
        sender.disconnect()
        assert len(backend.received) == 1


def test_a_signal_without_an_address_is_refused_by_name() -> None:
    sender = transport(traces_endpoint="http://127.0.0.1:1/v1/traces")
    with pytest.raises(ExportFailed, match="No endpoint for logs is configured"):
        sender.push(Request(Signal.LOGS, b"", 1))
    sender.disconnect()


def test_a_slash_at_the_end_of_the_endpoint_does_not_matter() -> None:
    config = Config.load(resolve(SCHEMA, {"endpoint": "http://h:1/base/"}))
    assert config.urls[Signal.LOGS] == "http://h:1/base/v1/logs"


def test_the_users_own_headers_win() -> None:
    with http_backend(answer_in_turn(OK)) as backend:
        headers = {"User-Agent": "mine", "Host": "tenant.example"}
        sender = transport(endpoint=backend.endpoint, headers=headers)
        sender.push(request())
        sender.disconnect()
        sent = backend.received[0].headers
    assert (sent["user-agent"], sent["host"]) == ("mine", "tenant.example")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://otlp.example:4318", "http://proxy.example:3128"),
        ("https://otlp.example:4318", "http://secure.example:3128"),
        ("http://localhost:4318", ""),
        ("http://127.0.0.1:4318", ""),
        ("http://[::1]:4318", ""),
        ("http://near.example:4318", ""),
        ("http://10.1.2.3:4318", "http://proxy.example:3128"),
    ],
)
def test_the_environment_names_a_proxy(url: str, expected: str) -> None:
    proxies = {
        "http": "http://proxy.example:3128",
        "https": "http://secure.example:3128",
        "no": "near.example",
    }
    assert proxy_of(urlsplit(url), proxies) == expected


def test_requests_go_through_the_configured_proxy() -> None:
    with http_backend(answer_in_turn(OK)) as proxy:
        sender = transport(endpoint="http://otlp.example:4318", proxy_url=proxy.endpoint)
        sender.push(request())
        sender.disconnect()
        assert proxy.received[0].headers["host"] == "otlp.example:4318"


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"407 Proxy Authentication Required"])
def test_what_a_proxy_does_not_let_through_is_tried_again(status: bytes) -> None:
    def refuse(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    with raw_server(refuse) as proxy:
        sender = transport(endpoint="https://otlp.example:4318", proxy_url=proxy)
        with pytest.raises(ExportFailed) as failed:
            sender.push(request())
        sender.disconnect()
    assert failed.value.retryable


# ------------------------------------------------------------------ what `validate` says

BATCH = {"min_size": 100, "max_size": 50}
COMPLAINTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({"endpoint": "http://a:4318"}, []),
    "no_endpoint": ({}, ["endpoint"]),
    "no_scheme": ({"endpoint": "localhost:4318"}, ["endpoint"]),
    "no_host": ({"logs_endpoint": "http:///v1/logs"}, ["logs_endpoint"]),
    "proxy": ({"endpoint": "http://a", "proxy_url": "socks5://p"}, ["proxy_url"]),
    "batch": (
        {"endpoint": "http://a", "sending_queue": {"batch": BATCH}},
        ["sending_queue.batch.max_size"],
    ),
    "storage": (
        {"endpoint": "http://a", "sending_queue": {"storage": "s", "wait_for_result": True}},
        ["sending_queue.wait_for_result"],
    ),
    "half_a_pair": ({"endpoint": "https://a", "tls": {"cert_file": "c"}}, ["tls"]),
    "file_and_text": (
        {"endpoint": "https://a", "tls": {"ca_file": "c", "ca_pem": "p"}},
        ["tls.ca_pem"],
    ),
}


@pytest.mark.parametrize(("written", "paths"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_what_cannot_work_is_said_before(written: dict[str, Any], paths: list[str]) -> None:
    findings: list[Finding] = [*otlp_http.check(resolve(SCHEMA, written), CONTEXT)]
    assert [finding.path for finding in findings] == paths
    assert not any(finding.warning for finding in findings)


def test_both_otlp_exporters_share_their_blocks() -> None:
    other = schema_of("collector/exporters/otlp_grpc.schema.json")
    assert SCHEMA["$defs"] == other["$defs"]


def test_a_connection_that_is_made_while_all_are_closed_is_closed_too() -> None:
    network = DeadlineBackend()
    with socket.create_server(("127.0.0.1", 0)) as server:
        network.interrupt()
        with pytest.raises(httpcore.ConnectError, match="are closed"):
            network.connect_tcp("127.0.0.1", server.getsockname()[1])
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(1) == b""
