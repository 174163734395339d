"""The committed dashboards as tests read them: panels, queries, links, with Grafana's variables filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana import reading

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "grafana" / "dashboards"

UIDS = (
    "llm-overview", "llm-cost", "llm-latency", "llm-errors", "llm-tokens", "llm-drift", "llm-slo", "llm-investigate",
    "llm-focus-feature", "llm-focus-prompt", "llm-focus-tenant", "llm-trace", "llm-collector",
)  # fmt: skip
"""The contract: alerts and runbooks link to these."""


def load(uid: str) -> dict[str, Any]:
    """Return a board as it is committed."""
    found: dict[str, Any] = json.loads((FOLDER / f"{uid}.json").read_text("utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel on its board."""

    uid: str
    panel: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.uid}: {self.panel['title']}"

    @property
    def source(self) -> str:
        """Return `prometheus`, `tempo` or nothing."""
        return str(self.panel.get("datasource", {}).get("type", ""))

    def expressions(self) -> list[str]:
        """Return the PromQL or TraceQL of its queries."""
        return [
            target.get("expr") or target.get("query") for target in self.panel.get("targets", ())
        ]

    def links(self) -> list[str]:
        """Return the URLs a reader can follow from it: from values, cells and its corner."""
        config = self.panel.get("fieldConfig", {})
        cells = [
            link
            for override in config.get("overrides", ())
            for change in override["properties"]
            if change["id"] == "links"
            for link in change["value"]
        ]
        data = config.get("defaults", {}).get("links", [])
        return [link["url"] for link in (*data, *cells, *self.panel.get("links", ()))]


def panels(uid: str) -> Iterator[Shown]:
    """Yield every panel of a board, those in collapsed rows included."""
    for one in reading.panels(load(uid)):
        yield Shown(uid, one)


def everything() -> list[Shown]:
    """Return the panels of all boards."""
    return [one for uid in UIDS for one in panels(uid)]
