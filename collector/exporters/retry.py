"""When a failed request is sent again: exponential back-off with jitter, never before the destination asked for it.

Semantics of the Collector's `retry_on_failure` (collector v0.159 `config/configretry`, `exporterhelper`): a delay is
drawn from interval * (1 ± randomization_factor), the interval grows by `multiplier` up to `max_interval`, and a request
whose next delay would end beyond `max_elapsed_time` is given up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector.exporters.queue_config import NANOSECONDS

_MAX_ELAPSED_NS: Final = 300_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """`retry_on_failure` as the user wrote it, in seconds."""

    enabled: bool
    initial_s: float
    max_s: float
    multiplier: float
    randomization: float
    max_elapsed_s: float
    """0 = never give up."""
    unauthenticated_s: float = 0.0
    """Between two tries while our credentials are refused; 0 = drop."""

    @classmethod
    def load(cls, settings: Mapping[str, Any], *, durable: bool = False) -> RetryConfig:
        """`durable`: whether the queue is on disk; then nothing is given up unless the user says so."""
        elapsed = settings["max_elapsed_time"]
        if elapsed is None:
            elapsed = 0 if durable else _MAX_ELAPSED_NS
        return cls(
            enabled=settings["enabled"],
            initial_s=settings["initial_interval"] / NANOSECONDS,
            max_s=settings["max_interval"] / NANOSECONDS,
            multiplier=settings["multiplier"],
            randomization=settings["randomization_factor"],
            max_elapsed_s=elapsed / NANOSECONDS,
            unauthenticated_s=settings["unauthenticated_interval"] / NANOSECONDS,
        )


class Backoff:
    """The delays of one request."""

    def __init__(
        self,
        config: RetryConfig,
        began_s: float,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`spread(low, high)` draws the jitter."""
        self._config = config
        self._began_s = began_s
        self._interval_s = min(config.initial_s, config.max_s)
        self._spread = spread

    def delay_s(self, now_s: float, asked_s: float | None = None) -> float | None:
        """Return how long to wait after a failure at `now_s`; None to give up.

        `asked_s`: how long the destination asked us to wait.
        """
        config = self._config
        if not config.enabled:
            return None
        width = config.randomization * self._interval_s
        delay = self._spread(self._interval_s - width, self._interval_s + width)
        self._interval_s = min(self._interval_s * config.multiplier, config.max_s)
        delay = max(delay, asked_s or 0.0)
        if config.max_elapsed_s and now_s - self._began_s + delay > config.max_elapsed_s:
            return None
        return delay
