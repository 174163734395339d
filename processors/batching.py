"""`batch`: joins small batches until there are enough items or the oldest waited long enough, as the Collector's does.

Requests of one signal are joined by concatenating their bytes; only what exceeds `send_batch_max_size` is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from processors.base import Stateless
from processors.batch import Batch, Signal
from processors.ports import Context
from processors.requests import Request, cut, join


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote; `timeout` in nanoseconds, sizes in items, 0 = no limit."""

    timeout: int
    send_batch_size: int
    send_batch_max_size: int


class Batching(Stateless):
    """Holds encoded requests, never decoded ones."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self.holds = bool(config.timeout)
        self._held: dict[Signal, list[Batch]] = {}

    def process(self, batch: Batch) -> Batch | None:
        held = self._held.setdefault(batch.signal, [])
        raw, items = batch.encode(), len(batch)
        held.append(Batch(batch.signal, raw, received_ns=batch.received_ns, items=items))
        config = self._config
        if config.timeout and sum(map(len, held)) < (config.send_batch_size or 1):
            return None
        first, *rest = self._join(batch.signal)
        self._held[batch.signal] += rest
        return first

    def tick(self, now_ns: int) -> Iterable[Batch]:
        for signal, held in self._held.items():
            if held and now_ns - held[0].received_ns >= self._config.timeout:
                yield from self._join(signal)

    def close(self) -> Iterable[Batch]:
        for signal, held in self._held.items():
            if held:
                yield from self._join(signal)

    def _join(self, signal: Signal) -> Iterator[Batch]:
        """Empty what is held of a signal into batches of at most `send_batch_max_size` items."""
        held, self._held[signal] = self._held[signal], []
        joined = join([Request(signal, part.raw, len(part)) for part in held])
        for piece in cut(joined, most_items=self._config.send_batch_max_size):
            yield Batch(signal, piece.raw, received_ns=held[0].received_ns, items=piece.items)


def build(settings: Mapping[str, Any], context: Context) -> Batching:
    """Build the `batch` processor."""
    names = ("timeout", "send_batch_size", "send_batch_max_size")
    return Batching(Config(**{name: settings[name] for name in names}))
