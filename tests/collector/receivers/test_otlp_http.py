"""OTLP over HTTP, with real clients and raw sockets."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from collector.errors import StartError, Unauthenticated
from collector.receivers.otlp.body import Claim
from processors.batch import Signal
from processors.errors import Overloaded
from tests.collector.receivers.recorder import Recorder, listening, receiver
from tests.telemetry import span, spans_of, traces

MEBI = 1 << 20
RAW = traces(span(1), span(2))
ZIPPED = gzip.compress(RAW, mtime=0)
"""Without the time: it is part of names of tests, which every worker must call the same."""
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


@contextmanager
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{address}", timeout=20, trust_env=False) as found:
        yield found


def post(
    intake: Recorder | None = None,
    body: bytes = RAW,
    headers: dict[str, str] = PROTOBUF,
    path: str = "/v1/traces",
    method: str = "POST",
    **settings: object,
) -> httpx.Response:
    """Send one request to a receiver of its own."""
    with listening("http", intake, **settings) as (_, address), client(address) as http:
        return http.request(method, path, content=body, headers=headers)


def head(length: int, *more: str) -> bytes:
    """Return the head of a request that announces a body of so many bytes."""
    lines = ["POST /v1/traces HTTP/1.1", "host: x", "content-type: application/x-protobuf"]
    return "\r\n".join([*lines, *more, f"content-length: {length}", "", ""]).encode()


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield plain


def exchange(address: str, sent: bytes, until_closed: bool = True) -> bytes:
    """Send bytes over a plain socket; returns everything that comes back before the connection ends."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        plain.sendall(sent)
        answer = b""
        while until_closed:
            try:
                piece = plain.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            answer += piece
        return answer


# -- what is taken


def test_the_sdk_sends_a_span() -> None:
    with listening("http") as (intake, address):
        provider = TracerProvider()
        exporter = OTLPSpanExporter(endpoint=f"http://{address}/v1/traces")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("test").start_as_current_span("a call"):
            pass
        provider.shutdown()
    [(signal, raw, transport)] = intake.taken
    assert (signal, transport) == (Signal.TRACES, "http")
    assert [one.name for one in spans_of(raw)] == ["a call"]


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "zlib", "deflate", "GZIP"])
def test_every_signal_is_taken_in_every_encoding(signal: Signal, encoding: str) -> None:
    raw = RAW if signal is Signal.TRACES else b""
    packed = {"gzip": gzip.compress, "zlib": zlib.compress, "deflate": zlib.compress}.get(
        encoding.lower(), bytes
    )(raw)
    headers = PROTOBUF | ({"content-encoding": encoding} if encoding else {})
    intake = Recorder()
    answer = post(intake, packed, headers, signal.http_path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert intake.taken == [(signal, raw, "http")]


def test_json_is_taken_and_answered_in_json() -> None:
    document = {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {"spans": [{"traceId": "AB" * 16, "spanId": "cd" * 8, "name": "said"}]}
                ]
            }
        ]
    }
    intake = Recorder()
    answer = post(
        intake, json.dumps(document).encode(), {"content-type": "Application/JSON; charset=utf-8"}
    )
    assert (answer.status_code, answer.json()) == (200, {})
    [one] = spans_of(intake.taken[0][1])
    assert (one.trace_id, one.span_id, one.name) == (b"\xab" * 16, b"\xcd" * 8, "said")


def test_a_body_in_chunks_is_taken() -> None:
    intake = Recorder()
    with listening("http", intake) as (_, address), client(address) as http:
        http.post(
            "/v1/traces", content=iter([RAW[:10], RAW[10:]]), headers=PROTOBUF
        ).raise_for_status()
    assert intake.taken[0][1] == RAW


def test_a_large_body_is_taken_whole() -> None:
    raw = traces(*(span(n, attributes={"text": "x" * MEBI}) for n in range(1, 9)))
    intake = Recorder()
    assert (
        post(intake, gzip.compress(raw, 1), PROTOBUF | {"content-encoding": "gzip"}).status_code
        == 200
    )
    assert intake.taken[0][1] == raw


