"""How much memory open traces take, and how soon a finished trace leaves: the real collector, over gRPC.

    python -m tests.bench.sampler_limits

*Memory*: the most that the process held for 208,000 open traces of five spans of 550 bytes, in requests apart.
*Delay*: from the end of a trace, when its last span is sent, until the backend has it; 1,000 traces a second for twelve
seconds. Both depend on the machine, so they are printed, not asserted; that nothing was evicted and all came, is.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import httpx

from processors.batch import Batch, Signal
from tests.backends import OK, Received, Reply, grpc_backend
from tests.e2e.servers import REPOSITORY, Server, free_port, poll, start, total
from tests.processors.tail_sampling.support import request, span, trace_id

CONFIG: Final = REPOSITORY / "tests" / "bench" / "configs" / "tail.yaml"
SPANS: Final = 5
"""Of a trace. The last holds an error, so that all are kept."""
TEXT: Final = "x" * 480
"""Makes a span 550 bytes."""
PER_REQUEST: Final = 100
OPEN: Final = 208_000
MAX_BYTES: Final = "1200MiB"
WAIT_S: Final = 2
RATE: Final = 1000
SECONDS: Final = 12

Send = Callable[[bytes], None]


@contextmanager
def collector(backend: str, **settings: Any) -> Iterator[tuple[Server, Send, int]]:
    """Run the configuration of the comparison with other settings of the sampler; yields its metrics port too."""
    port, metrics = free_port(), free_port()
    command = [sys.executable, "-P", "-m", "collector", "--config", str(CONFIG)]
    for name, value in settings.items():
        command += ["--set", f"processors.tail_sampling.{name.replace('__', '.')}={value}"]
    environment = {
        "PYTHONPATH": str(REPOSITORY), "BENCH_IN": f"127.0.0.1:{port}", "BENCH_OUT": backend,
        "BENCH_METRICS": str(metrics),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        server = start(command, Path(folder, "collector.log"), [port, metrics], environment)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                export = channel.unary_unary(Signal.TRACES.grpc_method, None, None)
                yield server, lambda raw: export(raw, timeout=60), metrics
        finally:
            server.stop()


def trace(number: int) -> list[Any]:
    """Return the spans of a trace, in the order they end."""
    name = f"trace {number}"
    children = [span(name, f"s{one}", {"text": TEXT}, parent="root") for one in range(1, SPANS)]
    return [*children, span(name, "root", {"text": TEXT}, status="error")]


def memory() -> tuple[int, int]:
    """Returns the most bytes the process held with all traces open, and the bytes of their spans."""
    size = 0
    settings = {"decision_wait": "10m", "num_traces": 250_000, "buffer__max_bytes": MAX_BYTES}
    with grpc_backend(lambda _: OK) as backend, collector(backend.endpoint, **settings) as running:
        server, send, metrics = running
        for first in range(0, OPEN, PER_REQUEST):
            traces = [trace(first + one) for one in range(PER_REQUEST)]
            for together in zip(*traces, strict=True):
                size += sum(one.ByteSize() for one in together)
                send(request(together))
        page = httpx.get(f"http://127.0.0.1:{metrics}/metrics", timeout=60, trust_env=False).text
        assert total(page, "otelcol_llm_tail_sampling_held_spans") == SPANS * OPEN
        status = Path(f"/proc/{server.process.pid}/status").read_text("ascii")
        os.kill(server.process.pid, 9)  # what it holds is of no use
    most = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(most.split()[1]) << 10, size


def delays() -> list[float]:
    """Return the seconds from the last span of each trace to its arrival at the backend, sorted."""
    arrived: dict[bytes, float] = {}
    sent: dict[bytes, float] = {}

    def note(received: Received) -> Reply:
        now = time.monotonic()
        for item in Batch(Signal.TRACES, received.raw).items():
            arrived[item.view.trace_id] = now
        return OK

    with (
        grpc_backend(note) as backend,
        collector(backend.endpoint, decision_wait=f"{WAIT_S}s") as (_, send, _),
    ):
        together = RATE // 50
        begin = time.monotonic()
        for first in range(0, RATE * SECONDS, together):
            numbers = range(first, first + together)
            raw = request(one for number in numbers for one in trace(number))
            poll("the next turn", lambda: time.monotonic() >= begin + first / RATE)  # noqa: B023
            sent |= dict.fromkeys(
                (trace_id(f"trace {number}") for number in numbers), time.monotonic()
            )
            send(raw)
        poll("all traces", lambda: len(arrived) == RATE * SECONDS)
    return sorted(arrived[one] - sent[one] for one in sent)


def main() -> None:
    """Print both."""
    most, size = memory()
    print(
        f"{OPEN:,} open traces, {size / 2**20:,.0f} MiB of spans: {most / 2**20:,.0f} MiB at most"
    )
    found = delays()
    middle, late = (found[round(share * (len(found) - 1))] for share in (0.5, 0.99))
    print(
        f"{len(found):,} traces, decided {WAIT_S} s after they began: {middle:.3f} s, p99 {late:.3f} s"
    )


if __name__ == "__main__":
    main()
