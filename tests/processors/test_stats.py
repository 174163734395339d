"""Histograms: many observations at once count like each by itself. Counters: shown from 0, they count on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.stats import Histogram, Stats

BOUNDS = (0.5, 1.0, 2.0, 5.0)
VALUES = st.one_of(st.sampled_from(BOUNDS), st.floats(0, 8, width=16))


@given(st.lists(VALUES, max_size=30), st.lists(VALUES, max_size=30))
def test_values_observed_together_fall_into_the_buckets_of_each(
    first: list[float], second: list[float]
) -> None:
    together, each = Histogram(BOUNDS), Histogram(BOUNDS)

    together.observe_all(first)
    together.observe_all(second)
    for value in first + second:
        each.observe(value)

    assert together.counts == each.counts
    assert together.sum == each.sum


def test_a_counter_can_be_shown_before_it_counts_and_keeps_what_it_counted() -> None:
    stats = Stats()
    for _ in range(2):
        stats.from_zero("plain_total")
        stats.from_zero("labelled_total", ["a", "b"], ["x", "y"])
        stats.counters["labelled_total", "a", "x"] += 5
    assert stats.counters == {
        ("plain_total",): 0,
        ("labelled_total", "a", "x"): 10,
        ("labelled_total", "a", "y"): 0,
        ("labelled_total", "b", "x"): 0,
        ("labelled_total", "b", "y"): 0,
    }
