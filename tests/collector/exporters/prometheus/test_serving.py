"""The exporter on the network, read by an HTTP client and by a real Prometheus."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from collector.errors import StartError
from collector.exporters.prometheus import PrometheusExporter, build, check
from processors.ports import Context
from tests.e2e.servers import Prometheus, poll

from .support import TRACE, batch, counter, exporter, histogram, resolved


@pytest.fixture
def running() -> Iterator[PrometheusExporter]:
    one = exporter(enable_open_metrics=True)
    one.start()
    yield one
    one.stop(1.0)


def get(one: PrometheusExporter, path: str = "/metrics", **rest: object) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{one.port}{path}", **rest)  # type: ignore[arg-type] # httpx's own


def test_metrics_are_at_one_path_and_only_to_be_read(running: PrometheusExporter) -> None:
    assert get(running, "/").status_code == 404
    answer = httpx.post(f"http://127.0.0.1:{running.port}/metrics")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.head(f"http://127.0.0.1:{running.port}/metrics").status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_the_body_is_compressed_for_those_who_accept_it(
    running: PrometheusExporter, encoding: str
) -> None:
    running.export(batch(counter("calls", 3)))
    answer = get(running, headers={"Accept-Encoding": encoding})
    assert "calls_total 3\n" in answer.text
    assert answer.headers.get("content-encoding", "identity") == encoding


def test_a_taken_port_is_a_start_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        one = exporter(endpoint=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StartError, match="is in use by another program"):
            one.start()
    one.stop(0.0)


def test_there_is_always_room() -> None:
    assert exporter().room() is None


def test_scrapes_can_be_encrypted(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = {"cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}
    one = exporter(tls=tls)
    one.start()
    with httpx.Client(verify=ssl.create_default_context(cafile=tmp_path / "ca.pem")) as client:
        answer = client.get(f"https://127.0.0.1:{one.port}/metrics")
    one.stop(1.0)
    assert answer.status_code == 200


def test_an_open_endpoint_is_warned_about() -> None:
    (finding,) = check(resolved({"endpoint": "0.0.0.0:9464"}), Context(id="prometheus"))
    assert finding.warning
    assert list(check(resolved({}), Context(id="prometheus"))) == []


def test_half_a_key_pair_is_refused() -> None:
    settings = resolved({"tls": {"cert_file": "c.pem"}})
    assert [finding.path for finding in check(settings, Context(id="p"))] == ["tls"]
    assert build(settings, Context(id="p")).port == 0


@pytest.mark.e2e
def test_prometheus_sees_the_first_step_of_a_new_series_and_its_exemplars(
    running: PrometheusExporter, tmp_path: Path
) -> None:
    began = time.time_ns()
    spent = counter("llm_cost_usd_total", 2.5, unit="{USD}", began_ns=began)
    timed = histogram(
        "llm_ttft_seconds", [1, 1], [0.5], 1.5, exemplars={0.7: TRACE}, began_ns=began
    )
    running.export(batch(spent, timed))
    server = Prometheus(tmp_path, [running.port])
    server.start()
    try:
        last = "last_over_time(llm_cost_usd_total[1m])"
        poll(
            "the value",
            lambda: server.query(last) and float(server.query(last)[0]["value"][1]) == 2.5,
        )
        (step,) = server.query(
            "max_over_time(llm_cost_usd_total[1m]) - min_over_time(llm_cost_usd_total[1m])"
        )
        answer = httpx.get(
            f"http://127.0.0.1:{server.port}/api/v1/query_exemplars",
            params={
                "query": "llm_ttft_seconds_bucket",
                "start": time.time() - 600,
                "end": time.time() + 600,
            },
        )
    finally:
        assert server.server is not None
        server.server.stop()
    assert float(step["value"][1]) == 2.5
    labels = [e["labels"] for series in answer.json()["data"] for e in series["exemplars"]]
    assert {"trace_id": TRACE.hex()} in labels
