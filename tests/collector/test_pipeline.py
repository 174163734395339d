"""What a pipeline promises: order, failure policy, fan-out, and stages that hold data."""

from __future__ import annotations

from typing import ClassVar

import pytest

from collector.junction import release
from collector.outlet import Outlet
from processors.base import OnError, Stateless
from processors.batch import Batch
from processors.errors import Overloaded
from tests.collector.stages import (
    Copier,
    Holder,
    Namer,
    Sink,
    Stepper,
    Swapper,
    pipeline,
)
from tests.ruler import nothing_decoded_is_left
from tests.telemetry import batch, span, spans_of


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


def test_a_stage_that_has_more_to_do_is_ticked_again() -> None:
    sink = Sink()
    line = pipeline(Stepper(), outlets=[Outlet(sink, False)])
    for number in range(3):
        line.consume(batch(span(number + 1)))
    assert [line.tick(0) for _ in range(3)] == [True, True, False]
    assert len(sink.got) == 3


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


@pytest.mark.parametrize("stages", [(Holder(), Namer("a")), (Copier(), Namer("a"), Copier())])
def test_what_stages_made_is_released_when_it_is_gone(stages: tuple[Stateless, ...]) -> None:
    sink = Sink()
    behind = pipeline(Namer("b"), outlets=[Outlet(sink, False)])
    line = pipeline(*stages, outlets=[Outlet(behind.consume, True), Outlet(behind.consume, True)])
    with nothing_decoded_is_left(), batch(span()) as sent:
        line.consume(sent)
        line.tick(0)
    assert sink.seen() == ["ab", "ab"]


def test_what_waited_for_room_is_released_when_it_is_gone() -> None:
    sink = Sink(room=0)
    line = pipeline(Holder(), Namer("a"), outlets=[Outlet(sink, False)])
    with nothing_decoded_is_left(), batch(span()) as sent:
        line.consume(sent)
        line.tick(0)
        sink.room = 1
        line.tick(0)
    assert sink.seen() == ["a"]


def test_what_a_connector_releases_is_each_pipelines_own() -> None:
    """One edits it and waits for room, with what it wrote, while another one has handed it on."""
    full, free = Sink(room=0), Sink()
    waiting = pipeline(Namer("a"), outlets=[Outlet(full, False)])
    behind = [waiting, pipeline(Namer("b"), outlets=[Outlet(free, False)])]
    for lines in (behind, behind[::-1]):
        release(batch(span()), lines)
    full.room = 2
    assert waiting.hand_on_oldest()
    assert waiting.hand_on_oldest()
    assert (full.seen(), free.seen()) == (["a", "a"], ["b", "b"])
