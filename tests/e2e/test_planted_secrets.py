"""No secret reaches a disk, a log or a metrics page, wherever a sender put it.

The process runs as the shipped stack does, with a backend that is away, so that everything it may write is written:
queue and journal, files, the debug exporter, its own log. Beside each text stands a mark that is no secret: where a
mark is found and no secret, the text was there and was cleaned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from processors.batch import Signal
from tests.e2e.servers import REPOSITORY, Collector, free_port, poll
from tests.telemetry import SECOND, any_value, key_values

pytestmark = pytest.mark.e2e

SECRETS = (
    "ann.lee@pii.example",
    "4111 1111 1111 1111",
    "536-90-4399",
    "DE89370400440532013000",
    "+49 30 901820",
    "203.0.113.77",
    "2001:db8:85a3::8a2e:370:7334",
    "6c:02:eb:2d:df:f6",
    "AKIAEHYCVWQJ52TDUCSO",
    "ghp_oHc06zPwZwi05ErLkZpnhDcXKG1EvyY8Dfna",
    "sk-ant-api03-Zk3vT9qLw8Xr2Yb7Nc5Md1Pf6Gh4Js0A",
    "159.300.180-06",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI5NjQyOTY4NyJ9.krv-eDn2pdUkkSHvD7Vd4RLb_rxe8MTXg3",
)
PERSON = "Ann-Lee-of-Accounting"
"""Only its key says that this names a person."""
NEIGHBOURS = ("", "日本", "😀", "é ", "ß:", "\n", "\t", "\r\n", '"', "\\n", "\u00a0", "\u200b", "(")
PLACES = (
    *("attribute", "list", "map", "json", "json in json", "cut json", "escaped json", "bytes", "key", "name"),
    *("status", "tracestate", "event name", "event", "link", "resource", "scope", "scope name"),
    *("log text", "log map", "log attribute", "point"),
)  # fmt: skip

OVERLAY = """
extensions: {{file_storage: {{directory: "{store}", create_directory: true, reserve_bytes: 8MiB}}}}
processors:
  tail_sampling: {{buffer: {{storage: file_storage}}, decision_wait_after_root_received: 100ms}}
exporters:
  otlp:
    endpoint: "{backend}"
    tls: {{insecure: true}}
    sending_queue: {{storage: file_storage, batch: {{flush_timeout: 50ms}}}}
    retry_on_failure: {{initial_interval: 200ms, max_interval: 500ms}}
  debug: {{verbosity: detailed}}
service:
  extensions: [file_storage, health_check]
  telemetry: {{logs: {{level: debug}}}}
  pipelines:
    traces/in: {{exporters: [llm_metrics, forward, debug]}}
    traces/out: {{exporters: [otlp, file/traces]}}
    logs: {{exporters: [llm_metrics, file/logs, debug]}}
    metrics/app: {{exporters: [llm_metrics, debug]}}
"""


def mark(place: str) -> str:
    """Return a word that stands beside the secrets of a place."""
    return f"mark-of-{place.replace(' ', '-')}"


def planted(place: str) -> str:
    """Return a text with every secret between every pair of neighbours."""
    size = len(NEIGHBOURS)
    around = [(NEIGHBOURS[n % size], NEIGHBOURS[(n * 5 + 3) % size]) for n in range(size)]
    texts = [
        f"{left}{secret}{right}"
        for number, secret in enumerate(SECRETS)
        for left, right in (around[number % size], around[(number + 4) % size])
    ]
    return f"{mark(place)} " + " ; ".join(texts)


def values(place: str) -> dict[str, object]:
    """Return the attributes that carry the texts of an attribute's shapes."""
    text = {name: planted(name) for name in PLACES}
    once = json.dumps([{"role": "user", "content": text["json"]}], ensure_ascii=False)
    twice = json.dumps({"messages": json.dumps([{"content": text["json in json"]}])})
    escaped = json.dumps({"m": text["escaped json"]}).replace("@", "\\u0040")
    return {
        place: text["attribute"],
        "user.id": PERSON,
        "app.llm.tenant.id": "tom@pii.example",
        "gen_ai.input.messages": once,
        "input.value": twice,
        "output.value": json.dumps([{"content": text["cut json"]}])[:-4],
        "escaped": escaped,
        "list": ["x", text["list"], 3],
        "map": {"a": [{"b": {"c": text["map"]}}]},
        "bytes": text["bytes"].encode(),
        f"{mark('key')} {SECRETS[0]}": "x",
    }


