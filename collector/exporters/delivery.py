"""Deliver one request: cut what is too large, retry what may succeed later, isolate what the destination calls bad.

Synchronous and without threads: waiting is a function that the caller hands in, so tests need no clock.

Bisection. A destination that answers INVALID_ARGUMENT or 400 refuses the whole request for one bad span (Tempo does for
one malformed id). Halving until the bad ones stand alone delivers the rest: one of 512 costs 18 requests more. The
search goes breadth first and ends after 64 refusals without an acceptance, so that a destination that refuses all is
not flooded; until it accepts something again, nothing more is searched.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collector.errors import ExportFailed
from collector.exporters.retry import Backoff, RetryConfig
from processors.requests import MAX_REQUEST_BYTES, Request, cut, halves


class CredentialsRefused(ExportFailed):
    """The destination does not take our credentials: it would refuse everybody else's request too."""

    def __init__(self, text: str) -> None:
        super().__init__(text, retryable=False)


class Gate:
    """Shut while our credentials are refused: one request tries every `interval_s`, the others wait.

    The data is kept meanwhile: an expired token should not cost what a new one could still deliver.
    """

    def __init__(self, interval_s: float, clock: Callable[[], float]) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._shut = False

    def wait_s(self) -> float:
        """Return how long to wait before asking again; 0 = go ahead, which claims this try."""
        if not self._shut:
            return 0.0
        with self._lock:
            now = self._clock()
            if now < self._next_s:
                return self._next_s - now
            self._next_s = now + self._interval_s
            return 0.0

    def shut(self) -> None:
        with self._lock:
            self._shut = True
            self._next_s = self._clock() + self._interval_s

    def open(self) -> None:
        self._shut = False


class Answer(NamedTuple):
    """What a destination said to a request it took: OTLP partial success."""

    rejected: int = 0
    message: str = ""


TAKEN: Final = Answer()

MOST_REQUESTS: Final = 256
"""Bound of one search for bad items."""
MOST_FRUITLESS: Final = 64
"""How many requests are searched without a single acceptance in between."""


@dataclass(slots=True)
class Outcome:
    """What became of a request, in items; `dropped` by reason."""

    sent: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    dead: list[tuple[Request, str]] = field(default_factory=list)
    """Requests that were dropped whole because the destination will never take them, with the reasons."""
    retries: int = 0
    failure: ExportFailed | None = None
    """Why items were dropped, the last reason."""
    kept: bool = False
    """Whether time ran out before everything was settled: what is neither sent nor dropped is still owed."""

    def drop(self, reason: str, items: int, failure: ExportFailed) -> None:
        self.dropped[reason] += items
        self.failure = failure


def _ignore(failure: ExportFailed) -> None:
    """Tell nobody."""


class Delivery:
    """Delivers requests by `push`, which sends one request once: it returns the answer or raises `ExportFailed`.

    Shared by the threads of a sender.
    """

    def __init__(
        self,
        push: Callable[[Request], Answer],
        retry: RetryConfig,
        pause: Callable[[float], bool],
        *,
        most_items: int = 0,
        most_bytes: int = 0,
        failed: Callable[[ExportFailed], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pause(seconds)` waits and says whether there is time for another attempt; `most_*` cut requests, 0 = no.
        `failed` is told of every attempt that another one may follow."""
        self._push = push
        self._retry = retry
        self._pause = pause
        self._failed = failed
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._clock = clock
        self._gate = Gate(retry.unauthenticated_s, clock)
        self._fruitless = 0

    def deliver(self, request: Request, joined: Sequence[Request] = ()) -> Outcome:
        """Send until all of it is settled or `pause` says that there is no time left.

        `joined`: what the request was joined from. When it is refused for good they are sent one by one, so that
        joining never costs data.
        """
        outcome = Outcome()
        for part in cut(request, most_items=self._most_items, most_bytes=self._most_bytes):
            if len(part.raw) > MAX_REQUEST_BYTES:
                outcome.drop("too_large", part.items, _too_large(part))
            else:
                self._deliver(part, joined if part is request else (), outcome)
            if outcome.kept:
                break
        return outcome

    def _deliver(self, whole: Request, joined: Sequence[Request], outcome: Outcome) -> None:
        parts = deque([whole])
        spent = 0
        while parts:
            part = parts.popleft()
            failure = self._send(part, outcome)
            if outcome.kept:
                return
            spent += 1
            if failure is None:
                self._fruitless = 0
                continue
            pieces = _pieces(part, failure, joined if part is whole else ())
            if len(pieces) > 1 and spent < MOST_REQUESTS and self._fruitless < MOST_FRUITLESS:
                self._fruitless += 1
                parts.extend(pieces)
            else:
                reason = _reason(failure)
                outcome.drop(reason, part.items, failure)
                outcome.dead.append((part, reason))

    def _send(self, part: Request, outcome: Outcome) -> ExportFailed | None:
        """Send, with retries; return why it was not taken in the end."""
        backoff = Backoff(self._retry, self._clock())
        while True:
            failure = self._try(part, outcome)
            if failure is None or outcome.kept:
                return failure
            delay_s = self._delay_s(failure, backoff)
            if delay_s is None:
                return failure
            outcome.retries += 1
            self._failed(failure)
            if not self._pause(delay_s):
                outcome.kept = True
                return failure

    def _try(self, part: Request, outcome: Outcome) -> ExportFailed | None:
        """Send once, when nobody is known to be refused."""
        while wait_s := self._gate.wait_s():
            if not self._pause(wait_s):
                outcome.kept = True
                return None
        try:
            answer = self._push(part)
        except ExportFailed as failure:
            return failure
        self._gate.open()
        self._settle(part, answer, outcome)
        return None

    def _delay_s(self, failure: ExportFailed, backoff: Backoff) -> float | None:
        """Return how long to wait before the next attempt; None when there is none."""
        asked_s = failure.retry_after_s
        if isinstance(failure, CredentialsRefused) and self._retry.unauthenticated_s:
            self._gate.shut()
            asked_s = self._retry.unauthenticated_s
        elif not failure.retryable:
            return None
        return backoff.delay_s(self._clock(), asked_s)

    def _settle(self, part: Request, answer: Answer, outcome: Outcome) -> None:
        rejected = min(answer.rejected, part.items)
        outcome.sent += part.items - rejected
        if rejected:
            refused = ExportFailed(answer.message, retryable=False)
            outcome.drop("partial_success", rejected, refused)


def _pieces(part: Request, failure: ExportFailed, joined: Sequence[Request]) -> Sequence[Request]:
    """Return what to send in place of a refused request; nothing when another answer cannot be expected."""
    if failure.invalid:
        return halves(part)
    if failure.retryable or isinstance(failure, CredentialsRefused):
        return ()
    return joined


def _reason(failure: ExportFailed) -> str:
    if failure.retryable:
        return "retries_exhausted"
    return "invalid" if failure.invalid else "permanent"


def _too_large(part: Request) -> ExportFailed:
    size = len(part.raw)
    return ExportFailed(
        f"One item needs a request of {size} bytes; OTLP allows {MAX_REQUEST_BYTES}.",
        retryable=False,
    )
