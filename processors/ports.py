"""What the core asks of the shell. The shell injects implementations; the core never imports them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from processors.errors import Overloaded


class Ticket(Protocol):
    """A promise of the shell that something will be durable."""

    def settled(self) -> bool:
        """Say whether it is known what became of it; never blocks."""

    def wait(self, timeout_s: float | None = None) -> None:
        """Return once the data is committed. Raises: `Overloaded` when it could not be."""


class Piece(Protocol):
    """One stored piece of a trace, as `replay` gives it back."""

    seq: int
    trace_id: bytes
    received_ns: int
    late: bool
    """Whether its trace was decided when it came."""
    body: bytes


class Store(Protocol):
    """A durable buffer of pieces (spans of one trace in one request) and decisions.

    Everything but reading only appends and returns at once: it is called under the pipeline lock. The store itself
    sees to it that the request under way is acknowledged only when its pieces are committed. What was asked for first
    is committed first; implementations group commits.
    """

    name: str
    """Of this very store: another one that takes its place has another."""

    @property
    def damaged(self) -> int:
        """How many records, or parts of the store, could not be read so far."""

    def refusal(self) -> Overloaded | None:
        """Say whether `put` would be in vain now."""

    def put(self, trace_id: bytes, received_ns: int, body: bytes, late: bool = False) -> int:
        """Keep one piece; returns its sequence number, above 0."""

    def decide(self, trace_id: bytes, verdict: bytes) -> Ticket:
        """Keep a decision (an opaque record of the processor's) for a trace. It is never refused, but may take long."""

    def forget_decisions(self, most: int) -> None:
        """Delete all but the last decisions."""

    def forget(self, seqs: Sequence[int]) -> None:
        """Delete pieces that were handed on or dropped."""

    def remember(self, key: str, value: bytes | None) -> None:
        """Keep a small named state (budgets, marks), replacing the old one; None deletes it."""

    def replay(self) -> Iterable[Piece]:
        """Yield what was there when the store was opened, oldest first."""

    def decisions(self) -> Iterable[tuple[bytes, bytes]]:
        """Yield (trace id, verdict) of what was decided before, oldest first."""

    def states(self) -> Iterable[tuple[str, bytes]]:
        """Return what `remember` kept, by key."""


class DecisionListener(Protocol):
    """Told what became of a trace, by samplers; exemplars wait for it."""

    def decided(self, trace_id: bytes, kept: bool) -> None: ...


class DecisionBus:
    """Connects samplers to listeners inside one graph. The shell makes one per graph and hands it to everybody."""

    __slots__ = ("_listeners", "samplers")

    def __init__(self) -> None:
        self._listeners: list[DecisionListener] = []
        self.samplers = 0
        """How many samplers speak on the bus: with none, listeners need not wait."""

    def listen(self, listener: DecisionListener) -> None:
        self._listeners.append(listener)

    def leave(self, listener: DecisionListener) -> None:
        """Listen no more; may be called twice."""
        self._listeners = [one for one in self._listeners if one is not listener]

    def decided(self, trace_id: bytes, kept: bool) -> None:
        for listener in self._listeners:
            listener.decided(trace_id, kept)


def _no_store(extension: str, component: str) -> Store:
    raise LookupError(f"no storage extension {extension!r} for {component!r}")


def _no_extension(extension: str) -> Any:
    raise LookupError(f"no extension {extension!r}")


_T = TypeVar("_T")


def _alone(key: str, make: Callable[[], _T]) -> _T:
    """Share with nobody: the default of a library."""
    return make()


class Shared(Protocol):
    """Returns the object that all instances of one component id share under `key`, made by the first who asks."""

    def __call__(self, key: str, make: Callable[[], _T]) -> _T: ...


def _always() -> str:
    """Nothing is in the way."""
    return ""


def _ignore(text: str, **fields: object) -> None:
    """Say nothing: the default of a library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a component's constructor gets besides its own configuration."""

    id: str
    """Component id, `type` or `type/name`."""
    gates: frozenset[str] = frozenset()
    """Feature gates that are on."""
    decisions: DecisionBus = field(default_factory=DecisionBus)
    open_store: Callable[[str, str], Store] = _no_store
    """(id of a storage extension, component id) → that component's store. Raises: LookupError."""
    extension: Callable[[str], Any] = _no_extension
    """Returns a running extension by its id. Raises: LookupError."""
    shared: Shared = _alone
    say: Callable[..., None] = _ignore
    """Log one sentence about a state change, values as keyword fields. Never per item, never with payload."""
    ready: Callable[[], str] = _always
    """What is in the way of taking data now; empty when nothing is."""
    secret: bytes | None = None
    """Key for hashing where the user configured none and the shell may provide one (embedded default)."""
