"""Votes of policies and the verdict on a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, TypeAlias

Tier: TypeAlias = Literal["full", "skeleton"]
Trigger: TypeAlias = Literal["wait", "root", "evicted", "oversize", "shutdown", "arrival"]


class Ballot(Enum):
    """What a policy can say. The values are the Collector's words for its `decision` label."""

    KEEP = "sampled"
    ABSTAIN = "not_sampled"
    DROP = "dropped"
    ERROR = "error"


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """A policy's word on one trace. Policies make theirs once."""

    ballot: Ballot
    reason: str = ""
    threshold: int | None = 0
    """Of a keep: T of consistent probability sampling, 0 for a certain one, None when the probability is unknown."""
    word: str = field(init=False)
    """The ballot in the Collector's word."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "word", self.ballot.value)


ABSTAIN: Final = Vote(Ballot.ABSTAIN)
DROP: Final = Vote(Ballot.DROP)
ERROR: Final = Vote(Ballot.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a trace. Late spans follow it."""

    kept: bool
    policy: str = ""
    """The recorded policy: whose vote decided."""
    reason: str = ""
    threshold: int | None = None
    """T of a kept trace; None when its probability is unknown."""
    rv: int | None = None
    """Randomness that was chosen for the trace here, to be written beside T."""
    tier: Tier = "full"
    dropped: bool = False
    """By a drop policy, not for want of a vote."""
    voters: tuple[str, ...] = ()
    """Policies that voted to keep it."""

    budget_made: bool = False
    """It became a skeleton because a budget was exhausted, and is not charged to it."""

    word: str = field(init=False)
    """What is stored of the trace, or why nothing is."""
    labels: tuple[str, str] = field(init=False, repr=False)
    """The Collector's labels `sampled` and `decision`."""

    def __post_init__(self) -> None:
        lost = "dropped" if self.dropped else "not_sampled"
        labels = ("true", "sampled") if self.kept else ("false", lost)
        object.__setattr__(self, "word", self.tier if self.kept else lost)
        object.__setattr__(self, "labels", labels)


NOT_SAMPLED: Final = Verdict(kept=False)
