"""From a path in the configuration to the place in a file."""

from __future__ import annotations

import re
from typing import Final

from collector.config.document import Node
from collector.config.report import Mark
from collector.config.sentences import Path

_STEP: Final = re.compile(r"\[(\d+)\]|([^.\[]+)")


def at(node: Node, path: Path) -> Node | None:
    """Return the node at a path below `node`."""
    for part in path:
        below = _below(node, part)
        if below is None:
            return None
        node = below
    return node


def mark_of(root: Node, path: Path, *, at_key: bool = False) -> Mark:
    """Return where the value at `path` stands, or its key; the nearest that exists when the path is not there.

    A mapping or a list is shown by its key, since it begins somewhere below; one from another file by its beginning.
    """
    while path and at(root, path) is None:
        path, at_key = path[:-1], False
    node, parent = at(root, path), at(root, path[:-1])
    if not path or node is None or parent is None:
        return root.mark
    key = parent.keys.get(str(path[-1])) if isinstance(parent.value, dict) else None
    nested = isinstance(node.value, (dict, list)) and key and node.mark.file == key.file
    return key if key and (at_key or nested) else node.mark


def texts_of(node: Node, path: Path = ()) -> dict[Path, str]:
    """Return the texts that expansions gave, by path."""
    texts = {path: node.text} if node.expanded else {}
    items: list[tuple[str | int, Node]] = []
    if isinstance(node.value, dict):
        items += node.value.items()
    elif isinstance(node.value, list):
        items += enumerate(node.value)
    for key, item in items:
        texts |= texts_of(item, (*path, key))
    return texts


def steps(node: Node, written: str) -> Path:
    """Take a path such as `policies[2].trace_cost` apart; keys that hold dots are found by what is there."""
    path: list[str | int] = []
    below: Node | None = node
    while written:
        part, written = _step(below, written)
        path.append(part)
        below = below and _below(below, part)
    return tuple(path)


def _step(node: Node | None, written: str) -> tuple[str | int, str]:
    known = node.value if node and isinstance(node.value, dict) else {}
    fits = [k for k in known if written == k or written.startswith((f"{k}.", f"{k}["))]
    if fits:
        key = max(fits, key=len)
        return key, written[len(key) :].removeprefix(".")
    match = _STEP.match(written)
    if match is None:
        return written, ""
    part = int(match[1]) if match[1] else match[2]
    return part, written[match.end() :].removeprefix(".")


def _below(node: Node, part: str | int) -> Node | None:
    if isinstance(node.value, dict):
        return node.value.get(str(part))
    if isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    return None
