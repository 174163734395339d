"""Real servers for tests: started on free loopback ports, waited for by polling, ended by pid.

A server that is not installed: its tests are skipped with the reason, and fail with CI=true.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = Path(
    os.environ.get("OTELCOL_LLM_PEERS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otelcol-llm" / "peers"
)
PATIENCE_S = 30.0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def poll(what: str, ready: Callable[[], Any], limit_s: float = PATIENCE_S) -> Any:
    """Return the first truthy answer of `ready`; fail when the time is up."""
    until = time.monotonic() + limit_s
    while True:
        answer = ready()
        if answer:
            return answer
        assert time.monotonic() < until, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.05)  # noqa: TID251 - the one place


def listens(port: int) -> bool:
    """Say whether somebody accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def installed(name: str) -> str:
    """Return the path of a program from the PATH; skip the test without it, fail in CI."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not installed")
    return str(path)


def peer(name: str) -> str:
    """Return the path of a peer that tests/peers/build.sh builds; skip without it, fail in CI."""
    path = PEERS / name
    if not path.exists():
        missing(f"{name} is not built; run tests/peers/build.sh")
    return str(path)


def missing(reason: str) -> None:
    """Skip on a laptop, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(slots=True)
class Server:
    """A process with its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, limit_s: float = 30.0) -> int:
        """End it with SIGTERM, as an operator does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def text(self) -> str:
        """Return what it logged."""
        return self.log.read_text("utf-8", "replace")


def start(
    command: list[str], log: Path, ports: list[int], environment: Mapping[str, str] | None = None
) -> Server:
    """Start a server and wait until all its ports are open."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | dict(environment or {})
        )
    server = Server(process, log)

    def open_ports() -> bool:
        assert process.poll() is None, (
            f"{command[0]} ended with {process.returncode}:\n{server.text()}"
        )
        return all(map(listens, ports))

    try:
        poll(f"{command[0]} to listen", open_ports)
    except BaseException:
        server.stop()
        raise
    return server


def total(page: str, metric: str, **labels: str) -> float:
    """Add up all series of a metric on a page that carry these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return sum(
        float(line.split(" # ")[0].rsplit(" ", 1)[1])
        for line in page.splitlines()
        if line.startswith((metric + "{", metric + " ")) and all(w in line for w in wanted)
    )


