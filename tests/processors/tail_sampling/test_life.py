"""The life of a trace: when it is decided, how late spans follow, what bounds do, what leaves."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Batch, Signal
from processors.encoded import split
from processors.errors import Overloaded
from processors.recent import RecentIds
from processors.tail_sampling.memory import KeptIds, Memory
from processors.tail_sampling.verdict import NOT_SAMPLED, Verdict

from .support import ALWAYS, BEGIN, ERRORS, SECOND, Run, policy, request, span, trace_id

KEPT = Verdict(kept=True)
NEW = "otelcol_processor_tail_sampling_new_trace_id_received_total"
EARLY = "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total"
DECISIONS = "otelcol_llm_tail_sampling_decisions_total"


# -- when


def test_a_trace_is_decided_when_its_wait_is_over() -> None:
    run = Run(ALWAYS, decision_wait="3s")
    run.send(span("t"))
    assert run.wait(2.9) == []
    assert run.wait(0.1) == ["s"]


@pytest.mark.parametrize("wait", ["200ms", 9, "0s", "1s"])
def test_no_wait_is_shorter_than_a_second(wait: Any) -> None:
    run = Run(ALWAYS, decision_wait=wait)
    run.send(span("t"))
    assert run.wait(0.9) == []
    assert run.wait(0.1) == ["s"]


def test_the_root_brings_the_decision_forward() -> None:
    run = Run(ALWAYS, decision_wait_after_root_received="2s")
    run.send(span("with", "leaf", parent="root"), span("without", "orphan", parent="root"))
    run.wait(1)
    run.send(span("with", "root"))
    assert run.wait(1.9) == []
    assert run.wait(0.1) == ["leaf", "root"]
    assert run.wait(6.9) == []
    assert run.wait(0.1) == ["orphan"]
    assert run.count(DECISIONS, "all", "full", "root") == 1


def test_a_root_that_comes_late_does_not_put_the_decision_off() -> None:
    run = Run(ALWAYS, decision_wait_after_root_received="5s")
    run.send(span("t", "leaf", parent="root"))
    run.wait(8)
    run.send(span("t", "root"))
    assert run.wait(2) == ["leaf", "root"]


REMOTE = {"flags": 0x300}
SERVER = {"kind": 2}
LOCAL = {"record": {"root": "local"}, "decision_wait_after_root_received": "2s"}


@pytest.mark.parametrize("fields", [REMOTE, SERVER, {"kind": 5}])
def test_a_local_root_brings_the_decision_forward_where_it_counts(fields: dict[str, Any]) -> None:
    for options, early in ((LOCAL, True), ({**LOCAL, "record": {"root": "empty_parent"}}, False)):
        run = Run(ALWAYS, **options)
        run.send(
            span("t", "entry", parent="elsewhere", **fields), span("t", "leaf", parent="entry")
        )
        assert bool(run.wait(2)) is early


def test_a_service_below_a_long_running_agent_does_not_cut_its_trace() -> None:
    """The agent's own spans wait for a parent that belongs here, so the trace is not whole yet."""
    run = Run(ERRORS, decision_wait="60s", **LOCAL)
    run.send(
        span("t", "call", parent="agent", kind=3), span("t", "service", parent="tool", **SERVER)
    )
    run.wait(30)
    assert not run.sampler._table.traces[trace_id("t")].verdict
    run.send(span("t", "agent", status="error"), span("t", "tool", parent="agent", kind=3))
    assert sorted(run.wait(2)) == ["agent", "call", "service", "tool"]


def test_time_never_goes_back() -> None:
    run = Run(ALWAYS)
    run.send(span("t"))
    run.now -= 5 * SECOND
    run.send(span("u"))
    run.now = BEGIN
    assert sorted(run.wait(10)) == ["s", "s"]


# -- late spans


