"""The JSON Schema of whole configurations and of single components, for documentation and editors."""

from __future__ import annotations

from typing import Any

from collector.config.load import SCHEMA
from collector.config.parts import KINDS
from collector.config.sentences import did_you_mean
from collector.registry import components, schema_of


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
    """Return one schema for whole configurations; every component type is found by the ids it may have."""
    whole = schema_of(SCHEMA)
    sections = {
        kind: {
            **whole["properties"][kind],
            "additionalProperties": False,
            "patternProperties": {
                f"^{type_}(/.+)?$": _nullable(schema_of(component.schema))
                for type_, component in sorted(components(kind).items())
            },
        }
        for kind in KINDS
    }
    return {**whole, "properties": {**whole["properties"], **sections}}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow a component without settings (`batch:`), which means its defaults."""
    return {"anyOf": [{"type": "null"}, schema]}
