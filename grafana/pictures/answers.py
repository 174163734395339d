"""From a committed board and a Prometheus to what `page.jsx` draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import httpx

from grafana.reading import filled, named

_VIEWS: Final = {
    "stat": "numbers",
    "timeseries": "lines",
    "barchart": "lines",
    "heatmap": "lines",
    "bargauge": "bars",
    "gauge": "bars",
    "table": "cells",
}
"""Type of a panel → the view that stands for it: Grafana exports no component for every type."""

_POINTS: Final = 240
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time range of the picture, and what the variables are."""

    start: float
    end: float
    variables: Mapping[str, str]
    days: int = 0
    """Of a panel that shows so many days, a point each, whatever the range."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def ask(self, kind: str, expr: str, **when: float) -> list[dict[str, Any]]:
        """Return the result of `query` or `query_range`."""
        data = {"query": expr, **when}
        answer = httpx.post(f"{self.url}/api/v1/{kind}", data=data, timeout=30, trust_env=False)
        body = answer.json()
        if body["status"] != "success":
            msg = f"Prometheus refused a query of a dashboard: {body['error']}\n{expr}"
            raise ValueError(msg)
        found: list[dict[str, Any]] = body["data"]["result"]
        return found


def board(prometheus: Prometheus, source: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """Return a board with its panels answered; collapsed rows are left out."""
    return {
        "title": source["title"],
        "about": source["description"],
        "panels": [_panel(prometheus, one, window) for one in source["panels"]],
    }


def _panel(prometheus: Prometheus, panel: Mapping[str, Any], window: Window) -> dict[str, Any]:
    drawn: dict[str, Any] = {"title": panel["title"], "grid": panel["gridPos"]}
    if panel.get("interval") == "1d":
        window = replace(window, days=int(panel["timeFrom"].removesuffix("d")))
    if panel["type"] == "row":
        return drawn | {"row": True}
    config = panel.get("fieldConfig", {}).get("defaults", {})
    drawn |= {
        "view": _VIEWS.get(panel["type"]),
        "config": {key: value for key, value in config.items() if key != "links"},
        "content": panel.get("options", {}).get("content", ""),
        "names": panel.get("options", {}).get("namePlacement", "auto"),
        "single": panel.get("options", {}).get("textMode") == "value",
        "from": window.end - window.days * _DAY_S if window.days else window.start,
        "to": window.end,
        "instead": config["noValue"]
        if panel["type"] in _VIEWS
        else f"This needs Grafana: {panel['type']}",
    }
    if panel.get("datasource", {}).get("type") == "tempo":
        return drawn | {
            "view": None,
            "instead": "From the trace store, which is not in this picture",
        }
    if not panel.get("targets"):
        return drawn
    if drawn["view"] == "cells":
        return drawn | _cells(prometheus, panel, window)
    series = list(_series(prometheus, panel, window))
    if panel["type"] == "barchart" and panel["targets"][0]["instant"]:
        drawn["view"] = "bars"
        series.sort(key=lambda one: one["order"])
    if panel["type"] == "heatmap":
        drawn["config"]["unit"] = "short"
        _uncumulated(series)
    if panel["type"] in ("barchart", "heatmap"):
        drawn["config"]["custom"] = config.get("custom", {}) | {
            "axisSoftMin": 0,
            "drawStyle": "bars",
            "fillOpacity": 60,
            "stacking": {"mode": panel["options"].get("stacking", "normal"), "group": "A"},
        }
    return drawn | {"series": series}


def _series(
    prometheus: Prometheus, panel: Mapping[str, Any], window: Window
) -> Iterator[dict[str, Any]]:
    changes = _changes(panel)
    for target in panel["targets"]:
        expr = filled(target["expr"], window.variables)
        change = changes.get(target["refId"], {})
        custom = {key[7:]: value for key, value in change.items() if key.startswith("custom.")}
        config = {key: value for key, value in change.items() if not key.startswith("custom.")}
        for found in _found(prometheus, expr, target, window):
            points = found.get("values") or [found["value"]]
            labels = found["metric"]
            yield {
                "name": named(target.get("legendFormat", ""), labels) or panel["title"],
                "times": [when for when, _ in points],
                "values": [_number(value) for _, value in points],
                "custom": custom,
                "config": config,
                "order": _number(labels.get("le", "0")) or math.inf,
            } | _bucket(target, labels)


def _changes(panel: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a panel says of single queries and columns: letter or name → setting → value."""
    changes: dict[str, dict[str, Any]] = {}
    for override in panel["fieldConfig"].get("overrides", ()):
        mine = changes.setdefault(override["matcher"]["options"], {})
        mine |= {one["id"]: one["value"] for one in override["properties"]}
    return changes


def _uncumulated(series: list[dict[str, Any]]) -> None:
    """Make counts of each bucket from those up to each bound, as a heatmap does."""
    series.sort(key=lambda one: one["order"])
    for below, above in reversed(list(pairwise(series))):
        above["values"] = [
            (high or 0) - (low or 0)
            for high, low in zip(above["values"], below["values"], strict=True)
        ]


def _bucket(target: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, str]:
    """A bucket of a distribution is called by its bound."""
    if target.get("format") == "table" and "le" in labels:
        return {"name": f"≤ {labels['le']} {target['legendFormat']}"}
    return {}


def _found(
    prometheus: Prometheus, expr: str, target: Mapping[str, Any], window: Window
) -> list[dict[str, Any]]:
    if target["instant"]:
        return prometheus.ask("query", expr, time=window.end)
    step = max(1.0, (window.end - window.start) / _POINTS)
    if window.days:
        step = _DAY_S
    start = window.end - (window.days * _DAY_S or window.end - window.start)
    return prometheus.ask("query_range", expr, start=start, end=window.end, step=step)


def _number(value: str) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _cells(prometheus: Prometheus, panel: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """Return the columns that Grafana's transformations would leave: labels, then values, the largest first."""
    steps = {step["id"]: step["options"] for step in panel["transformations"]}
    renamed = steps["organize"]["renameByName"]
    changes = _changes(panel)
    rows: dict[tuple[tuple[str, str], ...], dict[str, float | None]] = {}
    for target in panel["targets"]:
        expr = filled(target["expr"], window.variables)
        column = renamed.get(f"Value #{target['refId']}") or renamed["Value"]
        for found in prometheus.ask("query", expr, time=window.end):
            rows.setdefault(tuple(sorted(found["metric"].items())), {})[column] = _number(
                found["value"][1]
            )
    values = list(renamed.values())
    (by,) = steps["sortBy"]["sort"]
    ordered = sorted(rows.items(), key=lambda row: row[1].get(by["field"]) or 0, reverse=by["desc"])
    labels = list(
        dict.fromkeys(name for row, _ in ordered for name, _ in row if name != "sloth_id")
    )
    columns = [
        {"name": name, "number": False, "values": [dict(row).get(name, "") for row, _ in ordered]}
        for name in labels
    ]
    columns += [
        {
            "name": name,
            "number": True,
            "values": [found.get(name) for _, found in ordered],
            "config": changes.get(name, {}),
        }
        for name in values
    ]
    return {"columns": columns if ordered else []}
