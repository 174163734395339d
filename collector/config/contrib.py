"""What a configuration says beyond the OpenTelemetry Collector: the lines that would have to go to run it there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from collector.config.document import Node, unwrap
from collector.config.parts import KINDS
from collector.config.places import mark_of
from collector.config.schema import faults
from collector.config.sentences import Path, dotted
from collector.errors import Problem
from collector.registry import Kind, components


def beyond_contrib(root: Node) -> list[Problem]:
    """Return a warning for every component, policy type and key the Collector does not know, by place."""
    return sorted(
        Problem(*mark_of(root, path, at_key=True), dotted(path), text, warning=True)
        for path, text in _additions(unwrap(root))
    )


@cache
def _known() -> Mapping[str, Any]:
    known: dict[str, Any] = json.loads(
        files("collector.config").joinpath("contrib.json").read_text("utf-8")
    )
    return known


def _additions(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for kind in KINDS:
        for name, settings in (config.get(kind) or {}).items():
            type_ = name.partition("/")[0]
            if type_ in _known()["types"][kind]:
                yield from _in_settings(kind, name, type_, settings or {})
            else:
                yield (kind, name), f"the Collector has no {kind.removesuffix('s')} {type_}"


def _in_settings(kind: Kind, name: str, type_: str, settings: Any) -> Iterator[tuple[Path, str]]:
    schema = _known()["components"].get(f"{kind}/{components(kind)[type_].type}")
    if schema is None:
        return
    for fault in faults({"$defs": _known()["$defs"], **schema}, settings):
        what = f"key {fault.path[-1]}" if fault.at_key else f"type {_value(settings, fault.path)}"
        yield (kind, name, *fault.path), f"the Collector's {type_} has no {what}"


def _value(settings: Any, path: Path) -> Any:
    for part in path:
        settings = settings[part]
    return settings
