"""What OTLP over gRPC adds: RetryInfo, size limits of servers, targets, channel arguments."""

from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from hypothesis import given
from hypothesis import strategies as st

from collector.config.settings import resolve
from collector.errors import ExportFailed
from collector.exporters import otlp_grpc
from collector.exporters.delivery import TAKEN
from collector.exporters.otlp import partial_success, retry_info_s
from collector.exporters.otlp_grpc import Config, GrpcTransport
from collector.registry import schema_of
from processors.batch import Signal
from processors.ports import Context
from processors.requests import Request
from processors.wire import delimited
from tests.backends import OK, answer_in_turn, grpc_backend, status_details
from tests.countable import span_ids, traces

SCHEMA = schema_of("collector/exporters/otlp_grpc.schema.json")


def config(**written: Any) -> Config:
    return Config.load(resolve(SCHEMA, {"endpoint": "localhost:4317"} | written))


def options(**written: Any) -> dict[str, Any]:
    return dict(config(**written).options)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, 0.0), (1.5, 1.5), (-3.0, 0.0), (1e9, 300.0)]
)
def test_retry_info_says_how_long_to_wait(seconds: float, expected: float) -> None:
    assert retry_info_s(status_details(seconds)) == expected


def test_a_status_without_retry_info_says_nothing() -> None:
    other = Packed(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\x0a\x00")
    assert retry_info_s(b"") is None
    assert retry_info_s(b"\x08\x0e" + delimited(b"\x1a", other.SerializeToString())) is None


def test_retry_info_without_a_delay_means_now() -> None:
    info = Packed(type_url="type.googleapis.com/google.rpc.RetryInfo")
    assert retry_info_s(delimited(b"\x1a", info.SerializeToString())) == 0.0


def test_status_details_without_a_bottom_are_ignored() -> None:
    assert retry_info_s(b"\x0b" * 5000) is None


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: status_details(1) + tail))
def test_any_status_details_are_understood_or_ignored(details: bytes) -> None:
    wait = retry_info_s(details)
    assert wait is None or 0 <= wait <= 300


@given(st.binary(max_size=40))
def test_any_reply_is_understood_or_ignored(reply: bytes) -> None:
    assert partial_success(Signal.TRACES, reply).rejected >= 0


def test_a_reply_that_cannot_be_read_is_a_success() -> None:
    assert partial_success(Signal.LOGS, b"\xff") == TAKEN


@pytest.mark.parametrize(
    ("endpoint", "insecure", "target", "secure"),
    [
        ("tempo:4317", True, "tempo:4317", False),
        ("tempo:4317", False, "tempo:4317", True),
        ("http://tempo:4317", False, "tempo:4317", False),
        ("https://tempo:4317", True, "tempo:4317", True),
        ("dns:///tempo:4317", True, "dns:///tempo:4317", False),
        ("[::1]:4317", True, "[::1]:4317", False),
        ("unix:///run/otlp.sock", True, "unix:///run/otlp.sock", False),
    ],
)
def test_the_endpoint_may_be_a_url_or_a_target(
    endpoint: str, insecure: bool, target: str, secure: bool
) -> None:
    made = config(endpoint=endpoint, tls={"insecure": insecure})
    assert (made.target, made.secure) == (target, secure)


def test_channel_arguments_follow_the_configuration() -> None:
    plain = options()
    assert plain["grpc.lb_policy_name"] == "round_robin"
    assert plain["grpc.keepalive_time_ms"] == 10_000
    assert "grpc.default_authority" not in plain
    made = options(
        authority="otlp.example",
        balancer_name="pick_first",
        write_buffer_size=0,
        keepalive={"time": "1m", "timeout": "5s", "permit_without_stream": True},
        tls={"server_name_override": "inner.example"},
    )
    assert made["grpc.default_authority"] == "otlp.example"
    assert made["grpc.lb_policy_name"] == "pick_first"
    assert made["grpc.keepalive_time_ms"] == 60_000
    assert made["grpc.keepalive_timeout_ms"] == 5_000
    assert made["grpc.keepalive_permit_without_calls"] == 1
    assert made["grpc.ssl_target_name_override"] == "inner.example"
    assert "grpc.http2.write_buffer_size" not in made


def push(endpoint: str, count: int, **written: Any) -> None:
    sender = GrpcTransport(config(endpoint=endpoint, tls={"insecure": True}, **written))
    sender.connect()
    try:
        batch = traces(span_ids(count), text="x" * 1000)
        sender.push(Request(Signal.TRACES, batch.encode(), count))
    finally:
        sender.disconnect()


def test_a_request_above_the_servers_limit_may_be_cut() -> None:
    limit: Any = {"grpc__max_receive_message_length": 10_000}
    with grpc_backend(answer_in_turn(OK), **limit) as backend:
        push(backend.endpoint, 5)
        with pytest.raises(ExportFailed) as failed:
            push(backend.endpoint, 20)
    assert failed.value.invalid
    assert not failed.value.retryable


def test_an_attempt_may_wait_for_the_connection() -> None:
    with pytest.raises(ExportFailed) as failed:
        push("127.0.0.1:1", 1, wait_for_ready=True, timeout="200ms")
    assert failed.value.retryable
    assert str(failed.value).startswith(grpc.StatusCode.DEADLINE_EXCEEDED.name)


def test_after_disconnecting_nothing_is_sent() -> None:
    sender = GrpcTransport(config())
    sender.disconnect()
    sender.connect()
    sender.disconnect()
    with pytest.raises(ExportFailed) as failed:
        sender.push(Request(Signal.TRACES, b"", 1))
    assert failed.value.retryable


def test_what_the_grpc_library_cannot_do_is_said() -> None:
    written = {"endpoint": "a:1", "tls": {"insecure_skip_verify": True, "min_version": "1.3"}}
    findings = [*otlp_grpc.check(resolve(SCHEMA, written), Context(id="otlp"))]
    assert [finding.path for finding in findings] == ["tls.insecure_skip_verify", "tls.min_version"]
