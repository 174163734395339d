"""What the memory managers are told, where they can be told."""

from __future__ import annotations

import subprocess
import sys

RESIDENT = """
from collector.tuning import keep_freed_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
keep_freed_memory()
before = resident()
block = bytes(range(256)) * (8 << 12)
held = [bytes(bytearray(3 << 20)) for _ in range(4)]
del held, block
print(resident() - before)
"""
"""Allocates 12 MiB in blocks of 3 MiB and frees them."""


def kept(**environment: str) -> int:
    """Return how many bytes a process still has after it freed its large blocks."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return int(done.stdout)


def test_freed_memory_stays_for_the_next_request() -> None:
    assert kept() > 6 << 20


def test_who_sets_the_environment_decides() -> None:
    assert kept(MALLOC_MMAP_THRESHOLD_="131072") < 6 << 20
