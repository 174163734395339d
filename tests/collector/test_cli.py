"""The command line: what it prints and how it exits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from collector.cli import cli, main

VALID = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
exporters: {debug: }
service: {telemetry: {metrics: {level: none}}, pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
"""


@pytest.fixture
def valid(tmp_path: Path) -> str:
    (tmp_path / "config.yaml").write_text(VALID)
    return str(tmp_path / "config.yaml")


def call(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code


def test_a_valid_configuration_is_called_valid(
    valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("validate", "--config", valid) == 0
    assert capsys.readouterr().out == "The configuration is valid: 1 pipeline.\n"


def test_validate_says_which_mode_each_redaction_is_in(
    valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = (
        "processors.redaction={allow_all_keys: true}",
        "processors.redaction/own={entities: [EMAIL], pseudonym_keys: []}",
        "service.pipelines.traces.processors=[redaction, redaction/own]",
    )
    asked = [word for one in sets for word in ("--set", one)]
    assert call("validate", "--config", valid, *asked) == 0
    assert capsys.readouterr().out.splitlines() == [
        "processors.redaction is in the mode contrib: only contrib's keys are written, so the results are contrib's.",
        "processors.redaction/own is in the mode ours: entities are found everywhere text can be.",
        "The configuration is valid: 1 pipeline.",
    ]


def test_options_before_the_command_count_too(
    valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--config", valid, "--set", "exporters.debug.verbosty=basic", "validate")
    assert call(*arguments) == 2
    assert "exporters.debug.verbosty" in capsys.readouterr().err


def test_a_broken_configuration_exits_with_2_and_all_problems(
    valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ("--set", "exporters.debg={}", "--set", "service.extensions=[health_check]")
    for command in ("validate", ""):
        assert call(*filter(None, [command]), "--config", valid, *sets) == 2
        assert capsys.readouterr().err.splitlines() == [
            f"{'--set exporters.debg:1:1':31}exporters.debg",
            "    no such exporter; did you mean 'debug'?",
            f"{'--set service.extensions:1:2':31}service.extensions[0]",
            "    'health_check' is used here but not defined under extensions",
            "2 problems",
        ]


@pytest.mark.parametrize("arguments", [["vlidate"], ["--frobnicate"], ["schema", "a", "b"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert call(*arguments) == 2


def test_components_lists_types_signals_and_other_names() -> None:
    lines = CliRunner().invoke(cli, ["components"]).output.splitlines()
    assert lines[0].split() == ["kind", "type", "signals", "also", "called"]
    rows = [line.split() for line in lines]
    assert ["processors", "llm_cost", "traces,", "logs"] in rows
    assert ["connectors", "forward", "traces,", "metrics,", "logs"] in rows
    assert ["exporters", "otlp_grpc", "traces,", "metrics,", "logs", "otlp"] in rows


def test_the_schema_of_a_component_is_printed() -> None:
    printed = json.loads(CliRunner().invoke(cli, ["schema", "tail_sampling"]).output)
    assert "policies" in printed["properties"]


def test_a_type_of_several_kinds_needs_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema", "otlp") == 2
    expected = "Error: expected one component, got several: say receivers/otlp or exporters/otlp"
    assert capsys.readouterr().err.splitlines()[-1] == expected
    assert call("schema", "receivers/otlp") == 0


def test_an_unknown_component_is_refused_with_a_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call("schema", "redacton") == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == "Error: no such component; did you mean 'redaction'?"


def test_the_schema_of_a_whole_configuration_knows_every_component() -> None:
    whole = json.loads(CliRunner().invoke(cli, ["schema"]).output)
    Draft202012Validator.check_schema(whole)
    check = Draft202012Validator(whole)
    assert list(check.iter_errors(yaml.safe_load(VALID))) == []
    wrong = {"processors": {"tail_sampling/x": {"policies": [{"nam": "a"}]}, "redactin": None}}
    assert {tuple(error.path) for error in check.iter_errors(wrong)} == {
        ("processors", "tail_sampling/x"),
        ("processors",),
    }


def test_the_version_is_the_packages() -> None:
    assert (
        CliRunner().invoke(cli, ["--version"]).output
        == f"otelcol-llm, version {version('otelcol-llm')}\n"
    )


def test_help_names_every_command() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    for command in ("validate", "components", "schema", "demo"):
        assert f"\n  {command} " in output


def test_asking_for_a_schema_loads_no_server() -> None:
    code = "import sys, collector.cli; print(sorted({'grpc', 'yaml', 'uvicorn', 'rich'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "collector", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_a_command_it_runs_until_it_is_told_to_stop(
    valid: str, number: signal.Signals
) -> None:
    with started("--config", valid, "--set", "exporters.debug/spare={}") as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "Everything is ready" in line:
                break
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
    assert any("this is defined but not used" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told_to_while_it_starts(
    tmp_path: Path, number: signal.Signals
) -> None:
    config = tmp_path / "config.yaml"
    os.mkfifo(config)
    with started("--config", str(config)) as process:
        with config.open("w") as asked:  # is open when the process asks for it
            process.send_signal(number)
            asked.write(VALID)
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("section", "setting", "says"),
    [
        ("exporters.file", "path: {folder}/x.jsonl", "create_directory: true makes its directory"),
        ("extensions.file_storage", "directory: {folder}", "set create_directory: true"),
    ],
)
def test_a_directory_that_is_missing_is_told_with_what_makes_it(
    valid: str, tmp_path: Path, section: str, setting: str, says: str
) -> None:
    name = section.rpartition(".")[2]
    use = "extensions=[{}]" if section.startswith("ext") else "pipelines.traces.exporters=[{}]"
    sets = (
        f"{section}={{{setting.format(folder=tmp_path / 'none')}}}",
        f"service.{use.format(name)}",
    )
    told = refused(valid, *sets)
    assert f"{section}: " in told
    assert "No such file or directory" in told
    assert says in told


def refused(valid: str, *sets: str) -> str:
    """Run a configuration that cannot start; returns what is said."""
    command = [sys.executable, "-P", "-m", "collector", "--config", valid]
    for one in sets:
        command += ["--set", one]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


READERS = "[{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {port}}}}}}}}}]"


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("receivers.otlp", "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{port}"),
        ("receivers.otlp", "receivers.otlp.protocols.http.endpoint=127.0.0.1:{port}"),
        (
            "service.telemetry.metrics",
            f"service.telemetry.metrics={{{{level: normal, readers: {READERS}}}}}",
        ),
    ],
)
def test_a_port_that_is_taken_is_told_with_whose_it_is(valid: str, path: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = refused(valid, setting.format(port=port))
    assert f"{path}: expected a free address" in told
    assert f"but 127.0.0.1:{port} " in told
    assert "another program or a second collector" in told
