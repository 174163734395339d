"""Reads boards as they are committed: panels, and queries with Grafana's variables filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_VARIABLE = re.compile(r"\$\{(?P<braced>\w+)(?::\w+)?\}|\$(?P<bare>[a-zA-Z_]\w*)")


def panels(board: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every panel of a board, those in collapsed rows included, rows not."""
    for one in board["panels"]:
        if one["type"] != "row":
            yield one
        yield from one.get("panels", ())


def filled(expr: str, variables: Mapping[str, str]) -> str:
    """Return a query with Grafana's variables filled in; what is not given is chosen as All."""
    return _VARIABLE.sub(lambda m: variables.get(m["braced"] or m["bare"], ".*"), expr)


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Return what a legend makes of a series' labels; without a legend, the labels themselves."""
    if not legend:
        return " ".join(value for name, value in sorted(labels.items()) if name != "__name__")
    return re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m[1], ""), legend).strip()
