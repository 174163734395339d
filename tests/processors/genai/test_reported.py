"""What is remembered of reported calls is bounded, and exact within its bounds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.genai.call import Report
from processors.genai.reported import Reported
from processors.genai.usage import NO_USAGE


def call(response_id: int) -> Report:
    return (b"span", b"parent", 0, KNOWN, 0, response_id, 0, 1, 2, 3, False)


KNOWN = NO_USAGE._replace(input=1)
IDS = st.integers(0, 3)
STEPS = st.lists(st.tuples(st.sampled_from(["log", "take"]), IDS, IDS), max_size=40)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_each_log_record_is_taken_once_by_a_call_with_an_id_in_common(
    steps: list[tuple[str, int, int]],
) -> None:
    reported, waiting = Reported(), list[tuple[int, int]]()
    for step, response, request in steps:
        if step == "log":
            reported.by_log(response, request, False)
            if response or request:
                waiting.append((response, request))
            continue
        alike = [one for one in waiting if response and one[0] == response]
        alike += [one for one in waiting if request and one[1] == request]
        assert reported.has_log(response, request, False) is bool(alike)
        assert reported.take_log(response, request, False) is bool(alike)
        if alike:
            waiting.remove(alike[0])


def test_an_id_of_a_request_is_none_of_a_response() -> None:
    reported = Reported()
    reported.by_spans([call(5)])
    reported.by_log(7, 0, False)
    assert not reported.has_span(0, 5, False)
    assert not reported.has_log(0, 7, False)


def test_an_id_of_an_answer_from_a_cache_is_none_of_the_call_that_filled_it() -> None:
    reported = Reported()
    reported.by_spans([(*call(5)[:-1], True)])
    reported.by_log(7, 0, True)
    assert (reported.has_span(5, 0, False), reported.has_span(5, 0, True)) == (False, True)
    assert (reported.has_log(7, 0, False), reported.has_log(7, 0, True)) == (False, True)


def test_the_latest_are_remembered_and_the_oldest_forgotten() -> None:
    reported = Reported()
    for one in range(1, 100_001):
        reported.by_spans([call(one)])
        reported.by_log(one, 0, False)
    assert reported.has_span(100_000 - 30_000, 0, False)
    assert not reported.has_span(1, 0, False)
    assert reported.has_log(100_000 - 4_000, 0, False)
    assert not reported.has_log(1, 0, False)


def test_ids_are_forgotten_once_they_are_old() -> None:
    """Between one and two times the limit: an id that is used again later is another call's."""
    reported = Reported()
    reported.forget(100, 10)
    reported.by_spans([call(1)])
    reported.by_log(2, 0, False)
    for now_ns in range(101, 111):
        reported.forget(now_ns, 10)
    assert reported.has_span(1, 0, False)
    assert reported.has_log(2, 0, False)
    reported.by_log(3, 0, False)
    for now_ns in range(111, 121):
        reported.forget(now_ns, 10)
    assert not reported.has_span(1, 0, False)
    assert not reported.has_log(2, 0, False)
    assert reported.has_log(3, 0, False)
