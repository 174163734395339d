"""What is remembered and held takes no more memory than is promised."""

from __future__ import annotations

import subprocess
import sys

import pytest

from collector.self_metrics import rss_bytes
from processors.tail_sampling.memory import Memory
from processors.tail_sampling.verdict import NOT_SAMPLED, Verdict
from tests.e2e.servers import REPOSITORY

from .support import BEGIN

KEPT = Verdict(kept=True)
MIB = 1 << 20


def test_late_spans_follow_for_a_million_traces_in_sixty_megabytes() -> None:
    """With as many kept ones as are remembered, after two generations of dropped ones."""
    before = rss_bytes()
    memory = Memory(100_000, 1_000_000)
    for number in range(2_100_000):
        memory.add(number.to_bytes(16, "big"), KEPT if number % 21 == 0 else NOT_SAMPLED, BEGIN)
    assert rss_bytes() - before < 60_000_000
    for number in range(1_050_000, 2_100_000):
        expected = (KEPT, BEGIN) if number % 21 == 0 else (NOT_SAMPLED, 0)
        assert memory.get(number.to_bytes(16, "big")) == expected
    assert not any(
        memory.get(number.to_bytes(16, "big")) for number in range(3 * 10**6, 31 * 10**5)
    )


@pytest.mark.parametrize(("text", "bound"), [(20_000, 64 * MIB), (200, 16 * MIB)])
def test_a_process_grows_by_no_more_than_its_bound_and_a_half(text: int, bound: int) -> None:
    """Under three times as much as it may hold, whether spans are large or small."""
    grown = subprocess.run(
        [sys.executable, "-m", "tests.processors.tail_sampling.overload", str(bound), str(text)],
        cwd=REPOSITORY, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    assert bound / 2 < int(grown.stdout) < bound * 1.5
