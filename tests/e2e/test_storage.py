"""What `file_storage` promises: whatever was acknowledged survives the end of the process, however it comes.

`OTELCOL_LLM_KILLS` says how often the process is killed (default 20).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from processors.batch import Signal
from tests.backends import OK, UNAVAILABLE, Backend, Received, Reply, grpc_backend
from tests.e2e.servers import REPOSITORY, free_port, listens, poll
from tests.telemetry import span, traces

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("OTELCOL_LLM_KILLS", "20"))

CONSUMERS = 10
"""As many requests may be on their way when the process is killed; they go out twice."""
CONFIG = """
extensions: {{file_storage: {{directory: "{folder}/store", create_directory: true, reserve_bytes: 8MiB}}}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
processors:
  redaction: {{allow_all_keys: true}}
  tail_sampling:
    decision_wait: 1s
    buffer: {{storage: file_storage}}
    policies: [{{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}]
exporters:
  otlp:
    endpoint: "{backend}"
    tls: {{insecure: true}}
    sending_queue: {{storage: file_storage}}
    retry_on_failure: {{initial_interval: 200ms, max_interval: 500ms}}
service:
  extensions: [file_storage]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], processors: [{processors}], exporters: [otlp]}}}}
"""


@dataclass
class Process:
    """A collector that can be ended in any way and started again on what it left."""

    folder: Path
    backend: str
    processors: str = "redaction, tail_sampling"
    port: int = field(default_factory=free_port)
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        config = self.folder / "collector.yaml"
        config.write_text(
            CONFIG.format(
                folder=self.folder,
                port=self.port,
                backend=self.backend,
                processors=self.processors,
            )
        )
        with (self.folder / "collector.log").open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "collector", "--config", str(config)],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )
        return self

    def wait(self) -> Process:
        """Wait until it listens."""
        poll("the collector", lambda: listens(self.port))
        return self

    def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        assert self.popen is not None
        self.popen.send_signal(how)
        return self.popen.wait(60)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with grpc_backend(lambda received: OK) as one:
        yield one


@pytest.fixture
def process(tmp_path: Path, backend: Backend) -> Iterator[Process]:
    one = Process(tmp_path, backend.endpoint)
    yield one
    if one.popen is not None and one.popen.poll() is None:
        one.popen.kill()
        one.popen.wait()


class Client:
    """Sends traces in parts, each again until it is acknowledged, and notes what was."""

    def __init__(self, port: int, seed: int) -> None:
        options = [
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._call = self._channel.unary_unary(Signal.TRACES.grpc_method, None, None)
        self._random = random.Random(seed)
        self._next = seed * 1_000_000_000
        self.acknowledged: dict[int, list[bytes]] = defaultdict(list)
        self.sent_again: set[bytes] = set()
        self.stopping = threading.Event()

    def run(self) -> None:
        """Begin a few traces at a time, with the error in the first part of every second one, and finish them."""
        waiting: list[tuple[float, int, int]] = []
        while not self.stopping.is_set():
            begun = []
            for _ in range(10):
                self._next += 10
                begun.append(self._next)
                now = time.monotonic()
                waiting += [
                    (now + self._random.random() * late, self._next, self._next + late)
                    for late in (2, 4)
                ]
            self.send([(trace, trace, self.is_error(trace)) for trace in begun])
            due = [entry for entry in waiting if entry[0] <= time.monotonic()]
            waiting = [entry for entry in waiting if entry[0] > time.monotonic()]
            self.send([(trace, number, False) for _, trace, number in due])
        self._channel.close()

    @staticmethod
    def is_error(trace: int) -> bool:
        return trace % 20 == 0

    def send(self, parts: list[tuple[int, int, bool]]) -> None:
        """Send (trace, span, error) in one request until it is acknowledged."""
        parts = list(dict.fromkeys(parts))
        spans = [
            span(number, trace=trace, status=2 if error else 0) for trace, number, error in parts
        ]
        ids = [number.to_bytes(8, "big") for _, number, _ in parts]
        while parts and not self.stopping.is_set():
            try:
                self._call(traces(*spans), timeout=10)
            except grpc.RpcError:
                self.sent_again.update(ids)
                self.stopping.wait(0.02)
                continue
            for trace, number, _ in parts:
                self.acknowledged[trace].append(number.to_bytes(8, "big"))
            return


def kill_again_and_again(process: Process, backend: Backend, clients: list[Client]) -> None:
    """Kill the process at random moments under load, with the backend away half of the time."""
    chance = random.Random(7)
    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(client.run) for client in clients]
        for _ in range(KILLS):
            process.wait()
            time.sleep(0.3 + chance.random() * 2.5)
            process.end(signal.SIGKILL)
            away = chance.random() < 0.5
            backend.script = _away if away else _here
            process.start()
        process.wait()
        for client in clients:
            client.stopping.set()
        for one in running:
            one.result(60)
    backend.script = _here


def _away(received: Received) -> Reply:
    return UNAVAILABLE


def _here(received: Received) -> Reply:
    return OK


def all_of(clients: list[Client]) -> dict[int, list[bytes]]:
    return {trace: ids for client in clients for trace, ids in client.acknowledged.items()}


def test_kill_9_loses_nothing_that_was_acknowledged(process: Process, backend: Backend) -> None:
    process.start()
    clients = [Client(process.port, seed) for seed in (1, 2, 3)]
    kill_again_and_again(process, backend, clients)
    acknowledged = all_of(clients)
    wanted = {one for trace, ids in acknowledged.items() if Client.is_error(trace) for one in ids}
    backend.wait_for(lambda: wanted <= backend.delivered.keys(), 30.0)
    assert process.end(signal.SIGTERM) == 0
    delivered = Counter(backend.delivered)
    unwanted = {
        one for trace, ids in acknowledged.items() if not Client.is_error(trace) for one in ids
    }
    sent_again = {one for client in clients for one in client.sent_again}
    twice = sum(n - 1 for one, n in delivered.items() if one not in sent_again)
    print(
        f"{KILLS} kills: {len(wanted) + len(unwanted)} spans acknowledged, {len(wanted)} of kept traces, "
        f"all delivered; {twice} delivered twice"
    )
    assert unwanted & delivered.keys() == set()
    assert twice <= KILLS * CONSUMERS * max(len(received.ids) for received in backend.received)
