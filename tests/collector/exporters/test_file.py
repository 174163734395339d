"""The file exporter: every record whole, readable for its owner alone, rotated by renaming."""

import json
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.config.settings import resolve
from collector.errors import ConfigError, ExportFailed, StartError
from collector.exporters import file
from collector.exporters.file import Config, FileTransport
from collector.otlp_json import decode
from collector.registry import schema_of
from processors.batch import Signal
from processors.ports import Context
from processors.requests import Request
from tests.countable import logs, metrics, span_ids, traces

SCHEMA = schema_of("collector/exporters/file.schema.json")
NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def request(count: int = 1, text: str = "") -> Request:
    return Request(Signal.TRACES, traces(span_ids(count), text=text).encode(), count)


@contextmanager
def writing(
    path: Path, now: Callable[[], datetime] = lambda: NOON, **written: Any
) -> Iterator[FileTransport]:
    transport = FileTransport(Config.load(resolve(SCHEMA, {"path": str(path)} | written)), now)
    transport.connect()
    try:
        yield transport
    finally:
        transport.disconnect()


def test_every_signal_is_a_line_of_otlp_json(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    exporter = file.build(resolve(SCHEMA, {"path": str(path)}), Context(id="file"))
    exporter.start()
    batches = [traces(span_ids(3)), logs(2), metrics(["a"])]
    for batch in batches:
        exporter.export(batch)
    exporter.stop(10)
    lines = path.read_text().splitlines()
    assert [next(iter(json.loads(line))) for line in lines] == [
        "resourceSpans",
        "resourceLogs",
        "resourceMetrics",
    ]
    again = [
        decode(batch.signal, line.encode()) for batch, line in zip(batches, lines, strict=True)
    ]
    assert again == [batch.encode() for batch in batches]
    assert exporter.stats.counters["otelcol_exporter_sent_spans_total",] == 3


def test_requests_that_wait_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    exporter = file.build(resolve(SCHEMA, {"path": str(path)}), Context(id="file"))
    for span_id in span_ids(20):
        exporter.export(traces([span_id]))
    exporter.start()
    exporter.stop(10)
    assert len(path.read_text().splitlines()) == 20


def test_protobuf_messages_stand_behind_their_size(tmp_path: Path) -> None:
    path = tmp_path / "out.pb"
    sent = [request(1), request(5)]
    with writing(path, format="proto") as transport:
        for one in sent:
            transport.push(one)
    expected = b"".join(len(one.raw).to_bytes(4, "big") + one.raw for one in sent)
    assert path.read_bytes() == expected


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "out.jsonl"
    before = os.umask(0)
    try:
        with writing(path, create_directory=True):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("written", "kept"), [({}, 1), ({"append": True}, 2), ({"rotation": {}}, 2)]
)
def test_an_old_file_is_emptied_unless_told_otherwise(
    tmp_path: Path, written: dict[str, Any], kept: int
) -> None:
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        with writing(path, **written) as transport:
            transport.push(request())
    assert len(path.read_text().splitlines()) == kept


def test_a_full_file_is_put_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    moments = iter(NOON + timedelta(seconds=number) for number in range(100))
    with writing(path, lambda: next(moments), rotation={"max_megabytes": 1}) as transport:
        for number in range(40):
            transport.push(request(1, text=f"{number}" + "x" * 100_000))
    files = sorted(tmp_path.iterdir())
    assert path in files
    assert [one.name for one in files[:1]] == ["out-2026-11-21T12-00-00.000.jsonl"]
    assert all(one.stat().st_size <= 1 << 20 for one in files)
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in files)
    records = [json.loads(line) for one in files for line in one.read_text().splitlines()]
    assert len(records) == 40


def test_a_record_above_the_size_of_a_file_gets_its_own(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with writing(path, rotation={"max_megabytes": 1}) as transport:
        for _ in range(3):
            transport.push(request(1, text="x" * (2 << 20)))
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names == [
        "out-2026-11-21T12-00-00.000.jsonl",
        "out-2026-11-21T12-00-00.001.jsonl",
        "out.jsonl",
    ]


@pytest.mark.parametrize(
    ("rotation", "kept"),
    [
        ({"max_backups": 2}, ["2026-11-20", "2026-11-21"]),
        ({"max_backups": 0}, ["2026-09-01", "2026-11-18", "2026-11-20", "2026-11-21"]),
        ({"max_days": 2}, ["2026-11-20", "2026-11-21"]),
        ({"max_days": 30, "max_backups": 3}, ["2026-11-18", "2026-11-20", "2026-11-21"]),
    ],
)
def test_old_files_are_deleted_and_only_ours(
    tmp_path: Path, rotation: dict[str, Any], kept: list[str]
) -> None:
    path = tmp_path / "out.jsonl"
    strangers = ["out-notes.jsonl", "out-2026-01-01.jsonl", "other-2026-01-01T00-00-00.000.jsonl"]
    ours = [f"out-{day}T00-00-00.000.jsonl" for day in ("2026-09-01", "2026-11-18", "2026-11-20")]
    for name in (*strangers, *ours):
        (tmp_path / name).touch()
    with writing(path, rotation=rotation | {"max_megabytes": 1}) as transport:
        for _ in range(2):
            transport.push(request(1, text="x" * 900_000))
    names = {one.name for one in tmp_path.iterdir()}
    assert names >= {*strangers, "out.jsonl"}
    backups = sorted(names - {*strangers, "out.jsonl"})
    assert [name[4:14] for name in backups] == kept


def test_names_can_tell_local_time(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    rotation = {"max_megabytes": 1, "localtime": True}
    with writing(path, rotation=rotation) as transport:
        for _ in range(2):
            transport.push(request(1, text="x" * 900_000))
    expected = NOON.astimezone().strftime("out-%Y-%m-%dT%H-%M-%S.000.jsonl")
    assert (tmp_path / expected).exists()


def test_a_full_disk_leaves_whole_records_and_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with writing(path) as transport:
        transport.push(request())
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        try:
            with pytest.raises(ExportFailed) as failed:
                transport.push(request(50))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert failed.value.retryable
        assert path.stat().st_size == size
        transport.push(request(50))
    assert len(path.read_text().splitlines()) == 2


def test_a_file_that_was_lost_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with writing(path, rotation={"max_megabytes": 1}) as transport:
        transport.push(request(1, text="x" * 900_000))
        path.unlink()
        with pytest.raises(ExportFailed):
            transport.push(request(1, text="x" * 900_000))
        transport.push(request())
    assert len(path.read_text().splitlines()) == 1


def test_a_pipe_can_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    with writing(path, append=True) as transport:
        transport.push(request())
    reader.join(10)
    assert len(read[0].splitlines()) == 1


def test_a_directory_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file or directory"), writing(tmp_path / "no/x"):
        raise AssertionError


def test_a_directory_in_place_of_a_file_is_said_before(tmp_path: Path) -> None:
    settings = resolve(SCHEMA, {"path": str(tmp_path)})
    assert [finding.path for finding in file.check(settings, Context(id="file"))] == ["path"]
    settings = resolve(SCHEMA, {"path": str(tmp_path / "x")})
    assert [*file.check(settings, Context(id="file"))] == []


def test_compression_is_refused_by_a_sentence() -> None:
    with pytest.raises(ConfigError, match="files are written uncompressed"):
        resolve(SCHEMA, {"path": "x", "compression": "zstd"})
