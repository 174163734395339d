"""What the user wrote for `genai`; meaning and defaults: `schema.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from processors.genai.table import Semantics


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What the counts of some emitters mean. `semantics` None: evidence and the specification decide."""

    scope: str
    service: str
    semantics: Semantics | None

    def fits(self, scope: str, service: str) -> bool:
        """Whether it speaks of this emitter."""
        if self.service and self.service != service:
            return False
        if self.scope.endswith("*"):
            return scope.startswith(self.scope[:-1])
        return not self.scope or self.scope == scope


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLimits:
    """How much the ledger remembers. Times in nanoseconds, sizes in bytes."""

    ttl_ns: int
    max_bytes: int
    max_deliveries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Equal configs build processors that behave the same. Times in nanoseconds."""

    defaults: tuple[tuple[str, str], ...]
    token_semantics: tuple[Override, ...]
    prefer: Literal["client", "gateway"]
    cumulative_loops: bool
    log_only: frozenset[str]
    settle_ns: int
    ledger: LedgerLimits

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        """Read checked settings."""
        return cls(
            defaults=tuple(settings["defaults"].items()),
            token_semantics=tuple(map(_override, settings["token_semantics"])),
            prefer=settings["prefer"],
            cumulative_loops=settings["cumulative_loops"],
            log_only=frozenset(settings["log_only"]),
            settle_ns=settings["settle"],
            ledger=LedgerLimits(
                ttl_ns=settings["ledger"]["ttl"],
                max_bytes=settings["ledger"]["max_bytes"],
                max_deliveries=settings["ledger"]["max_deliveries"],
            ),
        )


def _override(row: Mapping[str, str]) -> Override:
    named = row["semantics"]
    return Override(
        scope=row["scope"],
        service=row["service"],
        semantics=None if named == "auto" else Semantics(named),
    )
