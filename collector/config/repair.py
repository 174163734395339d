"""Guesses what was meant, so that one mistake does not hide others or cause false ones.

Only for looking on: what was repaired is never run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from collector.config.document import Node, Path
from collector.config.schema import Fault


def repair(root: Node, faults: Iterable[Fault]) -> Node:
    """Return the tree with misspelt keys renamed as suggested, and without the other faulty values."""
    for fault in sorted(faults, key=lambda fault: [str(part) for part in fault.path], reverse=True):
        root = _repaired(root, fault.path, fault.meant if fault.at_key else "")
    return root


def _repaired(node: Node, path: Path, meant: str) -> Node:
    if isinstance(node.value, dict) and path and str(path[0]) in node.value:
        return _mapping(node, node.value, path, meant)
    if isinstance(node.value, list) and path and isinstance(path[0], int):
        items = list(node.value)
        items[path[0]] = _repaired(items[path[0]], path[1:], meant)
        return replace(node, value=items)
    return Node(None, node.mark)


def _mapping(node: Node, old: dict[str, Node], path: Path, meant: str) -> Node:
    key, items, keys = str(path[0]), dict(old), dict(node.keys)
    if len(path) > 1:
        items[key] = _repaired(items[key], path[1:], meant)
    else:
        item, mark = items.pop(key), keys.pop(key)
        if meant and meant not in items:
            items[meant], keys[meant] = item, mark
    return replace(node, value=items, keys=keys)
