"""What a board is made of, and nothing about how Grafana writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Viz = Literal[
    "stat", "timeseries", "bargauge", "barchart", "gauge", "table", "heatmap",
    "state-timeline", "text", "alertlist", "traces",
]  # fmt: skip
Source = Literal["prom", "tempo", "none"]
Thresholds = Mapping[str, float | None]
"""Colour → the value from which it applies, ascending; None for the base colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a panel; `unit` and `thresholds` where they are not the panel's."""

    expr: str
    legend: str = ""
    unit: str = ""
    thresholds: Thresholds = field(default_factory=dict)
    right: bool = False
    """Drawn against an axis of its own on the right."""
    dashed: bool = False
    """A baseline: drawn dashed."""
    style: Literal["", "bold", "dotted"] = ""
    """So that the eye finds one of several lines a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: `why` is the question it answers, `act` what to do about the answer."""

    title: str
    viz: Viz
    unit: str
    why: str
    act: str
    queries: tuple[Query, ...] = ()
    source: Source = "prom"
    links: tuple[str, ...] = ()
    """uids of the boards that a click on a value leads to."""
    thresholds: Thresholds = field(default_factory=dict)
    runbook: str = ""
    exemplars: bool = False
    stacked: bool = False
    width: int = 0
    """Of 24 columns; 0 for what the visualisation usually takes."""
    time_from: str = ""
    """A time range of its own: `7d`, `now/d`."""
    min_step: str = ""
    content: str = ""
    """The text of a text panel."""
    value_name: str = ""
    """What the value's column of a table is called."""
    single: bool = False
    """One number a panel: the name of the series is not shown."""
    from_zero: bool = True
    """Whether the axis begins at 0; not where the last hundredth matters."""
    empty: str = ""
    """What it says where there is nothing to show; by itself what the absence of its first metric means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A titled group of panels."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard; its uid is a contract, alerts link to it."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: tuple[str, ...] = ()
    """Variables besides those that every board has."""

    def panels(self) -> tuple[Panel, ...]:
        """Return the panels of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)
