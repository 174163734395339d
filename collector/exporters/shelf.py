"""Where the requests of a sending queue are kept besides in memory: the contract, and a shelf that keeps nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from processors.batch import Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from processors.requests import Request


@dataclass(slots=True, eq=False)
class Waiting:
    """A request in the queue."""

    signal: Signal
    items: int
    size: int
    """Bytes of the encoded request."""
    since_s: float
    request: Request | None = None
    """None: only the shelf has it."""
    result: Result | None = None
    key: int = 0
    """The shelf's."""
    ticket: Ticket | None = None
    """Of the shelf: when the request is as durable as it gets."""
    refused: bool = False
    """Whether the shelf could not keep it."""
    warm: bool = False
    """Whether the shelf counts its bytes in memory."""


class Result:
    """The ticket of a request whose sender waits for the destination's answer (`wait_for_result`)."""

    __slots__ = ("_failure", "_known")

    def __init__(self) -> None:
        self._known = threading.Event()
        self._failure: Exception | None = None

    def settle(self, failure: Exception | None) -> None:
        self._failure = failure
        self._known.set()

    def settled(self) -> bool:
        return self._known.is_set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the destination took it. Raises: `Overloaded` when it did not, or did not answer in time."""
        if not self._known.wait(timeout_s):
            raise Overloaded("The destination has not answered yet.")
        if self._failure is not None:
            raise self._failure


class Shelf(Protocol):
    """Where requests are kept besides in memory. Called with the queue's lock held, except `open` and `load`."""

    durable: bool
    max_bytes: int
    """0: as configured for memory."""
    max_age_s: float
    """0: no limit."""
    drops_oldest: bool
    """Whether a full queue drops its oldest request instead of refusing the new one."""

    def open(self, now_s: float, heir: Callable[[list[Waiting]], None]) -> list[Waiting]:
        """Return what is there, oldest first. `heir`: given what another queue on this shelf leaves later."""

    def refusal(self) -> Overloaded | None:
        """Say whether `keep` would be in vain."""

    def keep(self, entry: Waiting, source: str, *, in_memory: bool) -> tuple[Ticket | None, bool]:
        """Keep a request: its ticket, and whether it is new. May take it out of memory.

        `in_memory`: there is no room on the disk, but whoever names the request keeps it until it is delivered.
        """

    def load(self, parts: Sequence[Waiting]) -> list[Waiting]:
        """Bring requests into memory; returns those that could be had."""

    def forget(self, parts: Iterable[Waiting]) -> None:
        """Keep these no longer."""

    def bury(self, dead: Iterable[tuple[Request, str]]) -> None:
        """Keep what nobody takes, for inspection."""

    def close(self, heir: Callable[[list[Waiting]], None], left: list[Waiting]) -> None:
        """Take back what is left."""


class NoShelf:
    """Keeps nothing: what waits is in memory alone."""

    durable = False
    max_bytes = 0
    max_age_s = 0.0
    drops_oldest = False

    def open(self, now_s: float, heir: Callable[[list[Waiting]], None]) -> list[Waiting]:
        return []

    def refusal(self) -> Overloaded | None:
        return None

    def keep(self, entry: Waiting, source: str, *, in_memory: bool) -> tuple[Ticket | None, bool]:
        return None, True

    def load(self, parts: Sequence[Waiting]) -> list[Waiting]:
        return list(parts)

    def forget(self, parts: Iterable[Waiting]) -> None:
        """Nothing is kept."""

    def bury(self, dead: Iterable[tuple[Request, str]]) -> None:
        """Nothing is kept."""

    def close(self, heir: Callable[[list[Waiting]], None], left: list[Waiting]) -> None:
        """Nothing is kept."""
