"""The contracts of what stands at the rim of a graph: receivers, exporters, extensions.

Life: everything is built first (no I/O in constructors beyond reading key files), then extensions, exporters and
at last receivers are started; stopping goes the other way. `stop` is safe without `start` and may be called twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from collector.errors import StartError
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.stats import Stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold; checked before it is decoded. Sizes in bytes, decompressed."""

    max_items: int = 100_000


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a request that was taken: OTLP partial success where `rejected` > 0 or there is a message."""

    rejected: int = 0
    message: str = ""


class Offered(Protocol):
    """A request that was processed; whether it is safe may be known only later."""

    def settled(self) -> bool:
        """Say whether `result` returns at once."""

    def result(self) -> Taken:
        """Wait until it is as durable as configured. To be called once. Raises: `Overloaded`; counts either way."""


class Intake(Protocol):
    """What a receiver hands requests to. Thread-safe."""

    signals: frozenset[Signal]
    """Signals that some pipeline takes from this receiver; others are unimplemented."""

    def refusal(self, signal: Signal) -> Overloaded | None:
        """Say whether a request would be refused now. Receivers MUST ask before they read a body."""

    def turned_away(self, signal: Signal, error: Exception, transport: str) -> None:
        """Count a request that ended with `error` before it was handed in. What `refusal`, `consume` and `offer` tell
        is counted by them."""

    def reserve(self, size: int) -> None:
        """Claim bytes in flight before reading them. Raises: `Overloaded`, and nothing is claimed then."""

    def release(self, size: int) -> None:
        """Give claimed bytes back."""

    def consume(self, signal: Signal, raw: bytes, limits: Limits, transport: str = "") -> Taken:
        """Take one decompressed protobuf request; returns when it is accepted as durably as configured.

        `transport` (`grpc`, `http`) is a label of what is counted.

        Blocks the calling thread (room in queues, pipeline lock, commit). Raises: `Rejected`, `Overloaded`; counts
        either way.
        """

    def crowded(self, signal: Signal) -> bool:
        """Say whether `consume` would be refused for want of room now, or wait for it; never blocks."""

    def offer(self, signal: Signal, raw: bytes, limits: Limits, transport: str = "") -> Offered:
        """Take a request as `consume` does, waiting neither for room nor for a commit: for those who asked `crowded`.
        A large one enters only with the call of `result`, for it takes its time.

        Raises: `Rejected`, `Overloaded`; counts them.
        """


class Receiver(Protocol):
    """Takes requests from the network.

    Optional: `transports: Sequence[str]`, what it tells the intake its requests came by: they are counted from 0.
    """

    stats: Stats

    def start(self, intake: Intake) -> None:
        """Listen. Raises: `StartError`."""

    def stop(self, deadline_s: float) -> None:
        """Accept nothing new, finish what is in flight or give up after `deadline_s` seconds."""


class Exporter(Protocol):
    """Hands batches to the world. `export` is called by any thread, under the graph's lock.

    Optional: `crowded() -> bool`, whether `room` would refuse or wait now. Where `room` may wait it MUST be there.
    Optional: `fits` and `claim`, see `Bounded`. Optional: `blind: bool`, true when `export` takes no longer for a
    large batch.
    Optional: `expect(signals)`, told before `start` and at every reload which signals lead here, to count them from 0.
    """

    signals: ClassVar[frozenset[Signal]]
    stats: Stats

    def start(self) -> None:
        """Open files and connections. Raises: `StartError`. A destination that is down is no error."""

    def room(self) -> Overloaded | None:
        """Say whether `export` would refuse now. With `block_on_overflow` this is where the caller waits for room:
        it is called without the graph's lock, before a request is processed."""

    def export(self, batch: Batch) -> Ticket | None:
        """Take the batch (`batch.encode()`), without blocking on the network. Returns a ticket when it will be durable
        only later. Raises: `Overloaded` when there is no room. MUST NOT keep the batch."""

    def stop(self, deadline_s: float) -> None:
        """Deliver what is queued until the deadline, keep the rest on disk where there is a store, and close."""


class Bounded(Protocol):
    """An exporter that is asked for room before a request is processed, so that it is taken whole or not at all."""

    def fits(self, requests: int, items: int, size: int) -> Overloaded | None:
        """Say whether `export` would refuse batches of together so many items and bytes now, beside what is claimed.
        Called under the graph's lock."""

    def claim(self, requests: int, items: int, size: int) -> None:
        """Let so much more not fit: it is to come. Negative: it came, or does not come any more."""


class Extension(Protocol):
    """Something beside the pipelines: health, storage, authentication."""

    stats: Stats

    def start(self) -> None:
        """Raises: `StartError`."""

    def stop(self, deadline_s: float) -> None: ...


@runtime_checkable
class Storage(Extension, Protocol):
    """An extension that keeps data on disk."""

    def queue(self, component: str) -> Any:
        """Return the shelf (`collector.exporters.shelf.Shelf`) of an exporter's queue. Raises: `StartError`."""

    def open(self, component: str, tickets: list[Ticket]) -> Any:
        """Return the store (`processors.ports.Store`) of a processor; it adds to `tickets` what a request must wait
        for. Raises: `StartError`."""


def storage_of(extension: Any, name: str) -> Storage:
    """Return an extension as a storage. Raises: `StartError` when it is none."""
    if not isinstance(extension, Storage):
        raise StartError(f"Expected a storage extension such as file_storage, got {name!r}.")
    return extension


def wait_all(tickets: Sequence[Ticket], timeout_s: float | None = None) -> None:
    """Wait for all tickets. Raises: `Overloaded` when one could not be committed."""
    for ticket in tickets:
        ticket.wait(timeout_s)
