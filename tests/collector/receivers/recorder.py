"""An intake that keeps what it is given, and receivers listening on free ports in front of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from collector.component import Limits, Taken
from collector.config.settings import resolve
from collector.errors import Rejected, TooLarge
from collector.receivers.otlp import OtlpReceiver, build
from collector.registry import schema_of
from processors.admission import admit
from processors.batch import Signal
from processors.errors import Malformed, Overloaded, Oversized
from processors.ports import Context

SCHEMA = "collector/receivers/otlp/schema.json"


@dataclass
class Done:
    """An offer that is settled with a commit, or at once."""

    taken: Taken
    commit: threading.Event | None

    def settled(self) -> bool:
        return self.commit is None or self.commit.is_set()

    def result(self) -> Taken:
        if self.commit is not None:
            assert self.commit.wait(30)
        return self.taken


@dataclass
class Recorder:
    """Takes every request that admission lets in."""

    signals: frozenset[Signal] = frozenset(Signal)
    room: int = 1 << 30
    """Bytes in flight that are allowed."""
    refused: Overloaded | None = None
    """What every request is refused with before its body is read."""
    failure: Exception | None = None
    """What `consume` raises."""
    gate: threading.Event | None = None
    """`consume` waits for it."""
    commit: threading.Event | None = None
    """Offers are settled when it is set."""
    taken: list[tuple[Signal, bytes, str]] = field(default_factory=list)
    away: list[tuple[Signal, str, str]] = field(default_factory=list)
    """What ended before it was handed in."""
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released by every call of `consume`."""
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, signal: Signal) -> Overloaded | None:
        return self.refused

    def turned_away(self, signal: Signal, error: Exception, transport: str) -> None:
        self.away.append((signal, type(error).__name__, transport))

    def reserve(self, size: int) -> None:
        with self.lock:
            if self.in_flight + size > self.room:
                raise Overloaded("too many bytes in flight")
            self.in_flight += size
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def release(self, size: int) -> None:
        with self.lock:
            self.in_flight -= size

    def crowded(self, signal: Signal) -> bool:
        return self.gate is not None

    def offer(self, signal: Signal, raw: bytes, limits: Limits, transport: str = "") -> Done:
        return Done(self.consume(signal, raw, limits, transport), self.commit)

    def consume(self, signal: Signal, raw: bytes, limits: Limits, transport: str = "") -> Taken:
        self.entered.release()
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.failure is not None:
            raise self.failure
        try:
            admitted = admit(signal, raw, limits.max_items)
        except Oversized as error:
            raise TooLarge(str(error)) from error
        except Malformed as error:
            raise Rejected(str(error)) from error
        self.taken.append((signal, admitted.raw, transport))
        return Taken(admitted.rejected, admitted.message)


def receiver(settings: Mapping[str, Any]) -> OtlpReceiver:
    """Build a receiver from what a user writes."""
    return build(resolve(schema_of(SCHEMA), settings), Context(id="otlp"))


@contextmanager
def listening(
    protocol: str,
    intake: Recorder | None = None,
    limits: Mapping[str, int] | None = None,
    **settings: Any,
) -> Iterator[tuple[Recorder, str]]:
    """Run a receiver of one protocol on a free port; yields its intake and address."""
    intake = intake or Recorder()
    settings = {"endpoint": "127.0.0.1:0"} | settings
    running = receiver({"protocols": {protocol: settings}, "limits": dict(limits or {})})
    running.start(intake)
    server = running.grpc or running.http
    assert server is not None
    try:
        yield intake, f"127.0.0.1:{server.port}"
    finally:
        running.stop(5)
    assert intake.in_flight == 0
