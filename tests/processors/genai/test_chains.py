"""One call through wrapper, client, gateway and server counts once, however its four reports are cut and ordered."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.processors.genai.replay import ledger
from tests.processors.genai.test_ledger import CALL, CLIENT, SERVER, sent
from tests.telemetry import span, traces

TOKENS = "gen_ai.usage.input_tokens"
REPORTS = (
    traces(span(1, ms=(0, 1000), attributes=CALL), scope="opentelemetry.instrumentation.langchain"),
    traces(
        span(2, parent=1, kind=CLIENT, ms=(5, 995), attributes=CALL),
        scope="opentelemetry.instrumentation.openai.v1",
    ),
    # each of these has a template and a tokenizer of its own
    traces(span(3, parent=2, kind=SERVER, ms=(10, 990), attributes=CALL | {TOKENS: 102}), scope="litellm"),
    traces(span(4, parent=3, kind=SERVER, ms=(15, 985), attributes=CALL | {TOKENS: 105}), scope="vllm.llm_engine"),
)  # fmt: skip


@pytest.mark.parametrize("prefer", ["client", "gateway"])
@pytest.mark.parametrize("cuts", [(4,), (1, 4), (2, 4), (3, 4), (1, 2, 3, 4)])
def test_every_order_counts_once(prefer: str, cuts: tuple[int, ...]) -> None:
    for order in permutations(REPORTS):
        starts = (0, *cuts)
        requests = [b"".join(order[a:b]) for a, b in zip(starts, cuts, strict=False)]
        assert ledger(sent(*requests, prefer=prefer))["model_calls"] == 1, (prefer, cuts)
