"""The memory limiter refuses while memory is short, and says so when it is set up wrongly."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from collector.config.settings import resolve
from collector.memory_limiter import Config, MemoryLimiter, build, check, total_memory
from collector.registry import schema_of
from processors.ports import Context
from tests.telemetry import batch, span

MIB = 1 << 20
SCHEMA = schema_of("collector/memory_limiter.schema.json")


class Memory:
    """A process whose memory and time a test sets."""

    def __init__(self) -> None:
        self.mib = 0
        self.kept_mib = 0
        """Freed, but kept by the allocator."""
        self.now_ns = 0
        self.readings = 0

    def rss(self) -> int:
        self.readings += 1
        return (self.mib + self.kept_mib) * MIB

    def give_back(self) -> None:
        self.kept_mib = 0

    def clock(self) -> int:
        return self.now_ns


def limiter(memory: Memory, **written: Any) -> MemoryLimiter:
    config = Config.load(resolve(SCHEMA, {"check_interval": "1s"} | written))
    return MemoryLimiter(config, 1000 * MIB, memory.rss, memory.clock, memory.give_back)


@pytest.mark.parametrize(
    ("written", "mib", "refuses"),
    [
        ({"limit_mib": 100, "spike_limit_mib": 30}, 70, False),
        ({"limit_mib": 100, "spike_limit_mib": 30}, 71, True),
        ({"limit_mib": 100}, 80, False),  # the spike is a fifth where it is not set
        ({"limit_mib": 100}, 81, True),
        ({"limit_percentage": 50, "spike_limit_percentage": 10}, 400, False),
        ({"limit_percentage": 50, "spike_limit_percentage": 10}, 401, True),
        ({}, 720, False),  # nine tenths, less a fifth of that
        ({}, 721, True),
    ],
)
def test_the_soft_limit_refuses(written: dict[str, int], mib: int, refuses: bool) -> None:
    memory = Memory()
    memory.mib = mib
    assert (limiter(memory, **written).room() is not None) is refuses


def test_it_recovers_at_the_next_check() -> None:
    memory = Memory()
    guard = limiter(memory, limit_mib=100)
    memory.mib = 99
    refused = guard.room()
    assert refused is not None
    assert refused.retry_after_s > 0
    memory.mib = 10
    assert guard.room() is not None
    memory.now_ns = 1_000_000_000
    assert guard.room() is None


def test_what_was_freed_refuses_nothing() -> None:
    """Nothing else would free what the allocator keeps: refused requests take and free no memory."""
    memory = Memory()
    memory.mib, memory.kept_mib = 60, 30
    assert limiter(memory, limit_mib=100).room() is None


def test_memory_is_read_once_an_interval() -> None:
    memory = Memory()
    guard = limiter(memory, limit_mib=100)
    for _ in range(10):
        guard.room()
    assert memory.readings == 1


@pytest.mark.parametrize(("mib", "collected"), [(100, False), (101, True)])
def test_above_the_hard_limit_garbage_is_collected_first(mib: int, collected: bool) -> None:
    memory, garbage = Memory(), Memory()
    memory.mib = mib
    guard = limiter(memory, limit_mib=100)
    gc.disable()
    try:
        garbage.itself = garbage  # type: ignore[attr-defined] # a cycle
        seen = weakref.ref(garbage)
        del garbage
        guard.room()
        assert (seen() is None) is collected
    finally:
        gc.enable()


def test_data_that_was_let_in_passes_unchanged() -> None:
    sent = batch(span())
    assert limiter(Memory(), limit_mib=100).process(sent) is sent


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ({"check_interval": "0s"}, "must be greater than zero"),
        ({"limit_mib": 0, "limit_percentage": 0}, "expected limit_mib or limit_percentage"),
        ({"limit_mib": 10, "spike_limit_mib": 10}, "must be smaller than"),
        ({"limit_percentage": 101}, "at most 100"),
    ],
)
def test_settings_that_make_no_sense_are_told(written: dict[str, Any], text: str) -> None:
    settings = resolve(SCHEMA, written)
    assert any(text in finding.text for finding in check(settings, Context(id="memory_limiter")))


def test_it_is_built_for_this_machine() -> None:
    assert total_memory() > 100 * MIB
    assert (
        build(resolve(SCHEMA, {}), Context(id="memory_limiter")).hard == total_memory() * 90 // 100
    )
