"""Open records are asked again only when something near them stirs, and get the verdicts that asking all gives."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from processors.genai.call import Call
from processors.genai.logs import judge_log
from processors.genai.reasons import SUM_OF_DESCENDANTS
from processors.genai.reported import Reported
from processors.genai.rules import Judge
from processors.genai.trace import SOLID, TRANSPARENT, Trace, tool_link
from processors.genai.usage import NO_USAGE

MS = 1_000_000
SDK, OTHER_SDK, GATEWAY = 0x100, 0x210, 0x321
FAR = 1_000_000


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def record(
    number: int, parent: int, tokens: int, ms: tuple[int, int], scope: int = SDK, kind: int = 0
) -> Call:
    usage = NO_USAGE._replace(input=tokens, output=tokens // 10)
    start, end = (moment * MS for moment in ms)
    return Call(span_id(number), span_id(parent), scope, usage, 7, 0, 0, start, end, kind, False)


def judge() -> Judge:
    return Judge(Reported(), prefer_gateway=False, cumulative_loops=True)


def take(trace: Trace, *calls: Call) -> None:
    """Judge what one request brings."""
    for call in calls:
        trace.add(call)
    judge().judge(trace, calls, final=False)


class Walked(Trace):
    """A trace that counts how often somebody asks what is below a span."""

    __slots__ = ("times",)

    def records_below(self, span_id: bytes) -> Iterator[Call]:
        self.times = getattr(self, "times", 0) + 1
        return super().records_below(span_id)


def ends_of_nested_calls(count: int) -> list[Call]:
    return [record(n, n - 1, 10 * (count - n) + 10, (n, FAR - n)) for n in range(count, 0, -1)]


def calls_that_wrap_one_each(count: int) -> list[Call]:
    pairs = [
        (record(n + 1, n, n, (n * 10 + 1, n * 10 + 8)), record(n, 1, n + 5, (n * 10, n * 10 + 9)))
        for n in range(10, 10 + count, 2)
    ]
    return [call for pair in pairs for call in pair]


@pytest.mark.parametrize("shape", [ends_of_nested_calls, calls_that_wrap_one_each])
def test_each_request_asks_as_few_records_as_the_one_before(
    shape: Callable[[int], list[Call]],
) -> None:
    trace = Walked()
    for call in shape(100):
        take(trace, call)
    assert len(trace.open) > 40
    assert trace.times < 6 * 100


def test_a_sum_is_found_when_another_record_below_it_turned_out_to_be_a_repetition() -> None:
    whole = record(1, 0, 200, (0, 90))
    parts = [record(2, 1, 100, (10, 20)), record(3, 1, 100, (30, 40))]
    trace = Trace()
    take(trace, whole, *parts, record(4, 1, 100, (30, 40), OTHER_SDK))
    assert whole.verdict is None
    take(trace, record(9, 8, 1, (0, 1)))
    assert whole.verdict == SUM_OF_DESCENDANTS


# ------------------------------------------------------------------ what asking all says


def invented(seed: int) -> list[list[Call | bytes]]:
    """Return requests of a trace: records, and links of spans that leave none."""
    rnd = random.Random(seed)
    count, deep = rnd.choice([4, 8, 16, 40]), rnd.random()
    spans = [invented_span(rnd, number, count, deep) for number in range(1, count + 1)]
    rnd.choice([rnd.shuffle, list.reverse, len])(spans)
    each = rnd.random() < 0.4
    cuts = range(1, count) if each else sorted(rnd.sample(range(1, count), rnd.randint(0, 3)))
    return [spans[a:b] for a, b in zip([0, *cuts], [*cuts, count], strict=True)]


def invented_span(rnd: random.Random, number: int, count: int, deep: float) -> Call | bytes:
    nearest = number - 1 if rnd.random() < deep else rnd.randint(0, number - 1)
    parent = nearest if rnd.random() < 0.85 else rnd.choice([0, 1000, rnd.randint(0, count)])
    ids = span_id(number) + span_id(parent)
    start = rnd.choice([number, 30 * rnd.randint(0, 3) + number])
    ms = start, rnd.choice([FAR - number, start + 1, start + 1000])
    sort = rnd.random()
    if sort < 0.2:
        return ids + rnd.choice([TRANSPARENT, SOLID])
    if sort < 0.25:
        return tool_link(ids[:8], ids[8:], ms[0] * MS, ms[1] * MS)
    scope = rnd.choice([SDK, OTHER_SDK, GATEWAY])
    call = record(number, parent, rnd.choice([100, 100, 200, 300]), ms, scope, rnd.randint(0, 3))
    call.response_id = rnd.choice([0, 0, 5, 6])
    call.aggregate, call.loop = sort > 0.9, 0.8 < sort < 0.9
    return call


def judged(seed: int, *, asking_all: bool) -> list[list[str | None]]:
    """Return the verdicts after each request."""
    trace, found = Trace(), []
    rules = Judge(Reported(), prefer_gateway=seed % 3 == 0, cumulative_loops=True)
    for number, some in enumerate(invented(seed)):
        fresh = [one for one in some if isinstance(one, Call)]
        for one in some:
            trace.link(one) if isinstance(one, bytes) else trace.add(one)
        for call in trace.open if asking_all else ():
            call.waits = False
        if number == 2 and seed % 5 == 0:
            judge_log(trace, record(99, 0, 200, (1, 2)))
        rules.judge(trace, fresh, final=False)
        found.append([call.verdict for call in trace.calls.values()])
    return found


def test_what_is_not_asked_would_have_stayed_open() -> None:
    for seed in (*range(400), 2_367):  # the last asks a record for what stands beside it alone
        assert judged(seed, asking_all=False) == judged(seed, asking_all=True), seed
