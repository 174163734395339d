"""A disk that fails to sync: what was acknowledged stays, what was not is refused, and the storage goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from collector.extensions.file_storage import journal
from collector.extensions.file_storage.database import Database, Settings
from tests.e2e.servers import REPOSITORY, installed, missing

from .stores import drain, put, queue_on, request, storage

FILE = "queue-otlp.db"

SENDER = """
import sys
from pathlib import Path
from processors.errors import Overloaded
from tests.collector.extensions.file_storage.stores import put, queue_on, request, storage
from tests.e2e.servers import poll

def tell(text, **_):
    sys.stdout.write(text + "\\n")

with storage(Path(sys.argv[1]), say=tell, durability="power") as one:
    queue = queue_on(one)

    def taken(number):
        try:
            put(queue, request(number))
        except Overloaded:
            tell(f"refused {number}")
            return False
        tell(f"acknowledged {number}")
        return True

    for number in range(40):
        poll("room", lambda: taken(number))
"""
LATE = "30"
"""Counted per thread: opening needs fewer, so this one is of a commit."""


def with_failing_sync(folder: Path, when: str) -> list[str]:
    """Send 40 requests while syncs fail as strace is told; returns what was printed."""
    fault = f"inject=fdatasync,fsync:error=EIO:when={when}"
    command = [installed("strace"), "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync,fsync"]
    done = subprocess.run(
        [*command, "-e", fault, sys.executable, "-c", SENDER, str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        missing(f"processes cannot be traced here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def acknowledged(lines: list[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith("acknowledged")]


@pytest.mark.parametrize("when", ["1", "8", "13", LATE, "30..32"])
def test_a_failed_sync_loses_nothing_and_is_over(tmp_path: Path, when: str) -> None:
    lines = with_failing_sync(tmp_path, when)
    assert acknowledged(lines) == list(range(40))
    with storage(tmp_path) as one:
        assert drain(queue_on(one)) == list(range(40))


def test_after_a_failed_sync_the_file_is_a_new_one(tmp_path: Path) -> None:
    lines = with_failing_sync(tmp_path, LATE)
    assert [line for line in lines if line.startswith("refused")]
    assert "After a failed sync the storage goes on in a new file." in lines
    assert sorted(path.name for path in tmp_path.glob(f"{FILE}*")) == [FILE]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_renewed_file_holds_everything_and_is_used_on(tmp_path: Path) -> None:
    settings = Settings(power=True, most_bytes=1 << 30, log_bytes=1 << 24)
    one = Database(tmp_path / "tail.db", journal.LAYOUT, settings, lambda what, text: None)
    one.open()
    name = one.read("SELECT value FROM meta")
    one.write([("INSERT INTO state VALUES (?, ?)", ("budget", b"5"))])
    one.renew()
    one.write([("INSERT INTO state VALUES (?, ?)", ("mark", b"6"))])
    one.close()
    one.open()
    assert one.read("SELECT value FROM meta") == name
    assert one.read("SELECT * FROM state ORDER BY key") == [("budget", b"5"), ("mark", b"6")]
    one.close()


def test_a_renewal_that_fails_leaves_the_file_in_use(tmp_path: Path) -> None:
    one = Database(
        tmp_path / "tail.db", journal.LAYOUT, Settings(True, 1 << 30, 1 << 24), lambda *_: None
    )
    one.open()
    (tmp_path / "tail.db.next").mkdir()  # nothing can be renamed to it
    (tmp_path / "tail.db.next" / "x").touch()
    with pytest.raises(OSError, match="directory"):
        one.renew()
    one.write([("INSERT INTO state VALUES (?, ?)", ("mark", b"6"))])
    assert one.read("SELECT key FROM state") == [("mark",)]
    assert not (tmp_path / "tail.db.part").exists()
    one.close()


def test_a_copy_that_was_finished_takes_over_at_the_next_start(tmp_path: Path) -> None:
    with storage(tmp_path) as one:
        put(queue_on(one), request(1))
    shutil.copyfile(tmp_path / FILE, tmp_path / f"{FILE}.next")
    (tmp_path / FILE).write_bytes(b"no database")
    (tmp_path / f"{FILE}-wal").write_bytes(b"of the old one")
    with storage(tmp_path) as one:
        assert drain(queue_on(one)) == [1]
        assert not any(key[0].endswith("damaged_total") for key in one.stats.counters)
