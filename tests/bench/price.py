"""What one price costs, reading of its attributes included: of a known model, of one without a price, and written.

    python -m tests.bench.price

The spans are those of the usual call of an instrumentation that writes today's names, parsed already; every one has
other counts. *behind genai*: as shipped, where `genai` has read the values already; *alone*: read from the span. The
figures are the best of several rounds, in microseconds of CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from processors import genai
from processors.batch import Batch, Signal
from processors.llm_cost import LlmCost
from processors.llm_cost.quick import Priced
from processors.llm_cost.reader import Shape
from tests.bench.call_metrics import build
from tests.processors.llm_cost.calls import CALL, NOON, llm_cost, nanoseconds
from tests.telemetry import batch, span

CALLS: Final = 2_000
ROUNDS: Final = 20
USUAL: Final = {
    **CALL,
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 1024,
    "gen_ai.conversation.id": "conversation-0123456789",
    "gen_ai.usage.cache_read.input_tokens": 0,
    "server.address": "api.openai.com",
    "server.port": 443,
}
UNKNOWN: Final = {"gen_ai.request.model": "nobody-1", "gen_ai.response.model": "nobody-1"}
AT: Final = nanoseconds(NOON)


def calls(**other: Any) -> Batch:
    """Return a request of model calls."""
    own = [
        {
            "gen_ai.response.id": f"chatcmpl-{n:010}",
            "gen_ai.usage.input_tokens": 200 + 7 * n,
            "gen_ai.usage.output_tokens": 20 + n,
        }
        for n in range(CALLS)
    ]
    made = [span(n + 1, attributes={**USUAL, **other, **one}) for n, one in enumerate(own)]
    return Batch(Signal.TRACES, batch(*made).raw)


def lookups(processor: LlmCost, request: Batch) -> Callable[[], Sequence[Priced | None]]:
    """Return what prices all calls of a request as it came, without writing anything."""
    spans = list(request.spans())
    shape = Shape(spans[0].present, ())
    sources = [one.view.attributes for one in spans]
    price = processor._quick.price
    return lambda: [price(shape, each, AT) for each in sources]


def behind(processor: LlmCost, request: Batch) -> Callable[[], Sequence[Priced | None]]:
    """Return the same for a request that `genai` has read: all but the first span, by which it learns the keys."""
    build(genai, {}, "genai").process(request)
    _, *spans = request.spans()
    keys = spans[0].columns[0] if spans[0].columns else ()
    shape = Shape(spans[0].present, (), tuple(spans[0].edits), keys)
    sources = [one.columns[1] for one in spans if one.columns]
    price = processor._quick.price
    return lambda: [price(shape, each, AT) for each in sources]


def written(processor: LlmCost, request: Batch) -> Callable[[], Batch]:
    """Return what prices a request from bytes to bytes."""
    return lambda: processor.process(Batch(Signal.TRACES, request.raw, received_ns=AT))


def best_us(run: Callable[[], object]) -> float:
    """Return the microseconds of one call in the best round."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        run()
        rounds.append(time.process_time() - began)
    return min(rounds) / CALLS * 1e6


def main() -> None:
    """Print the figures."""
    processor = llm_cost()
    for name, request in {"known": calls(), "unknown": calls(**UNKNOWN)}.items():
        print(f"{name:8} price alone {best_us(lookups(processor, request)):5.2f} us", end="")
        print(f"   from bytes to bytes {best_us(written(processor, request)):5.2f} us", end="")
        print(f"   price behind genai {best_us(behind(processor, request)):5.2f} us")


if __name__ == "__main__":
    main()