def test_one_connection_serves_many_requests() -> None:
    with listening("http") as (intake, address), client(address) as http:
        for _ in range(20):
            assert http.post("/v1/traces", content=RAW, headers=PROTOBUF).status_code == 200
    assert len(intake.taken) == 20


def test_paths_are_configurable() -> None:
    intake = Recorder()
    assert post(intake, path="/otlp/spans", traces_url_path="otlp/spans").status_code == 200
    assert post(intake, path="/v1/traces", traces_url_path="otlp/spans").status_code == 404


def test_a_client_that_waits_for_100_is_told_to_go_on() -> None:
    sent = head(len(RAW), "expect: 100-continue", "connection: close") + RAW
    with listening("http") as (intake, address):
        answer = exchange(address, sent)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert len(intake.taken) == 1


UPGRADE = ("connection: Upgrade, HTTP2-Settings", "http2-settings: AAMAAABkAAQAAP__")


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
@pytest.mark.parametrize("cut", [0, 1, 60, 140, -len(RAW), -1])
def test_an_offer_of_another_protocol_does_not_cost_the_body(offer: str, cut: int) -> None:
    sent = head(len(RAW), f"upgrade: {offer}", *UPGRADE) + RAW
    last = head(len(RAW), "connection: close") + RAW
    with listening("http") as (intake, address), connected(address) as plain:
        for piece in (sent[:cut], sent[cut:] + sent, last):
            plain.sendall(piece)
        answer = b"".join(iter(lambda: plain.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert [taken[1] for taken in intake.taken] == [RAW] * 3


def test_offers_in_one_piece_are_passed_over_one_after_the_other() -> None:
    sent = head(0, "upgrade: h2c", *UPGRADE) * 50 + head(len(RAW), "connection: close") + RAW
    with listening("http") as (intake, address):
        answer = exchange(address, sent)
    assert answer.count(b"HTTP/1.1 200 ") == 51
    assert intake.taken[-1][1] == RAW


# -- partial success


def test_what_was_left_out_is_told_in_protobuf() -> None:
    answer = ExportTraceServiceResponse.FromString(post(body=RAW + traces(span(0))).content)
    assert answer.partial_success.rejected_spans == 1


def test_what_was_left_out_is_told_in_json() -> None:
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "without ids"}]}]}]}
    told = post(body=json.dumps(document).encode(), headers=JSON).json()["partialSuccess"]
    assert told["rejectedSpans"] == "1"
    assert "invalid" in told["errorMessage"]


