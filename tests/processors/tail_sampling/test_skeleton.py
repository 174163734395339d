"""Spans without their content."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from processors.tail_sampling.content import is_content
from processors.tail_sampling.skeleton import cut, skeleton
from tests.telemetry import key_values

from .support import ALWAYS, ERRORS, Run, attributes_of, span

CANARY = "canary-7f3a"
SKELETONS = {**ALWAYS, "name": "skeletons", "content_tier": "skeleton"}
DIALECTS: dict[str, dict[str, Any]] = {
    "OpenTelemetry": {
        "gen_ai.input.messages": CANARY,
        "gen_ai.tool.call.arguments": CANARY,
        "error.message": CANARY,
    },
    "OpenTelemetry, structured": {"gen_ai.output.messages": [{"role": "user", "content": CANARY}]},
    "Traceloop": {
        "gen_ai.prompt.0.content": CANARY,
        "traceloop.entity.input": CANARY,
        "llm.headers": CANARY,
    },
    "OpenInference": {
        "input.value": CANARY,
        "llm.input_messages.0.message.content": CANARY,
        "metadata": CANARY,
    },
    "OpenLIT": {"gen_ai.content.prompt": CANARY, "db.query.text": CANARY},
    "Vercel AI SDK": {
        "ai.prompt.messages": CANARY,
        "ai.response.text": CANARY,
        "ai.toolCall.args": CANARY,
    },
    "LangSmith": {"langsmith.metadata.x": CANARY, "gen_ai.completion": CANARY},
    "Langfuse": {"langfuse.observation.input": CANARY, "langfuse.trace.metadata": CANARY},
    "MLflow": {"mlflow.spanInputs": CANARY, "mlflow.spanOutputs": CANARY},
    "Google ADK": {"gcp.vertex.agent.llm_request": CANARY},
    "Spring AI": {"spring.ai.tool.call.result": CANARY},
    "LiteLLM": {"metadata.user_api_key": CANARY, "llm.openai.stringified_raw_response": CANARY},
    "Haystack": {"haystack.component.input": CANARY},
    "nobody's": {
        "brand.new.key": CANARY + "x" * 300,
        "listed": [CANARY] * 40,
        "raw": CANARY.encode() * 40,
    },
}
FACTS: dict[str, Any] = {
    "gen_ai.usage.input_tokens": 100, "app.llm.cost_usd": 0.25, "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.finish_reasons": ["stop"], "gen_ai.tool.name": "search", "gen_ai.conversation.id": "c-9",
    "app.llm.tenant.id": "acme", "app.llm.prompt.template.sha": "ab12", "llm.token_count.prompt": 7,
    "exception.type": "ValueError", "gen_ai.prompt": True,
}  # fmt: skip


def stripped(one: Span, limit: int = 256) -> Span:
    return Span.FromString(skeleton(one.SerializeToString(), limit))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_content_goes_whoever_wrote_it(dialect: str) -> None:
    one = span("t", attributes={**DIALECTS[dialect], **FACTS})
    after = stripped(one)
    assert CANARY.encode() not in after.SerializeToString()
    assert after.attributes == type(one)(attributes=key_values(FACTS)).attributes
    assert after.dropped_attributes_count == len(DIALECTS[dialect])


def test_everything_but_content_stays() -> None:
    one = span(
        "t", "chat gpt-4o", FACTS, status="error", parent="p", trace_state="a=b", flags=257, kind=3,
        dropped_attributes_count=2, dropped_events_count=3, dropped_links_count=4,
    )  # fmt: skip
    one.events.add(name="retry", time_unix_nano=5, attributes=key_values({"attempt": 2}))
    one.links.add(
        trace_id=b"l" * 16, span_id=b"m" * 8, trace_state="a=b", attributes=key_values({"why": "x"})
    )
    assert stripped(one) == one


def test_events_links_names_and_messages_carry_nothing_through() -> None:
    one = span("t", CANARY.rjust(300, "x"))
    one.status.message = CANARY
    one.events.add(name="gen_ai.user.message", attributes=key_values({"content": CANARY, "n": 1}))
    one.events.add(
        name="exception",
        attributes=key_values({"exception.message": CANARY, "exception.type": "E"}),
    )
    one.events.add(name=CANARY.rjust(300, "x"))
    one.links.add(attributes=key_values({"text": CANARY * 40}))
    one.attributes.extend(key_values({CANARY * 40: 1}))
    one.MergeFromString(b"\xfa\x3e\x0b" + CANARY.encode())  # field 1007, which nobody knows
    after = stripped(one)
    assert CANARY.encode() not in after.SerializeToString()
    assert [event.dropped_attributes_count for event in after.events] == [2, 1, 0]
    assert after.events[1].attributes[0].value.string_value == "E"
    assert after.links[0].dropped_attributes_count == 1


def test_names_are_cut_on_a_characters_border() -> None:
    assert cut("aé" * 10, 5) == "aéa"
    assert cut("short", 256) == "short"


VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=400),
    st.binary(max_size=400), st.lists(st.text(max_size=60), max_size=8),
)  # fmt: skip
KEYS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["gen_ai.prompt", "input.value", "output.x", "tool.parameters"]),
)


@given(st.dictionaries(KEYS, VALUES, max_size=8), st.integers(1, 300))
@limits(max_examples=100, deadline=None)
def test_no_text_over_the_limit_is_left_and_twice_is_once(
    attributes: dict[str, Any], limit: int
) -> None:
    one = span("t", attributes=attributes)
    raw = skeleton(one.SerializeToString(), limit)
    assert len(raw) <= len(one.SerializeToString())
    assert skeleton(raw, limit) == raw
    after = Span.FromString(raw)
    for attribute in after.attributes:
        kind = attribute.value.WhichOneof("value")
        if kind in ("string_value", "bytes_value", "array_value"):
            assert not is_content(attribute.key)
            assert attribute.value.ByteSize() <= limit + 5
    kept = {
        a.key: a.value for a in one.attributes if isinstance(attributes[a.key], (bool, int, float))
    }
    left = {a.key: a.value for a in after.attributes}
    assert all(left[key] == value for key, value in kept.items() if len(key.encode()) <= limit)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Any span: what a skeleton keeps, and everywhere else a text that no skeleton may let through."""
    canary = CANARY.ljust(300, "x")
    count = st.integers(0, 2**32 - 1) | st.just(2**32 - 1)
    large = st.sampled_from(
        [canary, canary.encode(), [canary], {"a": [canary]}, [CANARY] * 40, {CANARY * 40: 1}]
    )
    content = st.sampled_from(
        [
            "gen_ai.input.messages",
            "input.value",
            "llm.output_messages.0.message.content",
            "ai.prompt",
        ]
    )
    facts = st.dictionaries(st.sampled_from(sorted(FACTS)), st.just(0), max_size=5)

    def attributes() -> list[Any]:
        kept = {key: FACTS[key] for key in draw(facts)}
        gone = draw(st.dictionaries(content, st.just(CANARY), max_size=2))
        odd = draw(st.dictionaries(st.text("abc.", min_size=1, max_size=9), large, max_size=2))
        return draw(st.permutations(key_values(kept | gone | odd)))

    one = span(
        "t", draw(st.sampled_from(["chat", "x" * 256 + CANARY])), status=draw(st.sampled_from(["unset", "error"])),
        parent="p", ms=draw(st.tuples(st.integers(0, 99), st.integers(0, 99))), kind=draw(st.integers(0, 5)),
        flags=draw(count), trace_state=draw(st.sampled_from(["", "a=b", "ot=th:8"])),
        dropped_attributes_count=draw(count), dropped_events_count=draw(count), dropped_links_count=draw(count),
    )  # fmt: skip
    one.attributes.extend(attributes())
    if draw(st.booleans()):
        one.status.message = canary
    for name in draw(
        st.lists(st.sampled_from(["exception", "gen_ai.choice", "retry"]), max_size=2)
    ):
        at = draw(st.integers(0, 99))
        event = one.events.add(name=name, time_unix_nano=at, dropped_attributes_count=draw(count))
        event.attributes.extend(attributes() + key_values({"exception.stacktrace": CANARY}))
    for trace_state in draw(st.lists(st.sampled_from(["", "a=b"]), max_size=2)):
        link = one.links.add(trace_id=b"l" * 16, trace_state=trace_state, flags=draw(count))
        link.attributes.extend(attributes())
    return one


