"""What a span becomes does not depend on the span before it, though that one tells which keys to look for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations

import pytest

from processors.batch import Signal
from processors.wire import Value
from tests.processors.genai.replay import Graph, genai
from tests.telemetry import batch, parse, span, traces

EMPTY = "empty"
SAME_NUMBER_OF_KEYS: tuple[Mapping[str, object], ...] = (
    {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"},
    {"gen_ai.operation.name": "plan", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 40},
    {"llm.model_name": "gpt-5", "llm.token_count.prompt": 100, "llm.token_count.completion": 40},
    {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": EMPTY, "gen_ai.usage.input_tokens": 7},
    {"gen_ai.operation.name": EMPTY, "gen_ai.provider.name": EMPTY, "llm.token_count.prompt": 7},
    {"http.route": "/", "http.response.status_code": 200, "server.address": EMPTY},
)  # fmt: skip


def left(*attributes: Mapping[str, object]) -> list[dict[str, Value]]:
    """Return what spans of one scope become, each in a trace of its own."""
    request = parse(
        traces(*(span(n, trace=n, attributes=one) for n, one in enumerate(attributes, 1)))
    )
    for one in request.resource_spans[0].scope_spans[0].spans:
        for attribute in one.attributes:
            if attribute.value.string_value == EMPTY:
                attribute.value.Clear()
    graph = Graph()
    graph.send(Signal.TRACES, request.SerializeToString())
    found = sorted(graph.close(), key=lambda one: one.trace_id)
    return [dict(one.attributes) for one in found]


@pytest.mark.parametrize("pair", [*permutations(range(len(SAME_NUMBER_OF_KEYS)), 2)])
def test_spans_with_as_many_but_other_keys(pair: tuple[int, int]) -> None:
    first, second = (SAME_NUMBER_OF_KEYS[n] for n in pair)
    assert left(first, second, first) == [*left(first), *left(second), *left(first)]


def test_one_of_many_key_sets_of_a_size_becomes_what_it_becomes_alone() -> None:
    usual = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7}
    more = {"llm.model_name": "a", "gen_ai.request.model": "b", "server.address": "c", "session.id": "d",
            "gen_ai.conversation.id": "e", "app.llm.feature": "f", "user.id": "g"}  # fmt: skip
    spans = [usual | {key: more[key] for key in keys} for keys in combinations(more, 3)]
    spans += spans[::-1] + spans[::3]
    alone = [one for attributes in spans for one in left(attributes)]
    assert left(*spans) == alone


def test_texts_that_turn_out_long_are_not_copied() -> None:
    def call(text: str) -> Mapping[str, object]:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.input.messages": text,
        }

    processor, copied = genai(), []
    for number, text in enumerate(["short", "short", *["long" * 1_000] * 8], 1):
        others = [
            span(n, trace=number, name="GET /", attributes={"http.route": "/"}) for n in (2, 3)
        ]
        one = span(1, trace=number, attributes=call(text))
        out = processor.process(batch(one, *others))
        assert out is not None
        first = next(iter(out.spans()))
        assert first.get("gen_ai.input.messages") == text
        copied.append(sum(map(len, first.columns[1])) if first.columns else 0)
    assert copied[1] > 0
    assert max(copied[-4:]) < 200
