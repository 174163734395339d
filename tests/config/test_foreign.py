"""Components of other people are found by entry point, their checks are told, and their types may clash with ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.servers import REPOSITORY

MODULE = """
from collector import connectors
from collector.registry import ComponentType
from processors.errors import InvalidConfig

def refuse(settings, context):
    raise InvalidConfig("", "expected better weather")

SCHEMA = "collector/forward.schema.json"
WEATHER = ComponentType(
    kind="processors", type="weather", schema=SCHEMA, build=connectors.build_forward, check=refuse
)
DEBUG = ComponentType(
    kind="connectors", type="debug", schema=SCHEMA, build=connectors.build_forward
)
"""
METADATA = "Metadata-Version: 2.1\nName: weather\nVersion: 1.0\n"
ENTRY_POINTS = "[otelcol_llm.components]\nweather = weather:WEATHER\ndebug = weather:DEBUG\n"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a package that is installed there."""
    (tmp_path / "weather.py").write_text(MODULE)
    about = tmp_path / "weather-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(METADATA)
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path


def problems(installed: Path, written: str) -> list[str]:
    """Return what `validate` says with that package."""
    command = [sys.executable, "-P", "-m", "collector", "validate", "--config", f"yaml:{written}"]
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{installed}"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return [" ".join(line.split()) for line in done.stderr.splitlines()]


def test_a_check_that_raises_is_told_like_one_that_returns(installed: Path) -> None:
    told = problems(
        installed,
        "{receivers: {otlp: {protocols: {grpc: }}}, processors: {weather: }, exporters: {file: {path: x}},"
        " service: {pipelines: {traces: {receivers: [otlp], processors: [weather], exporters: [file]}}}}",
    )
    assert told == ["--config yaml:1:66 processors.weather", "expected better weather", "1 problem"]


def test_an_id_that_is_an_exporter_and_a_connector_is_refused(installed: Path) -> None:
    told = problems(
        installed,
        "{receivers: {otlp: {protocols: {grpc: }}}, connectors: {debug: }, exporters: {debug: },"
        " service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}}",
    )
    assert (
        "expected one component called 'debug', got one each under exporters and connectors" in told
    )
