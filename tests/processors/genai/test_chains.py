"""One call through wrapper, client, gateway and server counts once, however its reports are cut, ordered and nested."""

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


SDK, ANTHROPIC = "opentelemetry.instrumentation.openai.v1", "com.anthropic.sdk.python"
BESIDE = {
    "the client's span was not current when it called the server": (
        (REPORTS[0], "1", False),
        (traces(span(2, parent=1, kind=CLIENT, ms=(5, 990), attributes=CALL), scope=SDK), "2", True),
        (traces(span(3, parent=1, kind=SERVER, ms=(20, 985), attributes=CALL), scope="vllm.llm_engine"), "3", False),
    ),
    "the one that is kept waits, since the outermost holds more": (
        (traces(span(1, kind=CLIENT, ms=(5, 999), attributes=CALL | {TOKENS: 200}), scope="openai"), "1", True),
        (traces(span(2, parent=1, kind=SERVER, ms=(10, 999), attributes=CALL), scope="vllm.llm_engine"), "2", False),
        (traces(span(3, parent=2, ms=(15, 990), attributes=CALL), scope=SDK), "3", False),
        (traces(span(4, parent=2, kind=CLIENT, ms=(10, 990), attributes=CALL), scope=ANTHROPIC), "4", True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BESIDE)
def test_of_siblings_one_is_left(case: str) -> None:
    for order in permutations(BESIDE[case]):
        left = sent(b"".join(raw for raw, _, _ in order))
        got = {one.span_id[-1]: one.counted for one in left}
        assert got == {number: counted for _, number, counted in order}
