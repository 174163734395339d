"""What a backlog promises: what finds no room waits and is not lost, and receipts are settled once it is safe."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from collector.outlet import Outlet
from collector.pipeline import Pipeline
from processors.base import Stateless
from processors.batch import Batch
from processors.errors import Overloaded
from processors.ports import Ticket
from tests.collector.stages import (
    Copier,
    Holder,
    Namer,
    Promise,
    Receipt,
    Sink,
    Stepper,
    Swapper,
    pipeline,
)
from tests.telemetry import batch, span


def test_released_data_waits_for_room_and_is_not_lost() -> None:
    sink = Sink(room=1)
    line = pipeline(Holder(), Namer("n"), outlets=[Outlet(sink, False)])
    for number in range(3):
        line.consume(batch(span(number + 1)))
    line.tick(1)
    assert (len(sink.got), line.backlog.waiting) == (1, 2)
    assert line.backlog.room() is not None
    sink.room = 5
    while line.tick(2):
        pass
    assert (sink.seen(), line.backlog.waiting) == (["n", "n", "n"], 0)
    assert line.backlog.room() is None


def test_what_waits_is_handed_on_in_turns_with_requests() -> None:
    """One batch a call: each may take as long as a portion does."""
    sink = Sink(room=0)
    line = pipeline(Holder(), outlets=[Outlet(sink, False)])
    for number in range(3):
        line.consume(batch(span(number + 1)))
    line.tick(1)
    sink.room = 5
    calls = [(line.hand_on_oldest(), len(sink.got)) for _ in range(4)]
    assert calls == [(True, 1), (True, 2), (True, 3), (False, 3)]


def test_a_pipeline_with_a_backlog_is_not_ticked() -> None:
    sink = Sink(room=0)
    holder = Holder()
    line = pipeline(holder, outlets=[Outlet(sink, False)])
    line.consume(batch(span(1)))
    line.tick(1)
    line.consume(batch(span(2)))
    line.tick(2)
    assert (line.backlog.waiting, len(holder.held)) == (1, 1)


def test_a_stage_that_has_more_to_do_waits_for_room() -> None:
    """What is behind stays where it is bounded."""
    sink, stepper = Sink(room=1), Stepper()
    line = pipeline(stepper, outlets=[Outlet(sink, False)])
    for number in range(4):
        line.consume(batch(span(number + 1)))
    assert line.tick(0)
    assert not line.tick(0)
    assert not line.tick(0)
    assert (len(sink.got), line.backlog.waiting, len(stepper.held)) == (1, 1, 2)


def test_what_was_taken_before_is_not_lost_with_the_request_that_pushes_it_out() -> None:
    """Its sender was told that it is safe; the one of now is told so, too, for its data is held."""
    sink = Sink(room=0)
    line = pipeline(Swapper(), Namer("n"), outlets=[Outlet(sink, False)])
    line.consume(batch(span(1)))
    line.consume(batch(span(2)))
    assert (line.backlog.waiting, line.backlog.room() is not None) == (1, True)
    sink.room = 5
    assert line.tick(0)
    assert not line.tick(0)
    assert len(sink.got) == 2


def test_what_waits_goes_over_to_the_pipeline_that_takes_the_place() -> None:
    """For the sinks that do not have it yet, and those that take their place: nobody gets it twice."""
    full, free, again = Sink(room=0), Sink(), Sink()
    outlets = [Outlet(full, False, "a"), Outlet(free, False, "b")]
    old = pipeline(Holder(), Namer("old"), outlets=outlets)
    old.consume(batch(span(1)))
    old.tick(1)
    new = pipeline(Namer("new"), outlets=[Outlet(again, False, "a"), Outlet(free, False, "b")])
    new.adopt(old)
    assert (old.backlog.waiting, new.backlog.waiting) == (0, 1)
    assert new.tick(1)
    assert (again.seen(), free.seen()) == (["old"], ["old"])


def test_what_waited_for_a_sink_that_is_gone_goes_to_those_that_are_there() -> None:
    old = pipeline(Holder(), outlets=[Outlet(Sink(room=0), False, "a")])
    old.consume(batch(span(1)))
    old.tick(1)
    there = Sink()
    new = pipeline(outlets=[Outlet(there, False, "b")])
    new.adopt(old)
    assert new.tick(1)
    assert len(there.got) == 1


def test_what_waits_for_a_stage_stays_with_it() -> None:
    """The pipeline that takes the place need not have that stage."""

    class Full(Stateless):
        def process(self, batch: Batch) -> Batch:
            raise Overloaded("full")

    old = pipeline(Holder(), Full(), outlets=[Outlet(Sink(), False, "a")])
    old.consume(batch(span(1)))
    old.tick(1)
    new = pipeline(outlets=[Outlet(Sink(), False, "a")])
    new.adopt(old)
    assert (old.backlog.waiting, new.backlog.waiting) == (1, 0)


def waiting_for(*full: str, among: str) -> Pipeline:
    """Return a pipeline with a batch that waits for some of its sinks."""
    outlets = [Outlet(Sink(room=0) if name in full else Sink(), False, name) for name in among]
    line = pipeline(Holder(), outlets=outlets)
    line.consume(batch(span(1)))
    line.tick(1)
    return line


@pytest.mark.parametrize(
    ("full", "before", "after", "given", "stays"),
    [
        ("b", "ab", "ac", "c", 0),
        ("b", "ab", "a", "", 1),
        ("b", "ab", "abc", "b", 0),
        ("bc", "abc", "ab", "b", 1),
        ("bc", "abc", "abd", "bd", 0),
    ],
)
def test_no_sink_gets_twice_what_waited_for_others(
    full: str, before: str, after: str, given: str, stays: int
) -> None:
    """What was taken out of a pipeline is replaced by what was put in; otherwise it may still find room."""
    old = waiting_for(*full, among=before)
    sinks = {name: Sink() for name in after}
    new = pipeline(outlets=[Outlet(sink, False, name) for name, sink in sinks.items()])
    new.adopt(old)
    new.tick(1)
    assert "".join(name for name, sink in sinks.items() if sink.got) == given
    assert (old.backlog.waiting, new.backlog.waiting) == (stays, 0)


class Keeper(Holder):
    """Holds everything on disk: what it releases carries a receipt and a name."""

    def __init__(self) -> None:
        super().__init__()
        self.receipt = Receipt()

    def tick(self, now_ns: int) -> Iterable[Batch]:
        for released in super().tick(now_ns):
            released.receipt = self.receipt
            released.source = "keeper:1"
            yield released


class Disk:
    """A sink that promises, through the tickets of the pipeline as exporters do."""

    def __init__(self) -> None:
        self.promises: list[Promise] = []
        self.sources: list[str] = []

    def __call__(self, batch: Batch) -> Ticket:
        self.sources.append(batch.source)
        self.promises.append(Promise())
        return self.promises[-1]


def kept(*processors: object, sinks: Iterable[Disk | Sink]) -> tuple[Pipeline, Receipt]:
    keeper = Keeper()
    line = pipeline(keeper, *processors, outlets=[Outlet(sink, False) for sink in sinks])
    line.consume(batch(span()))
    line.tick(0)
    return line, keeper.receipt


def test_a_receipt_waits_until_every_sink_has_the_batch_safe() -> None:
    disks = [Disk(), Disk()]
    line, receipt = kept(sinks=disks)
    assert [disk.sources for disk in disks] == [["keeper:1"], ["keeper:1"]]
    disks[0].promises[0].known = True
    assert not line.settle()
    assert receipt.settled == 0
    disks[1].promises[0].known = True
    assert line.settle()
    assert receipt.settled == 1


def test_a_sink_without_tickets_settles_at_once() -> None:
    line, receipt = kept(sinks=[Sink()])
    assert line.settle()
    assert receipt.settled == 1


def test_a_batch_that_could_not_be_made_safe_is_offered_again() -> None:
    disk = Disk()
    line, receipt = kept(sinks=[disk])
    disk.promises[0].known, disk.promises[0].failure = True, Overloaded("full")
    line.tick(0)
    assert (receipt.settled, len(disk.promises)) == (0, 2)
    disk.promises[1].known = True
    line.tick(0)
    assert receipt.settled == 1


def test_a_receipt_waits_for_the_sink_that_had_no_room() -> None:
    disk, full = Disk(), Sink(room=0)
    line, receipt = kept(sinks=[disk, full])
    disk.promises[0].known = True
    line.settle()
    assert receipt.settled == 0
    full.room = 1
    line.tick(0)
    line.settle()
    assert receipt.settled == 1


def test_a_receipt_follows_through_stages_that_replace_or_hold_the_batch() -> None:
    disk = Disk()
    line, receipt = kept(Copier(), sinks=[disk])
    assert disk.sources == [""]
    disk.promises[0].known = True
    line.settle()
    assert receipt.settled == 1
    line, receipt = kept(Holder(), sinks=[])
    line.settle()
    assert receipt.settled == 1
