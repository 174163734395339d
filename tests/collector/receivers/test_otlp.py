"""What the `otlp` receiver promises of both protocols together."""

from __future__ import annotations

import threading

import grpc
import httpx
import pytest

from collector.errors import StartError
from processors.batch import Signal
from tests.collector.receivers.recorder import Recorder, receiver
from tests.telemetry import span, traces


class Hanging:
    """A server that needs all the time it gets to stop."""

    given_s = -1.0

    def stop(self, deadline_s: float) -> None:
        self.given_s = deadline_s
        threading.Event().wait(deadline_s)


def test_both_protocols_stop_within_one_deadline() -> None:
    running = receiver({"protocols": {"grpc": None, "http": None}})
    first, second = Hanging(), Hanging()
    running._servers = [first, second]  # type: ignore[list-item] # what stops is enough
    running.stop(0.2)
    assert first.given_s > 0.1
    assert second.given_s < 0.1


@pytest.mark.parametrize("taken", ["grpc", "http"])
def test_a_receiver_serves_after_a_start_that_failed(taken: str) -> None:
    """As one does whose settings change on a reload: its predecessor has the ports at first."""
    before = receiver({"protocols": {taken: {"endpoint": "127.0.0.1:0"}}})
    before.start(Recorder())
    port = (before.grpc or before.http).port  # type: ignore[union-attr] # it has one of both
    addresses = {name: {"endpoint": "127.0.0.1:0"} for name in ("grpc", "http")}
    running = receiver({"protocols": addresses | {taken: {"endpoint": f"127.0.0.1:{port}"}}})
    intake = Recorder()
    with pytest.raises(StartError):
        running.start(intake)
    before.stop(5)
    running.start(intake)
    raw = traces(span())
    assert running.grpc is not None
    assert running.http is not None
    try:
        with grpc.insecure_channel(f"127.0.0.1:{running.grpc.port}") as channel:
            channel.unary_unary(Signal.TRACES.grpc_method)(raw, timeout=20)
        httpx.post(
            f"http://127.0.0.1:{running.http.port}/v1/traces", content=raw, timeout=20, trust_env=False,
            headers={"content-type": "application/x-protobuf"},
        ).raise_for_status()  # fmt: skip
    finally:
        running.stop(5)
    assert [one for _, one, _ in intake.taken] == [raw, raw]
