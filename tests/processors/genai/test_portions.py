"""A request that comes in portions gets the verdicts of the whole: the spans of a trace stay together."""

from __future__ import annotations

from itertools import zip_longest

from processors.batch import Signal
from processors.requests import Portions, Request
from tests.processors.genai.replay import NAMES, Graph, Left, golden, requests, spans
from tests.processors.genai.test_ledger_properties import packed


def interleaved() -> Request:
    """Return all spans of the golden cases in one request, one case's after the other's in turn."""
    cases = [
        [
            part
            for signal, request in requests(golden(name))
            if signal is Signal.TRACES
            for part in spans(request)
        ]
        for name in NAMES
    ]
    parts = [part for row in zip_longest(*cases) for part in row if part is not None]
    return Request(Signal.TRACES, packed(parts), len(parts))


def left_by(*sent: Request) -> list[Left]:
    graph = Graph()
    for one in sent:
        graph.send(one.signal, one.raw)
    return sorted(graph.close(), key=lambda left: (left.identity, left.body))


def test_golden_cases_in_portions_become_what_they_become_in_one_request() -> None:
    whole = interleaved()
    pieces = list(Portions(whole, 20, 1 << 20))
    assert len(pieces) > 4
    assert left_by(*pieces) == left_by(whole)
