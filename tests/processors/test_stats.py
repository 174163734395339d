"""Histograms: many observations at once count like each by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.stats import Histogram

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
