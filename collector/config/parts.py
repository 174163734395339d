"""Checks every component by itself: its id, its type, its settings against the schema, and what it says about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from collector.config.document import Node, unwrap
from collector.config.places import at, mark_of, steps, texts_of
from collector.config.report import Report
from collector.config.sentences import Path, any_of, did_you_mean
from collector.config.settings import Examined, examine
from collector.registry import ComponentType, Kind, components, schema_of
from processors.errors import Finding, InvalidConfig
from processors.ports import Context

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_ID: Final = re.compile(r"([a-zA-Z][0-9a-zA-Z_]{0,62})(/[^\s/]([^\n]{0,1022}[^\s])?)?")
"""As in the Collector's `component.ID`."""


@dataclass(frozen=True, slots=True)
class Part:
    """A component that is defined, and whether its settings can be used."""

    kind: Kind
    id: str
    type: ComponentType
    settings: Mapping[str, Any] | None
    extensions: Mapping[Path, str]
    """Where its settings name extensions, by path from the top of the configuration."""


def check_parts(root: Node, context: Context, report: Report) -> dict[Kind, dict[str, Part | None]]:
    """Return every component that is defined, None where its type is unknown."""
    parts: dict[Kind, dict[str, Part | None]] = {kind: {} for kind in KINDS}
    sections = root.value if isinstance(root.value, dict) else {}
    for kind in KINDS:
        section = sections.get(kind)
        if section and isinstance(section.value, dict):
            for name in section.value:
                parts[kind][name] = _check(root, kind, name, context, report)
    return parts


def tell(root: Node, path: Path, examined: Examined, report: Report) -> None:
    """Report what is wrong and odd about the settings at `path`."""
    for fault in examined.faults:
        where = (*path, *fault.path)
        report.wrong(mark_of(root, where, at_key=fault.at_key), where, fault.text)
    for fault in examined.odd:
        where = (*path, *fault.path)
        report.odd(mark_of(root, where, at_key=fault.at_key), where, fault.text)


def _check(root: Node, kind: Kind, name: str, context: Context, report: Report) -> Part | None:
    path: Path = (kind, name)
    type_ = _type_of(root, kind, name, report)
    node = at(root, path)
    if type_ is None or node is None:
        return None
    examined = examine(schema_of(type_.schema), unwrap(node), texts_of(node))
    tell(root, path, examined, report)
    settings = None if examined.faults else examined.settings
    if settings is not None:
        for finding in _findings(type_, settings, replace(context, id=name)):
            where = (*path, *steps(node, finding.path))
            say = report.odd if finding.warning else report.wrong
            say(mark_of(root, where), where, finding.text)
    named = {(*path, *where): extension for where, extension in examined.extensions.items()}
    return Part(kind, name, type_, settings, named)


def _findings(type_: ComponentType, settings: Mapping[str, Any], context: Context) -> list[Finding]:
    try:
        return list(type_.check(settings, context))
    except InvalidConfig as error:
        return [Finding(error.path, error.text)]


def _type_of(root: Node, kind: Kind, name: str, report: Report) -> ComponentType | None:
    mark = mark_of(root, (kind, name), at_key=True)
    match = _ID.fullmatch(name)
    if match is None:
        guess = did_you_mean(name.partition("/")[0].replace("-", "_"), components(kind))
        text = f"expected an id such as otlp or otlp/name, got {name!r}{guess}"
        report.wrong(mark, (kind, name), text)
        return None
    found = components(kind).get(match[1])
    if found is None:
        report.wrong(
            mark, (kind, name), f"no such {kind.removesuffix('s')}{_instead(kind, match[1])}"
        )
    return found


def _instead(kind: Kind, type_: str) -> str:
    others = [other for other in KINDS if type_ in components(other)]
    if others:
        return f"; {type_!r} belongs under {others[0]}"
    known = sorted(components(kind))
    return did_you_mean(type_, known) or f"; expected {any_of(known)}"
