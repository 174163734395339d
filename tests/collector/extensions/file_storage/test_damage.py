"""Damaged, foreign and forbidden files: never a crash, never altered data, always a word about it."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from collector.errors import StartError
from collector.extensions.file_storage import rows
from collector.extensions.file_storage.database import Database, Settings
from collector.extensions.file_storage.wal import frames_committed
from processors.errors import Overloaded

from .stores import drain, number_of, put, queue_on, request, storage

FILE = "queue-otlp.db"
ROWS = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A storage with rows in its file."""
    made = tmp_path / "store"
    made.mkdir()
    with storage(made) as one:
        queue = queue_on(one)
        for number in range(ROWS):
            put(queue, request(number, 40_000))
    return made


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A storage whose rows are in its log, one commit each, as a killed process leaves it."""
    made, copy = tmp_path / "store", tmp_path / "copy"
    made.mkdir(mode=0o700)
    database = Database(
        made / FILE, rows.LAYOUT, Settings(False, 1 << 30, 1 << 24), lambda what, text: None
    )
    database.open()
    for number in range(ROWS):
        one = request(number, 40_000)
        database.write([(rows._INSERT, (number + 1, *rows._columns(one), None, one.raw))])
    shutil.copytree(made, copy)
    database.close()
    return copy


def opened(folder: Path) -> tuple[list[int], dict[str, int], list[str]]:
    """Open a storage and its queue: the numbers of what is there, what was counted, and what was said."""
    said: list[str] = []

    def say(text: str, **fields: Any) -> None:
        said.append(f"{text} {fields.get('what', '')}".strip())

    with storage(folder, say=say) as one:
        queue = queue_on(one)
        numbers = drain(queue)
        put(queue, request(99))
        assert drain(queue) == [99]
        damaged = {
            key[2]: int(number)
            for key, number in one.stats.counters.items()
            if key[0] == "otelcol_llm_storage_damaged_total"
        }
    return numbers, damaged, said


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Turn one bit round."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


def test_an_altered_body_is_left_out_and_counted(folder: Path) -> None:
    body = request(11, 40_000).raw[:64]
    flip(folder / FILE, (folder / FILE).read_bytes().index(body) + 30)
    numbers, damaged, said = opened(folder)
    assert numbers == [number for number in range(ROWS) if number != 11]
    assert damaged == {"row": 1}
    assert said == ["Stored data is damaged. row"]


def test_flipped_bits_anywhere_never_alter_what_leaves(folder: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    size = (folder / FILE).stat().st_size
    for case in range(40):
        copy = tmp_path / f"case{case}"
        shutil.copytree(folder, copy)
        flip(copy / FILE, chance.randrange(size), chance.randrange(8))
        numbers, _, _ = opened(copy)
        assert set(numbers) <= set(range(ROWS))
        assert len(numbers) >= ROWS - 1
        shutil.rmtree(copy)


def test_a_torn_log_gives_what_was_whole(logged: Path, tmp_path: Path) -> None:
    log = logged / f"{FILE}-wal"
    for case, cut in enumerate(range(1, 200_000, 9_973)):
        copy = tmp_path / f"case{case}"
        shutil.copytree(logged, copy)
        os.truncate(copy / log.name, log.stat().st_size - cut)
        numbers, damaged, _ = opened(copy)
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= ROWS - 6
        assert damaged == {}
        shutil.rmtree(copy)


def test_a_damaged_log_is_told_from_a_torn_one(logged: Path) -> None:
    log = logged / f"{FILE}-wal"
    flip(log, log.stat().st_size // 2)
    numbers, damaged, said = opened(logged)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < ROWS
    assert damaged == {"log": 1}
    assert said == ["Stored data is damaged. log"]
    assert list(logged.glob(f"{FILE}-wal.damaged-*"))


def test_a_log_without_a_header_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("no log at all " * 10)
    assert frames_committed(tmp_path / "missing") == 0
    assert frames_committed(tmp_path / "empty") == 0
    assert frames_committed(tmp_path / "text") == 0


def test_half_a_file_gives_what_can_be_read(folder: Path) -> None:
    path = folder / FILE
    os.truncate(path, path.stat().st_size // 2)
    numbers, damaged, _ = opened(folder)
    assert set(numbers) <= set(range(ROWS))
    assert damaged["file"] == 1
    assert list(folder.glob(f"{FILE}.damaged-*"))


@pytest.mark.parametrize("content", [b"garbage" * 5_000, b"plain text\n", b"SQLite format 3\0"])
def test_a_file_that_is_none_of_ours_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    numbers, damaged, _ = opened(tmp_path)
    assert (numbers, damaged) == ([], {"file": 1})
    [kept] = tmp_path.glob(f"{FILE}.damaged-*")
    assert kept.read_bytes() == content


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    assert opened(tmp_path) == ([], {}, [])


def test_another_programs_database_is_left_as_it_was(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
        foreign.commit()
    content = (tmp_path / FILE).read_bytes()
    numbers, damaged, _ = opened(tmp_path)
    assert (numbers, damaged) == ([], {"file": 1})
    [kept] = tmp_path.glob(f"{FILE}.damaged-*")
    assert kept.read_bytes() == content


def test_a_newer_format_is_refused_and_left_alone(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as newer:
        newer.execute("PRAGMA user_version = 99")
    with storage(folder) as one, pytest.raises(StartError, match="newer version"):
        one.queue("otlp")
    assert not list(folder.glob("*.damaged-*"))


def test_a_directory_or_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    (tmp_path / "queue-linked.db").symlink_to(tmp_path / "elsewhere")
    with storage(tmp_path) as one:
        for name in ("otlp", "linked"):
            with pytest.raises(StartError, match="plain file"):
                one.queue(name)


# ------------------------------------------------------------------ the directory


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        storage(tmp_path),
        pytest.raises(StartError, match=f"in use by process {os.getpid()}"),
        storage(tmp_path),
    ):
        pass


def test_nobody_else_reads_what_is_stored(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    said: list[str] = []
    with storage(tmp_path, say=lambda text, **fields: said.append(text)) as one:
        put(queue_on(one), request(1))
        assert tmp_path.stat().st_mode & 0o777 == 0o700
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert set(modes.values()) == {0o600}
        assert f"{FILE}-wal" in modes
    assert said == ["The storage directory was open to others; its mode was changed."]


def test_a_missing_directory_is_made_only_where_that_is_configured(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file"), storage(tmp_path / "a" / "b"):
        pass
    with storage(tmp_path / "a" / "b", create_directory=True):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="directory"), storage(tmp_path / "file"):
        pass


# ------------------------------------------------------------------ no room


def test_what_waits_can_leave_when_a_start_finds_the_disk_full(tmp_path: Path) -> None:
    with storage(tmp_path) as one:
        put(queue_on(one), request(1))
    (tmp_path / "lock").unlink()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, usual[1]))  # no file may get a byte
    try:
        with ExitStack() as stack:
            one = stack.enter_context(storage(tmp_path))
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
            assert drain(queue_on(one)) == [1]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_full_disk_is_refused_emptied_and_used_again(tmp_path: Path) -> None:
    """The page limit behind `max_bytes` fails as a full disk does (SQLITE_FULL)."""
    said: list[str] = []
    with storage(tmp_path, say=lambda text, **fields: said.append(text), max_bytes="1MiB") as one:
        shelf = one.queue("otlp")
        shelf.max_bytes = 1 << 30
        queue = queue_on(one)
        counted = ("otelcol_llm_storage_refused_total", FILE)
        assert one.stats.counters.get(counted) == 0
        numbers, refused = fill(queue)
        assert refused
        assert one.stats.counters[counted] == 1
        assert shelf.refusal() is not None
        for number in numbers:
            taken = queue.take()
            assert number_of(taken) == number
            assert taken is not None
            queue.ack(taken)
        file = one._files[FILE]
        file.flush()
        for _ in range(100):
            if shelf.refusal() is None:
                break
            file._writer._thread.join(0.1)
        put(queue, request(1))
        assert drain(queue) == [1]
    assert said[0].startswith("The storage cannot be written")
    assert said[-1] == "The storage takes data again."


def fill(queue: Any) -> tuple[list[int], bool]:
    """Put until that is refused; returns what was acknowledged and whether it was refused in the end."""
    numbers = []
    for number in range(100):
        try:
            put(queue, request(number, 1 << 20))
        except Overloaded:
            return numbers, True
        numbers.append(number)
    return numbers, False
