"""The Go Collector behind our exporters, and as the oracle of what an OTLP/JSON document means."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from collector.component import Exporter
from collector.config.settings import resolve
from collector.errors import Rejected
from collector.otlp_json import decode, encode
from collector.registry import components, schema_of
from processors.batch import Batch, Signal
from processors.ports import Context
from tests.backends import OK, Backend, answer_in_turn, http_backend
from tests.countable import logs, metrics, span_ids, traces
from tests.e2e.servers import free_port, peer, start

pytestmark = pytest.mark.peer

CONFIG = """
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}
exporters:
  otlp_http:
    endpoint: "{backend}"
    encoding: json
    sending_queue: {{enabled: false}}
    retry_on_failure: {{enabled: false}}
service:
  telemetry: {{logs: {{level: warn}}, metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
    logs: {{receivers: [otlp], exporters: [otlp_http]}}
    metrics: {{receivers: [otlp], exporters: [otlp_http]}}
"""


@dataclass(frozen=True)
class Chain:
    """The Go Collector, and the backend that its JSON arrives at."""

    grpc: int
    http: int
    backend: Backend


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    binary = peer("otelcol-peer-0.158.0")
    folder = tmp_path_factory.mktemp("go")
    with http_backend(answer_in_turn(OK)) as backend:
        made = Chain(free_port(), free_port(), backend)
        config = folder / "go.yaml"
        config.write_text(CONFIG.format(grpc=made.grpc, http=made.http, backend=backend.endpoint))
        server = start([binary, "--config", str(config)], folder / "go.log", [made.grpc, made.http])
        try:
            yield made
        finally:
            server.stop()


WAYS: list[tuple[str, dict[str, Any]]] = [
    ("otlp_grpc", {"endpoint": "http://127.0.0.1:{grpc}"}),
    ("otlp_grpc", {"endpoint": "http://127.0.0.1:{grpc}", "compression": "none"}),
    ("otlp_http", {"endpoint": "http://127.0.0.1:{http}"}),
    ("otlp_http", {"endpoint": "http://127.0.0.1:{http}", "compression": "zlib"}),
    ("otlp_http", {"endpoint": "http://127.0.0.1:{http}", "encoding": "json"}),
]


@pytest.mark.parametrize(("kind", "written"), WAYS, ids=str)
def test_it_understands_every_way_we_send(chain: Chain, kind: str, written: dict[str, Any]) -> None:
    component = components("exporters")[kind]
    endpoint = written["endpoint"].format(grpc=chain.grpc, http=chain.http)
    settings = resolve(schema_of(component.schema), written | {"endpoint": endpoint})
    exporter: Exporter = component.build(settings, Context(id=kind))
    exporter.start()
    before = len(chain.backend.received)
    sent = [traces(span_ids(3)), logs(2), metrics(["a"], points=2)]
    for batch in sent:
        exporter.export(batch)
    exporter.stop(10)
    came = {request.signal: request.raw for request in chain.backend.received[before:]}
    assert {signal: plain(signal, raw) for signal, raw in came.items()} == {
        batch.signal: plain(batch.signal, batch.encode()) for batch in sent
    }


_EMPTY = ("resource", "scope", "status", "value", "body")


def plain(signal: Signal, raw: bytes) -> Any:
    """Return a request as JSON without empty messages, which Go always writes."""
    return without_empty(json.loads(encode(signal, raw)))


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: without_empty(member) for key, member in value.items()}
        return {
            key: member for key, member in inner.items() if not (member == {} and key in _EMPTY)
        }
    return [without_empty(member) for member in value] if isinstance(value, list) else value


GOLDEN = Path(__file__).parents[2] / "golden" / "otlp_json"
DOCUMENTS = {
    name: json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [case["in"]]}]}]})
    for name, case in yaml.safe_load((GOLDEN / "accepted.yaml").read_text()).items()
} | {name: case[0] for name, case in yaml.safe_load((GOLDEN / "refused.yaml").read_text()).items()}

ONLY_WE_TAKE = {
    # protobuf's JSON mapping allows these, Go's reader does not.
    "whole_floats_are_integers",
    "enum_as_numeric_string",
    "nulls_are_absent",
    "bytes_are_url_safe_base64_without_padding",
}
ONLY_GO_TAKES = {"comment", "null_in_an_array"}
READ_DIFFERENTLY = {"snake_case_is_unknown"}  # "not valid" (OTLP), known to Go


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_means_the_same_to_both(chain: Chain, name: str) -> None:
    body = DOCUMENTS[name].encode()
    before = len(chain.backend.received)
    answer = httpx.post(
        f"http://127.0.0.1:{chain.http}/v1/traces",
        content=body,
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )
    try:
        ours: bytes | None = decode(Signal.TRACES, body)
    except Rejected:
        ours = None
    taken_by = (ours is not None, answer.status_code == 200)
    if name in ONLY_WE_TAKE | ONLY_GO_TAKES:
        assert taken_by == (name in ONLY_WE_TAKE, name in ONLY_GO_TAKES)
    else:
        assert taken_by[0] == taken_by[1]
    if ours is not None and all(taken_by) and name not in READ_DIFFERENTLY:
        theirs = b"".join(request.raw for request in chain.backend.received[before:])
        assert plain(Signal.TRACES, ours) == plain(Signal.TRACES, theirs)
        assert len(Batch(Signal.TRACES, ours)) == len(Batch(Signal.TRACES, theirs))
