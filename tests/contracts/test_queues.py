"""What every queue between a pipeline and a destination promises."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collector.config.settings import resolve
from collector.errors import Rejected
from collector.exporters.queue import Queue, SendingQueue, Taken
from collector.exporters.queue_config import NATURAL, Joining, QueueConfig
from collector.exporters.shelf import NoShelf
from collector.extensions import file_storage
from collector.extensions.file_storage import FileStorage
from collector.registry import schema_of
from processors.batch import Signal
from processors.errors import Overloaded
from processors.ports import Context
from processors.requests import Request
from tests.collector.extensions.file_storage.stores import QUEUE

CONFIG = replace(QUEUE, queue_size=10, max_bytes=1_000)


@pytest.fixture(params=["memory", "disk"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Queue]]:
    made: list[Queue] = []
    storage = stored(tmp_path) if request.param == "disk" else None

    def build(clock: Any = None, **changes: Any) -> Queue:
        config = replace(CONFIG, **changes)
        shelf = None
        if storage is not None:
            shelf = storage.queue(f"otlp/{len(made)}")
            shelf.max_bytes = config.max_bytes
        queue = SendingQueue(config, shelf, **({"clock": clock} if clock else {}))
        queue.open()
        made.append(queue)
        return queue

    yield build
    for queue in made:
        queue.close()
    if storage is not None:
        storage.stop(0.0)


def stored(folder: Path, **changes: Any) -> FileStorage:
    """Return a running storage."""
    schema = schema_of("collector/extensions/file_storage/schema.json")
    settings = resolve(schema, {"directory": str(folder), "reserve_bytes": "1MiB"} | changes)
    storage = file_storage.build(settings, Context(id="file_storage"))
    storage.start()
    return storage


def request(number: int, size: int = 10, items: int = 1, signal: Signal = Signal.TRACES) -> Request:
    return Request(signal, number.to_bytes(2, "big") + bytes(size - 2), items)


def number_of(taken: Taken | None) -> int:
    assert taken is not None
    return int.from_bytes(taken.request.raw[:2], "big")


Make = Callable[..., Queue]


def test_first_in_first_out(make: Make) -> None:
    queue = make()
    for number in range(5):
        queue.put(request(number))
    assert [number_of(queue.take()) for _ in range(5)] == [0, 1, 2, 3, 4]


def test_the_signal_that_waited_longest_goes_first(make: Make) -> None:
    now = iter(range(100))
    queue = make(clock=lambda: float(next(now)))
    queue.put(request(0, signal=Signal.LOGS))
    queue.put(request(1, signal=Signal.TRACES))
    queue.put(request(2, signal=Signal.LOGS))
    assert [number_of(queue.take()) for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("sizer", "capacity", "fits"), [("requests", 3, 3), ("items", 12, 2), ("bytes", 45, 4)]
)
def test_it_is_bounded_in_the_configured_unit(
    make: Make, sizer: str, capacity: int, fits: int
) -> None:
    queue = make(sizer=sizer, queue_size=capacity)
    for number in range(fits):
        assert queue.room() is None
        queue.put(request(number, items=5))
    with pytest.raises(Overloaded):
        queue.put(request(9, items=5))


def test_it_is_bounded_in_bytes_whatever_the_unit(make: Make) -> None:
    queue = make(max_bytes=25)
    queue.put(request(0))
    queue.put(request(1))
    with pytest.raises(Overloaded):
        queue.put(request(2))


def test_a_full_queue_says_so_before(make: Make) -> None:
    queue = make(queue_size=1)
    queue.put(request(0))
    assert isinstance(queue.room(), Overloaded)
    assert queue.size() == queue.capacity == 1


@pytest.mark.parametrize(("sizer", "most"), [("requests", 4), ("items", 3), ("bytes", 5)])
def test_it_says_whether_that_much_would_fit(make: Make, sizer: str, most: int) -> None:
    queue = make(sizer=sizer, queue_size={"requests": 5, "items": 5, "bytes": 15}[sizer])
    queue.put(request(0, size=10, items=2))
    assert queue.fits(most, most, most) is None
    assert isinstance(queue.fits(most + 1, most + 1, most + 1), Overloaded)


def test_it_says_whether_that_many_bytes_would_fit(make: Make) -> None:
    queue = make(max_bytes=25)
    queue.put(request(0, size=10))
    assert queue.fits(1, 1, 15) is None
    assert isinstance(queue.fits(1, 1, 16), Overloaded)


def test_what_one_claims_does_not_fit_for_others(make: Make) -> None:
    queue = make(queue_size=5)
    queue.claim(4, 4, 4)
    assert queue.fits(1, 1, 1) is None
    assert isinstance(queue.fits(2, 2, 2), Overloaded)
    queue.claim(-1, -1, -1)
    assert queue.fits(2, 2, 2) is None


def test_more_than_there_is_fits_only_while_nothing_waits_or_is_claimed(make: Make) -> None:
    queue = make(queue_size=5)
    assert queue.fits(9, 9, 9) is None
    queue.claim(9, 9, 9)
    assert isinstance(queue.fits(1, 1, 1), Overloaded)
    queue.claim(-9, -9, -9)
    queue.put(request(0))
    assert isinstance(queue.fits(9, 9, 9), Overloaded)


def test_what_was_released_needs_no_claim(make: Make) -> None:
    """Its sender was told that it is safe: requests that are on their way come after it."""
    queue = make(queue_size=1)
    queue.claim(1, 1, 1)
    queue.put(request(0))
    assert queue.size() == 1


def test_nothing_fits_while_the_shelf_keeps_nothing() -> None:
    class Full(NoShelf):
        def refusal(self) -> Overloaded:
            return Overloaded("the disk is full")

    refused = SendingQueue(CONFIG, Full()).fits(1, 1, 1)
    assert "the disk is full" in str(refused)


def test_nothing_fits_into_a_closed_queue(make: Make) -> None:
    queue = make()
    queue.close()
    assert isinstance(queue.fits(1, 1, 1), Overloaded)


def test_one_request_above_the_bounds_is_taken_when_nothing_waits(make: Make) -> None:
    queue = make(max_bytes=25)
    queue.put(request(0, size=500))
    with pytest.raises(Overloaded):
        queue.put(request(1))
    assert number_of(queue.take()) == 0


def test_what_is_on_its_way_fills_the_queue_until_it_is_acknowledged(make: Make) -> None:
    queue = make(queue_size=1)
    queue.put(request(0))
    taken = queue.take()
    assert taken is not None
    with pytest.raises(Overloaded):
        queue.put(request(1))
    queue.ack(taken)
    assert queue.size() == 0
    queue.put(request(1))


def test_what_was_not_delivered_comes_again_first(make: Make) -> None:
    queue = make()
    for number in range(3):
        queue.put(request(number))
    taken = queue.take()
    assert taken is not None
    queue.nack(taken)
    assert [number_of(queue.take()) for _ in range(3)] == [0, 1, 2]
    assert queue.size() == 3


def test_a_closed_queue_gives_what_is_left_and_takes_nothing(make: Make) -> None:
    queue = make()
    queue.put(request(0))
    queue.close()
    queue.close()
    with pytest.raises(Overloaded):
        queue.put(request(1))
    assert isinstance(make().room(), type(None))
    assert number_of(queue.take()) == 0
    assert queue.take() is None


def test_closing_wakes_those_who_wait(make: Make) -> None:
    queue = make()
    results: list[Taken | None] = []
    waiting = [threading.Thread(target=lambda: results.append(queue.take())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    queue.close()
    for thread in waiting:
        thread.join(10)
    assert results == [None, None, None]


def test_blocking_waits_for_room(make: Make) -> None:
    queue = make(queue_size=1, block_on_overflow=True)
    queue.put(request(0))
    taken = queue.take()
    assert taken is not None
    answers: list[Overloaded | None] = []
    waiting = threading.Thread(target=lambda: answers.append(queue.room()))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    queue.ack(taken)
    waiting.join(10)
    assert answers == [None]


def test_blocking_ends_when_the_queue_is_closed(make: Make) -> None:
    queue = make(queue_size=1, block_on_overflow=True)
    queue.put(request(0))
    answers: list[Overloaded | None] = []
    waiting = threading.Thread(target=lambda: answers.append(queue.room()))
    waiting.start()
    queue.close()
    waiting.join(10)
    assert isinstance(answers[0], Overloaded)


def test_those_who_found_room_together_are_taken_together(make: Make) -> None:
    queue = make(queue_size=4, block_on_overflow=True)
    for number in range(8):
        queue.put(request(number))
    with pytest.raises(Overloaded):
        queue.put(request(8))


def test_a_queue_is_crowded_while_its_room_would_refuse(make: Make) -> None:
    queue = make(queue_size=1)
    assert not queue.crowded()
    queue.put(request(0))
    assert queue.crowded()
    assert queue.room() is not None
    taken = queue.take()
    assert taken is not None
    queue.ack(taken)
    assert not queue.crowded()


def test_a_queue_is_crowded_while_its_room_would_wait(make: Make) -> None:
    queue = make(queue_size=1, block_on_overflow=True)
    queue.put(request(0))
    assert queue.crowded()


# ------------------------------------------------------------------ joining


def test_a_request_leaves_at_once_while_nothing_is_on_its_way(make: Make) -> None:
    queue = make(joining=NATURAL)
    queue.put(request(0))
    assert number_of(queue.take()) == 0


def test_what_waits_meanwhile_leaves_together(make: Make) -> None:
    queue = make(joining=NATURAL)
    queue.put(request(0))
    first = queue.take()
    assert first is not None
    for number in range(1, 4):
        queue.put(request(number, items=7))
    queue.ack(first)
    second = queue.take()
    assert second is not None
    assert second.request.items == 21
    assert second.request.raw == b"".join(request(number).raw for number in range(1, 4))


def test_a_full_load_does_not_wait_for_an_answer(make: Make) -> None:
    queue = make(joining=NATURAL)
    queue.put(request(0))
    assert queue.take() is not None
    queue.put(request(1, items=NATURAL.enough_items))
    assert number_of(queue.take()) == 1


def test_nobody_waits_longer_than_the_linger(make: Make) -> None:
    now = 0.0
    queue = make(joining=NATURAL, clock=lambda: now)
    queue.put(request(0))
    assert queue.take() is not None
    queue.put(request(1))
    now = NATURAL.linger_s
    assert number_of(queue.take()) == 1


def test_after_a_load_others_may_join_for_a_moment(make: Make) -> None:
    now = 0.0
    queue = make(joining=NATURAL, clock=lambda: now)
    queue.put(request(0))
    first = queue.take()
    assert first is not None
    queue.ack(first)
    queue.put(request(1))
    queue.put(request(2))
    now = NATURAL.pause_s
    second = queue.take()
    assert second is not None
    assert [number_of(Taken([part])) for part in second.parts] == [1, 2]


def test_a_full_load_does_not_wait_for_the_moment_to_pass(make: Make) -> None:
    queue = make(joining=replace(NATURAL, pause_s=60.0))
    queue.put(request(0))
    first = queue.take()
    assert first is not None
    queue.ack(first)
    queue.put(request(1, items=NATURAL.enough_items))
    assert number_of(queue.take()) == 1


def test_who_waits_for_the_result_is_not_kept_waiting_for_others() -> None:
    assert QueueConfig.load(settings_with(None)).joining.pause_s > 0
    settings = settings_with(None) | {"wait_for_result": True}
    assert QueueConfig.load(settings).joining.pause_s == 0
    settings = settings_with(None) | {"enabled": False}
    assert QueueConfig.load(settings).joining.pause_s == 0


def test_loads_stay_below_the_limit(make: Make) -> None:
    joining = Joining(eager=True, linger_s=60.0, enough_items=100, most_items=10, most_bytes=25)
    queue = make(joining=joining)
    for number in range(4):
        queue.put(request(number, items=4))
    queue.close()
    assert [taken.request.items for taken in iter(queue.take, None)] == [8, 8]


def test_a_batch_waits_until_it_is_large_enough(make: Make) -> None:
    batch = {"sizer": "items", "min_size": 10, "max_size": 0, "flush_timeout": 60_000_000_000}
    config = QueueConfig.load(settings_with(batch))
    queue = make(joining=config.joining)
    queue.put(request(0, items=5))
    results: list[Taken | None] = []
    waiting = threading.Thread(target=lambda: results.append(queue.take()))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    queue.put(request(1, items=5))
    waiting.join(10)
    assert results[0] is not None
    assert results[0].request.items == 10


def test_a_batch_leaves_after_its_flush_timeout(make: Make) -> None:
    batch = {"sizer": "bytes", "min_size": 8192, "max_size": 0, "flush_timeout": 20_000_000}
    queue = make(joining=QueueConfig.load(settings_with(batch)).joining)
    queue.put(request(0))
    assert number_of(queue.take()) == 0


def test_a_batch_without_a_least_size_does_not_wait(make: Make) -> None:
    batch = {"sizer": "items", "min_size": 0, "max_size": 0, "flush_timeout": 60_000_000_000}
    queue = make(joining=QueueConfig.load(settings_with(batch)).joining)
    queue.put(request(0))
    assert number_of(queue.take()) == 0


def settings_with(batch: dict[str, Any] | None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        name: getattr(CONFIG, name)
        for name in ("enabled", "num_consumers", "queue_size", "max_bytes", "sizer")
    }
    plain |= {"block_on_overflow": False, "wait_for_result": False}
    return plain | ({"batch": batch} if batch else {})


@pytest.mark.parametrize(
    ("sizer", "expected"), [("items", (700, 0)), ("bytes", (0, 700))], ids=["items", "bytes"]
)
def test_the_largest_size_of_a_batch_cuts(sizer: str, expected: tuple[int, int]) -> None:
    batch = {"sizer": sizer, "min_size": 500, "max_size": 700, "flush_timeout": 1}
    config = QueueConfig.load(settings_with(batch))
    assert (config.most_items, config.most_bytes) == expected


# ------------------------------------------------------------------ waiting for the result


def test_a_sender_that_waits_learns_that_it_was_delivered(make: Make) -> None:
    queue = make(wait_for_result=True)
    ticket = queue.put(request(0))
    taken = queue.take()
    assert ticket is not None
    assert taken is not None
    with pytest.raises(Overloaded):
        ticket.wait(0.0)
    queue.ack(taken)
    ticket.wait(0.0)


def test_a_sender_that_waits_learns_that_it_was_refused(make: Make) -> None:
    queue = make(wait_for_result=True)
    ticket = queue.put(request(0))
    taken = queue.take()
    assert ticket is not None
    assert taken is not None
    queue.ack(taken, Rejected("never"))
    with pytest.raises(Rejected):
        ticket.wait(0.0)


def test_without_a_queue_the_sender_waits() -> None:
    assert QueueConfig.load(settings_with(None) | {"enabled": False}).wait_for_result


# ------------------------------------------------------------------ against a model


class MemoryModel(RuleBasedStateMachine):
    """A queue against plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        config = replace(CONFIG, joining=replace(NATURAL, enough_items=6), max_bytes=150)
        self.queue = SendingQueue(config, clock=lambda: self.now)
        self.waiting: list[int] = []
        self.taken: list[tuple[Taken, list[int]]] = []
        self.next = 0

    @rule(items=st.integers(1, 4), size=st.integers(2, 40))
    def put(self, items: int, size: int) -> None:
        try:
            self.queue.put(request(self.next, size, items))
        except Overloaded:
            assert self.waiting or self.taken
        else:
            self.waiting.append(self.next)
        self.next += 1

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        self.now += 1.0
        taken = self.queue.take()
        assert taken is not None
        numbers = [int.from_bytes(part.request.raw[:2], "big") for part in taken.parts]
        assert numbers == self.waiting[: len(numbers)]
        del self.waiting[: len(numbers)]
        self.taken.append((taken, numbers))

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.taken) - 1))
        self.queue.ack(self.taken.pop(index)[0])

    @precondition(lambda self: self.taken)
    @rule()
    def nack(self) -> None:
        taken, numbers = self.taken.pop()
        self.queue.nack(taken)
        self.waiting[:0] = numbers

    @invariant()
    def counts(self) -> None:
        on_their_way = sum(len(numbers) for _, numbers in self.taken)
        assert self.queue.size() == len(self.waiting) + on_their_way
        assert self.queue.size() <= self.queue.capacity


MemoryModel.TestCase.settings = hypothesis_settings(max_examples=40, stateful_step_count=30)
TestMemoryModel = MemoryModel.TestCase
