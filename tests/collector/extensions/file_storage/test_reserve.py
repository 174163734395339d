"""Space set aside for each file of a storage."""

from __future__ import annotations

from pathlib import Path

from collector.extensions.file_storage.reserve import Reserve

SIZE = 1 << 16


def parts(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def reserve(directory: Path, *owners: str) -> Reserve:
    made = Reserve(directory, SIZE)
    made.open()
    for owner in owners:
        made.join(owner)
    return made


def test_every_file_has_a_part(tmp_path: Path) -> None:
    made = reserve(tmp_path, "a.db", "b.db")
    assert made.there
    assert parts(tmp_path) == {"a.db.reserve": SIZE, "b.db.reserve": SIZE}
    made.close()
    assert parts(tmp_path) == {}


def test_a_file_gives_up_its_own_part_alone(tmp_path: Path) -> None:
    made = reserve(tmp_path, "a.db", "b.db")
    made.give_up("a.db")
    assert not made.there
    assert parts(tmp_path) == {"b.db.reserve": SIZE}


def test_parts_are_taken_back_when_nobody_needs_them(tmp_path: Path) -> None:
    made = reserve(tmp_path, "a.db", "b.db")
    made.give_up("a.db")
    made.give_up("b.db")
    assert not made.take("a.db")
    assert parts(tmp_path) == {}
    assert made.take("b.db")
    assert parts(tmp_path) == {"a.db.reserve": SIZE, "b.db.reserve": SIZE}


def test_what_an_ended_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.db.reserve").write_bytes(b"x")
    (tmp_path / "reserve").write_bytes(b"x")
    (tmp_path / "gone.db").write_bytes(b"x")
    reserve(tmp_path)
    assert parts(tmp_path) == {"gone.db": 1}


def test_without_a_size_only_free_space_counts(tmp_path: Path) -> None:
    made = Reserve(tmp_path, 0)
    made.open()
    made.join("a.db")
    assert made.there
    assert parts(tmp_path) == {}
