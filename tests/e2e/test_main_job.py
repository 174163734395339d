"""The main job with everything real: SDK in, collector, trace backend, Prometheus."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, set_span_in_context

from processors.batch import Signal
from tests.e2e.servers import REPOSITORY, Collector, Jaeger, Prometheus, poll
from tests.telemetry import span, traces

pytestmark = pytest.mark.e2e

PLANTED = ("maria.keller@mail.example", "4111 1111 1111 1111", "536-22-8145", "+1 415 555 2671")
QUESTION = "I am {}, card {}, social security number {}, call {}.".format(*PLANTED)

TO_BACKEND = """
exporters:
  otlp/backend:
    endpoint: 127.0.0.1:{port}
    tls: {{insecure: true}}
processors:
  tail_sampling: {{decision_wait: 2s, decision_wait_after_root_received: 1s}}
service:
  pipelines:
    traces/out:
      exporters: [otlp/backend, file/traces]
"""


def to_backend(folder: Path, port: int) -> list[Path]:
    """Return the embedded configuration, and over it one that sends kept traces to a backend as well."""
    over = folder / "backend.yaml"
    over.write_text(TO_BACKEND.format(port=port))
    return [REPOSITORY / "configs" / "embedded.yaml", over]


def ask(exporter: SpanExporter, tokens: int) -> str:
    """Send one trace with one model call through the real SDK; returns its trace id."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": "support-bot"}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("support")
    root = tracer.start_span("POST /chat", kind=SpanKind.SERVER)
    call = tracer.start_span(
        "chat gpt-4o",
        context=set_span_in_context(root),
        kind=SpanKind.CLIENT,
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": tokens,
            "gen_ai.usage.output_tokens": 1_000,
            "app.llm.feature": "chat",
            "gen_ai.input.messages": json.dumps(
                [{"role": "user", "parts": [{"type": "text", "content": QUESTION}]}]
            ),
        },
    )
    call.add_event("note", {"text": QUESTION})
    call.end()
    root.end()
    provider.shutdown()
    return f"{root.get_span_context().trace_id:032x}"


@pytest.mark.peer
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_a_call_arrives_priced_and_clean(
    transport: str,
    tmp_path: Path,
    jaeger: Jaeger,
    collector: Callable[..., Collector],
    prometheus: Callable[[list[int]], Prometheus],
) -> None:
    ours = collector(configs=to_backend(tmp_path, jaeger.grpc))
    scraper = prometheus([ours.metrics, ours.own])
    exporter: SpanExporter = (
        GrpcExporter(endpoint=f"127.0.0.1:{ours.grpc}", insecure=True)
        if transport == "grpc"
        else HttpExporter(endpoint=f"http://127.0.0.1:{ours.http}/v1/traces")
    )
    # 100,000 × $2.50 + 1,000 × $10 per million: $0.26, expensive
    trace_id = ask(exporter, tokens=100_000)

    stored = poll("the trace in Jaeger", lambda: jaeger.trace(trace_id))
    tags = {
        tag["key"]: tag["value"]
        for one in json.loads(stored)["data"][0]["spans"]
        for tag in one["tags"]
    }
    assert tags["app.llm.cost_usd"] == 0.26
    assert tags["sampling.policy"] == "expensive"

    money = poll(
        "the money in Prometheus",
        lambda: scraper.query('llm_cost_usd_total{feature="chat",model="gpt-4o"} > 0'),
    )
    assert float(money[0]["value"][1]) == pytest.approx(0.26)

    assert ours.stop() == 0
    written = [path.read_bytes() for path in ours.folder.rglob("*") if path.is_file()]
    for value in PLANTED:
        assert value not in stored
        assert not any(value.encode() in content for content in written)


def test_what_is_kept_of_ten_thousand_traces(
    collector: Callable[..., Collector], tmp_path: Path
) -> None:
    over = tmp_path / "quick.yaml"
    over.write_text(
        "processors: {tail_sampling: {decision_wait: 2s, decision_wait_after_root_received: 1s}}\n"
    )
    ours = collector(configs=[REPOSITORY / "configs" / "embedded.yaml", over])
    kinds = send_ten_thousand(ours)

    decided = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"
    poll("all traces to be decided", lambda: ours.sum(ours.own, decided) >= 10_000)
    assert ours.stop() == 0

    kept = Counter(kinds[trace_id] for trace_id in {one["traceId"] for one in ours.kept_spans()})
    sent = Counter(kinds.values())
    assert {kind: kept[kind] for kind in ("error", "slow", "expensive")} == {
        kind: sent[kind] for kind in ("error", "slow", "expensive")
    }
    share, deviation = 0.01 * sent["plain"], (sent["plain"] * 0.01 * 0.99) ** 0.5
    assert abs(kept["plain"] - share) <= 4 * deviation


def send_ten_thousand(ours: Collector) -> dict[str, str]:
    """Send traces of four kinds, cut anywhere into requests; returns each trace id's kind."""
    rnd = random.Random(20261121)
    kinds: dict[str, str] = {}
    spans = []
    for _ in range(10_000):
        trace = rnd.getrandbits(128) | 1
        kind = rnd.choices(("plain", "error", "slow", "expensive"), (94, 2, 2, 2))[0]
        kinds[f"{trace:032x}"] = kind
        end_ms = 5_200 if kind == "slow" else rnd.randrange(50, 4_900)
        tokens = 20_000 if kind == "expensive" else 1_000  # two calls: $0.1002 together, or $0.0052
        spans += [
            span(2, trace, parent=1, ms=(0, end_ms // 2), attributes=call(tokens)),
            span(3, trace, parent=1, ms=(end_ms // 2, end_ms - 1), attributes=call(tokens)),
            span(1, trace, ms=(0, end_ms), status=2 if kind == "error" else 0),
        ]
    with grpc.insecure_channel(f"127.0.0.1:{ours.grpc}") as channel:
        export = channel.unary_unary(Signal.TRACES.grpc_method)
        for at in range(0, len(spans), 100):
            export(traces(*spans[at : at + 100]), timeout=30)
    return kinds


def call(tokens: int) -> dict[str, object]:
    """Return the attributes of a gpt-4o call."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.output_tokens": 10,
    }


def test_the_metrics_pages_are_well_formed(collector: Callable[..., Collector]) -> None:
    promtool = shutil.which("promtool")
    ours = collector()
    with grpc.insecure_channel(f"127.0.0.1:{ours.grpc}") as channel:
        request = traces(span(attributes=call(1_000)))
        channel.unary_unary(Signal.TRACES.grpc_method)(request, timeout=30)
    poll("a request to be counted", lambda: ours.sum(ours.metrics, "llm_requests_total") == 1)
    for port in (ours.metrics, ours.own):
        if promtool is not None:
            page = ours.get(port).encode()
            checked = subprocess.run(
                [promtool, "check", "metrics"], input=page, capture_output=True, check=False
            )
            assert checked.returncode == 0, checked.stderr.decode()
    assert ours.stop() == 0
