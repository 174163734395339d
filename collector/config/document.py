"""YAML as a tree in which every key and value knows its place: file, line and column.

Scalars mean what they mean to the Collector (yaml.v3, the core schema of YAML 1.2): `no`, `on`, `1:30` and dates are
texts, `1e9` is a number, `0123` is octal, which is told as a warning. Tags beyond the core ones and duplicate keys are
refused. Hostile input ends in a problem, not in a crash: PyYAML's own loader dies of 5,000 nested lists and of a
341-byte alias bomb.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeAlias

import yaml

from collector.config.report import Mark, Report, Unreadable
from collector.config.sentences import Path

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 64
MAX_ALIASED: Final = 10_000
"""Nodes that aliases may add to a document."""

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(slots=True)
class Node:
    """A value of a document. `text` is how a scalar was written, or what an expansion gave."""

    value: Scalar | dict[str, Node] | list[Node]
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)
    text: str = ""
    plain: bool = False
    """Written without quotes, so that its type was read out of its text."""
    expanded: bool = False
    """Came out of `${...}`: where text is wanted, `text` is meant."""
    size: int = 1
    height: int = 1


def unwrap(node: Node) -> Any:
    """Return the value without places."""
    if isinstance(node.value, dict):
        return {key: unwrap(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [unwrap(item) for item in node.value]
    return node.value


def parse(text: str, mark: Mark, report: Report, path: Path = ()) -> Node:
    """Read one YAML document; what can be lived with goes to `report`, under `path`.

    Places are counted from `mark`, the place of the text's first character. Raises: `Unreadable`.
    """
    if len(text) > MAX_BYTES:
        raise Unreadable(mark, f"expected at most {MAX_BYTES >> 20} MiB of YAML, got more")
    try:
        return _Builder(text, mark, report, path).document()
    except yaml.reader.ReaderError as error:
        before = text[: text.find(chr(error.character))]
        line, column = before.count("\n"), len(before) - before.rfind("\n")
        said = (
            f"expected text, got the character {chr(error.character)!r}, which YAML does not allow"
        )
        raise Unreadable(Mark(mark.file, (mark.line or 1) + line, column), said) from error
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark
        at = Mark(mark.file, where.line + 1, where.column + 1) if where else mark
        raise Unreadable(at, f"expected YAML, got {_found(error, text, mark)}") from error


def _found(error: yaml.MarkedYAMLError, text: str, mark: Mark) -> str:
    """Say what no YAML is, and in what it stands: a quote that never ends is told where the file does."""
    said = f"something else here: {error.problem or error}"
    where, began = error.problem_mark, error.context_mark
    if where is None:
        return said
    line = next(islice(text.splitlines(), where.line, None), "")
    if line[where.column :].startswith("\t"):
        return "a tab here; indent with spaces"
    if began and began.line != where.line:
        said += f", {error.context} that begins in line {(mark.line or 1) + began.line}"
    return said


class _Builder:
    """Builds nodes from parser events, which come one by one whatever the depth."""

    def __init__(self, text: str, origin: Mark, report: Report, path: Path) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        self._origin = origin
        self._report = report
        self._path = list(path)
        self._anchors: dict[str, Node] = {}
        self._aliased = 0

    def document(self) -> Node:
        next(self._events)  # stream start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Node(None, self._origin)
        node = self._node(next(self._events), 1)
        next(self._events)  # document end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise Unreadable(self._mark(event), "expected one YAML document, got a second one")
        return node

    def _mark(self, event: Any) -> Mark:
        at = event.start_mark
        line = self._origin.line or 1
        column = at.column + (max(self._origin.column, 1) if at.line == 0 else 1)
        return Mark(self._origin.file, line + at.line, column)

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Unreadable(self._mark(event), f"expected at most {MAX_DEPTH} levels, got more")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._list(event, depth)
        else:
            node = self._mapping(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _child(self, event: Any, key: str | int, depth: int) -> Node:
        self._path.append(key)
        node = self._node(event, depth + 1)
        self._path.pop()
        return node

    def _alias(self, event: Any, depth: int) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise Unreadable(
                self._mark(event), f"expected an anchor &{event.anchor} above, got none"
            )
        self._aliased += node.size
        if self._aliased > MAX_ALIASED or depth + node.height > MAX_DEPTH + 1:
            raise Unreadable(
                self._mark(event), "expected a small document, got one that aliases blow up"
            )
        return node

    def _list(self, event: Any, depth: int) -> Node:
        self._check_tag(event, "tag:yaml.org,2002:seq")
        items: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            items.append(self._child(inner, len(items), depth))
        return self._grown(Node(items, self._mark(event)), items)

    def _mapping(self, event: Any, depth: int) -> Node:
        self._check_tag(event, "tag:yaml.org,2002:map")
        node = Node({}, self._mark(event))
        items: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key, mark = self._key(inner), self._mark(inner)
            item = self._child(next(self._events), key, depth)
            if key == "<<" and inner.implicit[0]:
                merged += item.value if isinstance(item.value, list) else [item]
            elif key in items:
                first = node.keys[key].line
                text = f"expected each key once, got it again; it was first written in line {first}"
                self._report.wrong(mark, (*self._path, key), text)
            else:
                items[key], node.keys[key] = item, mark
        for other in merged:
            self._merge(node, items, other)
        node.value = items
        return self._grown(node, list(items.values()))

    def _merge(self, node: Node, items: dict[str, Node], other: Node) -> None:
        if not isinstance(other.value, dict):
            raise Unreadable(other.mark, "expected a mapping to merge with <<, got something else")
        for key, item in other.value.items():
            if key not in items:
                items[key], node.keys[key] = item, other.keys[key]

    def _grown(self, node: Node, items: list[Node]) -> Node:
        node.size = 1 + sum(item.size for item in items)
        node.height = 1 + max((item.height for item in items), default=0)
        return node

    def _key(self, event: Any) -> str:
        """Return a key as it is written: 1, no and null are good keys."""
        if not isinstance(event, yaml.ScalarEvent):
            raise Unreadable(
                self._mark(event), "expected a text as key, got a list, a mapping or an alias"
            )
        return str(event.value)

    def _scalar(self, event: Any) -> Node:
        mark = self._mark(event)
        plain = event.implicit[0]
        if plain:
            value = read_plain(event.value)
        elif event.tag in (None, "!", "tag:yaml.org,2002:str"):
            value = event.value
        else:
            value = self._tagged(event)
        if plain and _LEADING_ZERO.fullmatch(event.value):
            text = f"YAML reads {event.value} as {value}; write that, or put quotes around a text"
            self._report.odd(mark, self._path, text)
        return Node(value, mark, text=event.value, plain=plain)

    def _tagged(self, event: Any) -> Scalar:
        value = read_plain(event.value)
        allowed = _TAGS.get(event.tag)
        if allowed is None or not isinstance(value, allowed):
            raise Unreadable(self._mark(event), f"expected a value without a tag, got {event.tag}")
        return value

    def _check_tag(self, event: Any, usual: str) -> None:
        if event.tag not in (None, "!", usual):
            raise Unreadable(self._mark(event), f"expected a value without a tag, got {event.tag}")


_TAGS: Final[dict[str, tuple[type, ...]]] = {
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:null": (type(None),),
}
_WORDS: Final[dict[str, Scalar]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan"),
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0o?[0-7_]+|0b[01_]+|[1-9][0-9_]*|0)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OLD_OCTAL: Final = re.compile(r"([-+]?)0([0-7_]+)")
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9_]+")


def read_plain(text: str) -> Scalar:
    """Return what an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and not text.endswith("_"):
        octal = _OLD_OCTAL.fullmatch(text)
        digits = f"{octal[1]}0o{octal[2]}" if octal else text
        return int(digits.replace("_", ""), 0)
    return float(text) if _FLOAT.fullmatch(text) else text
