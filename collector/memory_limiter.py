"""`memory_limiter`: refuses data while memory is short, before a request's body is read.

Configured as a processor, first in a pipeline, with the Collector's keys; lives in the shell because it reads the
process's memory. Soft limit = limit - spike: above it everything is refused with a retryable status, but first freed
memory that the allocator kept is given back: what is refused frees none. Above the limit the garbage collector is
called too. Without a limit in the settings it stands at 80 % and 90 % of the cgroup's.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from collector.self_metrics import rss_bytes
from collector.tuning import give_back_freed_memory
from processors.base import Stateless
from processors.batch import Batch
from processors.errors import Finding, Overloaded
from processors.ports import Context

_MIB = 1 << 20
_RETRY_AFTER_S = 2.0
_CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Settings in the Collector's words; sizes in MiB, times in nanoseconds, 0 = not set."""

    check_interval: int
    limit_mib: int
    spike_limit_mib: int
    limit_percentage: int
    spike_limit_percentage: int
    max_gc_interval_when_hard_limited: int

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        """Take what the class knows; the other keys of the Collector have no meaning here."""
        return cls(**{name: settings[name] for name in cls.__dataclass_fields__})


class MemoryLimiter(Stateless):
    """Reads the resident size at most once per `check_interval`, in the thread that asks."""

    blind: ClassVar[bool] = True

    def __init__(
        self,
        config: Config,
        total: int,
        rss: Callable[[], int] = rss_bytes,
        clock: Callable[[], int] = time.monotonic_ns,
        give_back: Callable[[], None] = give_back_freed_memory,
    ) -> None:
        """`total`: bytes that percentages are of."""
        super().__init__()
        self.hard = config.limit_mib * _MIB or total * config.limit_percentage // 100
        spike = (
            config.spike_limit_mib * _MIB
            or total * config.spike_limit_percentage // 100
            or self.hard // 5
        )
        self.soft = self.hard - spike
        self._interval = config.check_interval
        self._gc_interval = config.max_gc_interval_when_hard_limited
        self._rss = rss
        self._give_back = give_back
        self._clock = clock
        self._next_check = 0
        self._next_gc = 0
        self._limited = False
        self.stats.gauges["otelcol_llm_memory_limiter_limited",] = lambda: int(self._limited)

    def process(self, batch: Batch) -> Batch:
        return batch

    def room(self) -> Overloaded | None:
        """Refuse while the soft limit is exceeded."""
        now = self._clock()
        if now >= self._next_check:
            self._next_check = now + self._interval
            self._check(now)
        if self._limited:
            return Overloaded("data refused due to high memory usage", retry_after_s=_RETRY_AFTER_S)
        return None

    def _check(self, now: int) -> None:
        size = self._rss()
        if size > self.hard and now >= self._next_gc:
            self._next_gc = now + self._gc_interval
            gc.collect()
        if size > self.soft:
            self._give_back()
            size = self._rss()
        self._limited = size > self.soft


def total_memory() -> int:
    """Return the memory this process may use: the cgroup's limit, else the machine's."""
    for name in _CGROUP_FILES:
        path = Path(name)
        text = path.read_text("ascii").strip() if path.exists() else "max"
        if text.isdigit() and int(text) < 1 << 50:
            return int(text)
    fields = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines()
    )
    return int(fields["MemTotal"].split()[0]) * 1024


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the Collector says at start."""
    config = Config.load(settings)
    if config.check_interval <= 0:
        yield Finding("check_interval", "'check_interval' must be greater than zero")
    if not config.limit_mib and not config.limit_percentage:
        yield Finding("", "expected limit_mib or limit_percentage, got neither")
    if config.limit_mib and config.spike_limit_mib >= config.limit_mib:
        yield Finding("spike_limit_mib", "'spike_limit_mib' must be smaller than 'limit_mib'")
    for name in ("limit_percentage", "spike_limit_percentage"):
        if settings[name] > 100:
            yield Finding(name, f"expected a percentage of at most 100, got {settings[name]}")


def build(settings: Mapping[str, Any], context: Context) -> MemoryLimiter:
    """Build the limiter for this machine."""
    return MemoryLimiter(Config.load(settings), total_memory())
