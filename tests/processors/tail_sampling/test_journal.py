"""The journal: what is held survives the end of the process, waits go on, decisions stay decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from processors.errors import Overloaded
from processors.ports import Context

from .support import ALWAYS, BEGIN, ERRORS, SECOND, Run, build, names, policy, settings, span

SLOW = policy("latency", "slow", threshold_ms=1_000)


class Written(NamedTuple):
    """A piece."""

    seq: int
    trace_id: bytes
    received_ns: int
    late: bool
    body: bytes


class Ticket:
    """Settled when the store says so."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def settled(self) -> bool:
        return self._store.commits

    def wait(self, timeout_s: float | None = None) -> None:
        self._store.commits = True


class MemoryStore:
    """A store in memory that outlives samplers, as a file outlives processes."""

    name = "tail"

    def __init__(self) -> None:
        self.pieces: dict[int, Written] = {}
        self.decided: list[tuple[bytes, bytes]] = []
        self.kept_states: dict[str, bytes] = {}
        self.commits = True
        self.full = False
        self.damaged = 0
        self._seq = 0

    def refusal(self) -> Overloaded | None:
        return Overloaded("full") if self.full else None

    def put(self, trace_id: bytes, received_ns: int, body: bytes, late: bool = False) -> int:
        self._seq += 1
        self.pieces[self._seq] = Written(self._seq, trace_id, received_ns, late, body)
        return self._seq

    def decide(self, trace_id: bytes, verdict: bytes) -> Ticket:
        self.decided.append((trace_id, verdict))
        return Ticket(self)

    def forget_decisions(self, most: int) -> None:
        del self.decided[: max(0, len(self.decided) - most)]

    def forget(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self.pieces.pop(seq, None)

    def remember(self, key: str, value: bytes | None) -> None:
        if value is None:
            self.kept_states.pop(key, None)
        else:
            self.kept_states[key] = value

    def replay(self) -> Iterator[Written]:
        return iter(list(self.pieces.values()))

    def decisions(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(list(self.decided))

    def states(self) -> Iterator[tuple[str, bytes]]:
        return iter(list(self.kept_states.items()))


class Durable(Run):
    """A sampler with a journal. `begin` is a start of the process on what the store holds."""

    def __init__(self, store: MemoryStore, *policies: Mapping[str, Any], **options: Any) -> None:
        self.options: dict[str, Any] = {"buffer": {"storage": "disk"}} | options
        super().__init__(*policies, **self.options)
        self.context = Context(id="tail_sampling", open_store=lambda extension, component: store)
        self.store = store
        self.policies = policies
        self.begin()

    def begin(self) -> None:
        self.sampler = build(settings(*self.policies, **self.options), self.context)
        self.sampler.open()
        for _ in self.sampler.restore(self.now):
            pass

    def settle(self) -> None:
        """Do what the shell does once all that came out is safe."""
        for batch in self.out:
            if batch.receipt is not None:
                batch.receipt.settle()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_waits_go_on_after_a_restart(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS)
    run.send(span("t", "a"))
    run.wait(4)
    run.send(span("t", "b"), span("u", "c"))
    run.begin()
    assert run.wait(5.9) == []
    assert sorted(run.wait(0.1)) == ["a", "b"]
    assert run.wait(4) == ["c"]
    assert run.closes


def test_a_wait_that_ended_meanwhile_ends_at_once(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS)
    run.send(span("t", "a"))
    run.now += 3_600 * SECOND
    run.begin()
    assert run.wait(0.1) == ["a"]


def test_a_clock_that_was_set_back_never_makes_a_wait_longer(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS)
    run.send(span("t", "a"))
    run.now = BEGIN - 3_600 * SECOND
    run.begin()
    assert run.wait(9.9) == []
    assert run.wait(0.1) == ["a"]


def test_nothing_leaves_before_its_decision_is_on_disk(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS)
    run.send(span("t", "a"))
    store.commits = False
    assert run.wait(12) == []
    store.commits = True
    assert run.wait(0.1) == ["a"]


def test_pieces_are_forgotten_when_their_batch_is_safe_elsewhere(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    run.send(span("kept", "a", status="error"), span("dropped", "b"))
    assert len(store.pieces) == 2
    assert run.wait(10) == ["a"]
    assert [piece.seq for piece in store.pieces.values()] == [1]
    run.settle()
    assert store.pieces == {}


def test_a_batch_that_may_have_left_leaves_again_under_the_same_name(store: MemoryStore) -> None:
    run = Durable(store, ERRORS, record={"attributes": True})
    run.send(span("t", "a", status="error"), span("u", "b", status="error"))
    run.send(span("t", "c"), span("v", "d"))
    assert sorted(run.wait(10)) == ["a", "b", "c"]
    (before,) = run.out
    run.begin()
    assert sorted(run.wait(0.1)) == ["a", "b", "c"]
    after = run.out[-1]
    assert (after.source, after.encode()) == (before.source, before.encode())
    run.settle()
    assert store.pieces == {}
    run.send(span("w", "e", status="error"))
    run.wait(10)
    assert run.out[-1].source != before.source


def test_late_spans_follow_the_decision_over_a_restart(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    run.send(span("kept", "a", status="error"), span("dropped", "b"))
    run.wait(10)
    run.settle()
    run.begin()
    assert run.send(span("kept", "late"), span("dropped", "gone", status="error")) == []
    assert run.wait(0.1) == ["late"]
    assert run.wait(20) == []
    assert run.closes


def test_damage_is_counted_and_costs_only_what_is_damaged(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    run.send(span("t", "a", status="error"))
    run.send(span("t", "b"))
    assert run.count("otelcol_llm_tail_sampling_journal_damaged_total") == 0
    del store.pieces[2]
    store.damaged = 1
    run.begin()
    assert run.wait(10) == ["a"]
    assert run.count("otelcol_llm_tail_sampling_journal_damaged_total") == 1
    assert run.closes


def test_a_late_span_that_was_acknowledged_leaves_after_a_restart(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    run.send(span("kept", "a", status="error"))
    run.wait(10)
    run.settle()
    run.send(span("kept", "late"))
    run.begin()
    assert run.wait(0.1) == ["late"]
    run.settle()
    assert store.pieces == {}


def test_what_was_dropped_but_not_forgotten_is_forgotten_then(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    run.send(span("t", "a"))
    pieces = dict(store.pieces)
    run.wait(10)
    store.pieces = pieces
    run.begin()
    assert store.pieces == {}
    assert run.wait(20) == []


def test_what_is_undecided_stays_on_disk_at_a_stop(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS)
    run.send(span("t", "a"))
    assert run.close() == []
    assert len(store.pieces) == 1
    run.begin()
    assert run.wait(10) == ["a"]


def test_a_stop_decides_where_that_is_configured(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS, decide_on_shutdown=True)
    run.send(span("t", "a"))
    assert run.close() == ["a"]


def test_a_stop_drops_where_that_is_configured(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS, drop_pending_traces_on_shutdown=True)
    run.send(span("t", "a"))
    assert run.close() == []
    assert store.pieces == {}


def test_dry_run_forwards_and_forgets_all(store: MemoryStore) -> None:
    run = Durable(store, ERRORS, dry_run=True)
    run.send(span("t", "a"))
    assert run.wait(10) == ["a"]
    run.send(span("t", "late"))
    assert run.wait(0.1) == ["late"]
    run.settle()
    assert store.pieces == {}


def test_a_full_disk_refuses_before_anything_is_read(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS)
    assert run.sampler.room() is None
    store.full = True
    assert isinstance(run.sampler.room(), Overloaded)


def test_an_evicted_trace_leaves_with_all_that_came(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS, num_traces=1)
    run.send(span("t", "a"))
    run.send(span("t", "b"), span("u", "c"))
    assert run.wait(0.1) == ["a", "b"]
    run.settle()
    assert [piece.trace_id for piece in store.pieces.values()] == [span("u").trace_id]


def test_decisions_on_arrival_are_journalled_too(store: MemoryStore) -> None:
    run = Durable(store, ERRORS, sampling_strategy="span-ingest")
    run.send(span("t", "a", status="error"))
    assert run.wait(0.1) == ["a"]
    run.settle()
    assert store.pieces == {}


def test_marked_sessions_are_remembered(store: MemoryStore) -> None:
    keep = policy("session_keep", "session", key="chat", triggers=["errors"])
    run = Durable(store, ERRORS, keep)
    run.send(span("t", "a", {"chat": "c1"}, status="error"))
    run.wait(10)
    run.begin()
    run.send(span("u", "b", {"chat": "c1"}), span("v", "c", {"chat": "c2"}))
    assert run.wait(10)[-1:] == ["b"]


def test_spent_budgets_are_remembered(store: MemoryStore) -> None:
    budget = policy("tenant_budget", "budget", key="tenant", bytes_per_hour=1, on_exhausted="drop")
    run = Durable(store, ALWAYS, budget)
    run.send(span("t", "a", {"tenant": "acme"}))
    assert run.wait(10) == ["a"]
    run.settle()
    run.begin()
    run.send(span("u", "b", {"tenant": "acme"}), span("v", "c", {"tenant": "other"}))
    assert run.wait(10) == ["c"]


# ------------------------------------------------------------------ reload


def test_a_reload_goes_on_with_the_journal(store: MemoryStore) -> None:
    run = Durable(store, ERRORS)
    run.send(span("t", "a"))
    successor = build(settings(ALWAYS, **run.options), run.context)
    successor.open()
    successor.adopt(run.sampler)
    run.sampler, run.policies = successor, (ALWAYS,)
    assert run.wait(10) == ["a"]
    run.settle()
    assert store.pieces == {}


def test_a_journal_can_begin_and_end_with_a_reload(store: MemoryStore) -> None:
    run = Durable(store, ALWAYS, buffer={})
    run.send(span("t", "a"))
    successor = build(settings(ALWAYS, buffer={"storage": "disk"}), run.context)
    successor.open()
    successor.adopt(run.sampler)
    assert len(store.pieces) == 1
    last = build(settings(ALWAYS), run.context)
    last.open()
    last.adopt(successor)
    assert store.pieces == {}
    run.sampler = last
    assert run.wait(10) == ["a"]


# ------------------------------------------------------------------ at any moment


@hypothesis_settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_ends_at_any_moment_change_no_decision_and_lose_nothing(data: st.DataObject) -> None:
    """Against a sampler that runs through: the same spans leave, some of them perhaps twice."""
    store = MemoryStore()
    durable, plain = Durable(store, ERRORS, SLOW), Run(ERRORS, SLOW)
    for step in range(12):
        spans = [
            span(
                str(data.draw(st.integers(0, 5))),
                f"{step}.{i}",
                status=data.draw(st.sampled_from(["unset", "error"])),
            )
            for i in range(data.draw(st.integers(0, 3)))
        ]
        durable.send(*spans)
        plain.send(*spans)
        seconds = data.draw(st.integers(0, 6))
        durable.wait(seconds)
        plain.wait(seconds)
        if data.draw(st.booleans()):
            durable.settle()
        if data.draw(st.booleans()):
            durable.begin()
    durable.wait(11)
    plain.wait(11)
    assert set(names(durable.out)) == set(names(plain.out))
    durable.settle()
    assert store.pieces == {}