@dataclass(slots=True)
class Collector:
    """A running otelcol-llm with the shipped embedded configuration on ports of its own."""

    folder: Path
    settings: list[str] = field(default_factory=list)
    """More `--set` arguments."""
    configs: list[Path] = field(default_factory=lambda: [REPOSITORY / "configs" / "embedded.yaml"])
    environment: dict[str, str] = field(default_factory=dict)
    grpc: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)
    metrics: int = field(default_factory=free_port)
    own: int = field(default_factory=free_port)
    server: Server | None = None

    def start(self) -> Collector:
        """Run `python -m collector` and wait until it listens."""
        reader = f"{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {self.own}}}}}}}}}"
        settings = [
            f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{self.grpc}",
            f"receivers.otlp.protocols.http.endpoint=127.0.0.1:{self.http}",
            f"extensions.health_check.endpoint=127.0.0.1:{self.health}",
            f"exporters.prometheus.endpoint=127.0.0.1:{self.metrics}",
            f"service.telemetry.metrics.readers=[{reader}]",
            *self.settings,
        ]
        command = [sys.executable, "-m", "collector"]
        for path in self.configs:
            command += ["--config", str(path)]
        for setting in settings:
            command += ["--set", setting]
        environment = {"OTELCOL_LLM_DATA": str(self.folder), "PYTHONPATH": str(REPOSITORY)}
        ports = [self.grpc, self.http, self.health, self.metrics, self.own]
        log = self.folder / "collector.log"
        self.server = start(command, log, ports, environment | self.environment)
        return self

    def stop(self) -> int:
        """See that no span is unaccounted for, drain and end it; returns the exit code."""
        if self.server is None:
            return 0
        poll("the ledger of spans to close", self.closes)
        return self.server.stop()

    def closes(self) -> bool:
        """Whether the sampler says of every span it received what became of it."""
        page, ours = self.get(self.own), "otelcol_llm_tail_sampling_"
        terms = total(page, f"{ours}spans_total") - total(
            page, f"{ours}spans_total", outcome="refused"
        )
        received = total(page, f"{ours}spans_total", outcome="received")
        return terms - received + total(page, f"{ours}held_spans") == received

    def get(self, port: int, path: str = "/metrics") -> str:
        """Return the body of one of its pages."""
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10, trust_env=False)
        answer.raise_for_status()
        return answer.text

    def sum(self, port: int, metric: str, **labels: str) -> float:
        """Add up all series of a metric on one of its pages that carry these labels."""
        return total(self.get(port), metric, **labels)

    def kept_spans(self) -> list[dict[str, Any]]:
        """Return the spans in the file of kept traces, attributes as a plain mapping."""
        spans = []
        for line in (self.folder / "traces.jsonl").read_text("utf-8").splitlines():
            for resource in json.loads(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        attributes = {
                            a["key"]: next(iter(a["value"].values()), None)
                            for a in span.get("attributes", ())
                        }
                        spans.append(span | {"attributes": attributes})
        return spans


JAEGER_CONFIG = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
    logs: {{level: warn}}
extensions:
  jaeger_query:
    storage: {{traces: mem}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{query_grpc}"}}
  jaeger_storage: {{backends: {{mem: {{memory: {{max_traces: 100000}}}}}}}}
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: mem}}
"""


@dataclass(slots=True)
class Jaeger:
    """A real trace backend with an OTLP/gRPC receiver and a query API."""

    folder: Path
    grpc: int = field(default_factory=free_port)
    query: int = field(default_factory=free_port)
    server: Server | None = None

    def start(self) -> Jaeger:
        """Run Jaeger with its memory store."""
        binary = peer("jaeger-2.13.0")
        config = self.folder / "jaeger.yaml"
        config.write_text(
            JAEGER_CONFIG.format(grpc=self.grpc, query=self.query, query_grpc=free_port())
        )
        command = [binary, "--config", str(config)]
        self.server = start(command, self.folder / "jaeger.log", [self.grpc, self.query])
        return self

    def trace(self, trace_id: str) -> str:
        """Return everything the backend stored of a trace, as JSON text; empty when it has none."""
        url = f"http://127.0.0.1:{self.query}/api/traces/{trace_id}"
        answer = httpx.get(url, timeout=10, trust_env=False)
        return answer.text if answer.status_code == 200 else ""

    def traces(self, service: str) -> list[dict[str, Any]]:
        """Return up to 20,000 stored traces of a service."""
        answer = httpx.get(
            f"http://127.0.0.1:{self.query}/api/traces",
            params={"service": service, "limit": "20000"},
            timeout=60,
            trust_env=False,
        )
        found: list[dict[str, Any]] = answer.json()["data"] or []
        return found


@dataclass(slots=True)
class Prometheus:
    """A real Prometheus that scrapes the given ports every second."""

    folder: Path
    targets: list[int]
    rules: list[Path] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    server: Server | None = None

    def start(self) -> Prometheus:
        """Run Prometheus with a fresh database."""
        binary = installed("prometheus")
        config = self.folder / "prometheus.yml"
        targets = json.dumps([f"127.0.0.1:{port}" for port in self.targets])
        rules = json.dumps([str(path) for path in self.rules])
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: {rules}\n"
            f"scrape_configs: [{{job_name: otelcol-llm, static_configs: [{{targets: {targets}}}]}}]\n"
        )
        command = [
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage",
            "--storage.tsdb.retention.time=10y",  # weeks of the past are backfilled
        ]
        self.server = start(command, self.folder / "prometheus.log", [self.port])
        return self

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        answer = httpx.get(
            f"http://127.0.0.1:{self.port}/api/v1/query",
            params={"query": expression},
            timeout=10,
            trust_env=False,
        ).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result
