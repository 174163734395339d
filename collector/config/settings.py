"""A component's settings: what the user wrote → checked, defaults filled in, units turned into numbers.

Rules
- A key without a value (`grpc:`) is an empty mapping where a mapping is allowed, null where null is allowed, and
  counts as not written elsewhere, as in the Collector.
- A missing key gets its schema's `default`. A missing mapping stays missing unless it has a default: write
  `"default": {}` and the defaults inside it are filled in too.
- `"format": "duration"` gives nanoseconds, `"size"` bytes, `"secret"` a `Secret`.
- `"format": "extension"` is the id of an extension, which must be listed under `service.extensions`.
- Where a list of texts is wanted, a text is the list of its parts between commas, as in the Collector.
- `"x-ignored": reason` is a key without effect, taken with a warning for the Collector's configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from collector.config.schema import Fault, Schema, allows, child, effective, faults
from collector.config.sentences import Path, dotted
from collector.config.units import PARSERS
from collector.errors import ConfigError, Problem

_NO_TEXTS: Final[Mapping[Path, str]] = {}
_ANYTHING: Final[Schema] = {}


class Secret(str):
    """A text whose repr is masked, so that settings can be printed and logged. `str` methods see the text itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "[REDACTED]"


def resolve(schema: Schema, value: Any) -> dict[str, Any]:
    """Return the settings a component is built from. Raises: `ConfigError` with every violation."""
    examined = examine(schema, value)
    if examined.faults:
        raise ConfigError(
            [Problem("settings", 0, 0, dotted(fault.path), fault.text) for fault in examined.faults]
        )
    return examined.settings


class Examined(NamedTuple):
    """With faults the settings are empty."""

    settings: dict[str, Any]
    faults: list[Fault]
    odd: list[Fault]
    """What is taken for the Collector's sake and hardly meant: keys without effect (`x-ignored`), a timeout of 5 ns."""
    extensions: dict[Path, str]
    """Ids of extensions that the settings name (`"format": "extension"`)."""


def examine(
    schema: Schema,
    value: Any,
    texts: Mapping[Path, str] = _NO_TEXTS,
    *,
    split_texts: bool = True,
) -> Examined:
    """Return the settings and everything that is wrong or odd about them.

    `texts`: for values that came from `${...}`, the text itself, used where only text is allowed (a password 0123).
    `split_texts`: whether a text may stand for a list of texts.
    """
    reader = _Reader(schema, texts, split_texts)
    written = reader.tidy(schema, value, ())
    wrong = faults(schema, written)
    return Examined(
        {} if wrong else reader.finish(schema, written), wrong, reader.odd, reader.extensions
    )


class _Reader:
    """Walks a value and its schema side by side."""

    def __init__(self, root: Schema, texts: Mapping[Path, str], split_texts: bool) -> None:
        self._root = root
        self._texts = texts
        self._split_texts = split_texts
        self.odd: list[Fault] = []
        self.extensions: dict[Path, str] = {}
        self._flat: dict[tuple[int, type, Any], Schema] = {}
        """By identity: every schema that is asked for is a part of the root, which outlives this."""

    def _effective(self, schema: Schema, value: Any) -> Schema:
        """Return the flat schema, worked out once for equal scalars: price lists are long and repeat themselves."""
        if isinstance(value, (dict, list)):
            return effective(self._root, schema, value)
        key = (id(schema), type(value), value)
        if key not in self._flat:
            self._flat[key] = effective(self._root, schema, value)
        return self._flat[key]

    def tidy(self, schema: Schema, value: Any, path: Path) -> Any:
        """Settle keys without a value and texts that look like numbers."""
        schema = self._effective(schema, value)
        if "x-ignored" in schema:
            text = f"this has no effect here: {schema['x-ignored']}"
            self.odd.append(Fault(path, text, at_key=True))
        if schema.get("format") == "duration" and _is_tiny(value):
            text = f"a number without a unit is nanoseconds, as in the Collector; write {value}s or {value}ms"
            self.odd.append(Fault(path, text))
        if schema.get("format") == "extension" and isinstance(value, str):
            self.extensions[path] = value
        if path in self._texts and schema.get("type") == "string":
            return self._texts[path]
        if value is None and allows(schema, "object") and "type" in schema:
            value = {}
        if self._split_texts and isinstance(value, str) and _is_list_of_texts(schema):
            value = value.split(",") if value else []
        if isinstance(value, dict):
            return self._tidy_mapping(schema, value, path)
        if isinstance(value, list):
            items = schema.get("items", _ANYTHING)
            return [self.tidy(items, item, (*path, i)) for i, item in enumerate(value)]
        return value

    def _tidy_mapping(self, schema: Schema, value: dict[str, Any], path: Path) -> dict[str, Any]:
        tidied = {}
        for key, item in value.items():
            inner = child(schema, key, value)
            if inner is None:
                tidied[key] = item
                continue
            settled = self.tidy(inner, item, (*path, key))
            if settled is not None or allows(self._effective(inner, None), "null"):
                tidied[key] = settled
        return tidied

    def finish(self, schema: Schema, value: Any) -> Any:
        """Fill in defaults and convert units. `value` MUST be valid."""
        schema = self._effective(schema, value)
        if isinstance(value, dict):
            return self._finish_mapping(schema, value)
        if isinstance(value, list):
            items = schema.get("items", _ANYTHING)
            return [self.finish(items, item) for item in value]
        return _convert(schema, value)

    def _finish_mapping(self, schema: Schema, value: dict[str, Any]) -> dict[str, Any]:
        full = {}
        for key, inner in schema.get("properties", {}).items():
            if key in value:
                full[key] = self.finish(inner, value[key])
            elif "default" in (known := self._effective(inner, None)):
                full[key] = self.finish(inner, known["default"])
        for key, item in value.items():
            if key not in full:
                other = child(schema, key, value)
                full[key] = item if other is None else self.finish(other, item)
        kind = value.get("type")
        if "x-block" in schema and isinstance(kind, str) and kind not in full:
            full[kind] = self.finish(schema["x-block"][kind], {})
        return full


def _is_tiny(value: Any) -> bool:
    """Say whether a duration is a number of which nobody means nanoseconds: below a millisecond."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1_000_000


def _is_list_of_texts(schema: Schema) -> bool:
    if "type" not in schema or not allows(schema, "array") or allows(schema, "string"):
        return False
    items = schema.get("items", _ANYTHING)
    return items.get("type") == "string" or "enum" in items


def _convert(schema: Schema, value: Any) -> Any:
    kind = schema.get("format", "")
    if kind in PARSERS and value is not None:
        return PARSERS[kind](value)
    if kind == "secret" and isinstance(value, str):
        return Secret(value)
    if isinstance(value, float) and value.is_integer() and not allows(schema, "number"):
        return int(value)  # 5.0 is an integer to JSON Schema
    return value