# -- refusals


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/traces", PROTOBUF, 405),
        ("PUT", "/v1/traces", PROTOBUF, 405),
        ("OPTIONS", "/v1/traces", PROTOBUF, 405),
        ("POST", "/", PROTOBUF, 404),
        ("POST", "/v1/traces/", PROTOBUF, 404),
        ("POST", "/v1/traces", {}, 415),
        ("POST", "/v1/traces", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/traces", {"content-type": "application/x-protobuf-not"}, 415),
        ("POST", "/v1/traces", PROTOBUF | {"content-encoding": "br"}, 400),
        ("POST", "/v1/traces", PROTOBUF | {"content-encoding": "gzip, gzip"}, 400),
    ],
)  # fmt: skip
def test_what_is_not_otlp_is_refused(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    intake = Recorder()
    assert post(intake, RAW, headers, path, method).status_code == status
    assert intake.taken == []


@pytest.mark.parametrize("headers", [PROTOBUF, JSON], ids=["protobuf", "json"])
def test_garbage_is_refused_with_a_status_in_its_own_encoding(headers: dict[str, str]) -> None:
    answer = post(body=b"\xff{", headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == headers["content-type"]
    assert "retry-after" not in answer.headers
    if headers is JSON:
        assert answer.json()["code"] == 3
    else:
        assert answer.content.startswith(b"\x08\x03\x12")
        assert b"BadRequest" in answer.content


@pytest.mark.parametrize(
    "body",
    [b"abc", ZIPPED[:-4], ZIPPED[:5], ZIPPED * 2, ZIPPED + b"\0", b""],
    ids=["no gzip", "cut off", "head only", "two members", "something behind", "empty"],
)  # fmt: skip
def test_a_damaged_body_is_refused(body: bytes) -> None:
    answer = post(body=body, headers=PROTOBUF | {"content-encoding": "gzip"})
    assert answer.status_code == 400
    assert answer.content.startswith(b"\x08\x03")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(chunked: bool) -> None:
    with listening("http", max_request_body_size="1MiB") as (_, address), client(address) as http:
        exact = traces(
            span(
                1,
                attributes={
                    "text": "x"
                    * (MEBI - len(traces(span(1, attributes={"text": "x" * MEBI}))) + MEBI)
                },
            )
        )
        assert len(exact) == MEBI
        assert http.post("/v1/traces", content=exact, headers=PROTOBUF).status_code == 200
        body = exact + b"\0"
        answer = http.post(
            "/v1/traces", content=iter([body]) if chunked else body, headers=PROTOBUF
        )
    assert answer.status_code == 413
    assert answer.content.startswith(b"\x08\x08")
    assert b"RetryInfo" not in answer.content


def test_a_body_far_over_the_limit_is_not_read() -> None:
    sent = head(1073741824)
    with listening("http") as (intake, address):
        answer = exchange(address, sent)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert intake.most_in_flight == 0


@pytest.mark.parametrize("size", [9 * MEBI, 70 * MEBI])
def test_a_gzip_bomb_is_413_and_costs_little(size: int) -> None:
    intake = Recorder()
    answer = post(intake, gzip.compress(bytes(size)), PROTOBUF | {"content-encoding": "gzip"})
    assert answer.status_code == 413
    assert intake.most_in_flight < 12 * MEBI


def test_json_that_would_take_too_much_decoded_is_413() -> None:
    intake = Recorder()
    body = b'{"resourceSpans":[' + b"{}," * 2_000_000 + b"{}]}"
    assert post(intake, body, JSON).status_code == 413
    assert not intake.taken


def test_json_claims_what_it_takes_decoded() -> None:
    intake = Recorder()
    body = b'{"resourceSpans":[' + b"{}," * 100_000 + b"{}]}"
    assert post(intake, body, JSON).status_code == 200
    assert intake.most_in_flight > 20 * 10**6


def test_what_is_too_large_unpacked_is_413() -> None:
    body = gzip.compress(b"".join(b"%d" % n for n in range(300_000)))
    answer = post(
        body=body, headers=PROTOBUF | {"content-encoding": "gzip"}, max_request_body_size="1MiB"
    )
    assert answer.status_code == 413


def test_an_encoding_that_is_switched_off_is_refused() -> None:
    settings = {"compression_algorithms": ["gzip"]}
    assert post(**settings).status_code == 400
    body = ZIPPED
    assert (
        post(body=body, headers=PROTOBUF | {"content-encoding": "gzip"}, **settings).status_code
        == 200
    )


@pytest.mark.parametrize("headers", [PROTOBUF, JSON], ids=["protobuf", "json"])
def test_overload_is_503_with_a_time(headers: dict[str, str]) -> None:
    intake = Recorder(refused=Overloaded("memory is short", retry_after_s=2.5))
    answer = post(intake, bytes(100_000), headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert b"memory is short" in answer.content
    assert intake.most_in_flight == 0


def test_overload_is_told_before_a_large_body_is_read() -> None:
    sent = head(60000000)
    with listening("http", Recorder(refused=Overloaded("full"))) as (_, address):
        assert exchange(address, sent).startswith(b"HTTP/1.1 503 ")


def test_bytes_in_flight_are_limited() -> None:
    assert post(Recorder(room=100)).status_code == 503


GZIP = PROTOBUF | {"content-encoding": "gzip"}


@pytest.mark.parametrize(
    ("kind", "room", "body", "headers"),
    [
        ("Overloaded", 100, RAW, PROTOBUF),
        ("Overloaded", len(RAW), ZIPPED, GZIP),
        ("TooLarge", MEBI, bytes(2000), PROTOBUF),
        ("TooLarge", MEBI, gzip.compress(bytes(2000), mtime=0), GZIP),
        ("Rejected", MEBI, b"no gzip", GZIP),
        ("Rejected", MEBI, b"no json", JSON),
        ("Rejected", MEBI, RAW, PROTOBUF | {"content-encoding": "unheard-of"}),
    ],
)
def test_what_ends_before_it_is_handed_in_is_counted(
    kind: str, room: int, body: bytes, headers: dict[str, str]
) -> None:
    intake = Recorder(room=room)
    assert post(intake, body, headers, max_request_body_size=1000).status_code >= 400
    assert intake.away == [(Signal.TRACES, kind, "http")]


@pytest.mark.parametrize(
    "intake",
    [Recorder(refused=Overloaded("full")), Recorder(failure=Overloaded("full")), Recorder()],
)
def test_what_the_intake_judged_is_left_to_it_to_count(intake: Recorder) -> None:
    post(intake)
    assert intake.away == []


def test_our_own_bugs_are_503_and_tell_nothing() -> None:
    answer = post(Recorder(failure=ZeroDivisionError("secret")))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert b"secret" not in answer.content


def test_missing_credentials_are_401() -> None:
    assert post(Recorder(failure=Unauthenticated("expected a token"))).status_code == 401


def test_a_signal_without_a_pipeline_is_404() -> None:
    assert post(Recorder(signals=frozenset((Signal.LOGS,)))).status_code == 404


# -- slow and hostile clients


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /v1/tra", b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n"],
    ids=["nothing", "half a line", "half a head"],
)
def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    with listening("http", read_header_timeout="100ms") as (_, address):
        assert exchange(address, sent) == b""


def test_a_sender_whose_body_does_not_come_in_time_may_come_back() -> None:
    """OTLP allows that after 503, and not after 408."""
    sent = head(10) + b"abc"
    with listening("http", read_timeout="100ms") as (intake, address):
        answer = exchange(address, sent)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in answer
    assert b"RetryInfo" in answer
    assert intake.away == [(Signal.TRACES, "BodyTooSlow", "http")]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        b"GET / HTTP/1.1\r\na: " + b"b" * 100_000,
        b"GET /" + b"a" * 100_000,
    ],
    ids=["many headers", "a long header", "a long line"],
)
def test_a_head_that_is_too_large_ends_the_connection(sent: bytes) -> None:
    with listening("http") as (_, address):
        assert exchange(address, sent)[:13] in (b"", b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00", b"\0" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_what_is_not_http_is_refused(sent: bytes) -> None:
    with listening("http", read_header_timeout="300ms") as (_, address):
        assert exchange(address, sent)[:13] in (b"", b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")


def test_an_idle_connection_is_closed() -> None:
    sent = head(len(RAW)) + RAW
    with listening("http", idle_timeout="100ms") as (_, address):
        assert exchange(address, sent).startswith(b"HTTP/1.1 200 ")


def test_keep_alive_can_be_switched_off() -> None:
    answer = post(keep_alives_enabled=False, response_headers={"X-Served-By": "test"})
    assert (answer.headers["connection"], answer.headers["x-served-by"]) == ("close", "test")


def test_a_sender_that_goes_away_leaves_nothing_behind() -> None:
    sent = head(99999) + b"abc"
    with listening("http") as (intake, address):
        exchange(address, sent, until_closed=False)
        with client(address) as http:
            assert http.post("/v1/traces", content=RAW, headers=PROTOBUF).status_code == 200
    assert [raw for _, raw, _ in intake.taken] == [RAW]


# -- browsers


CORS = {
    "allowed_origins": ["https://*.example.com"],
    "allowed_headers": ["X-Tenant"],
    "exposed_headers": ["x-a"],
    "max_age": 7200,
}
ORIGIN = {"origin": "https://shop.example.com"}


def preflight(asked: str, origin: str = ORIGIN["origin"], **cors: object) -> httpx.Headers:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
    }
    answer = post(body=b"", headers=headers, method="OPTIONS", cors=CORS | cors)
    assert answer.status_code == 204
    return answer.headers


def test_a_page_is_told_that_it_may_send() -> None:
    told = preflight("content-type, x-tenant")
    assert told["access-control-allow-origin"] == ORIGIN["origin"]
    assert told["access-control-allow-methods"] == "POST"
    assert told["access-control-allow-headers"] == "content-type, x-tenant"
    assert told["access-control-max-age"] == "7200"


@pytest.mark.parametrize(
    ("asked", "origin"),
    [
        ("content-type", "https://example.org"),
        ("content-type", "https://a.example.com.evil.org"),
        ("x-other", ORIGIN["origin"]),
    ],
)  # fmt: skip
def test_other_pages_are_told_nothing(asked: str, origin: str) -> None:
    assert "access-control-allow-origin" not in preflight(asked, origin)


def test_all_origins_and_headers_can_be_allowed() -> None:
    told = preflight(
        "anything", "http://localhost:3000", allowed_origins=["*"], allowed_headers=["*"], max_age=0
    )
    assert told["access-control-allow-origin"] == "*"
    assert "access-control-max-age" not in told


def test_the_answer_to_a_page_names_its_origin() -> None:
    answer = post(headers=PROTOBUF | ORIGIN, cors=CORS)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert answer.headers["access-control-expose-headers"] == "x-a"
    assert "access-control-allow-origin" not in post(cors=CORS).headers


# -- life


def test_stopping_finishes_what_is_in_flight() -> None:
    intake = Recorder(gate=threading.Event())
    running = receiver({"protocols": {"http": {"endpoint": "127.0.0.1:0"}}})
    running.start(intake)
    assert running.http is not None
    assert intake.gate is not None
    with client(f"127.0.0.1:{running.http.port}") as http, ThreadPoolExecutor(2) as threads:
        answer = threads.submit(http.post, "/v1/traces", content=RAW, headers=PROTOBUF)
        assert intake.entered.acquire(timeout=10)
        stopped = threads.submit(running.stop, 20)
        intake.gate.set()
        assert answer.result(20).status_code == 200
        stopped.result(20)
    running.stop(0)


def test_stopping_gives_up_at_the_deadline() -> None:
    intake = Recorder(gate=threading.Event())
    running = receiver({"protocols": {"http": {"endpoint": "127.0.0.1:0"}}})
    running.start(intake)
    assert running.http is not None
    assert intake.gate is not None
    with client(f"127.0.0.1:{running.http.port}") as http, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(http.post, "/v1/traces", content=RAW, headers=PROTOBUF)
        assert intake.entered.acquire(timeout=10)
        running.stop(0.1)
        with pytest.raises(httpx.HTTPError):
            answer.result(20)
        intake.gate.set()


def test_a_taken_port_is_told_at_the_start() -> None:
    with listening("http") as (_, address):
        second = receiver({"protocols": {"http": {"endpoint": address}}})
        with pytest.raises(StartError, match=address):
            second.start(Recorder())


def test_two_receivers_live_side_by_side() -> None:
    with listening("http") as (first, one), listening("http") as (second, other):
        for address in (one, other, one):
            with client(address) as http:
                http.post("/v1/traces", content=RAW, headers=PROTOBUF).raise_for_status()
    assert (len(first.taken), len(second.taken)) == (2, 1)


def test_a_unix_socket_does_as_well(tmp_path: Path) -> None:
    path = tmp_path / "otlp.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with (
        listening("http", transport="unix", endpoint=str(path)) as (intake, _),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as http,
    ):
        assert http.post("http://x/v1/traces", content=RAW, headers=PROTOBUF).status_code == 200
        with pytest.raises(StartError):
            receiver({"protocols": {"http": {"transport": "unix", "endpoint": str(path)}}}).start(
                Recorder()
            )
    assert len(intake.taken) == 1
    assert not path.exists()


def test_all_interfaces_are_meant_by_an_endpoint_without_a_host() -> None:
    with listening("http", endpoint=":0") as (_, address), client(address) as http:
        assert http.post("/v1/traces", content=RAW, headers=PROTOBUF).status_code == 200


def test_a_request_that_has_ended_claims_no_more() -> None:
    """A thread may still be at work on it, after its connection is gone; nobody would give back what it claims."""
    intake = Recorder()
    with Claim(intake) as claim:
        claim.grow(10)
    with pytest.raises(Overloaded):
        claim.grow(10)
    assert intake.in_flight == 0
