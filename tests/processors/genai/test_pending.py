"""Records whose kinship is not known yet: they wait only if they would repeat another one."""

from __future__ import annotations

from typing import Any

import pytest

from processors.batch import Signal
from tests.processors.genai.replay import Graph, ledger
from tests.processors.genai.test_ledger_properties import Part, packed, part

WRAPPER = part("wrapper", 1, 0, (0, 10), 3000)
LEAVES = [part("sdk", 2, 1, (1, 4), 1000, 3), part("sdk", 3, 1, (5, 9), 2000, 3)]
CLIENT = part("sdk", 1, 0, (0, 10), 700, 3, ident="own")
HTTP = part("http", 2, 1, (1, 9), None, 3)
GATEWAY = part("gateway", 3, 2, (2, 8), 700, ident="rewritten")


def sent(*parts: Part) -> Graph:
    graph = Graph()
    for one in parts:
        graph.send(Signal.TRACES, packed([one]))
    return graph


@pytest.mark.parametrize(
    "order",
    [
        (GATEWAY, CLIENT, HTTP),
        (CLIENT, GATEWAY, HTTP),
        (HTTP, CLIENT, GATEWAY),
        (HTTP, GATEWAY, CLIENT),
    ],
)
def test_client_and_gateway_count_once_in_any_order(order: tuple[Part, ...]) -> None:
    got = ledger(sent(*order).close())
    assert (got["model_calls"], got["input_tokens"]) == (1, 700)


def test_a_gateway_waits_for_the_span_that_links_it() -> None:
    graph = sent(CLIENT, GATEWAY)
    assert [item.span_id[-1] for item in graph.left] == ["1"]
    graph.send(Signal.TRACES, packed([HTTP]))
    graph.wait(0.1)
    assert [item.span_id[-1] for item in graph.left] == ["1", "2", "3"]


def test_a_link_that_never_comes_leaves_two_calls() -> None:
    assert ledger(sent(CLIENT, GATEWAY).close())["model_calls"] == 2


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_a_sum_counts_the_same_tokens_in_any_order(order: tuple[int, ...]) -> None:
    parts = [WRAPPER, *LEAVES]
    got = ledger(sent(*(parts[n] for n in order)).close())
    assert (got["input_tokens"], got["output_tokens"]) == (3000, 300)


def test_a_wrapper_that_is_no_sum_counts_after_it_waited() -> None:
    assert ledger(sent(LEAVES[0], WRAPPER).close())["input_tokens"] == 4000
    assert ledger(sent(WRAPPER, LEAVES[0]).close())["input_tokens"] == 4000


def test_calls_of_one_instrumentation_never_wait() -> None:
    calls = [part("sdk", n, 10 + n, (n, n + 50), 500, 3, ident=f"r{n}") for n in range(2, 6)]
    assert len(sent(*calls).left) == len(calls)


def test_calls_one_after_the_other_never_wait() -> None:
    calls: list[Any] = [
        part("sdk", 2, 12, (0, 5), 500, 3),
        part("gateway", 3, 13, (6, 9), 500),
        part("second", 4, 14, (10, 12), 500, 3),
    ]
    assert len(sent(*calls).left) == len(calls)
