"""The users' exercise, with the policies that are shipped.

    Keep 100 % of the traces with an error, 100 % of those over five seconds, 100 % of those that cost ten cents or
    more, and one in a hundred of the rest.

A stream of 20,000 traces through one sampler: its time is the stream's own, and spans come when they end, as they do
from a real SDK. So a call comes before the agent that made it, and the root of a trace of thirty seconds comes last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

import yaml
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .support import BEGIN, MS, Run, attributes_of, span

SHIPPED = Path(__file__).parents[3] / "configs"
TRACES = 20_000
EVERY_MS = 5
KINDS = ("plain",) * 94 + ("failed", "slow", "dear", "dear in pieces", "long", "unpriced")


@dataclass(frozen=True)
class Story:
    """One trace: what happened, and how long it took."""

    number: int
    kind: str
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.number}"


def stories() -> list[Story]:
    random = Random(20_000)
    lengths = {"slow": (5.1, 12), "long": (29, 31)}
    return [
        Story(number, kind, random.uniform(*lengths.get(kind, (0.2, 4.9))))
        for number in range(TRACES)
        for kind in [random.choice(KINDS)]
    ]


def spans(story: Story) -> Iterator[Span]:
    """An agent over three model calls. The calls of one that is dear in pieces cost four cents each."""
    begin = story.number * EVERY_MS
    end = begin + story.seconds * 1000
    third = (end - begin) / 3
    cost = {"dear": 0.11, "dear in pieces": 0.04}.get(story.kind, 0.003)
    for call in range(3):
        priced: dict[str, Any] = {"app.llm.cost.status": "priced", "app.llm.cost_usd": cost}
        if story.kind == "unpriced" and call == 1:
            priced = {"app.llm.cost.status": "unpriced"}
        failed = story.kind == "failed" and call == 1
        yield span(
            story.name, f"chat {call}", {"app.llm.span.class": "model_call", **priced},
            ms=(begin + call * third, begin + (call + 1) * third - 1), parent="agent", kind=3,
            status="error" if failed else "unset",
        )  # fmt: skip
    yield span(story.name, "agent", ms=(begin, end))


def test_what_matters_is_kept_whole_and_one_in_a_hundred_of_the_rest() -> None:
    shipped = yaml.safe_load((SHIPPED / "sampling.yaml").read_text())
    options = {"attributes": True, "tracestate": True, "root": "local"}
    run = Run(*shipped, decision_wait="60s", decision_wait_after_root_received="2s", record=options)
    told = stories()
    stream = sorted(
        (one for story in told for one in spans(story)), key=lambda one: one.end_time_unix_nano
    )
    for first in range(0, len(stream), 50):
        request = stream[first : first + 50]
        run.wait_until(request[-1].end_time_unix_nano)
        run.send(*request)
    run.wait(60)

    out: dict[str, list[Span]] = {}
    by_id = {one.trace_id: story.name for story in told for one in [next(spans(story))]}
    for one in run.spans:
        out.setdefault(by_id[bytes(one.trace_id)], []).append(one)
    kept = {story.name for story in told if story.name in out}
    assert all(len(found) == 4 for found in out.values()), "traces are kept whole, each span once"
    for kind in ("failed", "slow", "dear", "dear in pieces", "long", "unpriced"):
        assert {story.name for story in told if story.kind == kind} <= kept, kind

    plain = [story.name for story in told if story.kind == "plain"]
    share = len(kept & set(plain))
    assert abs(share - len(plain) / 100) <= 4 * sqrt(len(plain) * 0.01 * 0.99)

    roots = [next(one for one in found if one.name == "agent") for found in out.values()]
    assert all("sampling.policy" in attributes_of(root) for root in roots), (
        "every kept trace says why"
    )
    standing_for = sum(attributes_of(root)["sampling.adjusted_count"] for root in roots)
    assert abs(standing_for - TRACES) <= 4 * sqrt(len(plain) * 99), (
        "kept traces tell how many there were"
    )
    assert run.closes
    assert run.now < BEGIN + (TRACES * EVERY_MS + 95_000) * MS