def span_request(*, root: bool) -> ExportTraceServiceRequest:
    """Return a span with a secret everywhere: a whole trace with an error, or one whose root is still to come."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(
        key_values({"service.name": "shop", "host": planted("resource")})
    )
    spans = group.scope_spans.add()
    spans.scope.name = planted("scope name")
    spans.scope.attributes.extend(key_values({"s": planted("scope")}))
    span = spans.spans.add(
        trace_id=bytes([root + 1]) * 16,
        span_id=b"\x01" * 8,
        parent_span_id=b"" if root else b"\x02" * 8,
        name=planted("name"),
        trace_state=f"a={mark('tracestate')}.{SECRETS[2]}",
        start_time_unix_nano=1_790_000_000 * SECOND,
        end_time_unix_nano=1_790_000_001 * SECOND,
        attributes=key_values(
            {
                **values("attribute"),
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "gpt-4o",
            }
        ),
    )
    span.status.code = Status.STATUS_CODE_ERROR
    span.status.message = planted("status")
    span.events.add(
        name=planted("event name"),
        attributes=key_values({"exception.message": planted("event")}),
    )
    span.links.add(
        trace_id=b"\x05" * 16,
        span_id=b"\x06" * 8,
        attributes=key_values({"why": planted("link")}),
    )
    return request


def log_request() -> ExportLogsServiceRequest:
    """Return log records with a text and a map as their bodies."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add(
        body=any_value(planted("log text")),
        attributes=key_values({"l": planted("log attribute")}),
    )
    records.add(body=any_value({"a": [{"b": planted("log map")}]}))
    return request


def metric_request() -> ExportMetricsServiceRequest:
    """Return a gauge whose point has the texts as a label."""
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    point = metrics.add(name="app.queue").gauge.data_points.add(as_int=3)
    point.attributes.extend(key_values({"who": planted("point"), "user.id": PERSON}))
    return request


def leaks(raw: bytes) -> Iterator[str]:
    """Yield the secrets in some bytes, as they are or as JSON writes them."""
    for secret in (*SECRETS, PERSON, "tom@pii.example"):
        forms = {secret, secret.replace("@", "\\u0040")}
        if any(form.encode() in raw for form in forms):
            yield secret


def marks(raw: bytes) -> set[str]:
    """Return the places whose mark is in some bytes."""
    return {place for place in PLACES if mark(place).encode() in raw}


@pytest.fixture
def running(tmp_path: Path, collector: Callable[..., Collector]) -> Collector:
    """The collector with everything that it can write to."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(OVERLAY.format(store=tmp_path / "store", backend=f"127.0.0.1:{free_port()}"))
    return collector(
        configs=[REPOSITORY / "configs" / "embedded.yaml", overlay],
        environment={"OTELCOL_LLM_REDACTION_KEY": "k" * 64},
    )


def send(to: Collector, signal: Signal, raw: bytes, kind: str = "application/x-protobuf") -> int:
    """Send a request over HTTP; returns the status."""
    answer = httpx.post(
        f"http://127.0.0.1:{to.http}{signal.http_path}",
        content=raw,
        headers={"content-type": kind},
        timeout=30,
        trust_env=False,
    )
    assert not [*leaks(answer.content)]
    return answer.status_code


def written(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_secret_is_in_no_file_and_on_no_page(tmp_path: Path, running: Collector) -> None:
    requests: list[tuple[Signal, Any]] = [
        (Signal.TRACES, span_request(root=True)),
        (Signal.TRACES, span_request(root=False)),
        (Signal.LOGS, log_request()),
        (Signal.METRICS, metric_request()),
    ]
    for signal, request in requests:
        assert send(running, signal, request.SerializeToString()) == 200
    broken = json.dumps({"resourceSpans": [{"scopeSpans": SECRETS[0]}]}).encode()
    assert send(running, Signal.TRACES, broken, "application/json") == 400
    assert send(running, Signal.TRACES, b"\x0a\xff" + SECRETS[0].encode()) == 400
    poll("the trace in its file", lambda: "status" in marks(written(tmp_path)[KEPT]))
    poll("the trace in the queue", lambda: queued(running) > 0)

    pages = {f"page {port}": running.get(port).encode() for port in (running.metrics, running.own)}
    alive = written(tmp_path)
    running.stop()
    ended = written(tmp_path)
    for name, raw in (*pages.items(), *alive.items(), *ended.items()):
        assert not [*leaks(raw)], name

    spans = {place for place in PLACES if not place.startswith(("log", "point"))}
    store = b"".join(raw for name, raw in alive.items() if name.startswith("store"))
    assert marks(alive[KEPT]) >= spans - {"bytes"}
    assert marks(store) >= spans
    assert marks(ended["collector-0/logs.jsonl"]) >= {"log text", "log map", "log attribute"}
    assert marks(ended["collector-0/collector.log"]) >= {*PLACES} - {"bytes"}


KEPT = "collector-0/traces.jsonl"


def queued(one: Collector) -> float:
    """Return how much waits for the backend."""
    return one.sum(one.own, "otelcol_exporter_queue_size", exporter="otlp")
