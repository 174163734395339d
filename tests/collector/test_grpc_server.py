"""The server below OTLP over gRPC, with real clients: how many calls are read at once, and that each is answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from collector.grpc_server import (
    CACHE_BYTES,
    FEWEST,
    MEMORY_BYTES,
    PLACES,
    Call,
    GrpcServer,
    Refusal,
)
from tests.e2e.servers import listens, poll

METHOD = "/a.Service/Method"


class Echo:
    """Answers with the message; knows who was asked for."""

    def __init__(self) -> None:
        self.accepted = threading.Semaphore(0)

    def refusal(self, method: str, open_calls: int) -> Refusal | None:
        if method != METHOD:
            return Refusal(12, "unknown", b"details")
        self.accepted.release()
        return None

    def take(self, call: Call, message: bytes | None) -> None:
        call.refuse(Refusal(3, "no message")) if message is None else call.answer(message[:5])


@contextmanager
def serving(service: Any, **settings: Any) -> Iterator[grpc.Channel]:
    server = GrpcServer(service, (("grpc.max_receive_message_length", -1),), **settings)
    port = server.listen("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.stop(1.0)


@contextmanager
def silent_calls(channel: grpc.Channel, number: int) -> Iterator[list[grpc.Future]]:
    """Open calls that send no message for now."""

    def nothing() -> Iterator[bytes]:
        done.wait(20)
        yield from ()

    done = threading.Event()
    calls = [channel.stream_unary(METHOD).future(nothing()) for _ in range(number)]
    try:
        yield calls
    finally:
        done.set()
        for call in calls:
            call.cancel()


def asked(service: Echo, times: int) -> bool:
    """Say whether the service was asked so often and no more: when a call comes, and when it gets a place."""
    return all(service.accepted.acquire(timeout=10) for _ in range(times)) and (
        not service.accepted.acquire(timeout=0.2)
    )


def test_a_call_is_answered_with_what_the_service_says() -> None:
    with serving(Echo()) as channel:
        assert channel.unary_unary(METHOD)(b"hello", timeout=20) == b"hello"


def test_a_refusal_is_told_with_its_details() -> None:
    with serving(Echo()) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/another")(b"hello", timeout=20)
    error = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error.details() == "unknown"
    assert dict(error.trailing_metadata() or ())["grpc-status-details-bin"] == b"details"


def test_few_calls_are_read_before_it_is_known_that_messages_are_small() -> None:
    service = Echo()
    with serving(service, slow_s=60.0) as channel, silent_calls(channel, PLACES):
        assert asked(service, PLACES + FEWEST)


def test_no_more_calls_are_read_than_there_are_places() -> None:
    service = Echo()
    with serving(service, slow_s=60.0) as channel:
        for _ in range(PLACES):
            channel.unary_unary(METHOD)(b"small", timeout=20)
        assert asked(service, 2 * PLACES)
        with silent_calls(channel, PLACES + 2):
            assert asked(service, (PLACES + 2) + PLACES)


@pytest.mark.parametrize(("bound", "bytes_"), [("slow_s", MEMORY_BYTES), ("brisk_s", CACHE_BYTES)])
def test_what_is_read_at_the_same_time_is_bounded(bound: str, bytes_: int) -> None:
    """By memory for a while, by the cache for a moment."""
    service = Echo()
    with serving(service, **{bound: 60.0}) as channel:
        for _ in range(PLACES):
            channel.unary_unary(METHOD)(b"small", timeout=20)
        channel.unary_unary(METHOD)(bytes(bytes_ // 3), timeout=60)
        assert asked(service, 2 * (PLACES + 1))
        with silent_calls(channel, 5):
            assert asked(service, 5 + 3)


def test_slow_calls_have_places_too() -> None:
    service = Echo()
    with serving(service, slow_s=0.02) as channel, silent_calls(channel, PLACES + 2):
        assert asked(service, (PLACES + 2) + PLACES)


def test_the_slowest_call_gives_way_where_all_places_are_taken() -> None:
    with (
        serving(Echo(), slow_s=0.02, pressed_s=0.1) as channel,
        silent_calls(channel, PLACES) as calls,
    ):
        assert channel.unary_unary(METHOD)(b"hello", timeout=10) == b"hello"
        assert 0 < sum(call.done() for call in calls) < PLACES


def test_slow_calls_do_not_keep_others_from_being_read() -> None:
    with serving(Echo(), slow_s=0.05) as channel, silent_calls(channel, PLACES - 1):
        assert channel.unary_unary(METHOD)(b"hello", timeout=10) == b"hello"


def test_nor_do_they_where_messages_are_large_for_a_cache() -> None:
    with serving(Echo(), slow_s=60.0) as channel:
        for size in (*[5] * PLACES, CACHE_BYTES // 2):
            channel.unary_unary(METHOD)(bytes(size), timeout=20)
        with silent_calls(channel, PLACES - 1):
            assert channel.unary_unary(METHOD)(b"hello", timeout=3) == b"hello"  # before a sweep


def test_calls_that_come_as_the_server_stops_do_not_keep_it() -> None:
    class Busy(Echo):
        """Thinks about the second call until the test says so; meanwhile others come."""

        def __init__(self) -> None:
            super().__init__()
            self.calls, self.thinking, self.told = 0, threading.Event(), threading.Event()

        def refusal(self, method: str, open_calls: int) -> Refusal | None:
            self.calls += 1
            if self.calls == 2:
                self.thinking.set()
                self.told.wait(20)
            return super().refusal(method, open_calls)

    service = Busy()
    server = GrpcServer(service, ())
    port = server.listen("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, ThreadPoolExecutor(1) as pool:
        calls = [channel.unary_unary(METHOD).future(b"hello", timeout=30) for _ in range(8)]
        assert service.thinking.wait(20)
        stopped = pool.submit(server.stop, 30.0)
        poll("the port to close", lambda: not listens(port))
        service.told.set()
        stopped.result(10)
        assert {call.code() for call in calls} <= {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}


def test_a_bug_of_the_service_costs_one_call() -> None:
    class Broken(Echo):
        def take(self, call: Call, message: bytes | None) -> None:
            if message == b"break":
                raise ZeroDivisionError
            super().take(call, message)

    with serving(Broken()) as channel:
        export = channel.unary_unary(METHOD)
        for _ in range(PLACES + 1):
            with pytest.raises(grpc.RpcError) as caught:
                export(b"break", timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert export(b"hello", timeout=20) == b"hello"


def test_a_bug_of_a_refusal_costs_one_call() -> None:
    class Broken(Echo):
        def refusal(self, method: str, open_calls: int) -> Refusal | None:
            if method != METHOD:
                raise ZeroDivisionError
            return super().refusal(method, open_calls)

    with serving(Broken()) as channel:
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/another")(b"hello", timeout=1)
        assert channel.unary_unary(METHOD)(b"hello", timeout=20) == b"hello"
