"""Starts the collector with the embedded default, sends the traffic of `traffic`, prints what came out."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from collector.demo.outcome import Kept, Series, read_kept, scrape, total
from collector.demo.traffic import Company
from collector.errors import StartError

_START_S = 15.0
_DECIDE_S = 20.0
_POLL_S = 0.1
_DECIDED = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the collector of the demo listens on loopback."""

    grpc: int
    http: int
    health: int
    metrics: int
    own: int

    def settings(self) -> list[str]:
        """The ports as `--set` arguments."""
        return [
            f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{self.grpc}",
            f"receivers.otlp.protocols.http.endpoint=127.0.0.1:{self.http}",
            f"extensions.health_check.endpoint=127.0.0.1:{self.health}",
            f"exporters.prometheus.endpoint=127.0.0.1:{self.metrics}",
            "service.telemetry.metrics.readers="
            f"[{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {self.own}}}}}}}}}]",
            "service.telemetry.logs.level=warn",
        ]


_USUAL = Ports(4317, 4318, 13133, 9464, 8888)


def _choose_ports() -> Ports:
    """Take the usual ports where all are free, else five free ones."""
    if all(_is_free(port) for port in astuple(_USUAL)):
        return _USUAL
    free = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    numbers = [one.getsockname()[1] for one in free]
    for one in free:
        one.close()
    return Ports(*numbers)


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def _collector(ports: Ports, data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the embedded default as its own process; SIGTERM ends it."""
    # -P: the installed program, also where the current folder holds a checkout of it
    command = [sys.executable, "-P", "-m", "collector"]
    for setting in ports.settings():
        command += ["--set", setting]
    process = subprocess.Popen(command, env=os.environ | {"OTELCOL_LLM_DATA": str(data)})
    try:
        _wait(lambda: _healthy(ports, process), _START_S, "the collector to start")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def _healthy(ports: Ports, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise StartError(f"the collector ended with exit code {process.returncode} while starting")
    try:
        return (
            httpx.get(f"http://127.0.0.1:{ports.health}/", timeout=1, trust_env=False).status_code
            == 200
        )
    except httpx.HTTPError:
        return False


def _wait(ready: Callable[[], bool], limit_s: float, what: str) -> None:
    until = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > until:
            raise StartError(f"waited {limit_s:.0f} s for {what}")
        time.sleep(_POLL_S)


def run(traces: int, keep_running: bool, data: Path | None) -> int:
    """Run the demo. Returns the exit code. Raises: `StartError`."""
    console = Console(highlight=False, soft_wrap=True)  # a path that is cut cannot be copied
    data = data or Path(tempfile.mkdtemp(prefix="otelcol-llm-demo-"))
    data.mkdir(parents=True, exist_ok=True)
    ports = _choose_ports()
    with _collector(ports, data) as process:
        company = Company(f"127.0.0.1:{ports.grpc}")
        sent = _send(console, company, ports, traces)
        product = scrape(f"http://127.0.0.1:{ports.metrics}/metrics", data / "metrics.txt")
        own = scrape(f"http://127.0.0.1:{ports.own}/metrics", data / "own-metrics.txt")
        kept = read_kept(data / "traces.jsonl")
        _report(console, company, sent, product, own, kept)
        _where(console, ports, data, keep_running)
        if keep_running:
            process.wait()
    return 0


def _send(console: Console, company: Company, ports: Ports, traces: int) -> dict[str, int]:
    """Send the traffic and wait until every trace is decided."""
    sent: dict[str, int] = {}
    columns = (
        SpinnerColumn(),
        *Progress.get_default_columns()[:3],
        TextColumn("{task.completed}/{task.total}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        sending = progress.add_task("Sending traces", total=traces)
        for kind in company.send(traces):
            sent[kind] = sent.get(kind, 0) + 1
            progress.advance(sending)
        company.close()
        deciding = progress.add_task("Deciding what to keep", total=traces)

        def decided() -> bool:
            series = scrape(f"http://127.0.0.1:{ports.own}/metrics").get(_DECIDED, [])
            done = int(sum(one.value for one in series))
            progress.update(deciding, completed=done)
            return done >= traces

        _wait(decided, _DECIDE_S, "all traces to be decided")
        _wait(lambda: _calls(ports) >= len(company.questions), _DECIDE_S, "all calls to be counted")
    return sent


def _calls(ports: Ports) -> float:
    series = scrape(f"http://127.0.0.1:{ports.metrics}/metrics")
    return sum(total(series, "llm_requests_total", "model").values())


def _report(
    console: Console,
    company: Company,
    sent: dict[str, int],
    product: dict[str, list[Series]],
    own: dict[str, list[Series]],
    kept: Kept,
) -> None:
    kinds = ", ".join(
        f"{count} {kind}" for kind, count in sorted(sent.items(), key=lambda kv: -kv[1])
    )
    console.print(f"\n[bold]Sent[/] {sum(sent.values())} traces of 4 services: {kinds}.\n")
    for label in ("model", "feature", "tenant"):
        console.print(f"[bold]Spend by {label}[/]", _spend(product, label), sep="\n")
    console.print(
        "[bold]Personal data replaced before anything was stored[/]",
        _redactions(own | product),
        sep="\n",
    )
    _before_and_after(console, company, kept)
    whole = sum(kept.policies.values())
    console.print(
        f"[bold]Traces kept: {whole:,} of {sum(sent.values()):,}[/], {kept.spans:,} spans"
    )
    console.print(_policies(kept))


def _spend(series: dict[str, list[Series]], label: str) -> Table:
    costs = total(series, "llm_cost_usd_total", label)
    calls = total(series, "llm_requests_total", label)
    tokens = total(series, "llm_input_tokens_total", label) + total(
        series, "llm_output_tokens_total", label
    )
    table = Table(show_footer=True)
    table.add_column(label, "total")
    for name, footer in (
        ("calls", f"{sum(calls.values()):,.0f}"),
        ("tokens", f"{sum(tokens.values()):,.0f}"),
        ("US dollars", f"{sum(costs.values()):,.4f}"),
    ):
        table.add_column(name, footer, justify="right")
    for value, cost in costs.most_common():
        table.add_row(value, f"{calls[value]:,.0f}", f"{tokens[value]:,.0f}", f"{cost:,.4f}")
    return table


def _redactions(series: dict[str, list[Series]]) -> Table:
    table = Table()
    table.add_column("what")
    table.add_column("times", justify="right")
    for entity, count in total(series, "llm_redactions_total", "entity").most_common():
        table.add_row(entity, f"{count:,.0f}")
    return table


def _before_and_after(console: Console, company: Company, kept: Kept) -> None:
    """Show the kept question of which most was replaced."""
    changed = [
        (company.questions[ids], after)
        for ids, after in kept.texts.items()
        if ids in company.questions and company.questions[ids] != after
    ]
    if changed:
        before, after = max(changed, key=lambda pair: pair[1].count("["))
        console.print(f"  before: [red]{before}[/]", soft_wrap=True)
        console.print("  after:  ", end="")
        console.print(after, style="green", markup=False, soft_wrap=True)
        console.print()


def _policies(kept: Kept) -> Table:
    table = Table()
    table.add_column("policy")
    table.add_column("why")
    table.add_column("traces", justify="right")
    for (policy, reason), count in kept.policies.most_common():
        table.add_row(policy, reason, f"{count:,}")
    return table


def _where(console: Console, ports: Ports, data: Path, keep_running: bool) -> None:
    console.print(f"Kept traces: {data / 'traces.jsonl'} (OTLP/JSON, one request a line)")
    if keep_running:
        console.print(f"Metrics:     http://127.0.0.1:{ports.metrics}/metrics")
        console.print(f"Its own:     http://127.0.0.1:{ports.own}/metrics")
        console.print(
            f"Send OTLP to 127.0.0.1:{ports.grpc} (gRPC) or :{ports.http} (HTTP). Stop with Ctrl-C."
        )
    else:
        console.print(f"Metrics:     {data / 'metrics.txt'}, as Prometheus would scrape them")
        console.print("To look around while it runs: otelcol-llm demo --keep-running")
