"""`otelcol-llm sampling replay`, from captures on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collector.captures import requests
from collector.cli import cli
from collector.errors import CollectorError
from collector.otlp_json import encode
from processors.batch import Signal
from processors.wire import varint
from tests.telemetry import span, traces

CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}
processors: {{{samplers}}}
exporters: {{debug: {{}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [{names}], exporters: [debug]}}
"""
ERRORS = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]"
ALL = "[{name: all, type: always_sample}]"
NOBODY = "[{name: nobody, type: status_code, status_code: {status_codes: [OK]}}]"
MINUS, SIGMA = "\u2212", "\u03c3"
RAW = [
    traces(span(1, trace=n, ms=(n * 100, n * 100 + 50), status=2 if n == 3 else 0,
                attributes={"app.llm.cost_usd": 0.2}))
    for n in range(1, 9)
]  # fmt: skip


def configuration(tmp_path: Path, policies: str, *names: str) -> str:
    names = names or ("tail_sampling",)
    samplers = ", ".join(f"{name}: {{decision_wait: 5s, policies: {policies}}}" for name in names)
    path = tmp_path / f"{abs(hash((policies, names)))}.yaml"
    path.write_text(CONFIG.format(samplers=samplers, names=", ".join(names)))
    return str(path)


@pytest.fixture
def captured(tmp_path: Path) -> str:
    path = tmp_path / "capture.jsonl"
    path.write_text("".join(encode(Signal.TRACES, raw) + "\n\n" for raw in RAW))
    return str(path)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["sampling", "replay", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_it_prints_a_table_whose_columns_are_a_contract(tmp_path: Path, captured: str) -> None:
    code, out = run("--config", configuration(tmp_path, ERRORS), captured)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == [
        "policy",
        "votes",
        "decides",
        "kept",
        "%",
        "kept",
        "$",
        "stored",
        "bytes",
    ]
    assert lines[1].split() == ["errors", "1", "1", "12.50", "0.20", "0.0", "MB"]
    assert lines[2].split()[:6] == ["not", "kept", "–", "7", "–", "(1.40)"]
    assert "false drops: 0 errors, 0 over 5 s, 7 of 0.10 $ or more" in lines[2]
    assert lines[3].split()[:4] == ["all", "8", "12.50", "0.20"]
    assert "12.5 % of 1.60 $ stored at all, 12.5 % with content" in lines[3]
    assert (
        lines[4]
        == f"estimated spend 0.20 $ ± 0.00 (1 {SIGMA}) from the kept traces' adjusted counts, true 1.60 $"
    )


def test_it_compares(tmp_path: Path, captured: str) -> None:
    new, old = configuration(tmp_path, ALL), configuration(tmp_path, ERRORS)
    _, out = run("--config", new, "--against", old, captured)
    line = out.splitlines()[-1]
    assert line.startswith(f"against {old}: +7 kept, {MINUS}0 lost (0 errors, 0 over 5 s), bytes +")
    assert line.endswith(" %, kept $ +700 %")
    _, out = run("--config", old, "--against", new, captured)
    assert f"+0 kept, {MINUS}7 lost (0 errors, 0 over 5 s), bytes {MINUS}" in out
    assert f"kept $ {MINUS}88 %" in out


def test_it_speaks_json_and_is_the_same_every_time(tmp_path: Path, captured: str) -> None:
    arguments = (
        "--json",
        "--config",
        configuration(tmp_path, ERRORS),
        "--against",
        configuration(tmp_path, ALL),
        captured,
    )
    _, first = run(*arguments)
    numbers: dict[str, Any] = json.loads(first)
    assert (numbers["traces"], numbers["not_kept"], numbers["against"]["lost"]) == (8, 7, 7)
    assert run(*arguments)[1] == first


@pytest.mark.parametrize(
    ("policies", "condition", "code"),
    [
        (NOBODY, "lost-errors", 1),
        (ERRORS, "lost-errors", 0),
        (ALL, "bytes>1kB", 0),
        (ALL, "bytes > 100", 1),
        (ERRORS, "kept-usd<0.5", 1),
        (ALL, "kept-usd<0.5", 0),
    ],
)
def test_it_fails_on_conditions(
    tmp_path: Path, captured: str, policies: str, condition: str, code: int
) -> None:
    result = run("--config", configuration(tmp_path, policies), "--fail-on", condition, captured)
    assert result[0] == code
    assert (f"Failed on {condition}." in result[1]) is bool(code)


@pytest.mark.parametrize("condition", ["lost-spans", "bytes>lots", "kept-usd<much", "bytes=5"])
def test_conditions_that_are_none_are_refused(
    tmp_path: Path, captured: str, condition: str
) -> None:
    code, out = run("--config", configuration(tmp_path, ALL), "--fail-on", condition, captured)
    assert code == 2
    assert "--fail-on" in out


def test_of_several_samplers_one_must_be_named(tmp_path: Path, captured: str) -> None:
    two = configuration(tmp_path, ALL, "tail_sampling/a", "tail_sampling/b")
    code, out = run("--config", two, captured)
    assert code == 2
    assert "--component to say which; a pipeline uses tail_sampling/a, tail_sampling/b." in out
    code, out = run("--config", two, "--component", "tail_sampling/c", captured)
    assert code == 2
    assert "named 'tail_sampling/c'" in out
    assert run("--config", two, "--component", "tail_sampling/b", captured)[0] == 0


def delimited(wide: bool) -> bytes:
    return b"".join(
        (len(raw).to_bytes(4, "big") if wide else varint(len(raw))) + raw for raw in RAW
    )


@pytest.mark.parametrize("wide", [True, False])
def test_captures_in_protobuf_are_read(tmp_path: Path, wide: bool) -> None:
    path = tmp_path / "capture.bin"
    path.write_bytes(delimited(wide))
    assert list(requests(path)) == RAW
    path.write_bytes(b"")
    assert list(requests(path)) == []


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (delimited(True)[:-1], "truncated"),
        (delimited(False)[:-1], "truncated"),
        (delimited(True) + b"\0\0", "truncated"),
        (delimited(False) + b"\xff", "truncated"),
        (delimited(False) + b"\xff" * 6, "truncated"),
        (b"\0\0\0\3\x0a\xff\xff", "byte 0"),
        (b"{}\n{nonsense}\n", "line 2"),
    ],
)  # fmt: skip
def test_broken_captures_are_told_with_their_place(
    tmp_path: Path, content: bytes, place: str
) -> None:
    path = tmp_path / "capture"
    path.write_bytes(content)
    with pytest.raises(CollectorError) as error:
        list(requests(path))
    assert place in str(error.value)
    assert str(path) in str(error.value)
