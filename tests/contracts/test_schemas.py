"""Every component's schema is a schema, documents every key, and its defaults fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from collector.config.parts import KINDS
from collector.config.schema import dereference, effective, faults
from collector.registry import ComponentType, components, schema_of

COMPONENTS = [
    pytest.param(component, id=f"{kind}/{component.type}")
    for kind in KINDS
    for component in dict.fromkeys(components(kind).values())
]


def schemas_in(root: Mapping[str, Any], value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, schema) for every object schema and every property."""
    if isinstance(value, dict):
        for key, schema in value.get("properties", {}).items():
            yield f"{path}.{key}", dereference(root, schema)
        for key, item in value.items():
            yield from schemas_in(root, item, f"{path}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from schemas_in(root, item, f"{path}[{i}]")


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_schema_is_a_json_schema(component: ComponentType) -> None:
    Draft202012Validator.check_schema(schema_of(component.schema))


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_default_fits_its_schema(component: ComponentType) -> None:
    root = schema_of(component.schema)
    wrong = [
        path
        for path, schema in schemas_in(root, root)
        if "default" in schema
        and faults({"$defs": root.get("$defs", {}), **schema}, schema["default"])
    ]
    assert wrong == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_unknown_keys_are_refused(component: ComponentType) -> None:
    found = faults(schema_of(component.schema), {"zzz_nobody_has_this": 1})
    assert [fault.path for fault in found if fault.at_key] == [("zzz_nobody_has_this",)]


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_key_at_the_top_is_described(component: ComponentType) -> None:
    root = effective(schema_of(component.schema), schema_of(component.schema), {})
    keys = {k: dereference(root, schema) for k, schema in root.get("properties", {}).items()}
    assert [key for key, schema in keys.items() if not schema.get("description")] == []