@pytest.mark.parametrize(
    "options", [{}, {"decision_cache": {"sampled_cache_size": 0, "non_sampled_cache_size": 0}}]
)
@pytest.mark.parametrize("quirks", [False, True])
def test_late_spans_follow_the_decision(options: dict[str, Any], quirks: bool) -> None:
    run = Run(ERRORS, quirks=quirks, **options)
    run.send(span("kept", "a", status="error"), span("lost", "b"))
    run.wait(10)
    assert run.send(span("kept", "late"), span("lost", "later", status="error")) == ["late"]
    run.wait(20)
    assert [one.name for one in run.spans] == ["a", "late"]
    assert run.closes
    late = "otelcol_llm_tail_sampling_late_spans_total"
    assert (run.count(late, "kept"), run.count(late, "dropped")) == (1, 1)


@pytest.mark.parametrize("half", [slice(0, 8), slice(8, 16)])
def test_ids_with_a_constant_half_are_told_apart(half: slice) -> None:
    memory = Memory(10, 10_000)
    random = Random(2)

    def one() -> bytes:
        raw = bytearray(random.randbytes(16))
        raw[half] = b"\1" * 8
        return bytes(raw)

    ids = [one() for _ in range(5_000)]
    for each in ids:
        memory.add(each, NOT_SAMPLED, BEGIN)
    assert all(memory.get(each) for each in ids)
    assert not any(memory.get(one()) for _ in range(5_000))


def test_the_collector_tells_traces_apart_by_half_their_id() -> None:
    first, twin = b"a" * 8 + b"x" * 8, b"b" * 8 + b"x" * 8
    sizes = {"sampled_cache_size": 10, "non_sampled_cache_size": 10}
    for quirks, kept in ((True, True), (False, False)):
        run = Run(ERRORS, quirks=quirks, decision_cache=sizes)
        run.send(span(first, status="error"))
        run.wait(10)
        run.send(span(twin, "twin"))
        run.wait(10)
        assert ("twin" in [one.name for one in run.spans]) is kept


def test_the_kept_one_asked_for_longest_ago_is_forgotten_first() -> None:
    memory = KeptIds(2)
    for name in (b"a", b"b"):
        memory.add(name, KEPT, 1)
    assert memory.get(b"a")
    memory.add(b"c", KEPT, 1)
    assert (memory.get(b"b"), len(memory)) == (None, 2)
    assert memory.get(b"a")
    assert memory.get(b"c")


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(1, 8))
@limits(max_examples=50, deadline=None)
def test_the_last_dropped_ones_are_never_forgotten(added: list[int], size: int) -> None:
    memory = RecentIds(size)
    names = [bytes([n]) * 16 for n in added]
    for name in names:
        memory.add(name)
    last = list(dict.fromkeys(reversed(names)))[:size]
    assert all(name in memory for name in last)
    assert len([n for n in range(256) if bytes([n]) * 16 in memory]) <= 2 * size


# -- bounds


def test_an_evicted_trace_is_decided_on_what_is_known() -> None:
    run = Run(ERRORS, num_traces=1)
    run.send(span("first", "a", status="error"))
    assert run.send(span("second", "b", status="error")) == ["a"]
    assert run.send(span("first", "late")) == ["late"]
    assert run.wait(10) == ["b"]
    assert run.count(DECISIONS, "errors", "full", "evicted") == 1
    assert run.count(EARLY) == 1
    assert run.closes


def test_the_collector_loses_evicted_traces() -> None:
    run = Run(ALWAYS, num_traces=3, quirks=True)
    for i in range(5):
        run.send(span(str(i), str(i)))
    run.wait(10)
    assert sorted(one.name for one in run.spans) == ["2", "3", "4"]
    assert run.closes


def test_a_decided_trace_gives_way_to_a_new_one_where_its_memory_is_off() -> None:
    run = Run(ERRORS, num_traces=1, decision_cache={"sampled_cache_size": 0})
    run.send(span("t", "a", status="error"))
    run.wait(10)
    assert run.send(span("t", "late")) == ["late"]
    run.send(span("u"))
    run.send(span("t", "new"))
    run.wait(10)
    assert [one.name for one in run.spans] == ["a", "late"]


