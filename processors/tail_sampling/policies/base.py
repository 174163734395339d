"""What a policy is.

- `vote` says what the policy thinks of a trace, from the trace's facts alone. It MUST NOT change anything but the
  policy's note of its own last vote.
- `settle` is called once for every trace after the verdict, on all policies that spend something: budgets are spent
  there, for traces that are kept, so that neither the order of policies nor a refused trace costs anything.
- What a policy must know about spans it asks of `Desk.watch` at construction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from processors.tail_sampling.plan import Watch
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import ABSTAIN, Ballot, Verdict, Vote

Settings = Mapping[str, Any]


class Policy(Protocol):
    """See the module for the rules."""

    @property
    def stateful(self) -> bool:
        """Whether the vote depends on more than the spans: such policies are refused under `span-ingest`."""

    @property
    def certain(self) -> bool:
        """Whether its votes do not depend on chance or budgets: their threshold is 0."""

    def vote(self, trace: Trace, now_ns: int) -> Vote: ...

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None: ...

    def inherit(self, predecessor: Policy) -> None:
        """Take over the state of the policy of the same name and type that this one replaces."""


@runtime_checkable
class Ceiling(Protocol):
    """A policy that may lower a verdict to keep."""

    def cap(self, trace: Trace, now_ns: int, verdict: Verdict) -> Verdict: ...


@runtime_checkable
class Lasting(Protocol):
    """A policy that remembers something beyond a restart, as small values by key."""

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        """Return what changed since the last time; None is forgotten."""

    def recall(self, states: Iterable[tuple[str, bytes]]) -> None:
        """Remember what `changes` told before."""


class Free:
    """Base of policies that spend nothing."""

    stateful: bool = False
    certain: bool = True

    def settle(self, trace: Trace, now_ns: int, verdict: Verdict) -> None:
        """Nothing to spend."""

    def inherit(self, predecessor: Policy) -> None:
        """Nothing to take over."""


class Test(Free, ABC):
    """Base of policies that keep a trace when some condition holds."""

    def __init__(self, reason: str, invert: bool = False) -> None:
        self._invert = invert
        self._keep = Vote(Ballot.KEEP, reason)

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        return self._keep if self.holds(trace) is not self._invert else ABSTAIN

    @abstractmethod
    def holds(self, trace: Trace) -> bool:
        """Say whether the condition holds, before it is inverted."""


class AnySpan(Test):
    """Keeps a trace when a test of the plan passed for one of its spans or resources."""

    def __init__(self, reason: str, bit: int, invert: bool = False) -> None:
        super().__init__(reason, invert)
        self._bit = bit

    def holds(self, trace: Trace) -> bool:
        return bool(trace.matched & self._bit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a policy is built with besides its settings."""

    watch: Watch
    quirks: bool
    """Whether to reproduce the Collector's known defects."""
    names: Collection[str]
    """Names of all policies of the processor."""
    largest_value: int
    """What stays of a value in a skeleton, in bytes."""
    nested: bool = False
    """Whether the policy is a part of another one."""
    certain: dict[str, bool] = field(default_factory=dict)
    """`Policy.certain` by name; filled in once all policies are built."""
    build: Callable[[Settings, Desk], Policy]
    """Builds a policy from `{name, type, <type>}`."""

    def part(self, settings: Settings) -> Policy:
        """Build a part of a policy."""
        return self.build(settings, replace(self, nested=True))
