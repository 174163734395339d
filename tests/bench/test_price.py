"""What a price is made of: a bound that no machine and no load moves. `price` has the microseconds."""

from __future__ import annotations

from typing import Any

import pytest

from processors.batch import Batch
from tests.bench.price import CALLS, UNKNOWN, behind, calls, lookups, written
from tests.processors.llm_cost.calls import llm_cost
from tests.ruler import Calls

WAYS = pytest.mark.parametrize("way", [lookups, behind])
MODELS = pytest.mark.parametrize("request_", [calls(), calls(**UNKNOWN)], ids=["known", "unknown"])


@WAYS
@MODELS
def test_a_price_takes_five_calls(request_: Batch, way: Any) -> None:
    price = way(llm_cost(), Batch(request_.signal, request_.raw))
    price()
    with Calls() as made:
        priced = price()
    assert len(priced) >= CALLS - 1
    assert None not in priced
    assert made.made <= 5 * CALLS


@MODELS
def test_a_span_is_priced_from_bytes_to_bytes_in_twelve_calls(request_: Batch) -> None:
    price = written(llm_cost(), request_)
    price()
    with Calls() as made:
        batch = price()
    assert all("app.llm.cost.status" in one for one in batch.spans())
    assert made.made <= 12 * CALLS
