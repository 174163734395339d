"""A sending queue on disk: what was put is there after any end, once, in order, until it is delivered."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collector.exporters.queue import SendingQueue, Taken
from processors.batch import Signal
from processors.errors import Overloaded

from .stores import drain, left, number_of, put, queue_on, request, storage


def killed(folder: Path, copy: Path) -> Path:
    """Return the folder as another process would find it if this one were killed now."""
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("lock", "*.reserve"))
    return copy


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    with storage(tmp_path / "a", create_directory=True) as before:
        queue = queue_on(before)
        for number in range(20):
            put(queue, request(number))
        copy = killed(tmp_path / "a", tmp_path / "b")
    with storage(copy) as after:
        assert drain(queue_on(after)) == list(range(20))


def test_what_was_delivered_is_not_there_again(tmp_path: Path) -> None:
    with storage(tmp_path) as before:
        queue = queue_on(before)
        for number in range(5):
            put(queue, request(number))
        for _ in range(3):
            taken = queue.take()
            assert taken is not None
            queue.ack(taken)
    with storage(tmp_path) as after:
        assert drain(queue_on(after)) == [3, 4]


def test_what_is_on_its_way_is_there_again(tmp_path: Path) -> None:
    with storage(tmp_path) as before:
        queue = queue_on(before)
        put(queue, request(1))
        assert number_of(queue.take()) == 1
    with storage(tmp_path) as after:
        assert drain(queue_on(after)) == [1]


def test_signals_and_bodies_come_back_as_they_were(tmp_path: Path) -> None:
    sent = [request(number, 400, signal) for number, signal in enumerate(Signal)]
    with storage(tmp_path) as before:
        queue = queue_on(before)
        for one in sent:
            put(queue, one)
    with storage(tmp_path) as after:
        queue = queue_on(after)
        queue.close()
        assert [taken.request for taken in iter(queue.take, None)] == sent


def test_more_than_fits_in_memory_comes_from_the_disk(tmp_path: Path) -> None:
    with storage(tmp_path) as one:
        queue = queue_on(one)
        for number in range(24):
            put(queue, request(number, 1 << 20))
        assert drain(queue) == list(range(24))


def test_a_named_request_is_taken_once(tmp_path: Path) -> None:
    with storage(tmp_path) as before:
        queue = queue_on(before)
        put(queue, request(1), "a:1")
        put(queue, request(1), "a:1")
        put(queue, request(2), "a:2")
    with storage(tmp_path) as after:
        queue = queue_on(after)
        put(queue, request(1), "a:1")
        assert drain(queue) == [1, 2]
        put(queue, request(1), "a:1")
        assert drain(queue) == [1]


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    with storage(tmp_path, max_bytes="1MiB") as one:
        queue = queue_on(one)
        put(queue, request(1, 1 << 20))
        assert isinstance(queue.room(), Overloaded)
        with pytest.raises(Overloaded):
            queue.put(request(2))
        assert drain(queue) == [1]
        put(queue, request(2))


def test_a_full_queue_drops_the_oldest_where_that_is_configured(tmp_path: Path) -> None:
    lost: list[Any] = []
    with storage(tmp_path, max_bytes="1MiB", when_full="drop_oldest") as one:
        queue = queue_on(one, lost=lambda *what: lost.append(what))
        for number in range(5):
            put(queue, request(number, 1 << 19))
        assert queue.room() is None
        assert lost == [(Signal.TRACES, "queue_full", 1)] * 3
        assert drain(queue) == [3, 4]


def test_what_is_too_old_is_dropped_and_counted(tmp_path: Path) -> None:
    lost: list[Any] = []
    now = 0.0
    with storage(tmp_path, max_age="1h") as one:
        queue = queue_on(one, lost=lambda *what: lost.append(what), clock=lambda: now)
        put(queue, request(1))
        now = 3_601.0
        put(queue, request(2))
        assert number_of(queue.take()) == 2
        assert lost == [(Signal.TRACES, "expired", 1)]


def test_age_goes_on_while_nobody_runs(tmp_path: Path) -> None:
    with storage(tmp_path, max_age="1h") as before:
        put(queue_on(before), request(1))
    with storage(tmp_path, max_age="1h") as after:
        queue = queue_on(after, clock=lambda: time.monotonic() + 3_000.0)
        assert drain(queue) == [1]


def test_what_nobody_takes_is_kept_apart(tmp_path: Path) -> None:
    with storage(tmp_path) as one:
        queue = queue_on(one)
        put(queue, request(7))
        taken = queue.take()
        assert taken is not None
        queue.ack(taken, None, [(taken.request, "invalid")])
        file = one._files["queue-otlp.db"]
        file.flush()
        assert file.read("SELECT items, reason, body FROM dead") == [(1, "invalid", request(7).raw)]
        assert file.read("SELECT count(*) FROM q") == [(0,)]


def test_a_queue_that_replaces_another_gets_what_that_leaves(tmp_path: Path) -> None:
    with storage(tmp_path) as one:
        old = queue_on(one)
        put(old, request(1))
        new = queue_on(one)
        put(new, request(2))
        old.close()
        old.leave()
        assert sorted(drain(new)) == [1, 2]
    with storage(tmp_path) as after:
        assert drain(queue_on(after)) == []


class DiskModel(RuleBasedStateMachine):
    """A queue on disk against plain lists, with ends of the process in between."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.lives = 0
        self.next = 0
        self.waiting: list[int] = []
        self.taken: list[tuple[Taken, int]] = []
        self.begin(self.root / "0")

    def begin(self, folder: Path) -> None:
        self.folder = folder
        self.run = storage(folder, create_directory=True, sync_interval=0)
        self.queue: SendingQueue = queue_on(self.run.__enter__())

    @rule(size=st.integers(1, 5_000))
    def put(self, size: int) -> None:
        put(self.queue, request(self.next, 4 * size))
        self.waiting.append(self.next)
        self.next += 1

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        taken = self.queue.take()
        assert taken is not None
        assert number_of(taken) == self.waiting[0]
        self.taken.append((taken, self.waiting.pop(0)))

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        taken, _ = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.queue.ack(taken)

    @precondition(lambda self: self.taken)
    @rule()
    def nack(self) -> None:
        taken, number = self.taken.pop()
        self.queue.nack(taken)
        self.waiting.insert(0, number)

    @rule(kill=st.booleans())
    def end(self, kill: bool) -> None:
        self.lives += 1
        folder = self.folder
        if kill:
            self.queue._shelf._file.flush()  # type: ignore[attr-defined] # what is not committed may be lost
            folder = killed(folder, self.root / str(self.lives))
        self.run.__exit__(None, None, None)
        self.begin(folder)
        self.waiting = sorted([*self.waiting, *(number for _, number in self.taken)])
        self.taken = []

    @invariant()
    def counts(self) -> None:
        assert self.queue.size() == len(self.waiting) + len(self.taken)

    def teardown(self) -> None:
        assert left(self.queue) == self.waiting
        self.run.__exit__(None, None, None)
        shutil.rmtree(self.root)


DiskModel.TestCase.settings = hypothesis_settings(
    max_examples=15, stateful_step_count=25, deadline=None
)
TestDiskModel = DiskModel.TestCase
