"""What goes wrong in the shell, and how it is told to senders.

    CollectorError
    ├── ConfigError(problems)       the configuration cannot be used; exit 2
    ├── StartError                  a port, file or key that is needed cannot be had; exit 1
    ├── Rejected                    this request will never be taken; the sender must not retry
    │   ├── TooLarge
    │   └── Unauthenticated
    └── ExportFailed(retryable, retry_after_s)

`processors.errors.Overloaded` (retry later) comes up from the core or the queues unchanged; from an exporter that was
asked for room, as `NoRoom`. `STATUS` maps all of them to gRPC and HTTP (OTLP specification 1.11; HTTP 413 for too
large).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from processors.errors import Malformed, Overloaded, Oversized

if TYPE_CHECKING:
    from processors.batch import Signal


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a configuration. `line` and `column` count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    path: str
    """Where in the configuration: `processors.tail_sampling.policies[2].trace_cost`."""
    text: str
    """A sentence: what was expected, what was found, what to do."""
    warning: bool = False

    @property
    def place(self) -> str:
        """`file:line:column`, or the file alone where it is all of it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        level = "warning: " if self.warning else ""
        return f"{self.place}  {self.path}\n    {level}{self.text}"


class CollectorError(Exception):
    """Base of everything the shell raises on purpose."""


class ConfigError(CollectorError):
    """The configuration cannot be used. `problems` holds all of them, sorted by place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


class StartError(CollectorError):
    """A component cannot start: the port is taken, the directory is not writable, the key file is missing."""


@contextmanager
def starting(path: str) -> Iterator[None]:
    """Say of a `StartError` from inside what could not start: `receivers.otlp: …`."""
    try:
        yield
    except StartError as error:
        raise StartError(f"{path}: {error}") from error


class NoRoom(Overloaded):
    """An exporter has no room for what comes; who refuses a request therefore MUST tell it: `count(signal, items)`."""

    def __init__(self, why: Overloaded, count: Callable[[Signal, int], None]) -> None:
        super().__init__(str(why), why.retry_after_s)
        self.count = count


class Rejected(CollectorError):
    """The request will never be taken: malformed, or against a limit. Never quotes payload."""


class TooLarge(Rejected):
    """Larger than a configured limit, before or after decompression."""


class Unauthenticated(Rejected):
    """No valid credentials."""


class ExportFailed(CollectorError):
    """A destination did not take a request."""

    def __init__(
        self,
        text: str,
        *,
        retryable: bool,
        retry_after_s: float | None = None,
        invalid: bool = False,
    ) -> None:
        """`invalid`: the destination called the data itself bad (INVALID_ARGUMENT, 400), so parts of it may be good."""
        super().__init__(text)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.invalid = invalid


class Status(NamedTuple):
    """How a refusal is told: gRPC status code, HTTP status."""

    grpc: int
    http: int


STATUS: Final[Mapping[type[Exception], Status]] = {
    TooLarge: Status(8, 413),  # RESOURCE_EXHAUSTED
    Unauthenticated: Status(16, 401),  # UNAUTHENTICATED
    Rejected: Status(3, 400),  # INVALID_ARGUMENT
    Malformed: Status(3, 400),  # INVALID_ARGUMENT
    Oversized: Status(8, 413),  # RESOURCE_EXHAUSTED
    Overloaded: Status(14, 503),  # UNAVAILABLE
}
"""Anything else is a bug of ours and answered as UNAVAILABLE / 503, so that the sender keeps its data."""


def status_of(error: Exception) -> Status:
    """Return how `error` is told to a sender."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return STATUS[Overloaded]
