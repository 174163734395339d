"""Built-in components are found by name and imported by those who configure them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from collector.exporters.prometheus import PrometheusExporter
from collector.registry import BUILT_IN, ComponentType, Late
from processors.genai import Genai
from processors.llm_cost import LlmCost
from processors.llm_metrics import LlmMetrics
from processors.tail_sampling import TailSampling

CLASSES = {
    "genai": Genai,
    "llm_cost": LlmCost,
    "llm_metrics": LlmMetrics,
    "prometheus": PrometheusExporter,
    "tail_sampling": TailSampling,
}


@pytest.mark.parametrize("row", BUILT_IN, ids=lambda row: row.type)
def test_every_row_names_functions_that_exist(row: ComponentType) -> None:
    for function in (row.build, row.check):
        assert not isinstance(function, Late) or callable(function.function())


@pytest.mark.parametrize("row", BUILT_IN, ids=lambda row: row.type)
def test_a_component_works_on_what_its_class_says(row: ComponentType) -> None:
    if row.type in CLASSES:
        assert row.signals == CLASSES[row.type].signals


FORWARDING = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
exporters: {otlp: {endpoint: "127.0.0.1:9", tls: {insecure: true}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}
"""
BUILD = """
import sys
from collector.app import App
from collector.config.load import load
App(load([sys.argv[1]]).config)
print(*sys.modules, sep="\\n")
"""


def test_what_is_not_configured_is_not_imported(tmp_path: Path) -> None:
    path = tmp_path / "collector.yaml"
    path.write_text(FORWARDING)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(path)], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "collector.exporters.otlp_grpc" in imported
    ours = ("genai", "llm_cost", "redaction", "tail_sampling", "llm_metrics", "attributes")
    rim = ("exporters.otlp_http", "exporters.prometheus", "extensions.freshness")
    heavy = {"sqlite3", "httpcore", "stdnum", "genai_prices"}
    absent = heavy | {f"processors.{each}" for each in ours} | {f"collector.{each}" for each in rim}
    assert imported & absent == set()
