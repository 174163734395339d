"""The users' exercise, through the running sidecar as it is shipped.

    Keep 100 % of the traces with an error, 100 % of those over five seconds, 100 % of those that cost ten cents or
    more, and one in a hundred of the rest.

An application sends 20,000 traces of an agent over three model calls; nothing about money is in them but models and
tokens. Spans come when they end: the root of a trace of thirty seconds long after its calls, and last.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from processors.batch import Signal
from tests.e2e.servers import REPOSITORY, Collector, poll
from tests.processors.tail_sampling.support import request, span, trace_id
from tests.processors.tail_sampling.test_exercise import EVERY_MS, Story, stories

pytestmark = pytest.mark.e2e

CONTENT = "gen_ai.input.messages"
MATTERS = ("failed", "slow", "dear", "dear in pieces", "long", "unpriced")
TOKENS = {"dear": 44_000, "dear in pieces": 16_000}
"""Of gpt-4o at $2.50 a million: eleven cents a call, four cents a call. All others: a third of a cent."""
KEY = {"OTELCOL_LLM_REDACTION_KEY": "0123456789abcdef0123456789abcdef"}
AT_ONCE = 400


def spans(story: Story) -> Iterator[Span]:
    """Three model calls, then the agent that made them."""
    begin = story.number * EVERY_MS
    end = begin + story.seconds * 1000
    third = (end - begin) / 3
    for call in range(3):
        unknown = story.kind == "unpriced" and call == 1
        failed = story.kind == "failed" and call == 1
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "of-our-own" if unknown else "gpt-4o",
            "gen_ai.usage.input_tokens": TOKENS.get(story.kind, 1_300),
            "gen_ai.usage.output_tokens": 1,
            CONTENT: '[{"role": "user", "parts": [{"type": "text", "content": "Where is it?"}]}]',
        }
        yield span(
            story.name, f"chat {call}", attributes, ms=(begin + call * third, begin + (call + 1) * third - 1),
            parent="agent", kind=3, status="error" if failed else "unset",
        )  # fmt: skip
    yield span(story.name, "agent", ms=(begin, end))


def send(port: int, told: list[Story]) -> None:
    """Send all spans in the order they end."""
    stream = sorted(
        (one for story in told for one in spans(story)), key=lambda one: one.end_time_unix_nano
    )
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        export = channel.unary_unary(Signal.TRACES.grpc_method, None, None)
        for first in range(0, len(stream), AT_ONCE):
            export(request(stream[first : first + AT_ONCE]), timeout=60)


def kept(ours: Collector, told: list[Story]) -> dict[str, list[dict[str, Any]]]:
    """Wait until everything is decided and return the spans in the file, by the name of their trace."""
    held = "otelcol_llm_tail_sampling_held_spans"
    poll("all traces to be decided", lambda: ours.sum(ours.own, held) == 0, 60)
    assert ours.stop() == 0
    names = {trace_id(story.name).hex(): story.name for story in told}
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in ours.kept_spans():
        found[names[one["traceId"]]].append(one)
    return found


def test_what_matters_is_kept_whole_and_one_in_a_hundred_of_the_rest(
    collector: Callable[..., Collector],
) -> None:
    told = stories()
    ours = collector()
    send(ours.grpc, told)
    found = kept(ours, told)

    assert {len(trace) for trace in found.values()} == {4}, "traces are kept whole, each span once"
    for kind in MATTERS:
        assert {story.name for story in told if story.kind == kind} <= found.keys(), kind

    plain = {story.name for story in told if story.kind == "plain"}
    sampled = len(plain & found.keys())
    assert abs(sampled - len(plain) / 100) <= 4 * sqrt(len(plain) * 0.01 * 0.99)

    because = {
        name: root["attributes"]["sampling.policy"]
        for name, trace in found.items()
        for root in trace
        if root["name"] == "agent"
    }
    assert {because[story.name] for story in told if story.kind == "failed"} == {"errors"}
    assert {because[story.name] for story in told if story.kind == "long"} == {"slow"}
    assert {because[story.name] for story in told if story.kind == "dear in pieces"} == {
        "expensive"
    }


def test_with_skeletons_every_trace_arrives_and_the_same_ones_with_content(
    collector: Callable[..., Collector], tmp_path: Path
) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(REPOSITORY / "configs", configs)
    sampling = configs / "sampling.yaml"
    sampling.write_text(sampling.read_text().replace("# - {name: skeletons", "- {name: skeletons"))
    told = stories()[:4_000]

    whole = collector()
    tiered = collector(configs=[configs / "embedded.yaml"], environment=KEY)
    send(whole.grpc, told)
    send(tiered.grpc, told)
    with_content, found = kept(whole, told), kept(tiered, told)

    assert found.keys() == {story.name for story in told}
    assert {
        name for name, trace in found.items() if any(CONTENT in one["attributes"] for one in trace)
    } == with_content.keys()
