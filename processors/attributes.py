"""`attributes` and `resource`: edit attributes by a list of actions, as the Collector's processors of these names do.

Source: opentelemetry-collector-contrib v0.158.0, processor/attributesprocessor and internal/coreinternal/attraction.
`from_context` is refused at construction: nothing of a request's transport reaches a processor.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, TypeAlias

import re2

from processors.base import Stateless
from processors.batch import Batch, Element, Item
from processors.errors import InvalidConfig
from processors.matching import Matcher
from processors.ports import Context
from processors.wire import Value

Action: TypeAlias = Callable[[Element], None]


def _insert(element: Element, key: str, value: Callable[[Element], Value]) -> None:
    if key not in element:
        _upsert(element, key, value)


def _update(element: Element, key: str, value: Callable[[Element], Value]) -> None:
    if key in element:
        _upsert(element, key, value)


def _upsert(element: Element, key: str, value: Callable[[Element], Value]) -> None:
    new = value(element)
    if new is not None:
        element.set(key, new)


_WRITES = {"insert": _insert, "update": _update, "upsert": _upsert}


def _delete(element: Element, key: str | None, pattern: Any) -> None:
    for name in list(element.keys()):
        if name == key or (pattern is not None and pattern.search(name)):
            element.remove(name)


def _hash(element: Element, key: str | None, pattern: Any) -> None:
    for name in list(element.keys()):
        if name == key or (pattern is not None and pattern.search(name)):
            element.set(name, sha256(_hashed_form(element.get(name))).hexdigest())


def _hashed_form(value: Value) -> bytes:
    """Return what the Collector hashes: texts as they are, numbers as 8 bytes, little-endian."""
    if isinstance(value, bool):
        return b"\x01" if value else b"\x00"
    if isinstance(value, int):
        return struct.pack("<q", value)
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""


def _extract(element: Element, key: str, pattern: Any) -> None:
    value = element.get(key)
    found = pattern.search(value) if isinstance(value, str) else None
    if found:
        for name, text in found.groupdict().items():
            element.set(name, text or "")


def _convert(element: Element, key: str, to: Callable[[Value], Value]) -> None:
    value = element.get(key)
    if isinstance(value, (str, int, float)):
        converted = to(value)
        if converted is not None:
            element.set(key, converted)


def _to_int(value: Value) -> Value:
    try:
        return int(value)  # type: ignore[arg-type] # callers pass scalars
    except (ValueError, OverflowError):
        return None


def _to_double(value: Value) -> Value:
    try:
        return float(value)  # type: ignore[arg-type] # callers pass scalars
    except (ValueError, OverflowError):
        return None


def _to_string(value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_CONVERSIONS: Mapping[str, Callable[[Value], Value]] = {
    "int": _to_int,
    "double": _to_double,
    "string": _to_string,
}


def compile_action(written: Mapping[str, Any], path: str) -> Action:
    """Turn one entry of the list into a function. Raises: `InvalidConfig`."""
    kind, key = written["action"], written.get("key")
    if kind in _WRITES:
        return partial(_WRITES[kind], key=_need(written, "key", path), value=_source(written, path))
    if kind in ("delete", "hash"):
        if not key and not written.get("pattern"):
            raise InvalidConfig(
                path, f"expected key or pattern for the action '{kind}', got neither"
            )
        pattern = _pattern(written, path) if written.get("pattern") else None
        return partial(_delete if kind == "delete" else _hash, key=key, pattern=pattern)
    if kind == "extract":
        pattern = _pattern(written, path)
        if not pattern.groupindex:
            raise InvalidConfig(
                f"{path}.pattern", "expected at least one named group, as in (?P<name>…), got none"
            )
        return partial(_extract, key=_need(written, "key", path), pattern=pattern)
    to = _CONVERSIONS[_need(written, "converted_type", path)]
    return partial(_convert, key=_need(written, "key", path), to=to)


def _need(written: Mapping[str, Any], name: str, path: str) -> str:
    if not written.get(name):
        raise InvalidConfig(path, f"the action '{written['action']}' needs '{name}'")
    return str(written[name])


def _pattern(written: Mapping[str, Any], path: str) -> Any:
    text = _need(written, "pattern", path)
    try:
        return re2.compile(text)
    except re2.error as bad:
        raise InvalidConfig(
            f"{path}.pattern", f"expected an RE2 expression, got {text!r}: {bad}"
        ) from bad


def _source(written: Mapping[str, Any], path: str) -> Callable[[Element], Value]:
    """Return where the new value comes from: written down, or another attribute."""
    if written.get("from_context"):
        raise InvalidConfig(
            f"{path}.from_context",
            "expected value or from_attribute; request metadata is not available to processors",
        )
    other = written.get("from_attribute")
    if other:
        return lambda element: element.get(other)
    if written.get("value") is None:
        raise InvalidConfig(
            path, f"the action '{written['action']}' needs 'value' or 'from_attribute'"
        )
    constant: Value = written["value"]
    return lambda element: constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user wrote: the actions in order, and which items they apply to."""

    actions: Sequence[Mapping[str, Any]]
    include: Mapping[str, Any] | None = None
    exclude: Mapping[str, Any] | None = None


class Attributes(Stateless):
    """Edits the attributes of spans, log records and data points."""

    def __init__(self, config: Config) -> None:
        """Compile actions and conditions. Raises: `InvalidConfig`."""
        super().__init__()
        self._actions = [compile_action(a, f"actions[{i}]") for i, a in enumerate(config.actions)]
        self._include = Matcher(config.include, "include") if config.include else None
        self._exclude = Matcher(config.exclude, "exclude") if config.exclude else None

    def process(self, batch: Batch) -> Batch:
        for item in batch.items():
            if self._applies(item):
                for element in item.carriers():
                    for action in self._actions:
                        action(element)
                item.settle()
        return batch

    def _applies(self, item: Item) -> bool:
        if self._include is not None and not self._include.matches(item):
            return False
        return self._exclude is None or not self._exclude.matches(item)


class ResourceEditor(Stateless):
    """Edits the attributes of resources."""

    def __init__(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Compile the actions. Raises: `InvalidConfig`."""
        super().__init__()
        self._actions = [compile_action(a, f"attributes[{i}]") for i, a in enumerate(actions)]

    def process(self, batch: Batch) -> Batch:
        for group in batch.groups:
            for action in self._actions:
                action(group.resource)
        return batch


def build_attributes(settings: Mapping[str, Any], context: Context) -> Attributes:
    """Build the `attributes` processor. Raises: `InvalidConfig`."""
    return Attributes(
        Config(
            actions=settings["actions"],
            include=settings.get("include"),
            exclude=settings.get("exclude"),
        )
    )


def build_resource(settings: Mapping[str, Any], context: Context) -> ResourceEditor:
    """Build the `resource` processor. Raises: `InvalidConfig`."""
    return ResourceEditor(settings["attributes"])
