"""One module per board (three for one template: the focus boards)."""

from __future__ import annotations

from typing import Final

from grafana.build.boards import (
    collector,
    cost,
    drift,
    errors,
    focus,
    investigate,
    latency,
    overview,
    slo,
    tokens,
    trace,
)
from grafana.build.model import Board

BOARDS: Final[tuple[Board, ...]] = (
    overview.BOARD,
    cost.BOARD,
    latency.BOARD,
    errors.BOARD,
    tokens.BOARD,
    drift.BOARD,
    slo.BOARD,
    investigate.BOARD,
    *focus.BOARDS,
    trace.BOARD,
    collector.BOARD,
)
"""All of them, in the order of the menu."""
