"""What a pipeline promises: order, failure policy, fan-out, and a backlog that loses nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pytest

from collector.outlet import Outlet
from collector.pipeline import Pipeline, Stage
from processors.base import OnError, Stateless
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from tests.telemetry import batch, span, spans_of


class Namer(Stateless):
    """Writes its name on every span."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def process(self, batch: Batch) -> Batch:
        for item in batch.spans():
            seen = item.get("seen") or ""
            item.set("seen", f"{seen}{self.name}")
        return batch


class Broken(Stateless):
    """Fails on every batch."""

    def process(self, batch: Batch) -> Batch:
        raise KeyError("alice@example.com")


class BrokenGuard(Broken):
    """Fails on every batch and must then let nothing through but names."""

    on_error: ClassVar[OnError] = OnError.DROP_CONTENT

    def fail_closed(self, batch: Batch) -> Batch:
        for item in batch.spans():
            item.remove("secret")
        return batch


class Holder(Stateless):
    """Holds everything until it is ticked."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[bytes] = []

    def process(self, batch: Batch) -> None:
        self.held.append(batch.encode())

    def tick(self, now_ns: int) -> Iterable[Batch]:
        while self.held:
            yield Batch(Signal.TRACES, self.held.pop(0))

    def close(self) -> Iterable[Batch]:
        return self.tick(0)


class Sink:
    """Keeps what it gets; full while `room` is 0."""

    def __init__(self, room: int = 1_000) -> None:
        self.room = room
        self.got: list[bytes] = []

    def __call__(self, batch: Batch) -> Ticket | None:
        if self.room == 0:
            raise Overloaded("full")
        self.room -= 1
        self.got.append(batch.encode())
        return None

    def seen(self) -> list[str]:
        """Return the attribute `seen` of every span that arrived."""
        return [
            a.value.string_value
            for raw in self.got
            for one in spans_of(raw)
            for a in one.attributes
            if a.key == "seen"
        ]


def pipeline(*processors: object, outlets: Iterable[Outlet]) -> Pipeline:
    stages = [Stage(f"stage/{n}", p) for n, p in enumerate(processors)]  # type: ignore[arg-type]
    return Pipeline("traces", Signal.TRACES, stages, list(outlets), [])


def test_stages_run_in_order() -> None:
    sink = Sink()
    pipeline(Namer("a"), Namer("b"), outlets=[Outlet(sink, False)]).consume(batch(span()))
    assert sink.seen() == ["ab"]


def test_a_failing_stage_passes_data_on_and_counts_it() -> None:
    sink = Sink()
    line = pipeline(Broken(), Namer("b"), outlets=[Outlet(sink, False)])
    line.consume(batch(span(), span(2)))
    assert sink.seen() == ["b", "b"]
    assert line.stages[0].flow.failed == 2


def test_a_failing_guard_lets_no_content_through() -> None:
    sink = Sink()
    pipeline(BrokenGuard(), outlets=[Outlet(sink, False)]).consume(
        batch(span(attributes={"secret": "x", "kept": "y"}))
    )
    (left,) = spans_of(sink.got[0])
    assert [a.key for a in left.attributes] == ["kept"]


def test_untouched_data_leaves_as_the_same_bytes() -> None:
    sink = Sink()
    sent = batch(span())
    pipeline(outlets=[Outlet(sink, False)]).consume(sent)
    assert sink.got[0] is sent.raw


def test_branches_do_not_see_each_others_edits() -> None:
    ends = [Sink(), Sink(), Sink()]
    branches = [
        pipeline(Namer(name), outlets=[Outlet(end, False)])
        for name, end in zip("xyz", ends, strict=True)
    ]
    main = pipeline(outlets=[Outlet(branch.consume, True) for branch in branches])
    main.consume(batch(span()))
    assert [end.seen() for end in ends] == [["x"], ["y"], ["z"]]


def test_a_full_sink_is_told_to_the_sender_but_others_get_the_data() -> None:
    full, free = Sink(room=0), Sink()
    line = pipeline(outlets=[Outlet(full, False), Outlet(free, False)])
    with pytest.raises(Overloaded, match="full"):
        line.consume(batch(span()))
    assert len(free.got) == 1


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


def test_a_pipeline_with_a_backlog_is_not_ticked() -> None:
    sink = Sink(room=0)
    holder = Holder()
    line = pipeline(holder, outlets=[Outlet(sink, False)])
    line.consume(batch(span(1)))
    line.tick(1)
    line.consume(batch(span(2)))
    line.tick(2)
    assert (line.backlog.waiting, len(holder.held)) == (1, 1)


class Stepper(Holder):
    """Gives one batch a call."""

    def tick(self, now_ns: int) -> Iterable[Batch]:
        if self.held:
            yield Batch(Signal.TRACES, self.held.pop(0))

    @property
    def behind(self) -> bool:
        return bool(self.held)


def test_a_stage_that_has_more_to_do_is_ticked_again() -> None:
    sink = Sink()
    line = pipeline(Stepper(), outlets=[Outlet(sink, False)])
    for number in range(3):
        line.consume(batch(span(number + 1)))
    assert [line.tick(0) for _ in range(3)] == [True, True, False]
    assert len(sink.got) == 3


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


def test_a_stage_is_closed_once_those_before_it_are_empty() -> None:
    sink, second = Sink(), Holder()
    line = pipeline(Stepper(), Namer("a"), second, outlets=[Outlet(sink, False)])
    line.consume(batch(span()))
    line.consume(batch(span(2)))
    assert line.close()
    assert (len(second.held), sink.got) == (1, [])
    assert not line.close()
    assert sink.seen() == ["a", "a"]
    assert line.outgoing == 6


class Swapper(Holder):
    """Holds what comes, and hands on what came before."""

    def process(self, batch: Batch) -> Batch | None:  # type: ignore[override] # it does hand on
        before = Batch(Signal.TRACES, self.held.pop()) if self.held else None
        super().process(batch)
        return before


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


class Bounded(Holder):
    """Refuses what does not follow while it holds something; only a tick makes room."""

    def process(self, batch: Batch) -> None:
        if self.held and not batch.follows:
            raise Overloaded("full")
        super().process(batch)


@pytest.mark.parametrize("before", [Holder, Swapper])
def test_a_stage_does_not_refuse_what_another_one_held(before: type[Holder]) -> None:
    """It would never be ticked: the pipeline has a backlog then."""
    sink, bounded = Sink(), Bounded()
    line = pipeline(before(), bounded, outlets=[Outlet(sink, False)])
    for number in range(4):
        line.consume(batch(span(number + 1)))
    line.tick(1)
    line.tick(2)
    assert (line.backlog.waiting, len(bounded.held)) == (0, 0)
    assert len(sink.got) == 4


def test_a_copy_of_the_request_is_refused_like_the_request() -> None:
    class Copier(Stateless):
        def process(self, batch: Batch) -> Batch:
            return Batch(batch.signal, batch.encode())

    line = pipeline(Copier(), outlets=[Outlet(Sink(room=0), False)])
    with pytest.raises(Overloaded):
        line.consume(batch(span()))
    assert line.backlog.waiting == 0


def test_close_empties_every_stage_through_those_behind() -> None:
    sink = Sink()
    line = pipeline(Holder(), Namer("a"), Holder(), Namer("b"), outlets=[Outlet(sink, False)])
    line.consume(batch(span()))
    assert not line.close()
    assert sink.seen() == ["ab"]


# ------------------------------------------------------------------ receipts


class Receipt:
    """Counts how often it was settled."""

    def __init__(self) -> None:
        self.settled = 0

    def settle(self, failure: Exception | None = None) -> None:
        self.settled += 1


class Promise:
    """A ticket that is kept or broken when the test says so."""

    def __init__(self) -> None:
        self.known = False
        self.failure: Overloaded | None = None

    def settled(self) -> bool:
        return self.known

    def wait(self, timeout_s: float | None = None) -> None:
        if self.failure is not None:
            raise self.failure


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
    class Copier(Stateless):
        def process(self, batch: Batch) -> Batch:
            return Batch(batch.signal, batch.encode())

    disk = Disk()
    line, receipt = kept(Copier(), sinks=[disk])
    assert disk.sources == [""]
    disk.promises[0].known = True
    line.settle()
    assert receipt.settled == 1
    line, receipt = kept(Holder(), sinks=[])
    line.settle()
    assert receipt.settled == 1
