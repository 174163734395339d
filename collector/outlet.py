"""Where a pipeline leads: to exporters, and through connectors to the pipelines behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from processors.batch import Batch
from processors.errors import Overloaded
from processors.ports import Ticket

Sink = Callable[[Batch], Ticket | None]
"""Where a pipeline hands its batches: an exporter, or a connector and the pipelines behind it."""


class Outlet(NamedTuple):
    """A sink of a pipeline."""

    sink: Sink
    writes: bool
    """Whether it may change the batch."""
    name: str = ""
    """Its component id."""
    branch: Callable[[frozenset[str]], Sink] | None = None
    """Of a connector: what leads to some of the pipelines behind it alone."""
    left: frozenset[str] = frozenset()
    """Of what leads to the rest of the pipelines behind a connector: their ids."""

    def narrowed(self, old: Outlet) -> Outlet:
        """Lead only where an outlet of the same name still did."""
        if not old.left or self.branch is None:
            return self
        return self._replace(sink=self.branch(old.left), left=old.left)


class Partly(Overloaded):
    """Of the pipelines behind a connector some had no room: `rest` leads to those alone, `left` are their ids."""

    def __init__(self, why: Overloaded, rest: Sink, left: frozenset[str]) -> None:
        super().__init__(str(why), why.retry_after_s)
        self.rest = rest
        self.left = left
