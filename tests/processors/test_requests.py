"""Joining and cutting requests loses nothing, keeps the order and keeps the limits."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.batch import Batch, Signal
from processors.requests import Portions, Request, cut, halves, join
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
    assert list(cut(broken, most_items=5, most_bytes=2)) == [broken]
    assert list(cut(broken)) == [broken]


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
    pieces = list(cut(whole, most_items=most_items, most_bytes=most_bytes))
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


@pytest.mark.parametrize(
    "pieces_of", [partial(cut, most_items=1), lambda whole: Portions(whole, 1, 1 << 20)]
)
def test_a_request_is_cut_piece_by_piece(
    pieces_of: Callable[[Request], Iterator[Request]],
) -> None:
    """Who sends one piece after another holds two of them while the next is made, not a copy of everything."""
    whole = request(traces(span_ids(20), text="x" * 100_000))
    gc.disable()
    tracemalloc.start()
    try:
        assert sum(1 for _ in pieces_of(whole)) == 20
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < 350_000
    assert left < 10_000, "cycles keep the request until somebody looks for them"


def of_traces(numbers: Sequence[int]) -> Request:
    """Return a request of spans that belong to these traces."""
    sent = ExportTraceServiceRequest()
    spans = sent.resource_spans.add().scope_spans.add().spans
    for span_id, number in zip(span_ids(len(numbers)), numbers, strict=True):
        spans.add(trace_id=number.to_bytes(16), span_id=span_id)
    return Request(Signal.TRACES, sent.SerializeToString(), len(numbers))


def homes(pieces: Sequence[Request]) -> dict[int, list[tuple[int, int]]]:
    """Return for each trace where its spans are, in the order of their ids: number of the piece, place in it."""
    found: dict[int, dict[bytes, tuple[int, int]]] = {}
    for number, piece in enumerate(pieces):
        for place, span in enumerate(Batch(Signal.TRACES, piece.raw).spans()):
            found.setdefault(int.from_bytes(span.trace_id), {})[span.span_id] = (number, place)
    return {trace: [spans[key] for key in sorted(spans)] for trace, spans in found.items()}


@given(numbers=st.lists(st.integers(1, 12), min_size=1, max_size=60), most=st.integers(1, 10))
def test_portions_hold_everything_once_and_traces_in_order(numbers: list[int], most: int) -> None:
    whole = of_traces(numbers)
    pieces = list(Portions(whole, most, 1 << 20))
    assert sorted(ids(pieces)) == ids([whole])
    assert sum(piece.items for piece in pieces) == len(numbers)
    assert max(piece.items for piece in pieces) <= most
    for trace, places in homes(pieces).items():
        assert places == sorted(places)
        assert numbers.count(trace) > most or len({piece for piece, _ in places}) == 1


def test_a_trace_stays_in_one_portion() -> None:
    pieces = list(Portions(of_traces([1, 2, 3, 4] * 3), 6, 1 << 20))
    assert [piece.items for piece in pieces] == [6, 6]
    assert [len({piece for piece, _ in places}) for places in homes(pieces).values()] == [1] * 4


def test_a_trace_that_is_too_long_goes_on_in_the_next_portion() -> None:
    pieces = list(Portions(of_traces([1] * 7 + [2]), 3, 1 << 20))
    assert [piece.items for piece in pieces] == [3, 3, 2]


def test_large_items_make_portions_of_their_own() -> None:
    whole = request(traces(span_ids(6), text="x" * 1_000))
    assert [piece.items for piece in Portions(whole, 100, 2_500)] == [2, 2, 2]


def of_a_large_resource(spans: int, resource_bytes: int) -> Request:
    """Return a request of small spans, each of a trace of its own, that share one large resource."""
    sent = ExportTraceServiceRequest()
    sent.MergeFromString(of_traces(range(1, spans + 1)).raw)
    sent.resource_spans[0].schema_url = "s" * resource_bytes
    return Request(Signal.TRACES, sent.SerializeToString(), spans)


def test_a_large_resource_is_not_copied_for_every_trace() -> None:
    whole = of_a_large_resource(300, 100_000)
    assert [piece.items for piece in Portions(whole, 1_000, 100_000)] == [300]
    assert list(Portions(whole, 10, 200_000)) == [whole], "thirty copies of the resource"


def test_traces_that_share_a_resource_share_it_in_a_portion() -> None:
    whole = of_a_large_resource(300, 10_000)
    assert [piece.items for piece in Portions(whole, 1_000, 25_000)] == [300]


def test_a_resource_larger_than_the_limit_is_sent_with_many_items_at_a_time() -> None:
    pieces = list(cut(of_a_large_resource(300, 100_000), most_bytes=20_000))
    assert sum(piece.items for piece in pieces) == 300
    assert len(pieces) <= 3


@pytest.mark.parametrize("batch", [logs(7), metrics(list("abcdefg"))])
def test_portions_of_other_signals_keep_the_order(batch: Batch) -> None:
    pieces = list(Portions(request(batch), 3, 1 << 20))
    assert [piece.items for piece in pieces] == [3, 3, 1]
    came = [item.body() for item in batch.items()]
    assert [i.body() for p in pieces for i in Batch(p.signal, p.raw).items()] == came
