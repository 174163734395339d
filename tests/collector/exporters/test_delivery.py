"""One request against destinations of every temper, without threads or clocks."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import ExportFailed
from collector.exporters.delivery import MOST_FRUITLESS, Answer, CredentialsRefused, Delivery
from collector.exporters.retry import RetryConfig
from processors.batch import Batch, Signal
from processors.requests import MAX_REQUEST_BYTES, Request, join
from tests.countable import metrics, span_ids, traces

RETRY = RetryConfig(
    enabled=True,
    initial_s=1.0,
    max_s=8.0,
    multiplier=2.0,
    randomization=0.0,
    max_elapsed_s=60.0,
    unauthenticated_s=30.0,
)


class Destination:
    """Answers in turn by `ExportFailed` or `Answer`, the last one for ever, and keeps what it accepted."""

    def __init__(self, *answers: ExportFailed | Answer) -> None:
        self.answers = answers
        self.requests = 0
        self.accepted: list[bytes] = []

    def __call__(self, request: Request) -> Answer:
        answer = self.answer(request)
        self.requests += 1
        if isinstance(answer, ExportFailed):
            raise answer
        self.accepted += [span.view.span_id for span in Batch(request.signal, request.raw).spans()]
        return answer

    def answer(self, request: Request) -> ExportFailed | Answer:
        return self.answers[min(self.requests, len(self.answers) - 1)]


class Picky(Destination):
    """Calls a request invalid when it holds a bad id."""

    def __init__(self, bad: set[bytes]) -> None:
        super().__init__()
        self.bad = bad

    def answer(self, request: Request) -> ExportFailed | Answer:
        ids = {span.span_id for span in Batch(request.signal, request.raw).spans()}
        return invalid() if ids & self.bad else Answer()


class Time:
    """A clock that `pause` moves; `patience` is how many pauses there are time for."""

    def __init__(self, patience: int = 1_000) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.patience = patience

    def pause(self, delay_s: float) -> bool:
        self.now += delay_s
        self.pauses.append(delay_s)
        return len(self.pauses) <= self.patience

    def clock(self) -> float:
        return self.now


def unavailable(retry_after_s: float | None = None) -> ExportFailed:
    return ExportFailed("try later", retryable=True, retry_after_s=retry_after_s)


def permanent() -> ExportFailed:
    return ExportFailed("never", retryable=False)


def invalid() -> ExportFailed:
    return ExportFailed("bad span", retryable=False, invalid=True)


def deliverer(
    push: Callable[[Request], Answer], time: Time | None = None, **limits: int
) -> Delivery:
    time = time or Time()
    return Delivery(push, RETRY, time.pause, clock=time.clock, **limits)


def request(count: int, text: str = "") -> Request:
    return Request(Signal.TRACES, traces(span_ids(count), text=text).encode(), count)


def test_what_is_accepted_is_sent_once() -> None:
    destination = Destination(Answer())
    outcome = deliverer(destination).deliver(request(5))
    assert (outcome.sent, outcome.dropped, destination.requests) == (5, Counter(), 1)
    assert destination.accepted == span_ids(5)


def test_what_may_succeed_later_is_sent_again_after_growing_waits() -> None:
    time = Time()
    destination = Destination(unavailable(), unavailable(), unavailable(), Answer())
    outcome = deliverer(destination, time).deliver(request(5))
    assert outcome.sent == 5
    assert outcome.retries == 3
    assert time.pauses == [1.0, 2.0, 4.0]


def test_the_destination_says_how_long_to_wait() -> None:
    time = Time()
    deliverer(Destination(unavailable(20.0), Answer()), time).deliver(request(1))
    assert time.pauses == [20.0]


def test_patience_ends() -> None:
    time = Time()
    outcome = deliverer(Destination(unavailable()), time).deliver(request(5))
    assert outcome.dropped == {"retries_exhausted": 5}
    assert outcome.failure is not None
    assert outcome.failure.retryable
    assert sum(time.pauses) <= RETRY.max_elapsed_s


def test_what_never_succeeds_is_dropped_at_once() -> None:
    destination = Destination(permanent())
    outcome = deliverer(destination).deliver(request(5))
    assert outcome.dropped == {"permanent": 5}
    assert destination.requests == 1


def test_partial_success_counts_and_is_not_sent_again() -> None:
    destination = Destination(Answer(3, "three were bad"))
    outcome = deliverer(destination).deliver(request(10))
    assert outcome.sent == 7
    assert outcome.dropped == {"partial_success": 3}
    assert destination.requests == 1


def test_more_rejected_than_sent_counts_as_all() -> None:
    outcome = deliverer(Destination(Answer(99))).deliver(request(10))
    assert (outcome.sent, outcome.dropped) == (0, {"partial_success": 10})


def test_one_poison_span_of_512_costs_itself_alone() -> None:
    ids = span_ids(512)
    for poison in (0, 1, 255, 256, 300, 511):
        destination = Picky({ids[poison]})
        outcome = deliverer(destination).deliver(request(512))
        assert outcome.sent == 511
        assert outcome.dropped == {"invalid": 1}
        assert sorted(destination.accepted) == ids[:poison] + ids[poison + 1 :]
        assert destination.requests <= 1 + 19


@settings(max_examples=40)
@given(st.sets(st.integers(0, 99), max_size=4))
def test_a_few_poison_spans_are_found_wherever_they_are(poison: set[int]) -> None:
    ids = span_ids(100)
    destination = Picky({ids[index] for index in poison})
    outcome = deliverer(destination).deliver(request(100))
    assert outcome.sent == 100 - len(poison)
    assert outcome.dropped.total() == len(poison)
    assert len(destination.accepted) == len(set(destination.accepted)) == 100 - len(poison)


def test_a_destination_that_refuses_everything_is_not_flooded() -> None:
    destination = Destination(invalid())
    delivery = deliverer(destination)
    assert delivery.deliver(request(512)).dropped == {"invalid": 512}
    assert destination.requests <= 2 * MOST_FRUITLESS + 1
    before = destination.requests
    assert delivery.deliver(request(512)).dropped == {"invalid": 512}
    assert destination.requests == before + 1
    destination.answers = (Answer(),)
    assert delivery.deliver(request(512)).sent == 512
    destination.answers = (invalid(),)
    before = destination.requests
    delivery.deliver(request(512))
    assert destination.requests > before + 1


def test_a_few_requests_of_bad_spans_alone_do_not_end_the_search() -> None:
    ids = span_ids(512)
    destination = Picky(set(ids[:5]))
    delivery = deliverer(destination)
    for count in (2, 3, 5):
        assert delivery.deliver(request(count)).dropped == {"invalid": count}
    assert delivery.deliver(request(512)).sent == 507


def test_what_was_joined_is_sent_one_by_one_when_it_is_refused_for_good() -> None:
    class Strict(Picky):
        def answer(self, request: Request) -> ExportFailed | Answer:
            return permanent() if isinstance(super().answer(request), ExportFailed) else Answer()

    ids = span_ids(30)
    parts = [
        Request(Signal.TRACES, traces(ids[at : at + 10]).encode(), 10) for at in range(0, 30, 10)
    ]
    destination = Strict({ids[15]})
    outcome = deliverer(destination).deliver(join(parts), parts)
    assert outcome.sent == 20
    assert outcome.dropped == {"permanent": 10}
    assert destination.requests == 4


def test_refused_credentials_do_not_take_joined_requests_apart() -> None:
    time = Time()
    destination = Destination(CredentialsRefused("401"))
    delivery = Delivery(
        destination, replace(RETRY, unauthenticated_s=0.0), time.pause, clock=time.clock
    )
    parts = [request(5), request(5)]
    assert delivery.deliver(join(parts), parts).dropped == {"permanent": 10}
    assert destination.requests == 1


def test_one_metric_with_many_points_is_not_cut() -> None:
    batch = metrics(["a"], points=50)
    destination = Destination(invalid())
    outcome = deliverer(destination).deliver(Request(Signal.METRICS, batch.encode(), 50))
    assert outcome.dropped == {"invalid": 50}
    assert destination.requests == 1


def test_large_requests_are_cut_to_the_limit() -> None:
    destination = Destination(Answer())
    outcome = deliverer(destination, most_bytes=10_000).deliver(request(100, text="x" * 1_000))
    assert outcome.sent == 100
    assert 11 <= destination.requests <= 13
    assert destination.accepted == span_ids(100)


def test_an_item_above_the_limit_of_otlp_is_not_sent() -> None:
    large = request(1, text="x" * MAX_REQUEST_BYTES)
    destination = Destination(Answer())
    outcome = deliverer(destination, most_bytes=4 << 20).deliver(large)
    assert outcome.dropped == {"too_large": 1}
    assert destination.requests == 0


def test_without_time_for_another_attempt_it_is_still_owed() -> None:
    outcome = deliverer(Destination(unavailable()), Time(patience=2)).deliver(request(5))
    assert outcome.kept
    assert outcome.dropped == {}
    assert outcome.retries == 3


def test_parts_that_were_not_reached_are_owed_too() -> None:
    destination = Destination(Answer(), unavailable())
    outcome = deliverer(destination, Time(patience=0), most_items=2).deliver(request(10))
    assert outcome.kept
    assert (outcome.sent, outcome.dropped.total()) == (2, 0)


def test_refused_credentials_keep_the_data_until_they_are_good() -> None:
    time = Time()
    destination = Destination(CredentialsRefused("401"), Answer())
    assert deliverer(destination, time).deliver(request(5)).sent == 5
    assert time.pauses == [30.0]


def test_while_credentials_are_refused_one_request_tries_every_interval() -> None:
    time = Time(patience=0)
    destination = Destination(CredentialsRefused("401"))
    delivery = Delivery(destination, RETRY, lambda delay_s: False, clock=time.clock)
    for second in range(0, 300, 5):
        time.now = float(second)
        assert delivery.deliver(request(5)).kept
    assert destination.requests == 300 / 30


@pytest.mark.parametrize("count", [1, 7])
def test_a_bug_of_ours_is_not_taken_for_an_answer(count: int) -> None:
    def broken(part: Request) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliverer(broken).deliver(request(count))
