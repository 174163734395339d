"""Metrics before sampling: complete whatever is kept, and no exemplar leads to a trace that was dropped."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files

import pytest

from collector.config.settings import resolve
from processors import tail_sampling
from processors.batch import Batch
from processors.llm_metrics import build
from processors.ports import Context, DecisionBus

from .support import NOW, SECOND, priced, read, resolved, span, total, traces
from .test_exemplars import exemplars


@pytest.mark.parametrize(("percentage", "count"), [(0, 400), (1, 10_000), (10, 400), (100, 400)])
def test_sums_are_complete_and_links_are_alive(percentage: float, count: int) -> None:
    bus = DecisionBus()
    metrics = build(resolved({}), Context(id="llm_metrics", decisions=bus))
    sampler = sampling(percentage, bus)
    kept: set[bytes] = set()
    flushed: list[Batch] = []
    ids = [hashlib.sha256(b"%d" % number).digest()[:16] for number in range(count)]
    for number, trace in enumerate(ids):
        batch = traces([span(priced(), trace=trace, seconds=6.0)], now_ns=NOW + number * SECOND)
        metrics.process(batch)
        sampler.process(batch)
        for released in sampler.tick(NOW + number * SECOND):
            kept |= {one.trace_id for one in released.spans()}
        flushed += metrics.tick(NOW + number * SECOND)
    for released in (*sampler.tick(NOW + 2 * count * SECOND), *sampler.close()):
        kept |= {one.trace_id for one in released.spans()}
    flushed += metrics.tick(NOW + 3 * count * SECOND)
    found = read(flushed[-1:])
    linked = {one.trace_id for ones in exemplars(flushed).values() for one in ones}
    assert total(found, "llm_requests_total") == count
    assert total(found, "llm_cost_usd_total") == count / 1000
    assert linked <= kept
    assert bool(linked) == bool(kept) == (percentage > 0)


def sampling(percentage: float, bus: DecisionBus) -> tail_sampling.TailSampling:
    schema = json.loads(
        files("processors.tail_sampling").joinpath("schema.json").read_text("utf-8")
    )
    policy = {
        "name": "some",
        "type": "probabilistic",
        "probabilistic": {"sampling_percentage": percentage},
    }
    settings = resolve(schema, {"decision_wait": "2s", "policies": [policy]})
    sampler = tail_sampling.build(settings, Context(id="tail_sampling", decisions=bus))
    assert isinstance(sampler, tail_sampling.TailSampling)
    return sampler
