"""Joining and cutting requests loses nothing, keeps the order and keeps the limits."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.batch import Batch, Signal
from processors.requests import Request, cut, halves, join
from tests.countable import logs, metrics, span_ids, traces


def request(batch: Batch) -> Request:
    return Request(batch.signal, batch.encode(), len(batch))


def ids(pieces: Sequence[Request]) -> list[bytes]:
    return [span.span_id for piece in pieces for span in Batch(Signal.TRACES, piece.raw).spans()]


def test_one_request_is_joined_to_itself() -> None:
    only = request(traces(span_ids(3)))
    assert join([only]) is only


def test_joined_requests_hold_all_items_in_order() -> None:
    joined = join([request(traces(span_ids(2))), request(traces(span_ids(3, first=3)))])
    assert joined.items == 5
    assert ids([joined]) == span_ids(5)


def test_what_fits_is_not_decoded() -> None:
    broken = Request(Signal.TRACES, b"\xff\xff", 5)
    assert cut(broken, most_items=5, most_bytes=2) == [broken]
    assert cut(broken) == [broken]


@given(
    count=st.integers(1, 40),
    scopes=st.integers(1, 4),
    most_items=st.integers(0, 10),
    most_bytes=st.sampled_from([0, 60, 120, 500]),
)
def test_pieces_keep_the_limits_and_hold_everything_once(
    count: int, scopes: int, most_items: int, most_bytes: int
) -> None:
    whole = request(traces(span_ids(count), scopes=scopes))
    pieces = cut(whole, most_items=most_items, most_bytes=most_bytes)
    assert ids(pieces) == ids([whole])
    assert sum(piece.items for piece in pieces) == count
    for piece in pieces:
        assert not most_items or piece.items <= most_items
        assert not most_bytes or len(piece.raw) <= most_bytes or piece.items == 1


def test_pieces_keep_resource_and_scope() -> None:
    whole = request(traces(span_ids(4), scopes=2))
    services = [
        [span.resource.get("service.name") for span in Batch(Signal.TRACES, piece.raw).spans()]
        for piece in cut(whole, most_items=1)
    ]
    assert services == [["service-0"], ["service-0"], ["service-1"], ["service-1"]]


def test_metrics_are_cut_between_metrics_by_points() -> None:
    whole = request(metrics(["a", "b", "c"], points=3))
    assert whole.items == 9
    assert [piece.items for piece in cut(whole, most_items=6)] == [6, 3]
    assert [piece.items for piece in cut(whole, most_items=1)] == [3, 3, 3]


@pytest.mark.parametrize("batch", [traces(span_ids(7)), logs(7), metrics(list("abcdefg"))])
def test_halves_hold_everything(batch: Batch) -> None:
    assert [half.items for half in halves(request(batch))] == [3, 4]


def test_a_single_item_has_no_halves() -> None:
    assert len(halves(request(metrics(["a"], points=5)))) == 1