@pytest.mark.parametrize("text", [20_000, 200])
def test_what_is_held_never_weighs_more_than_its_bound(text: int) -> None:
    bound = 400_000
    run = Run(ERRORS, buffer={"max_bytes": bound})
    random = Random(text)
    errors = 0
    for i in range(200):
        spans = []
        for j in range(random.randrange(1, 12)):
            bad = random.random() < 0.1
            errors += bad
            spans.append(
                span(f"{i}/{j}", f"{i}/{j}", {"text": "x" * text}, status="error" if bad else "ok")
            )
        run.send(*spans)
        assert run.sampler._table.size <= bound
    run.wait(10)
    assert len(run.spans) == errors, "every error is kept, under any load"
    assert run.closes
    assert run.sampler._table.size == 0


def test_what_waits_is_weighed_by_its_parts() -> None:
    run = Run(ERRORS)
    run.send(span("t", "a"), span("t", "b"), span("u", "c"))
    table = run.sampler._table
    size = sum(one.ByteSize() for one in (span("t", "a"), span("t", "b"), span("u", "c")))
    ((resource, scope, _),) = split(request([]))
    assert table.size == size + 3 * 300 + 2 * 1000 + len(resource) + len(scope) + 300


@pytest.mark.parametrize(
    "options",
    [
        {"block_on_overflow": True, "num_traces": 2},
        {"buffer": {"on_full": "refuse"}, "num_traces": 2},
        {"buffer": {"on_full": "refuse", "max_bytes": 4_000}},
    ],
)
def test_a_full_buffer_refuses_and_changes_nothing(options: dict[str, Any]) -> None:
    run = Run(ALWAYS, **options)
    run.send(span("a", "a"), span("b", "b"))
    before = run.ledger()
    with pytest.raises(Overloaded):
        run.send(span("c", "c"))
    after = run.ledger()
    assert after.pop("refused") == 1
    assert after == before
    assert sorted(run.wait(10)) == ["a", "b"]
    run.send(span("c", "c"))
    assert run.wait(10) == ["c"]


def test_a_request_that_will_not_fit_is_refused_before_any_stage_sees_it() -> None:
    run = Run(ALWAYS, buffer={"on_full": "refuse", "max_bytes": 8_000})
    small, large = request([span("b", "b")]), request([span(str(i), "c") for i in range(4)])
    assert run.sampler.fits(large, 4) is None  # nothing waits: the buffer is as empty as it gets
    run.send(span("a", "a"))
    assert run.sampler.fits(small, 1) is None
    assert run.sampler.fits(large, 4) is not None
    assert run.ledger()["refused"] == 4
    assert run.wait(10) == ["a"]
    assert run.sampler.fits(large, 4) is None


def test_the_rest_of_a_request_is_not_refused_but_bounded() -> None:
    run = Run(ALWAYS, buffer={"on_full": "refuse", "max_bytes": 8_000})
    run.send(span("a", "a"))
    rest = Batch(
        Signal.TRACES, request([span(str(i), f"t{i}") for i in range(12)]), received_ns=run.now
    )
    rest.follows = True
    out = run.sampler.process(rest)
    assert out is not None
    assert len(out) > 0, "the oldest are decided early"
    assert "refused" not in run.ledger()
    assert run.sampler._table.size <= 8_000


def test_what_earlier_stages_add_is_allowed_for() -> None:
    run = Run(ALWAYS, buffer={"on_full": "refuse", "max_bytes": 3_500})
    run.send(span("a", "a"))
    assert run.sampler.fits(request([span("b", "b")]), 1) is not None
    run.send(span("b", "b"))
    assert run.wait(10) == ["a", "b"]


