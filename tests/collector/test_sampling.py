"""`otelcol-llm sampling replay`, from captures on disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collector.captures import requests
from collector.cli import cli
from collector.config.settings import resolve
from collector.defaults import EMBEDDED
from collector.errors import CollectorError
from collector.extensions import file_storage
from collector.extensions.file_storage import FileStorage
from collector.extensions.file_storage.journal import Journal
from collector.otlp_json import encode
from collector.registry import schema_of
from processors.batch import Signal
from processors.ports import Context
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


def test_the_shipped_policies_are_tried_without_a_key_of_pseudonyms(captured: str) -> None:
    code, _ = run("--config", str(EMBEDDED), captured)
    assert code == 0


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


STOPPED = """
extensions: {{file_storage: {{directory: "{folder}", create_directory: true, reserve_bytes: 1MiB}}}}
receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}
processors:
  redaction: {{allow_all_keys: true}}
  tail_sampling: {{decision_wait: 5s, buffer: {{storage: file_storage}}, policies: {policies}}}
exporters: {{debug: {{}}}}
service:
  extensions: [file_storage]
  pipelines: {{traces: {{receivers: [otlp], processors: [redaction, tail_sampling], exporters: [debug]}}}}
"""


@contextmanager
def journal(folder: Path) -> Iterator[tuple[Journal, FileStorage]]:
    """Run a storage with the journal of a sampler in it."""
    settings = {"directory": str(folder), "create_directory": True, "reserve_bytes": "1MiB"}
    schema = schema_of("collector/extensions/file_storage/schema.json")
    one = file_storage.build(resolve(schema, settings), Context(id="file_storage"))
    one.start()
    try:
        yield one.open("tail_sampling", []), one
    finally:
        one.stop(0.0)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The journal of a collector that ended while traces waited: the first two were decided."""
    folder = tmp_path / "store"
    with journal(folder) as (one, _):
        for number, raw in enumerate(RAW, 1):
            one.put(number.to_bytes(16, "big"), number, raw)
        for number in (1, 2):
            one.decide(number.to_bytes(16, "big"), b"{}").wait(10)
        one.put((1).to_bytes(16, "big"), 9, RAW[0], late=True)
    return folder / "tail-tail_sampling.db"


def test_what_waits_in_a_journal_is_replayed(tmp_path: Path, stopped: Path) -> None:
    assert list(requests(stopped)) == RAW[2:]
    before = {path.name: path.read_bytes() for path in stopped.parent.iterdir()}
    config = tmp_path / "stopped.yaml"
    config.write_text(STOPPED.format(folder=stopped.parent, policies=ERRORS))
    code, out = run("--json", "--config", str(config), str(stopped))
    assert code == 0
    assert (json.loads(out)["traces"], json.loads(out)["not_kept"]) == (6, 5)
    assert {path.name: path.read_bytes() for path in stopped.parent.iterdir()} == before


def test_a_killed_collectors_journal_is_read_with_its_log(tmp_path: Path) -> None:
    folder, copy = tmp_path / "store", tmp_path / "copy"
    with journal(folder) as (one, _):
        for number, raw in enumerate(RAW, 1):
            one.put(number.to_bytes(16, "big"), number, raw)
        one.decide(b"x", b"{}").wait(10)
        shutil.copytree(folder, copy)
    assert (copy / "tail-tail_sampling.db-wal").stat().st_size
    assert list(requests(copy / "tail-tail_sampling.db")) == RAW


def test_the_journal_of_a_running_collector_is_left_alone(tmp_path: Path) -> None:
    with journal(tmp_path) as (one, _):
        one.decide(b"x", b"{}").wait(10)
        with pytest.raises(CollectorError, match=f"in use by process {os.getpid()}; stop it"):
            list(requests(tmp_path / "tail-tail_sampling.db"))


def test_databases_that_are_no_journals_are_refused(tmp_path: Path, stopped: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE piece (seq INTEGER)")
    with pytest.raises(CollectorError, match="got a database of application 0x0, format 0"):
        list(requests(other))
    with closing(sqlite3.connect(stopped)) as connection:
        connection.execute("DROP TABLE decision")
    with pytest.raises(CollectorError, match="that is whole: no such table: decision"):
        list(requests(stopped))


def test_a_damaged_piece_is_told_by_its_row(stopped: Path) -> None:
    with closing(sqlite3.connect(stopped)) as connection, connection:
        connection.execute("UPDATE piece SET body = x'00' WHERE seq = 5")
    with pytest.raises(CollectorError, match="row 5 does not check"):
        list(requests(stopped))


def test_damage_in_a_journal_is_told_to_the_sampler(stopped: Path) -> None:
    with closing(sqlite3.connect(stopped)) as connection, connection:
        connection.execute("UPDATE piece SET body = x'00' WHERE seq = 5")
        connection.execute("UPDATE decision SET verdict = x'00' WHERE seq = 1")
    with journal(stopped.parent) as (one, _):
        assert len(list(one.replay())) == len(RAW)
        assert len(list(one.decisions())) == 1
        assert one.damaged == 2
