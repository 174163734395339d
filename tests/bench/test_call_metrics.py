"""The benchmark measures what it says: calls that are priced, counted and told."""

from __future__ import annotations

from random import Random

import pytest

from processors.batch import Batch
from tests.bench.call_metrics import CONTENT, PER_REQUEST, Bench, figures, scraped
from tests.processors.llm_metrics.support import read, total


@pytest.mark.parametrize("size", CONTENT)
def test_every_call_is_priced_and_counted(size: str) -> None:
    bench = Bench()
    batch = bench.batch(size, Random(1))
    assert {one.get("app.llm.cost.status") for one in batch.spans()} == {"priced"}
    bench.metrics.process(batch)
    found = read(bench.metrics.close())
    assert total(found, "llm_requests_total", status="success") == PER_REQUEST
    assert total(found, "llm_cost_usd_total") > 0


def test_calls_count_the_same_in_another_process() -> None:
    """Here `genai` has left on the spans what it read; a batch that was encoded again has nothing of it."""
    here, there = Bench(), Bench()
    batch = here.batch("lean", Random(2))
    assert any(one.columns for one in batch.spans())
    again = Batch(batch.signal, batch.encode(), received_ns=batch.received_ns)
    here.metrics.process(batch)
    there.metrics.process(again)
    assert read(here.metrics.close()) == read(there.metrics.close())


def test_there_is_a_figure_for_everything() -> None:
    best = figures("lean", rounds=1, requests=2)
    assert all(value > 0 for value in best.values())
    assert set(best) == {"counted", "again", "told", "encoded", "taken", "point", "points"}


def test_as_many_series_are_scraped_as_asked_for() -> None:
    spent, series = scraped(rounds=1, series=500)
    assert spent > 0
    assert series >= 500
