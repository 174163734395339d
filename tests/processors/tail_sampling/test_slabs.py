"""Large spans are held as views of their request: what comes out is the same, and what that takes is counted."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.batch import Batch, Signal
from processors.tail_sampling.arrivals import Group, arrivals
from processors.tail_sampling.traces import SPAN_OVERHEAD, TRACE_OVERHEAD, Envelope

from .support import ALWAYS, ERRORS, Run, arrived, request, span

LARGE = "x" * 10_000
KIB = 1 << 10


def large(trace: str, name: str = "s", **fields: Any) -> Any:
    return span(trace, name, {"text": LARGE}, **fields)


def send(run: Run, raw: bytes, *, copied: bool = False) -> None:
    """Send a request; `copied`: as a batch that does not know its items, which decodes it: then no span is a view."""
    batch = Batch(Signal.TRACES, raw, received_ns=run.now) if copied else arrived(raw, run.now)
    out = run.sampler.process(batch)
    run.out += [out] if out is not None else []


def encoded(run: Run) -> list[bytes]:
    return [batch.encode() for batch in run.out]


def in_use(run: Run) -> int:
    """Count again what is held: traces, spans, envelopes, and all of a request while a span is a view of it."""
    waiting = [trace for trace in run.sampler._table.traces.values() if trace.verdict is None]
    leaving = [departure.trace for departure in run.sampler._decider._departures]
    parts = [part for trace in (*waiting, *leaving) for part in trace.parts]
    envelopes = {part for part in parts if isinstance(part, Envelope)}
    spans = [part for part in parts if not isinstance(part, Envelope)]
    blocks = {id(block): block for span in spans for block in [getattr(span, "obj", span)]}
    return (
        len(waiting) * TRACE_OVERHEAD
        + len(spans) * SPAN_OVERHEAD
        + sum(envelope.size for envelope in envelopes)
        + sum(map(len, blocks.values()))
    )


STEPS = st.one_of(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.booleans(), st.integers(0, 3)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([1, 6, 12]),
    st.just("reload"),
)
"""Spans of a request (trace, whether failed, thousands of bytes besides), seconds to wait, or a reload."""


@given(steps=st.lists(STEPS, max_size=12), bound=st.sampled_from([40 * KIB, 150 * KIB, 1 << 30]))
@settings(max_examples=60, deadline=None)
def test_views_fare_as_copies_do(steps: Sequence[Any], bound: int) -> None:
    """And the memory they take is what is promised: never more than the bound, soon no more than twice what is held,
    nothing once nothing is held."""
    views, copies = (Run(ERRORS, buffer={"max_bytes": bound}) for _ in range(2))
    for number, step in enumerate(steps):
        for run in (views, copies):
            if step == "reload":
                run.reload(ERRORS, buffer={"max_bytes": bound})
            elif isinstance(step, int):
                run.wait(step)
            else:
                spans = [
                    span(trace, f"{number}.{place}", {"text": LARGE + "y" * (1000 * more)}, status=status)
                    for place, (trace, failed, more) in enumerate(step)
                    for status in ["error" if failed else "ok"]
                ]  # fmt: skip
                send(run, request(spans), copied=run is copies)
        table = views.sampler._table
        assert views.closes
        assert table.size == in_use(views)
        assert table.size - table.leaving <= bound
        assert table.slabs.slack <= table.weight or table.slabs.sparse
        assert not isinstance(step, int) or not table.slabs.settled
        if bound == 1 << 30:
            assert encoded(views) == encoded(copies)
    for run in (views, copies):
        run.wait(11)
    assert views.sampler._table.size == views.sampler._table.slabs.slack == 0
    if bound == 1 << 30:
        assert encoded(views) == encoded(copies)
        assert views.ledger() == copies.ledger()


def is_kept(raw: bytes) -> bool:
    """Say whether anybody but the calling test has a reference to a request."""
    gc.collect()
    return sys.getrefcount(raw) > 3  # the test's, that of this function, that of the call


def test_a_request_stays_in_memory_while_most_of_it_is_held_and_no_longer() -> None:
    run = Run(ALWAYS)
    run.send(large("early"))
    run.now += 5 * 10**9
    raw = request([large("early", str(n)) for n in range(6)] + [large("t"), large("u")])
    send(run, raw)
    run.wait(4)
    assert is_kept(raw)
    run.wait(1)  # the early trace is decided
    assert is_kept(raw)
    run.wait(1)
    assert not is_kept(raw)
    assert run.sampler._table.spans == 2
    assert run.sampler._table.slabs.slack == 0


def test_a_request_is_let_go_though_it_loses_more_spans_meanwhile() -> None:
    run = Run(ALWAYS)
    run.send(large("early"))
    run.wait(0.5)
    run.send(large("later"))
    run.wait(4)
    raw = request(
        [*(large("early", str(n)) for n in range(5)), large("later"), large("t"), large("u")]
    )
    send(run, raw)
    run.wait(5.5)
    assert run.sampler._table.spans == 4
    run.wait(0.5)
    assert run.sampler._table.spans == 2
    assert is_kept(raw)
    run.wait(0.5)
    assert not is_kept(raw)


def test_late_spans_do_not_keep_their_request() -> None:
    run = Run(ERRORS)
    run.send(large("gone"))
    run.wait(10)
    raw = request([large("gone", str(n)) for n in range(6)] + [large("t")])
    send(run, raw)
    run.wait(1)
    assert not is_kept(raw)
    assert run.sampler._table.spans == 1


def test_a_request_of_small_spans_is_not_kept() -> None:
    run = Run(ERRORS)
    raw = request([span("t", str(n)) for n in range(100)])
    send(run, raw)
    assert not is_kept(raw)


def test_the_same_bytes_may_come_twice() -> None:
    run = Run(ALWAYS)
    raw = request([large("t"), large("u")])
    send(run, raw)
    send(run, raw)
    assert len(run.wait(10)) == 4
    assert run.sampler._table.size == 0


def test_a_request_is_not_kept_beyond_its_last_span_when_the_tick_has_more_to_do() -> None:
    run = Run(ERRORS, decision_wait="1s")
    raw = request([large(str(n)) for n in range(20)])
    send(run, raw)
    run.send(*[span(f"small{n}") for n in range(1_000)])
    run.now += 10**9
    list(run.sampler.tick(run.now))
    assert run.sampler.behind
    assert run.sampler._table.spans > 500
    assert not is_kept(raw)


def test_what_came_in_before_something_failed_is_counted() -> None:
    """As by a bug in a policy, which takes nothing down."""

    def cut_short(group: Group) -> Any:
        yield next(iter(group.spans))
        raise RuntimeError

    run = Run(ERRORS)
    sampler = run.sampler
    batch = arrived(request([large("t"), large("u"), large("v")]), run.now)
    groups = arrivals(batch, sampler._table, sampler._plan)
    with pytest.raises(RuntimeError):
        sampler._holder.take_in(group._replace(spans=cut_short(group)) for group in groups)
    assert sampler._table.size == in_use(run) > 0
    run.wait(10)
    assert sampler._table.size == 0


EARLY = "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total"
MIB = 1 << 20


def fill(run: Run, traces: int, bound: int) -> None:
    """Hold as much as may be: traces with a span in every request, so that none of them frees a request alone."""
    for number in range(bound // (traces * 10_500)):
        run.send(*[large(f"t{n}", f"{number}", status="ok") for n in range(traces)])


def let_come_due(run: Run) -> None:
    run.now += 10 * 10**9
    list(run.sampler.tick(run.now))
    assert run.sampler.behind


def test_where_ticks_do_not_keep_up_requests_are_copied_out_before_the_next_decision() -> None:
    bound = 20 * MIB
    run = Run(ERRORS, buffer={"max_bytes": bound})
    fill(run, 80, bound)
    let_come_due(run)
    table = run.sampler._table
    for number in range(20):
        run.send(*[large(f"u{number}.{n}", status="ok") for n in range(80)])
        assert table.size - table.leaving < 1.1 * bound
    assert run.count(EARLY) == 0


def test_where_traces_end_in_the_order_they_began_none_is_copied_to_make_room() -> None:
    """What is left of a request goes with the next of them."""
    run = Run(ERRORS, buffer={"max_bytes": 2 * MIB})
    for number in range(50):
        run.send(*[large(f"t{number}.{n}", status="ok") for n in range(8 - number % 3)])
        held = [part for trace in run.sampler._table.undecided() for part in trace.parts[1:]]
        assert all(isinstance(span, memoryview) for span in held)
    assert run.count(EARLY) > 150


@pytest.mark.parametrize(("on_full", "slack"), [("refuse", 0), ("decide", 60_000)])
def test_requests_are_not_refused_for_slack(on_full: str, slack: int) -> None:
    run = Run(ERRORS, buffer={"max_bytes": 600_000, "on_full": on_full})
    run.send(large("early"))
    run.wait(5)
    run.send(*[large("early", str(n)) for n in range(6)], large("t"))
    run.wait(5)
    assert run.sampler._table.slabs.slack == pytest.approx(slack, rel=0.02)


def test_no_trace_is_decided_early_for_slack() -> None:
    run = Run(ERRORS, buffer={"max_bytes": 600_000})
    run.send(large("early"))
    run.wait(5)
    run.send(*[large("early", str(n)) for n in range(6)], large("t"))
    run.wait(5)
    table = run.sampler._table
    assert table.slabs.slack > 60_000
    before = table.size
    run.send(*[large(f"u{n}", status="ok") for n in range((600_000 - before) // 11_400 + 2)])
    assert before < table.size < 600_000
    assert table.slabs.slack < 1_000
    assert run.count(EARLY) == 0


def test_what_is_on_its_way_out_keeps_no_request() -> None:
    bound = 24 * MIB
    run = Run(ERRORS, buffer={"max_bytes": bound})
    fill(run, 20, bound)
    let_come_due(run)
    for number in range(100):
        run.send(*[large(f"u{number}.{n}", status="ok") for n in range(20)])
    assert run.ledger()["held"] > 1_800
    assert run.count(EARLY) < 200
