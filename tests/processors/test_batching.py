"""`batch` joins what is small and loses nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processors.batch import Batch
from processors.batching import Batching, Config
from tests.telemetry import SECOND, batch, span, spans_of


def batching(**settings: Any) -> Batching:
    return Batching(
        Config(**{"timeout": SECOND, "send_batch_size": 4, "send_batch_max_size": 0} | settings)
    )


def numbers(batches: list[Batch]) -> list[list[int]]:
    return [[int.from_bytes(one.span_id, "big") for one in spans_of(left)] for left in batches]


def test_enough_items_leave_at_once() -> None:
    joining = batching()
    assert joining.process(batch(span(1), span(2))) is None
    left = joining.process(batch(span(3), span(4)))
    assert left is not None
    assert numbers([left]) == [[1, 2, 3, 4]]


def test_the_oldest_waits_no_longer_than_the_timeout() -> None:
    joining = batching()
    joining.process(batch(span(1), received_s=10))
    joining.process(batch(span(2), received_s=10.9))
    assert list(joining.tick(int(10.99 * SECOND))) == []
    assert numbers(list(joining.tick(11 * SECOND))) == [[1, 2]]
    assert list(joining.tick(20 * SECOND)) == []


def test_close_gives_back_the_rest_once() -> None:
    joining = batching()
    joining.process(batch(span(1)))
    assert numbers(list(joining.close())) == [[1]]
    assert list(joining.close()) == []


def test_without_a_timeout_nothing_waits() -> None:
    left = batching(timeout=0).process(batch(span(1)))
    assert left is not None
    assert numbers([left]) == [[1]]


@given(
    st.lists(st.integers(1, 7), max_size=12),
    st.integers(0, 9),
    st.integers(0, 5),
)
def test_every_span_leaves_once_and_in_order(sizes: list[int], size: int, most: int) -> None:
    joining = batching(send_batch_size=size, send_batch_max_size=most)
    left: list[Batch] = []
    number = 0
    for count in sizes:
        spans = [span(number + n + 1) for n in range(count)]
        number += count
        out = joining.process(batch(*spans))
        left += [] if out is None else [out]
    left += joining.close()
    assert [n for cut in numbers(left) for n in cut] == list(range(1, number + 1))
    assert not most or all(len(cut) <= most for cut in left)