def test_a_request_always_fits_where_old_traces_make_room() -> None:
    run = Run(ALWAYS, buffer={"max_bytes": 1_000})
    run.send(span("a", "a"))
    assert run.sampler.fits(request([span("b", "b")]), 1) is None
    assert run.sampler.room() is None


def test_a_full_buffer_refuses_before_anything_is_read() -> None:
    run = Run(ALWAYS, buffer={"on_full": "refuse", "max_bytes": 1_900})
    assert run.sampler.room() is None
    run.send(span("a", "a"))
    assert run.ledger()["held"] == 1
    assert run.sampler.room() is not None
    run.wait(10)
    assert run.sampler.room() is None


def test_more_spans_of_a_trace_that_waits_are_not_refused() -> None:
    run = Run(ALWAYS, block_on_overflow=True, num_traces=1)
    run.send(span("a", "a"))
    run.send(span("a", "b"))
    assert run.wait(10) == ["a", "b"]


def test_a_request_larger_than_the_buffer_is_taken_when_it_is_empty() -> None:
    run = Run(ERRORS, block_on_overflow=True, num_traces=3)
    out = run.send(*[span(str(i), str(i), status="error") for i in range(8)])
    assert sorted(out + run.wait(10)) == [str(i) for i in range(8)]
    assert run.closes


BIG = {"text": "x" * 3000}


def oversize(**options: Any) -> Run:
    run = Run(ERRORS, maximum_trace_size_bytes=5000, **options)
    run.send(span("t", "a", BIG, status="error"))
    run.send(span("t", "b", BIG), span("small", "s", status="error"))
    run.send(span("t", "c"))
    run.wait(10)
    assert run.closes
    return run


def test_an_oversize_trace_is_dropped_as_by_the_collector() -> None:
    assert [one.name for one in oversize().spans] == ["s"]
    assert [one.name for one in oversize(quirks=True).spans] == ["s"]


def test_an_oversize_trace_is_decided_and_streamed_where_that_is_configured() -> None:
    run = oversize(on_oversize="decide")
    assert [one.name for one in run.spans] == ["a", "b", "c", "s"]
    assert run.count(DECISIONS, "errors", "full", "oversize") == 1
    assert run.count("otelcol_processor_tail_sampling_traces_dropped_too_large_total") == 1


def test_an_oversize_trace_leaves_at_least_its_skeleton() -> None:
    run = Run(ERRORS, maximum_trace_size_bytes=5000, on_oversize="skeleton")
    run.send(span("t", "a", BIG), span("t", "b", BIG))
    run.send(span("t", "c", BIG))
    assert [(one.name, len(one.attributes)) for one in run.spans] == [("a", 0), ("b", 0), ("c", 0)]
    assert run.closes


@pytest.mark.parametrize(("quirks", "kept"), [(True, ["s"]), (False, [])])
def test_schema_urls_count_for_the_size_where_they_are_kept(quirks: bool, kept: list[str]) -> None:
    run = Run(ALWAYS, maximum_trace_size_bytes=500, quirks=quirks)
    run.send_raw(request([span("t")], schema_url="https://" + "u" * 500))
    assert run.wait(10) == kept


@pytest.mark.parametrize(("quirks", "kept"), [(True, ["b"]), (False, [])])
def test_what_the_collector_loses_may_come_again(quirks: bool, kept: list[str]) -> None:
    cache = {"sampled_cache_size": 10, "non_sampled_cache_size": 10}
    run = Run(ERRORS, num_traces=1, decision_cache=cache, quirks=quirks)
    run.send(span("t", "a"))
    run.send(span("u", "x"))
    run.send(span("t", "b", status="error"))
    assert run.wait(20) == kept
    assert run.closes


# -- span-ingest


