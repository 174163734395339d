"""`sending_queue` as the user wrote it, and when requests that wait leave together.

Why requests are joined: a request costs about 200 µs in itself, its spans far less. A request leaves at once while
nothing is on its way and nothing left a moment ago; otherwise what arrives waits for the end of that, or for a full
load, whichever is first. So an idle destination sees no delay and a busy one fewer, larger requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """When waiting requests of one signal leave together."""

    eager: bool
    """Whether a request leaves at once while nothing is on its way and nothing left within `pause_s`."""
    linger_s: float
    """The longest that a request waits for others."""
    pause_s: float = 0.0
    """How long after one load the next one leaves at the earliest, unless it is large enough."""
    enough_items: int = 0
    enough_bytes: int = 0
    """A load this large leaves at once; 0 = not counted."""
    most_items: int = 0
    most_bytes: int = 0
    """Nothing is added beyond this; a single request may be larger. 0 = no limit."""

    def enough(self, items: int, size: int) -> bool:
        return bool(self.enough_items and items >= self.enough_items) or bool(
            self.enough_bytes and size >= self.enough_bytes
        )

    def fits(self, items: int, size: int) -> bool:
        return not (self.most_items and items > self.most_items) and not (
            self.most_bytes and size > self.most_bytes
        )


NATURAL: Final = Joining(
    eager=True,
    linger_s=0.2,
    pause_s=0.005,
    enough_items=4096,
    enough_bytes=1 << 20,
    most_bytes=2 << 20,
)
"""The default: joins only what would wait anyway.

CPU of a request of 100 spans (50 kB, 230 kB): 200 and 320 µs alone, 86 and 212 joined while others are on their way;
half a MiB for 1: 86 and 250. With the pause one request in ten leaves where it was one in four (50 kB): 35 µs less.
"""

PROMPT: Final = replace(NATURAL, pause_s=0.0)
"""The default for senders that wait for the result: they send the next request only then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """`sending_queue` as the user wrote it."""

    enabled: bool
    num_consumers: int
    queue_size: int
    max_bytes: int
    sizer: str
    block_on_overflow: bool
    wait_for_result: bool
    joining: Joining
    most_items: int
    """`batch.max_size` in items: larger requests are cut; 0 = never."""
    most_bytes: int
    """`batch.max_size` in bytes."""

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> QueueConfig:
        batch: Mapping[str, Any] = settings.get("batch") or {}
        most = batch.get("max_size", 0)
        by_bytes = batch.get("sizer") == "bytes"
        waits = settings["wait_for_result"] or not settings["enabled"]
        return cls(
            enabled=settings["enabled"],
            num_consumers=settings["num_consumers"],
            queue_size=settings["queue_size"],
            max_bytes=settings["max_bytes"],
            sizer=settings["sizer"],
            block_on_overflow=settings["block_on_overflow"],
            wait_for_result=waits,
            joining=_joining(batch) if batch else PROMPT if waits else NATURAL,
            most_items=0 if by_bytes else most,
            most_bytes=most if by_bytes else 0,
        )


def _joining(batch: Mapping[str, Any]) -> Joining:
    unit = batch["sizer"]
    return Joining(
        eager=False,
        linger_s=batch["flush_timeout"] / NANOSECONDS,
        **{f"enough_{unit}": max(1, batch["min_size"]), f"most_{unit}": batch["max_size"]},
    )
