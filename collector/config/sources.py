"""Where configurations come from: `--config` URIs and `--set` pairs, merged in order, each over those before.

Mappings are merged, everything else is replaced, as in the Collector. Expansions are done before merging, so that a
later source can change one key of an included file instead of losing the rest of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from collector.config.document import Node, parse
from collector.config.expand import Expander
from collector.config.report import Mark, Report, Unreadable

_NOT_HERE: Final = frozenset({"http", "https"})


def gather(configs: Sequence[str], sets: Sequence[str], expander: Expander, report: Report) -> Node:
    """Read and merge all sources. What cannot be read is told and left out."""
    merged = Node({}, Mark(configs[0] if configs else "--config"))
    readers: list[tuple[Callable[[str, Expander, Report], Node], str]] = [
        *((_open, uri) for uri in configs),
        *((_pair, pair) for pair in sets),
    ]
    for read, source in readers:
        try:
            node = read(source, expander, report)
        except Unreadable as error:
            report.unreadable(error)
            continue
        merged = _over(merged, node, source, report)
    return merged


def _over(merged: Node, node: Node, source: str, report: Report) -> Node:
    if node.value is None:
        return merged
    if not isinstance(node.value, dict):
        report.unreadable(Unreadable(node.mark, "expected a mapping of receivers, processors …"))
        return merged
    return merge(merged, node)


def merge(under: Node, over: Node) -> Node:
    """Return both, `over` winning; neither is changed. Places are those of the winner."""
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    items = dict(under.value)
    for key, item in over.value.items():
        items[key] = merge(items[key], item) if key in items else item
    return Node(items, over.mark, keys={**under.keys, **over.keys})


def _open(uri: str, expander: Expander, report: Report) -> Node:
    scheme, colon, rest = uri.partition(":")
    if colon and scheme == "yaml":
        return expander.expand(_split(parse(rest, Mark("--config yaml", 1, 1), report)))
    if colon and scheme == "env":
        return _variable(rest, expander, report)
    if colon and scheme in _NOT_HERE:
        mark = Mark(uri)
        raise Unreadable(
            mark, f"expected a file, yaml:… or env:…, got {scheme}, which is not supported"
        )
    file = os.path.normpath(rest if scheme == "file" and colon else uri)
    return expander.read(file, Mark(file))


def _variable(name: str, expander: Expander, report: Report) -> Node:
    mark = Mark(f"env:{name}", 1, 1)
    if name not in expander.env:
        raise Unreadable(
            mark, f"expected a configuration in the environment variable {name}, got none"
        )
    return expander.expand(parse(expander.env[name], mark, report))


def _pair(pair: str, expander: Expander, report: Report) -> Node:
    """Read `processors.batch.timeout=2s`; the value is YAML, and never part of a message: it may be a secret."""
    key, equals, value = pair.partition("=")
    mark = Mark(f"--set {key}", 1, 1)
    if not key or not equals:
        raise Unreadable(mark, "expected --set KEY=VALUE")
    node = parse(value, mark, report, tuple(key.split(".")))
    return expander.expand(_nested(key.split("."), node, mark))


def _split(node: Node) -> Node:
    """Take keys such as `processors::batch::timeout` apart, as the Collector does in `yaml:` sources."""
    if not isinstance(node.value, dict):
        return node
    whole = Node({}, node.mark)
    for key, item in node.value.items():
        whole = merge(whole, _nested(key.split("::"), _split(item), node.keys[key]))
    return whole


def _nested(keys: Sequence[str], node: Node, mark: Mark) -> Node:
    for key in reversed(keys):
        node = Node({key: node}, mark, keys={key: mark})
    return node