def test_span_ingest_decides_on_what_arrives() -> None:
    run = Run(ERRORS, sampling_strategy="span-ingest")
    assert run.send(span("t", "a"), span("u", "n")) == []
    assert run.send(span("t", "b", status="error")) == ["a", "b"]
    assert run.send(span("t", "c")) == ["c"]
    assert run.wait(20) == []
    assert run.closes


def test_span_ingest_asks_about_each_arrival_alone() -> None:
    both = policy(
        "and", and_sub_policy=[ERRORS, policy("boolean_attribute", "x", key="x", value=True)]
    )
    run = Run(both, sampling_strategy="span-ingest")
    run.send(span("t", "a", status="error"))
    run.send(span("t", "b", {"x": True}))
    assert run.wait(20) == []
    run.send(span("u", "c", {"x": True}, status="error"))
    assert [one.name for one in run.spans] == ["c"]


def test_span_ingest_asks_about_one_resource_at_a_time() -> None:
    without_x = policy("boolean_attribute", "x", key="x", value=True, invert_match=True)
    run = Run(without_x, sampling_strategy="span-ingest")
    with_x = request([span("t", "a", {"x": True}), span("u", "b", {"x": True})])
    run.send_raw(with_x + request([span("t", "c")]) + request([span("t", "d", {"x": True})]))
    assert [one.name for one in run.spans] == ["a", "c", "d"]
    assert run.wait(20) == []
    assert run.closes


def test_span_ingest_measures_a_resource_before_it_asks_about_it() -> None:
    run = Run(ERRORS, sampling_strategy="span-ingest", maximum_trace_size_bytes=2000)
    large = request([span("large", "large", {"x": "y" * 3000}, status="error")])
    run.send_raw(large + request([span("small", "small", status="error")]))
    assert [one.name for one in run.spans] == ["small"]
    assert run.closes


@pytest.mark.parametrize(("memory", "kept"), [(0, ["b"]), (10, [])])
def test_span_ingest_forgets_what_it_did_not_decide(memory: int, kept: list[str]) -> None:
    cache = {"non_sampled_cache_size": memory}
    run = Run(ERRORS, sampling_strategy="span-ingest", decision_cache=cache)
    run.send(span("t", "a"))
    assert run.wait(20) == []
    assert run.send(span("t", "b", status="error")) == kept
    assert run.closes


@pytest.mark.parametrize(("quirks", "kept"), [(False, ["human"]), (True, [])])
def test_span_ingest_with_drop_releases_at_the_end(quirks: bool, kept: list[str]) -> None:
    bots = policy("boolean_attribute", "bot", key="bot", value=True)
    run = Run(
        ALWAYS,
        policy("drop", "d", drop_sub_policy=[bots]),
        sampling_strategy="span-ingest",
        quirks=quirks,
    )
    run.send(span("human", "human"))
    run.send(span("bot", "bot"))
    run.send(span("bot", "really", {"bot": True}))
    assert run.wait(10) == kept
    assert run.closes


@pytest.mark.parametrize("quirks", [False, True])
def test_span_ingest_does_not_wait_for_a_drop_policy_that_fails(quirks: bool) -> None:
    broken = {"error_mode": "propagate", "span": ['attributes["a"]["x"] == 1']}
    part = policy("ottl_condition", "broken", **broken)
    run = Run(
        ALWAYS,
        policy("drop", "d", drop_sub_policy=[part]),
        sampling_strategy="span-ingest",
        quirks=quirks,
    )
    assert run.send(span("held", "held", {"a": {"x": 2}})) == []
    assert run.send(span("failed", "failed", {"a": 5})) == ["failed"]
    assert run.wait(10) == ([] if quirks else ["held"])
    assert run.closes


# -- shutdown


def test_what_waits_is_decided_at_shutdown() -> None:
    run = Run(ERRORS, decision_wait="60s")
    run.send(span("kept", "a", status="error"), span("kept", "b"), span("lost", "c"))
    assert run.close() == ["a", "b"]
    assert run.close() == []
    assert run.count(DECISIONS, "errors", "full", "shutdown") == 1
    assert run.closes


