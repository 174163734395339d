"""Show what arrives on standard error: the Collector's `debug`.

It shows what it gets, so personal data too unless `redaction` stands before it. Control characters are escaped: the
name of a span cannot forge a line or move a terminal's cursor.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from collector import otlp_json
from processors.base import ALL_SIGNALS
from processors.batch import Batch, Item, Signal
from processors.errors import Overloaded
from processors.ports import Context, Ticket
from processors.stats import Stats

Say = Callable[..., None]
Write = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote."""

    verbosity: str
    initial: int
    thereafter: int

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(
            verbosity=settings["verbosity"],
            initial=settings["sampling_initial"],
            thereafter=settings["sampling_thereafter"],
        )


class Sampling:
    """Lets the first `initial` batches of a second through, then every `thereafter`-th; 0 = none."""

    def __init__(self, initial: int, thereafter: int, clock: Callable[[], float]) -> None:
        self._initial = initial
        self._thereafter = thereafter
        self._clock = clock
        self._second = -1
        self._seen = 0

    def lets_through(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        beyond = self._seen - self._initial
        return beyond <= 0 or (self._thereafter > 0 and beyond % self._thereafter == 0)


class Debug:
    """See `collector.component.Exporter`. Prints in the caller's thread."""

    signals: ClassVar[frozenset[Signal]] = ALL_SIGNALS

    def __init__(self, config: Config, say: Say, write: Write, clock: Callable[[], float]) -> None:
        self.stats = Stats()
        self._sampling = Sampling(config.initial, config.thereafter, clock)
        self._show = _SHOW[config.verbosity]
        self._say = say
        self._write = write
        self.blind = config.verbosity == "basic"

    def start(self) -> None:
        """Nothing to open."""

    def room(self) -> Overloaded | None:
        return None

    def export(self, batch: Batch) -> Ticket | None:
        items, kind = len(batch), batch.signal.items
        self.stats.counters[f"otelcol_exporter_sent_{kind}_total",] += items
        if self._sampling.lets_through():
            text = "".join(self._show(batch))
            self._say(f"{batch.signal.label.capitalize()} arrived.", **{kind: items})
            if text:
                self._write(text)
        return None

    def stop(self, deadline_s: float) -> None:
        """Nothing is held."""


def _nothing(batch: Batch) -> Iterator[str]:
    """Show counts alone."""
    yield from ()


def _lines(batch: Batch) -> Iterator[str]:
    """Show one line an item: name, ids, attributes."""
    for item in batch.items():
        keys = item.keys()
        attributes = [f"{_plain(key)}={_plain(item.get(key))}" for key in keys]
        yield " ".join([*_heading(batch.signal, item), *attributes]) + "\n"


def _heading(signal: Signal, item: Item) -> list[str]:
    view = item.view
    if signal is Signal.METRICS:
        return ["metric", _plain(view.name)]
    ids = [view.trace_id.hex() or "-", view.span_id.hex() or "-"]
    if signal is Signal.TRACES:
        return ["span", _plain(view.name), *ids]
    return ["log", _plain(item.body_value), *ids]  # type: ignore[attr-defined] # a LogRecord


def _plain(value: object) -> str:
    """Return a value on one line, without control characters; text without quotes."""
    text = value.hex() if isinstance(value, bytes) else json.dumps(value, default=_hex)
    return text[1:-1] if isinstance(value, str) else text


def _hex(value: bytes) -> str:
    return value.hex()


def _document(batch: Batch) -> Iterator[str]:
    """Show everything, as indented OTLP/JSON."""
    document = json.loads(otlp_json.encode(batch.signal, batch.encode()))
    yield json.dumps(document, indent=2) + "\n"


_SHOW: Final[Mapping[str, Callable[[Batch], Iterator[str]]]] = {
    "basic": _nothing,
    "normal": _lines,
    "detailed": _document,
}


def build(settings: Mapping[str, Any], context: Context) -> Debug:
    """Make the exporter."""
    return Debug(Config.load(settings), context.say, sys.stderr.write, time.monotonic)
