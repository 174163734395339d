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
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from processors.batch import Signal
from tests.backends import OK, UNAVAILABLE, Backend, Received, Reply, grpc_backend
from tests.e2e.servers import REPOSITORY, free_port, installed, listens, missing, poll
from tests.telemetry import span, traces

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("OTELCOL_LLM_KILLS", "20"))

MOST_BETWEEN_KILLS = 1000
"""Traces; a second or two of the load."""
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
    template: str = CONFIG
    port: int = field(default_factory=free_port)
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        config = self.folder / "collector.yaml"
        config.write_text(
            self.template.format(
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
        """Begin a few traces at a time and finish them."""
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
            self.send([(trace, number, self.fails_late(number)) for _, trace, number in due])
        self._channel.close()

    @staticmethod
    def is_error(trace: int) -> bool:
        """Whether its first span failed: every second trace."""
        return trace % 20 == 0

    @staticmethod
    def may_fail_late(trace: int) -> bool:
        """Whether its last span fails, before the decision or after it: every fourth trace."""
        return trace % 40 == 10

    @classmethod
    def fails_late(cls, span: int) -> bool:
        return cls.may_fail_late(span - 4)

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
        try:
            for _ in range(KILLS):
                process.wait()
                more = len(all_of(clients)) + chance.randrange(MOST_BETWEEN_KILLS)
                poll("traces under way", lambda more=more: len(all_of(clients)) > more)
                process.end(signal.SIGKILL)
                away = chance.random() < 0.5
                backend.script = _away if away else _here
                process.start()
            process.wait()
        finally:
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
    """What was acknowledged so far; a copy, since the clients go on."""
    return {trace: ids for client in clients for trace, ids in client.acknowledged.copy().items()}


@pytest.mark.timeout(300 + 20 * KILLS)
def test_kill_9_loses_nothing_that_was_acknowledged(process: Process, backend: Backend) -> None:
    process.start()
    clients = [Client(process.port, seed) for seed in (1, 2, 3)]
    kill_again_and_again(process, backend, clients)
    acknowledged = all_of(clients)
    failed = {one for trace in filter(Client.is_error, acknowledged) for one in acknowledged[trace]}
    torn = [set(acknowledged[trace]) for trace in filter(Client.may_fail_late, acknowledged)]

    def whole() -> bool:
        delivered = backend.delivered.keys()
        return failed <= delivered and all(
            one <= delivered or one.isdisjoint(delivered) for one in torn
        )

    backend.wait_for(whole, 30.0)
    assert process.end(signal.SIGTERM) == 0
    assert whole(), "no trace is split by two verdicts"
    late = [one for one in torn if one <= backend.delivered.keys()]
    assert failed
    assert 0 < len(late) < len(torn)
    everything = {one for ids in acknowledged.values() for one in ids}
    kept = failed.union(*late)
    assert (everything - kept).isdisjoint(backend.delivered)
    sent_again = {one for client in clients for one in client.sent_again}
    twice = sum(n - 1 for one, n in backend.delivered.items() if one not in sent_again)
    print(
        f"{KILLS} kills: {len(everything)} spans acknowledged, {len(kept)} of kept traces, all delivered; "
        f"{len(late)} of {len(torn)} traces kept whole for a late error; {twice} delivered twice"
    )
    assert twice <= KILLS * CONSUMERS * max(len(received.ids) for received in backend.received)


def send(process: Process, *numbers: int, error: bool = True) -> None:
    """Send one trace a number and wait until it is acknowledged."""
    spans = [span(number, trace=number, status=2 if error else 0) for number in numbers]
    with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        channel.unary_unary(Signal.TRACES.grpc_method, None, None)(traces(*spans), timeout=30)


def ids(*numbers: int) -> set[bytes]:
    return {number.to_bytes(8, "big") for number in numbers}


def test_kill_9_while_a_long_trace_leaves_loses_none_of_it(
    process: Process, backend: Backend
) -> None:
    """It leaves in many batches; the first one that arrives ends the process."""
    for trace in (1, 2):
        process.start().wait()
        first = trace * 100_000
        for begin in range(first, first + 20_000, 2_000):
            spans = [
                span(number, trace=trace, status=2 if number == first else 0)
                for number in range(begin, begin + 2_000)
            ]
            with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:
                channel.unary_unary(Signal.TRACES.grpc_method, None, None)(
                    traces(*spans), timeout=30
                )
        backend.wait_for(lambda first=first: ids(first) <= backend.delivered.keys(), 30.0)
        process.end(signal.SIGKILL)
        process.start().wait()
        whole = ids(*range(first, first + 20_000))
        backend.wait_for(lambda whole=whole: whole <= backend.delivered.keys(), 30.0)
        assert process.end(signal.SIGTERM) == 0


def test_a_stop_while_the_backend_is_away_keeps_everything(
    process: Process, backend: Backend
) -> None:
    backend.script = _away
    process.start().wait()
    send(process, 1, 2, 3)
    backend.wait_for(lambda: backend.received, 20.0)
    send(process, 4)
    assert process.end(signal.SIGTERM) == 0
    backend.script = _here
    process.start().wait()
    backend.wait_for(lambda: ids(1, 2, 3, 4) <= backend.delivered.keys(), 20.0)


def test_a_stop_with_a_healthy_backend_delivers_nothing_twice(
    process: Process, backend: Backend
) -> None:
    process.start().wait()
    for number in range(1, 40):
        send(process, number)
    backend.wait_for(lambda: backend.received, 20.0)
    assert process.end(signal.SIGTERM) == 0
    process.start().wait()
    backend.wait_for(lambda: ids(*range(1, 40)) <= backend.delivered.keys(), 20.0)
    assert process.end(signal.SIGTERM) == 0
    assert set(backend.delivered.values()) == {1}


def test_half_a_trace_goes_on_waiting_for_the_other(process: Process, backend: Backend) -> None:
    process.start().wait()
    send(process, 1, error=False)
    process.end(signal.SIGKILL)
    process.start().wait()
    with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        rest = traces(span(2, trace=1, status=2))
        channel.unary_unary(Signal.TRACES.grpc_method, None, None)(rest, timeout=30)
    send(process, 3)
    backend.wait_for(lambda: ids(3) <= backend.delivered.keys(), 20.0)
    first = ids(1) <= backend.delivered.keys()
    second = ids(2) <= backend.delivered.keys()
    assert first == second


def test_a_second_process_is_refused_with_the_pid_of_the_first(
    process: Process, tmp_path: Path
) -> None:
    process.start().wait()
    assert process.popen is not None
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "collector",
            "--config",
            str(tmp_path / "collector.yaml"),
            "--set",
            f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{free_port()}",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"in use by process {process.popen.pid}." in second.stderr.decode()


def test_nothing_unredacted_reaches_the_disk(process: Process, tmp_path: Path) -> None:
    canary = "maria.keller@mail.example"
    config = CONFIG.replace(
        "allow_all_keys: true", 'allow_all_keys: true, blocked_values: ["[a-z.]+@[a-z.]+"]'
    )
    process.template = config
    process.start().wait()
    one = span(1, trace=1, status=2, attributes={"text": f"write to {canary}"})
    with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        channel.unary_unary(Signal.TRACES.grpc_method, None, None)(traces(one), timeout=30)
    process.end(signal.SIGKILL)
    stored = b"".join(
        path.read_bytes() for path in (tmp_path / "store").iterdir() if path.suffix != ".reserve"
    )
    assert b"write to" in stored
    assert canary.encode() not in stored


def test_a_full_disk_is_told_to_senders_and_recovers(
    process: Process, backend: Backend, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    mounted = subprocess.run(
        [installed("mount"), "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", str(store)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        missing("a file system of a known size cannot be mounted here")
    try:
        backend.script = _away
        process.start().wait()
        numbers, refused = fill(process)
        assert refused is grpc.StatusCode.UNAVAILABLE
        backend.script = _here
        wanted = ids(*numbers)
        backend.wait_for(lambda: wanted <= backend.delivered.keys(), 60.0)
        poll("the storage to take data again", lambda: sends(process, 1_000_000), 20.0)
        assert process.end(signal.SIGTERM) == 0
    finally:
        if process.popen is not None:
            process.popen.kill()
            process.popen.wait()
        subprocess.run([installed("umount"), str(store)], check=True)


def fill(process: Process) -> tuple[list[int], grpc.StatusCode | None]:
    """Send until that is refused; returns what was acknowledged, and how the rest was refused."""
    acknowledged = []
    with grpc.insecure_channel(f"127.0.0.1:{process.port}") as channel:
        call = channel.unary_unary(Signal.TRACES.grpc_method, None, None)
        for number in range(1, 500):
            text = random.Random(number).randbytes(1 << 17).hex()
            one = span(number, trace=number, status=2, attributes={"text": text})
            try:
                call(traces(one), timeout=30)
            except grpc.RpcError as error:
                return acknowledged, error.code()
            acknowledged.append(number)
    return acknowledged, None


def sends(process: Process, number: int) -> bool:
    try:
        send(process, number)
    except grpc.RpcError:
        return False
    return True
