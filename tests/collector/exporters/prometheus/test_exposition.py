"""The text is valid in both formats, by the parsers of others."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from collector.exporters.prometheus.exposition import number
from tests.e2e.servers import installed

from .support import TRACE, batch, counter, exporter, gauge, histogram

ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
SOME_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def test_exemplars_are_told_in_open_metrics_only() -> None:
    one = exporter(enable_open_metrics=True)
    one.export(batch(histogram("took", [1, 1, 1], [0.1, 1.0], 5.0, exemplars={0.7: TRACE})))
    body, content_type = one.scrape(ACCEPT)
    (family,) = open_metrics(body.decode())
    found = [(s.labels["le"], s.exemplar.labels) for s in family.samples if s.exemplar]
    assert content_type.startswith("application/openmetrics-text")
    assert found == [("1.0", {"trace_id": TRACE.hex()})]
    assert TRACE.hex() not in one.scrape("text/plain")[0].decode()


def test_counters_have_exemplars_too() -> None:
    one = exporter(enable_open_metrics=True)
    metric = counter("spent", 0.5)
    metric.sum.data_points[0].exemplars.add(as_int=2, trace_id=TRACE, span_id=b"12345678")
    one.export(batch(metric))
    (family,) = open_metrics(one.scrape(ACCEPT)[0].decode())
    exemplar = family.samples[0].exemplar
    assert (exemplar.value, exemplar.labels["span_id"]) == (2.0, b"12345678".hex())


def test_open_metrics_is_off_unless_enabled() -> None:
    one = exporter()
    one.export(batch(counter("calls", 1)))
    assert one.scrape(ACCEPT)[1].startswith("text/plain")


@pytest.mark.parametrize(("accept", "parse"), [("text/plain", plain), (ACCEPT, open_metrics)])
def test_timestamps_are_told_on_request(accept: str, parse: object) -> None:
    one = exporter(enable_open_metrics=True, send_timestamps=True)
    metric = gauge("depth", 1.0)
    metric.gauge.data_points[0].time_unix_nano = 1_700_000_000_500_000_000
    one.export(batch(metric))
    (family,) = parse(one.scrape(accept)[0].decode())  # type: ignore[operator] # a parser
    assert float(family.samples[0].timestamp) == 1_700_000_000.5


@given(
    labels=st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z"), SOME_TEXT, max_size=4),
    help_text=SOME_TEXT,
)
def test_any_text_survives_both_formats(labels: Mapping[str, str], help_text: str) -> None:
    one = exporter(enable_open_metrics=True)
    one.export(batch(counter("calls", 1, labels=labels, help_text=help_text)))
    for accept, parse in (("text/plain", plain), (ACCEPT, open_metrics)):
        text = one.scrape(accept)[0].decode()
        (family,) = parse(text)
        assert family.samples[0].labels == dict(labels)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (3, "3"),
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (inf, "+Inf"),
        (-inf, "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_are_written_as_go_reads_them(value: float, written: str) -> None:
    assert number(value) == written


def test_promtool_finds_nothing_wrong() -> None:
    one = exporter(enable_open_metrics=True)
    one.export(batch(counter("llm_requests_total", 4, unit="{request}", help_text="Model calls.")))
    one.export(batch(histogram("llm_ttft_seconds", [1, 2], [0.5], 1.5)))
    check = subprocess.run(
        [installed("promtool"), "check", "metrics"], input=one.scrape("")[0], capture_output=True, check=False
    )  # fmt: skip
    assert (check.returncode, check.stdout + check.stderr) == (0, b"")
