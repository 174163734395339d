"""OTLP over gRPC, with real clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from collector.component import Limits
from collector.errors import StartError, Unauthenticated
from collector.receivers.otlp.grpc import OtlpGrpcServer
from processors.batch import Signal
from processors.errors import Overloaded
from tests.collector.receivers.recorder import Recorder, listening, receiver
from tests.telemetry import span, spans_of, traces

MEBI = 1 << 20
Export = Callable[..., bytes]
RAW = traces(span(1), span(2))


@contextmanager
def exporting(address: str, signal: Signal = Signal.TRACES) -> Iterator[Export]:
    """Yield a call that sends raw bytes and returns the raw answer."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        yield channel.unary_unary(signal.grpc_method)


def refused(export: Export, raw: bytes = RAW, **options: object) -> grpc.RpcError:
    """Return how a request is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        export(raw, timeout=20, **options)
    return caught.value


def details(error: grpc.RpcError) -> bytes:
    return dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")


def test_the_sdk_sends_a_span() -> None:
    with listening("grpc") as (intake, address):
        provider = TracerProvider()
        exporter = OTLPSpanExporter(endpoint=f"http://{address}", insecure=True)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("test").start_as_current_span("a call"):
            pass
        provider.shutdown()
    [(signal, raw, transport)] = intake.taken
    assert (signal, transport) == (Signal.TRACES, "grpc")
    assert [one.name for one in spans_of(raw)] == ["a call"]


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_every_signal_is_taken_whole(signal: Signal, compression: grpc.Compression) -> None:
    raw = RAW if signal is Signal.TRACES else b""
    with listening("grpc") as (intake, address), exporting(address, signal) as export:
        assert export(raw, compression=compression) == b""
    assert intake.taken == [(signal, raw, "grpc")]


def test_what_was_left_out_is_told_as_partial_success() -> None:
    with listening("grpc") as (intake, address), exporting(address) as export:
        answer = ExportTraceServiceResponse.FromString(export(RAW + traces(span(0))))
    assert answer.partial_success.rejected_spans == 1
    assert "invalid" in answer.partial_success.error_message
    assert intake.taken[0][1] == RAW


def test_what_was_repaired_is_told_without_a_count() -> None:
    broken = traces(span(1, name="cafe")).replace(b"cafe", b"caf\xe9")
    with listening("grpc") as (_, address), exporting(address) as export:
        answer = ExportTraceServiceResponse.FromString(export(broken))
    assert answer.partial_success.rejected_spans == 0
    assert "UTF-8" in answer.partial_success.error_message


def test_garbage_is_an_invalid_argument_and_not_retried() -> None:
    with listening("grpc") as (_, address), exporting(address) as export:
        error = refused(export, b"\xff" * 50)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert b"BadRequest" in details(error)
    assert b"RetryInfo" not in details(error)


def test_more_items_than_allowed_are_exhausted_without_retry() -> None:
    with listening("grpc", limits={"max_items": 1}) as (_, address), exporting(address) as export:
        error = refused(export)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert b"RetryInfo" not in details(error)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_is_limited_before_and_after_decompression(compression: grpc.Compression) -> None:
    with (
        listening("grpc", max_recv_msg_size_mib=1) as (intake, address),
        exporting(address) as export,
    ):
        error = refused(export, bytes(50 * MEBI), compression=compression)
        assert export(RAW) == b""
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(intake.taken) == 1
    assert intake.away == [(Signal.TRACES, "Rejected", "grpc")]


def test_overload_is_told_before_the_body_is_read_and_when_to_come_back() -> None:
    intake = Recorder(refused=Overloaded("memory is short", retry_after_s=2.5))
    with listening("grpc", intake) as (_, address), exporting(address) as export:
        error = refused(export, bytes(60 * MEBI))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "memory is short"
    assert details(error).endswith(b"\x08\x02\x10\x80\xca\xb5\xee\x01")  # 2 s, 500,000,000 ns
    assert intake.most_in_flight == 0


def test_bytes_in_flight_are_limited() -> None:
    with listening("grpc", Recorder(room=10)) as (intake, address), exporting(address) as export:
        error = refused(export)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert b"RetryInfo" in details(error)
    assert intake.away == [(Signal.TRACES, "Overloaded", "grpc")]


def test_our_own_bugs_are_unavailable_and_tell_nothing() -> None:
    intake = Recorder(failure=ZeroDivisionError("secret"))
    with listening("grpc", intake) as (_, address), exporting(address) as export:
        error = refused(export)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "secret" not in str(error)


def test_missing_credentials_are_told_as_such() -> None:
    intake = Recorder(failure=Unauthenticated("expected a token"))
    with listening("grpc", intake) as (_, address), exporting(address) as export:
        error = refused(export)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_signal_without_a_pipeline_is_unimplemented() -> None:
    intake = Recorder(signals=frozenset((Signal.LOGS,)))
    with listening("grpc", intake) as (_, address), exporting(address) as export:
        assert refused(export).code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_without_a_message_is_refused() -> None:
    with (
        listening("grpc") as (_, address),
        grpc.insecure_channel(address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.stream_unary(Signal.TRACES.grpc_method)(iter(()), timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_sender_that_goes_away_leaves_nothing_behind() -> None:
    def never() -> Iterator[bytes]:
        waiting.wait(20)
        yield from ()

    waiting = threading.Event()
    with listening("grpc") as (intake, address):
        with grpc.insecure_channel(address) as channel:
            call = channel.stream_unary(Signal.TRACES.grpc_method).future(never())
            call.cancel()
        waiting.set()
        with exporting(address) as export:
            assert export(RAW) == b""
    assert len(intake.taken) == 1
    assert intake.away == []


def test_calls_that_send_no_message_are_ended_and_do_not_block_others() -> None:
    def silent() -> Iterator[bytes]:
        done.wait(20)
        yield from ()

    done, intake = threading.Event(), Recorder()
    config = receiver({"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}})
    assert config.grpc is not None
    server = OtlpGrpcServer(config.grpc.config, Limits(), patience_s=0.2)
    server.start(intake)
    address = f"127.0.0.1:{server.port}"
    with grpc.insecure_channel(address) as channel, exporting(address) as export:
        export_stream = channel.stream_unary(Signal.TRACES.grpc_method)
        calls = [export_stream.future(silent()) for _ in range(10)]
        assert [call.code() for call in calls] == [grpc.StatusCode.CANCELLED] * 10
        assert export(RAW) == b""
        done.set()
    server.stop(1)


def test_many_large_calls_are_not_read_all_at_once() -> None:
    intake = Recorder(gate=threading.Event())
    body = traces(span(1, attributes={"text": "x" * 4 * MEBI}))
    with (
        listening("grpc", intake) as (_, address),
        exporting(address) as export,
        ThreadPoolExecutor(24) as senders,
    ):
        answers = [senders.submit(export, body) for _ in range(24)]
        for _ in range(8):
            assert intake.entered.acquire(timeout=10)
        assert not intake.entered.acquire(timeout=0.2)
        assert intake.gate is not None
        intake.gate.set()
        assert [answer.result() for answer in answers] == [b""] * 24
    assert intake.most_in_flight < 9 * len(body)


def test_requests_that_wait_for_a_commit_share_it() -> None:
    intake = Recorder(commit=threading.Event())
    with (
        listening("grpc", intake) as (_, address),
        exporting(address) as export,
        ThreadPoolExecutor(8) as senders,
    ):
        answers = [senders.submit(export, RAW) for _ in range(8)]
        for _ in range(8):
            assert intake.entered.acquire(timeout=10)
        assert not any(answer.done() for answer in answers)
        assert intake.commit is not None
        intake.commit.set()
        assert [answer.result() for answer in answers] == [b""] * 8


def test_a_request_that_meets_a_vanished_route_is_told_to_come_back() -> None:
    class Vanished(Recorder):
        def refusal(self, signal: Signal) -> Overloaded | None:
            raise KeyError(signal)

    with listening("grpc", Vanished()) as (_, address), exporting(address) as export:
        error = refused(export)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert b"RetryInfo" in details(error)


def test_stopping_finishes_what_is_in_flight() -> None:
    intake = Recorder(gate=threading.Event())
    running = receiver({"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}})
    running.start(intake)
    assert running.grpc is not None
    assert intake.gate is not None
    with exporting(f"127.0.0.1:{running.grpc.port}") as export, ThreadPoolExecutor(2) as threads:
        answer = threads.submit(export, RAW)
        assert intake.entered.acquire(timeout=10)
        stopped = threads.submit(running.stop, 20)
        intake.gate.set()
        assert answer.result(20) == b""
        stopped.result(20)
    running.stop(0)
    assert len(intake.taken) == 1


def test_stopping_gives_up_at_the_deadline() -> None:
    intake = Recorder(gate=threading.Event())
    running = receiver({"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}})
    running.start(intake)
    assert running.grpc is not None
    assert intake.gate is not None
    with exporting(f"127.0.0.1:{running.grpc.port}") as export, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(refused, export)
        assert intake.entered.acquire(timeout=10)
        running.stop(0.1)
        assert answer.result(20).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        intake.gate.set()


def test_a_taken_port_is_told_at_the_start() -> None:
    with listening("grpc") as (_, address):
        second = receiver({"protocols": {"grpc": {"endpoint": address}}})
        with pytest.raises(StartError, match=address):
            second.start(Recorder())


def test_a_failed_start_leaves_no_port_open() -> None:
    with listening("http") as (_, taken):
        both = receiver(
            {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}, "http": {"endpoint": taken}}}
        )
        with pytest.raises(StartError):
            both.start(Recorder())
        assert both.grpc is not None
        with exporting(f"127.0.0.1:{both.grpc.port}") as export:
            assert refused(export).code() is grpc.StatusCode.UNAVAILABLE


def test_a_unix_socket_does_as_well(tmp_path: Path) -> None:
    path = str(tmp_path / "otlp.sock")
    with (
        listening("grpc", transport="unix", endpoint=path) as (intake, _),
        exporting(f"unix:{path}") as export,
    ):
        assert export(RAW) == b""
    assert len(intake.taken) == 1
