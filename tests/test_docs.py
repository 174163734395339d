"""What the README says is true: its commands run, its files exist, its lists are complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from collector.registry import BUILT_IN
from collector.telemetry import METRICS

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text("utf-8")
KEY = {"OTELCOL_LLM_REDACTION_KEY": "0123456789abcdef0123456789abcdef"}


def shell_lines() -> list[str]:
    """Return every line of the README's shell snippets, without comments."""
    snippets = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.split("  #")[0].strip() for snippet in snippets for line in snippet.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def ours() -> list[str]:
    """Return the lines that call the program and come back by themselves."""
    stays = ("otelcol-llm", "otelcol-llm traffic", "otelcol-llm demo --keep-running")
    return [
        line
        for line in shell_lines()
        if re.search(r"(^|\| )otelcol-llm ", line)
        and line not in stays
        and not line.startswith("otelcol-llm --config")
    ]


@pytest.mark.parametrize("line", ours())
def test_the_commands_run_with_what_is_exported_before_them(line: str) -> None:
    before = [one for one in shell_lines() if one.startswith("export ")]
    program = f'otelcol-llm() {{ "{sys.executable}" -P -m collector "$@"; }}'
    environment = {name: value for name, value in os.environ.items() if "OTELCOL" not in name}
    done = subprocess.run(
        ["/bin/bash", "-euc", "\n".join([program, *before, line])],
        cwd=REPOSITORY,
        env=environment | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_component_is_listed() -> None:
    for component in BUILT_IN:
        assert f"`{component.type}`" in README, component.type


def test_the_path_of_a_span_names_files_that_exist() -> None:
    section = README.split("## The path of a span")[1].split("\n## ")[0]
    named = re.findall(r"`((?:collector|processors)/[\w/.]*)`", section)
    assert len(named) > 10
    for name in named:
        assert (REPOSITORY / name).exists(), name


def test_links_and_named_files_exist() -> None:
    named = re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(
        r"`((?:configs|tests)/[\w/.-]+)`", README
    )
    for name in named:
        assert (REPOSITORY / name).exists(), name


def test_every_shipped_configuration_is_valid() -> None:
    for path in (
        REPOSITORY / "configs" / "collector.yaml",
        REPOSITORY / "configs" / "embedded.yaml",
    ):
        command = [sys.executable, "-P", "-m", "collector", "validate", "--config", str(path)]
        environment = os.environ | KEY | {"PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stdout


def test_metrics_named_in_the_readme_exist() -> None:
    names = {metric.name for metric in METRICS}
    for name in re.findall(r"`(otelcol_[a-z_]+)`", README):
        assert name in names, name
