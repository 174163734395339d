"""The Go Collector before and after us: each takes what the other sends, and nothing changes on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from processors.batch import Batch, Signal
from tests.backends import OK, grpc_backend
from tests.e2e.servers import Collector, free_port, peer, poll, start
from tests.telemetry import span, spans_of, traces

pytestmark = [pytest.mark.e2e, pytest.mark.peer]

GO = """
receivers: {{otlp: {{protocols: {{{protocol}: {{endpoint: "127.0.0.1:{listen}"}}}}}}}}
exporters:
  otlp: {{endpoint: "127.0.0.1:{to}", tls: {{insecure: true}}}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: warn}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}
"""

OURS = """
receivers: {{otlp: {{protocols: {{grpc: {{}}, http: {{}}}}}}}}
exporters:
  {exporter}: {{endpoint: "{to}", tls: {{insecure: true}}, compression: {compression}}}
  prometheus: {{endpoint: "127.0.0.1:9464"}}
extensions: {{health_check: {{}}}}
service:
  extensions: [health_check]
  pipelines:
    traces: {{receivers: [otlp], exporters: [{exporter}]}}
    metrics: {{receivers: [otlp], exporters: [prometheus]}}
"""

REQUEST = traces(
    *[
        span(
            number,
            trace,
            name=f"s{number}",
            attributes={"n": number, "x": 0.5, "ok": True, "l": ["a", 1]},
        )
        for trace in range(1, 6)
        for number in range(1, 21)
    ],
    resource={"service.name": "shop", "host.id": "h1"},
)


@pytest.fixture
def go(tmp_path: Path, servers: list[Any]) -> Callable[[int, str], int]:
    """Return a function that starts a Go Collector before `to`; returns where it listens."""

    def run(to: int, protocol: str = "grpc") -> int:
        listen = free_port()
        config = tmp_path / f"go-{listen}.yaml"
        config.write_text(GO.format(listen=listen, to=to, protocol=protocol))
        binary = peer("otelcol-peer-0.158.0")
        server = start([binary, "--config", str(config)], tmp_path / f"go-{listen}.log", [listen])
        servers.append(_Running(server))
        return listen

    return run


class _Running:
    """What the `servers` fixture stops."""

    def __init__(self, server: object) -> None:
        self.server = server


@pytest.mark.parametrize(
    ("exporter", "protocol", "compression"),
    [("otlp_grpc", "grpc", "gzip"), ("otlp_http", "http", "gzip"), ("otlp_grpc", "grpc", "none")],
)
def test_spans_pass_through_a_chain_unchanged(
    exporter: str,
    protocol: str,
    compression: str,
    tmp_path: Path,
    go: Callable[[int, str], int],
    collector: Callable[..., Collector],
) -> None:
    with grpc_backend(lambda received: OK) as backend:
        after = go(int(backend.endpoint.rpartition(":")[2]), protocol)
        config = tmp_path / "ours.yaml"
        to = f"http://127.0.0.1:{after}" if protocol == "http" else f"127.0.0.1:{after}"
        config.write_text(OURS.format(exporter=exporter, to=to, compression=compression))
        ours = collector(configs=[config])
        before = go(ours.grpc, "grpc")
        with grpc.insecure_channel(f"127.0.0.1:{before}") as channel:
            channel.unary_unary(Signal.TRACES.grpc_method)(REQUEST, timeout=30)
        poll("all spans at the end of the chain", lambda: len(list(arrived(backend))) == 100)
    sent = {(one.trace_id, one.span_id): one for one in spans_of(REQUEST)}
    assert {(one.trace_id, one.span_id): one for one in arrived(backend)} == sent


def arrived(backend: Any) -> Iterator[Any]:
    """Yield the spans that reached the end of the chain."""
    for received in list(backend.received):
        yield from spans_of(Batch(Signal.TRACES, received.raw))
