"""When a request is sent again: bounds, jitter, the wishes of the destination, and the end of patience."""

from hypothesis import given
from hypothesis import strategies as st

from collector.exporters.retry import Backoff, RetryConfig

DEFAULTS = RetryConfig(
    enabled=True,
    initial_s=5.0,
    max_s=30.0,
    multiplier=1.5,
    randomization=0.5,
    max_elapsed_s=300.0,
)


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_intervals_grow_up_to_the_longest() -> None:
    backoff = Backoff(DEFAULTS, 0.0, middle)
    assert [backoff.delay_s(0.0) for _ in range(7)] == [5, 7.5, 11.25, 16.875, 25.3125, 30, 30]


def test_the_first_interval_is_not_above_the_longest() -> None:
    config = RetryConfig(
        enabled=True, initial_s=5.0, max_s=1.0, multiplier=2, randomization=0, max_elapsed_s=0
    )
    assert Backoff(config, 0.0).delay_s(0.0) == 1.0


@given(st.floats(0, 1), st.integers(1, 10))
def test_jitter_stays_within_its_share_of_the_interval(share: float, failures: int) -> None:
    backoff = Backoff(DEFAULTS, 0.0, lambda low, high: low + share * (high - low))
    plain = Backoff(DEFAULTS, 0.0, middle)
    for _ in range(failures):
        interval = plain.delay_s(0.0)
        delay = backoff.delay_s(0.0)
        assert interval is not None
        assert delay is not None
        assert 0.5 * interval <= delay <= 1.5 * interval


@given(st.floats(0, 250))
def test_never_earlier_than_the_destination_asked(asked_s: float) -> None:
    delay = Backoff(DEFAULTS, 0.0).delay_s(0.0, asked_s)
    assert delay is not None
    assert delay >= asked_s


def test_a_short_wish_does_not_shorten_the_wait() -> None:
    assert Backoff(DEFAULTS, 0.0, middle).delay_s(0.0, 0.1) == 5.0


@given(st.lists(st.floats(0.1, 60), max_size=50))
def test_all_waits_together_stay_within_the_longest_time(asked: list[float]) -> None:
    now = 100.0
    backoff = Backoff(DEFAULTS, now)
    for asked_s in asked:
        delay = backoff.delay_s(now, asked_s)
        if delay is None:
            break
        now += delay
    assert now <= 100.0 + DEFAULTS.max_elapsed_s


def test_without_a_longest_time_it_never_gives_up() -> None:
    config = RetryConfig(
        enabled=True, initial_s=1.0, max_s=1.0, multiplier=1, randomization=0, max_elapsed_s=0
    )
    assert Backoff(config, 0.0).delay_s(1e9) == 1.0


def test_switched_off_it_gives_up_at_once() -> None:
    config = RetryConfig(
        enabled=False, initial_s=1.0, max_s=1.0, multiplier=1, randomization=0, max_elapsed_s=0
    )
    assert Backoff(config, 0.0).delay_s(0.0) is None
