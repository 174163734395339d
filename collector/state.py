"""What outlives a single configuration: shared by a graph and the one that replaces it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from collector.intake import Gate
from processors.ports import DecisionBus


@dataclass(slots=True)
class State:
    """Of a whole collector, from its start to its end."""

    gate: Gate
    decisions: DecisionBus = field(default_factory=DecisionBus)
    shared: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What processors of one component id share: see `Context.shared`."""
    secret: bytes | None = None
    running: bool = False
    """Set while receivers are open."""

    def obstacle(self) -> str:
        """Say what is in the way of taking data; empty when nothing is."""
        if self.gate.draining:
            return "stopping"
        return "" if self.running else "starting"
