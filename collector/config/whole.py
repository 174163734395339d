"""The JSON Schema of whole configurations and of single components, for documentation and editors."""

from __future__ import annotations

from typing import Any

from collector.config.load import SCHEMA
from collector.config.parts import KINDS
from collector.config.sentences import did_you_mean
from collector.registry import ComponentType, Kind, components, schema_of


def schema_named(name: str) -> dict[str, Any]:
    """Return the schema of a component: `redaction`, or `exporters/otlp` where several kinds share a type.

    Raises: LookupError when there is none, or more than one.
    """
    kind, _, type_ = name.rpartition("/")
    found = {
        k: schema_of(components(k)[type_].schema)
        for k in KINDS
        if kind in ("", k) and type_ in components(k)
    }
    if not found:
        known = {t for k in KINDS for t in components(k)}
        raise LookupError(f"no such component{did_you_mean(name, known)}")
    if len(found) > 1:
        choices = " or ".join(f"{k}/{type_}" for k in found)
        raise LookupError(f"expected one component, got several: say {choices}")
    return next(iter(found.values()))


def whole_schema() -> dict[str, Any]:
    """Return one schema for whole configurations; every component type is found by the ids it may have.

    Components are embedded with an `$id` each, so that their own references stay theirs (JSON Schema 2020-12, 9.3).
    """
    whole = schema_of(SCHEMA)
    parts = [
        (kind, name, component) for kind in KINDS for name, component in components(kind).items()
    ]
    embedded = {
        _id(kind, component): {**schema_of(component.schema), "$id": _id(kind, component)}
        for kind, _, component in parts
    }
    sections: dict[str, Any] = {
        kind: {**whole["properties"][kind], "additionalProperties": False, "patternProperties": {}}
        for kind in KINDS
    }
    for kind, name, component in sorted(parts, key=lambda part: part[:2]):
        reference = {"$ref": _id(kind, component)}
        sections[kind]["patternProperties"][f"^{name}(/.+)?$"] = {
            "anyOf": [{"type": "null"}, reference]
        }
    return {
        **whole,
        "properties": {**whole["properties"], **sections},
        "$defs": {**whole["$defs"], **embedded},
    }


def _id(kind: Kind, component: ComponentType) -> str:
    return f"urn:otelcol-llm:{kind}:{component.type}"