def without_texts(one: Span) -> Span:
    """The same, without what a skeleton may take: attributes and their counts, the message, the name."""
    bare = Span.FromString(one.SerializeToString())
    for part in (bare, *bare.events, *bare.links):
        part.ClearField("attributes")
        part.ClearField("dropped_attributes_count")
    bare.name = ""
    bare.status.message = ""
    return bare


@given(spans())
@limits(max_examples=150, deadline=None)
def test_of_any_span_what_is_kept_is_equal_and_no_content_is_left(one: Span) -> None:
    after = stripped(one)
    assert CANARY.encode() not in after.SerializeToString()
    assert without_texts(after) == without_texts(one)
    assert stripped(after) == after
    assert after.ByteSize() <= one.ByteSize()
    for before, left in zip(
        (one, *one.events, *one.links), (after, *after.events, *after.links), strict=True
    ):
        content = isinstance(before, Span.Event) and before.name == "gen_ai.choice"
        kept = [each for each in before.attributes if each.key in FACTS and not content]
        assert list(left.attributes) == kept
        gone = len(before.attributes) - len(kept)
        assert left.dropped_attributes_count == min(
            before.dropped_attributes_count + gone, 2**32 - 1
        )


def test_a_count_that_is_full_costs_nobody_their_trace() -> None:
    run = Run(SKELETONS)
    full = {"dropped_attributes_count": 2**32 - 1}
    run.send(span("t", "full", {"input.value": CANARY}, **full), span("u", "other"))
    assert sorted(run.wait(10)) == ["full", "other"]
    assert run.closes


def test_the_highest_tier_voted_is_the_one_that_is_stored() -> None:
    run = Run(SKELETONS, ERRORS, record={"attributes": True})
    for name, status in (("fine", "ok"), ("bad", "error")):
        run.send(span(name, name, {"input.value": CANARY, "n": 1}, status=status))
    run.wait(10)
    fine, bad = attributes_of(run.only("fine")), attributes_of(run.only("bad"))
    assert (fine["sampling.content_tier"], fine["sampling.policy"]) == ("skeleton", "skeletons")
    assert (bad["sampling.content_tier"], bad["sampling.policy"]) == ("full", "errors")
    assert "input.value" not in fine
    assert bad["input.value"] == CANARY
    assert run.ledger()["released_skeleton"] == run.ledger()["released_full"] == 1
    assert run.closes


def test_late_spans_of_a_skeleton_are_skeletons() -> None:
    run = Run(SKELETONS)
    run.send(span("t", "a", {"input.value": CANARY}))
    run.wait(10)
    run.send(span("t", "late", {"input.value": CANARY, "n": 1}))
    assert attributes_of(run.only("late")) == {"n": 1}


def test_the_limit_of_values_is_configured() -> None:
    run = Run(SKELETONS, skeleton_max_value_bytes=3)
    run.send(span("t", "a", {"x": "abc", "y": "abcd"}))
    run.wait(10)
    assert attributes_of(run.only("a")) == {"x": "abc"}
