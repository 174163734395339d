"""Every TraceQL of the boards and runbooks against a real Tempo with the shipped configuration.

No package registry has Tempo: the environment variable names a binary (3.x). A trace is complete in its search after
half a minute, hence the patience.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from grafana.reading import filled
from tests.e2e.servers import REPOSITORY, Collector, free_port, poll, start
from tests.stack import traffic
from tests.stack.boards import Shown, everything
from tests.stack.test_runbooks import BOOKS, blocks

pytestmark = pytest.mark.e2e

BINARY: Final = "OTELCOL_LLM_TEMPO_BINARY"
PANELS: Final = [
    one for one in everything() if one.source == "tempo" and one.panel["type"] == "table"
]
STEPS: Final = [(book.stem, query) for book in BOOKS for query in blocks(book, "traceql")]
VARIABLES: Final = {"min_duration": "1s", "min_cost": "0.001"}
METRICS: Final = re.compile(r"\| (?:sum_over_time|count_over_time|compare)\(")
"""Queries whose answer is numbers, not spans."""
RARE: Final = re.compile(r"count\(\) > 5|conversation|cache_read\S+ = 0")
"""Needs longer than this traffic lasts."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """A Tempo with half a minute of traffic in it."""

    url: str

    def get(self, path: str, **asked: str | int) -> dict[str, Any]:
        """Return an answer; an error fails."""
        answer = httpx.get(f"{self.url}{path}", params=asked, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def find(self, query: str) -> list[Any]:
        """Return the traces or the series that a query finds in the last hour."""
        now = int(time.time())
        when = {"start": now - 3600, "end": now}
        if METRICS.search(query):
            answer = self.get("/api/metrics/query_range", q=query, step=10, **when)
            return list(answer.get("series") or ())
        answer = self.get("/api/search", q=query, limit=20, **when)
        return list(answer.get("traces") or ())


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with another one laid over it."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) else value
    return result


def on_loopback(folder: Path, http: int, otlp: int) -> dict[str, Any]:
    """Return the shipped configuration with loopback addresses and a folder of its own."""
    shipped = yaml.safe_load((REPOSITORY / "tempo" / "tempo.yaml").read_text("utf-8"))
    here, grpc = "127.0.0.1", free_port()
    worker = f"{here}:{grpc}"
    return merged(
        shipped,
        {
            "server": {
                "http_listen_address": here,
                "http_listen_port": http,
                "grpc_listen_address": here,
                "grpc_listen_port": grpc,
            },
            "memberlist": {
                "bind_addr": [here],
                "bind_port": free_port(),
                "advertise_addr": here,
                "abort_if_cluster_join_fails": False,
            },
            "distributor": {
                "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"{here}:{otlp}"}}}}
            },
            "querier": {"frontend_worker": {"frontend_address": worker}},
            "backend_worker": {"backend_scheduler_addr": worker},
            "storage": {
                "trace": {
                    "wal": {"path": str(folder / "wal")},
                    "local": {"path": str(folder / "blocks")},
                }
            },
        },
    )


@pytest.fixture(scope="module")
def tempo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tempo]:
    """A Tempo that a collector sent every trace of invented traffic to."""
    binary = os.environ.get(BINARY)
    if not binary:
        pytest.skip(f"{BINARY} names no Tempo")
    folder = tmp_path_factory.mktemp("tempo")
    http, otlp = free_port(), free_port()
    config = folder / "tempo.yaml"
    config.write_text(yaml.safe_dump(on_loopback(folder, http, otlp)), "utf-8")
    command = [binary, f"-config.file={config}"]
    server = start(command, folder / "tempo.log", [http, otlp])
    try:
        fill(folder, otlp)
        found = Tempo(f"http://127.0.0.1:{http}")
        poll("a trace", lambda: found.find('{ span.app.llm.span.class = "model_call" }'), 90)
        yield found
    finally:
        server.stop()


def fill(folder: Path, otlp: int) -> None:
    """Send traffic through a collector that keeps everything."""
    collector = Collector(
        folder,
        configs=[REPOSITORY / "configs" / "collector.yaml"],
        settings=[
            *traffic.SETTINGS,
            f"exporters.otlp.endpoint=127.0.0.1:{otlp}",
            f"extensions.file_storage.directory={folder / 'storage'}",
            f"processors.redaction.hash_keys=[{'5eed' * 16}]",
            "processors.tail_sampling.policies=[{name: all, type: always_sample}]",
        ],
    ).start()
    try:
        for _ in traffic.send(collector.http, traffic.Shop(), seconds=10):
            pass
    finally:
        collector.stop()


@pytest.mark.parametrize("shown", PANELS, ids=str)
def test_a_table_of_traces_runs_and_finds_some(tempo: Tempo, shown: Shown) -> None:
    one_trace, *_ = tempo.find('{ span.app.llm.span.class = "model_call" }')
    for query in shown.expressions():
        found = tempo.find(filled(query, VARIABLES | {"trace_id": one_trace["traceID"]}))
        assert found or RARE.search(query), query


@pytest.mark.parametrize(("book", "query"), STEPS)
def test_the_step_of_a_runbook_runs(tempo: Tempo, book: str, query: str) -> None:
    tempo.find(query.strip())


def test_a_whole_prompt_is_kept(tempo: Tempo) -> None:
    """Tempo cuts attributes at 2,048 bytes unless it is told otherwise."""
    limits = httpx.get(f"{tempo.url}/status/config", timeout=10, trust_env=False).text
    assert "max_attribute_bytes: 65536" in limits