def test_what_waits_is_dropped_at_shutdown_where_that_is_configured() -> None:
    run = Run(ALWAYS, drop_pending_traces_on_shutdown=True)
    run.send(span("t"))
    assert run.close() == []
    assert run.closes


def test_a_shutdown_ends_where_roots_have_come() -> None:
    run = Run(ALWAYS, decision_wait="60s", decision_wait_after_root_received="2s")
    run.send(span("decided"))
    run.wait(1)
    run.send(*[span(f"waits{i}") for i in range(3)])
    closes = 0
    while closes == 0 or run.sampler.behind:
        run.out += run.sampler.close()
        closes += 1
        assert closes < 5
    assert len(run.spans) == 4
    assert run.closes


def test_a_large_shutdown_leaves_in_several_batches() -> None:
    run = Run(ALWAYS)
    run.send(*[span(str(i), str(i)) for i in range(1200)])
    assert len(run.close()) == 1200
    assert [len(batch) for batch in run.out] == [512, 512, 176]


# -- what leaves


def rich(trace: str) -> bytes:
    """A span with everything, unknown fields included."""
    one = span(
        trace, "rich", {"a": "text", "b": 7, "c": 0.25, "d": True, "e": ["x", 1], "f": {"g": 1}, "h": b"\0\xff"},
        status="error", parent="p", trace_state="vendor=1", flags=257, kind=3, dropped_attributes_count=2,
        dropped_events_count=3, dropped_links_count=4,
    )  # fmt: skip
    one.events.add(name="exception", time_unix_nano=5, dropped_attributes_count=1)
    one.links.add(trace_id=b"l" * 16, span_id=b"m" * 8, trace_state="a=b", flags=1)
    return one.SerializeToString() + b"\xfa\x3e\x03abc"  # field 1007, which nobody knows


def test_released_spans_are_the_very_bytes_that_came() -> None:
    run = Run(ALWAYS)
    raw = ExportTraceServiceRequest.FromString(
        request([span("t"), span("u")], schema_url="https://x")
    )
    scope = raw.resource_spans[0].scope_spans[0]
    del scope.spans[:]
    for name in ("t", "u"):
        scope.spans.add().ParseFromString(rich(name))
    run.send_raw(raw.SerializeToString())
    run.wait(10)
    (batch,) = run.out
    assert [spans for _, _, spans in split(batch.encode())] == [(rich("t"), rich("u"))]
    group = ExportTraceServiceRequest.FromString(batch.encode()).resource_spans[0]
    assert (group.schema_url, group.scope_spans[0].schema_url) == ("https://x", "https://x")


def test_resources_that_differ_in_their_schema_alone_stay_apart() -> None:
    run = Run(ALWAYS)
    for url in ("", "https://a", "https://b", "https://a"):
        run.send_raw(request([span("t", url or "none")], schema_url=url))
    run.wait(10)
    groups = ExportTraceServiceRequest.FromString(run.out[0].encode()).resource_spans
    assert [(g.schema_url, [s.name for s in g.scope_spans[0].spans]) for g in groups] == [
        ("", ["none"]), ("https://a", ["https://a", "https://a"]), ("https://b", ["https://b"]),
    ]  # fmt: skip


def test_the_collector_loses_schema_urls() -> None:
    run = Run(ALWAYS, quirks=True)
    run.send_raw(request([span("t")], schema_url="https://a"))
    run.wait(10)
    group = ExportTraceServiceRequest.FromString(run.out[0].encode()).resource_spans[0]
    assert (group.schema_url, group.scope_spans[0].schema_url) == ("", "")


