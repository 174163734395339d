"""Boards as the JSON that Grafana reads: layout, header, files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, GridPos

from grafana.build import links, panels, variables
from grafana.build.boards import BOARDS
from grafana.build.model import Board, Panel, Row
from grafana.build.tidy import tidy

FOLDER: Final = Path(__file__).resolve().parents[1] / "dashboards"
_COLUMNS: Final = 24


def lines(row: Row) -> Iterator[list[tuple[Panel, int]]]:
    """Break a row into lines of the grid; what is left of a line is shared among its panels."""
    broken: list[list[tuple[Panel, int]]] = [[]]
    for panel in row.panels:
        width, _ = panels.size(panel)
        if sum(taken for _, taken in broken[-1]) + width > _COLUMNS:
            broken.append([])
        broken[-1].append((panel, width))
    for above, line in pairwise(broken):
        alone = len(line) == 1 and line[0][1] < _COLUMNS
        if alone and len(above) > 2:  # two and two look better than three and one
            line.insert(0, above.pop())
    return map(_filled, broken)


def _filled(line: list[tuple[Panel, int]]) -> list[tuple[Panel, int]]:
    spare = _COLUMNS - sum(width for _, width in line)
    each, more = divmod(spare, len(line))
    return [(panel, width + each + (at < more)) for at, (panel, width) in enumerate(line)]


def _place(row: Row, top: int) -> Iterator[tuple[Panel, GridPos]]:
    for line in lines(row):
        height = max(panels.size(panel)[1] for panel, _ in line)
        left = 0
        for panel, width in line:
            yield panel, GridPos(h=height, w=width, x=left, y=top)
            left += width
        top += height


def build(board: Board) -> dict[str, Any]:
    """Return one board as Grafana's classic JSON."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["llm"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("1m")
        .time("now-6h", "now")
        .timezone("browser")
        .variables(variables.of_board(board.variables))
        .annotations(variables.marks())
        .links(links.header())
    )
    top = number = 0
    for row in board.rows:
        number += 1
        title = dashboard.Row(row.title).id(number).collapsed(row.collapsed)
        title.grid_pos(GridPos(h=1, w=_COLUMNS, x=0, y=top))
        placed = []
        for panel, grid in _place(row, top + 1):
            number += 1
            placed.append(panels.build(board, panel, number, grid))
            bottom = grid.y + grid.h
        top = top + 1 if row.collapsed else bottom
        for one in placed if row.collapsed else ():
            title.with_panel(one)
        built.with_row(title)
        for one in () if row.collapsed else placed:
            built.with_panel(one)
    result: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(built.build()))
    return tidy(result)


def files(boards: Iterable[Board] = BOARDS) -> dict[str, str]:
    """Return the text of every file by its name."""
    return {
        f"{board.uid}.json": json.dumps(build(board), indent=2, sort_keys=True) + "\n"
        for board in boards
    }
