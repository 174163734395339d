"""What the SDK writes although nobody said so, and which Grafana would take for a choice.

Version 0.0.21 puts `placement: inControlsMenu` on every link and annotation, which would hide them in a menu, gives
each data link the fields of a dashboard link, each variable those of an interval, and tables an outdated footer.
"""

from __future__ import annotations

from typing import Any, Final

_OF_DATA_LINK: Final = ("title", "url", "targetBlank")
_OF_INTERVAL: Final = ("auto", "auto_count", "auto_min")


def tidy(board: dict[str, Any]) -> dict[str, Any]:
    """Remove it, in place."""
    for link in board["links"]:
        del link["placement"]
    for mark in board["annotations"]["list"]:
        del mark["placement"]
    for variable in board["templating"]["list"]:
        for key in _OF_INTERVAL:
            del variable[key]
    for panel in every(board["panels"]):
        _panel(panel)
    return board


def every(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows, panels and the panels inside collapsed rows."""
    return [one for panel in panels for one in (panel, *panel.get("panels", ()))]


def _panel(panel: dict[str, Any]) -> None:
    panel.pop("repeatDirection", None)  # nothing is repeated
    panel.get("options", {}).pop("footer", None)
    for link in panel.get("links", ()):
        del link["placement"]
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    if "links" in defaults:
        defaults["links"] = [
            {key: link[key] for key in _OF_DATA_LINK} for link in defaults["links"]
        ]
    if not defaults.get("links"):
        defaults.pop("links", None)