def test_equal_resources_share_one_group_whatever_requests_they_came_in() -> None:
    run = Run(ALWAYS)
    sent = 0
    for i in range(50):
        raw = request([span("t", str(i))])
        sent += len(raw)
        run.send_raw(raw)
    run.wait(10)
    assert [one.name for one in run.spans] == [str(i) for i in range(50)]
    assert len(run.out[0].encode()) <= sent
    assert len(ExportTraceServiceRequest.FromString(run.out[0].encode()).resource_spans) == 1


def test_what_leaves_is_hardly_larger_than_what_came() -> None:
    run, random, sent = Run(ALWAYS), Random(1), 0
    for number in range(100):
        service = {"service.name": f"s{number % 5}", "deployment.environment.name": "production"}
        traces = random.sample(range(40), 10)
        raw = request([span(str(t), f"{t}/{number}", {"n": number}) for t in traces], service)
        sent += len(raw)
        run.send_raw(raw)
    run.wait(10)
    assert len(run.spans) == 1000
    assert sum(len(batch.encode()) for batch in run.out) <= sent * 1.02


def test_edits_of_processors_before_are_seen_and_leave() -> None:
    run = Run(policy("string_attribute", key="tenant", values=["acme"]))
    batch = Batch(Signal.TRACES, request([span("t"), span("u", "gone")]), received_ns=run.now)
    first, second = batch.spans()
    first.set("tenant", "acme")
    second.dropped = True
    run.sampler.process(batch)
    run.wait(10)
    assert [(one.name, one.attributes[0].value.string_value) for one in run.spans] == [
        ("s", "acme")
    ]


def test_an_empty_request_is_nothing() -> None:
    run = Run(ALWAYS)
    assert run.send_raw(b"") == []
    assert run.send_raw(request([])) == []
    assert run.wait(20) == []
    assert run.closes


def test_listeners_hear_of_every_decision_and_of_late_spans() -> None:
    heard: list[tuple[bytes, bool]] = []

    class Listener:
        def decided(self, trace_id: bytes, kept: bool) -> None:
            heard.append((trace_id, kept))

    run = Run(ERRORS)
    bus = run.context.decisions
    bus.listen(Listener())
    assert bus.samplers == 0
    run.send(span("kept", status="error"), span("lost"))
    assert bus.samplers == 1
    run.wait(10)
    run.send(span("lost", "late"))
    kept, lost = trace_id("kept"), trace_id("lost")
    assert heard == [(kept, True), (lost, False), (lost, False)]
    run.close()
    assert bus.samplers == 0


def test_new_traces_and_ages_are_counted() -> None:
    run = Run(ALWAYS)
    run.send(span("t", "a"), span("t", "b"), span("u"))
    run.wait(12)
    assert run.count(NEW) == 2
    delays = run.sampler.stats.histograms[
        "otelcol_llm_tail_sampling_decision_delay_seconds", "wait"
    ]
    assert (sum(delays.counts), delays.sum) == (2, 20.0)
    run.send(span("t", "late"))
    ages = run.sampler.stats.histograms[
        "otelcol_processor_tail_sampling_sampling_late_span_age_seconds",
    ]
    assert (sum(ages.counts), ages.sum) == (1, 2.0)


def test_the_ledger_closes_while_a_tick_hands_on() -> None:
    """A scrape does not wait for the end of a tick."""
    run = Run(ERRORS, decision_wait="1s")
    run.send(
        *[
            span(f"{trace}", f"{number}", status="error" if trace % 4 else "ok")
            for trace in range(200)
            for number in range(10)
        ]
    )
    closes = [run.closes for _ in run.sampler.tick(run.now + SECOND)]
    assert len(closes) > 1
    assert all(closes)


def test_what_alerts_wait_for_is_shown_before_it_happens() -> None:
    """Prometheus sees no increase in a series that begins at 5,000."""
    shown = Run(ERRORS).sampler.stats.counters
    failed = "otelcol_processor_tail_sampling_sampling_policy_evaluation_error_total"
    for name in (NEW, EARLY, failed):
        assert (name,) in shown
        assert shown[name,] == 0
