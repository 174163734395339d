"""Guesses what was meant, so that one mistake does not hide others or cause false ones.

Only for looking on: what was repaired is never run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import takewhile

from collector.config.document import Node
from collector.config.schema import Fault
from collector.config.sentences import Path


def repair(root: Node, faults: Iterable[Fault]) -> Node:
    """Return the tree with misspelt keys renamed as suggested, and without the other faulty values.

    A list with a faulty item is left out as a whole: the paths of the other items would change.
    """
    for fault in faults:
        keys = tuple(takewhile(lambda part: isinstance(part, str), fault.path))
        root = _repaired(root, keys, fault.meant if fault.at_key else "")
    return root


def _repaired(node: Node, path: Path, meant: str) -> Node:
    if not path or not isinstance(node.value, dict) or path[0] not in node.value:
        return node if path else Node(None, node.mark)
    key, items, keys = str(path[0]), dict(node.value), dict(node.keys)
    if len(path) > 1:
        items[key] = _repaired(items[key], path[1:], meant)
    else:
        item, mark = items.pop(key), keys.pop(key)
        if meant and meant not in items:
            items[meant], keys[meant] = item, mark
    return replace(node, value=items, keys=keys)
