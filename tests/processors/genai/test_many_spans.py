"""100,000 mixed spans, a tenth delivered twice, a tenth retried: the total is the sum by hand, to the attodollar."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from processors.batch import Batch, Signal
from processors.genai import build as build_genai
from processors.llm_cost import build as build_cost
from processors.ports import Context
from tests.processors.genai.replay import NOW_NS, resolve, schema
from tests.telemetry import SECOND, span, traces

SPANS = 100_000
PER_REQUEST = 500
MILLION = Decimal(1_000_000)
PRICES = {"gpt-4o": ("2.5", "1.25", "10"), "gpt-4.1-nano": ("0.1", "0.025", "0.4")}
"""USD per million tokens: input, cached input, output (openai.com/api/pricing, 2026-11)."""


def by_hand(model: str, counts: tuple[int, int, int]) -> Decimal:
    fresh, cached, output = (Decimal(price) / MILLION for price in PRICES[model])
    total, read, said = counts
    return (total - read) * fresh + read * cached + said * output


def call(rnd: random.Random, number: int, trace: int) -> tuple[dict[str, Any], Decimal]:
    model = rnd.choice(tuple(PRICES))
    total = rnd.randint(10, 90_000)
    read, output = rnd.randint(0, total), rnd.randint(1, 4_000)
    attributes: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": total,
        "gen_ai.usage.output_tokens": output,
        "gen_ai.usage.cache_read.input_tokens": read,
    }
    start = rnd.randint(0, 50_000)
    written = span(
        number, trace=trace, parent=1, kind=3, ms=(start, start + 900), attributes=attributes
    )
    return written, by_hand(model, (total, read, output))


def mixed(rnd: random.Random) -> Iterator[tuple[dict[str, Any], Decimal]]:
    """Yield spans with what each adds: model calls, retries of them under new ids, tools, HTTP; then the repeats."""
    sent: list[dict[str, Any]] = []
    number = 1
    while len(sent) < SPANS * 10 // 11:
        number += 1
        trace = number // 8 + 1
        kind = rnd.random()
        if kind < 0.5:
            written, cost = call(rnd, number, trace)
        elif kind < 0.75:
            tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
            written, cost = span(number, trace=trace, parent=1, attributes=tool), Decimal(0)
        else:
            written, cost = span(number, trace=trace, name="GET /"), Decimal(0)
        sent.append(written)
        yield written, cost
        if rnd.random() < 0.1:  # a retry: another span, also billed
            number += 1
            retry = written | {"number": number}
            sent.append(retry)
            yield retry, cost
    for written in rnd.sample(sent, SPANS // 11):
        yield written, Decimal(0)


def test_the_total_is_the_sum_by_hand() -> None:
    genai = build_genai(resolve(schema("genai"), {}), Context(id="genai"))
    cost = build_cost(resolve(schema("llm_cost"), {}), Context(id="llm_cost"))
    expected, got, spans = Decimal(0), Decimal(0), 0
    waiting: list[dict[str, Any]] = []
    for written, adds in mixed(random.Random(11)):
        expected += adds
        waiting.append(written)
        if len(waiting) == PER_REQUEST:
            got += charged(genai, cost, waiting, NOW_NS + spans * 1_000_000)
            spans += len(waiting)
            waiting = []
    got += charged(genai, cost, waiting, NOW_NS + SECOND * 200)
    assert spans > 99_000
    assert got == expected
    assert got > 100


def charged(genai: Any, cost: Any, spans: list[dict[str, Any]], now_ns: int) -> Decimal:
    """Return what one request costs: the doubles are the ones nearest to exact decimals, so their text is exact."""
    out = genai.process(Batch(Signal.TRACES, traces(*spans), received_ns=now_ns))
    priced = cost.process(out)
    costs = [item.get("app.llm.cost_usd") for item in priced.spans()]
    return sum((Decimal(repr(value)) for value in costs if value is not None), Decimal(0))
