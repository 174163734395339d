"""The memory of ids outlives a change of its size, and a change costs nothing at once."""

from __future__ import annotations

from random import Random

import pytest

from processors.recent import RecentIds
from tests.ruler import Calls


def ids(number: int, seed: int = 1) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(16) for _ in range(number)]


def filled(size: int, names: list[bytes]) -> RecentIds:
    memory = RecentIds(size)
    for name in names:
        memory.add(name)
    return memory


def heir(size: int, *predecessors: RecentIds) -> RecentIds:
    memory = RecentIds(size)
    for predecessor in predecessors:
        memory.inherit(predecessor)
    return memory


@pytest.mark.parametrize("size", [20, 100, 500])
def test_what_was_known_is_known_after_the_size_changed(size: int) -> None:
    names = ids(150)
    memory = heir(size, filled(100, names))
    assert all(name in memory for name in names[-100:])
    assert not any(name in memory for name in ids(100, seed=2))


def test_the_memory_before_is_forgotten_once_its_heir_is_full() -> None:
    old, new = ids(50), ids(41, seed=2)
    memory = heir(20, filled(50, old))
    for name in new[:20]:
        memory.add(name)
    assert old[0] in memory
    for name in new[20:]:
        memory.add(name)
    assert old[0] not in memory
    assert all(name in memory for name in new[-20:])


def test_changes_that_follow_each_other_forget_nothing() -> None:
    first, second = ids(10), ids(10, seed=2)
    middle = heir(200, filled(100, first))
    for name in second:
        middle.add(name)
    for size in (200, 300):
        assert all(name in heir(size, middle) for name in first + second)


@pytest.mark.parametrize("size", [0, 100])
def test_a_memory_that_was_switched_off_knows_nothing(size: int) -> None:
    names = ids(10)
    off = heir(0, filled(50, names))
    assert not any(name in heir(size, off) for name in names)


def test_another_size_takes_no_longer_the_more_is_known() -> None:
    made = []
    for size in (100, 10_000):
        predecessor, memory = filled(size, ids(size)), RecentIds(size + 1)
        with Calls() as calls:
            memory.inherit(predecessor)
        made.append(calls.made)
    assert made[0] == made[1]
