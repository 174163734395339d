"""JSON Schema (draft 2020-12) with the annotations of our components, and a readable sentence for every violation.

Beyond the standard:
- `"format": "duration" | "size"`: text or a bare number; bounds (`minimum` …) apply to nanoseconds and bytes, and
  without a lower bound 0 is the least.
- `"format": "secret"`: never quoted in a message.
- `"x-block": {type: schema}`: the object holds `name`, `type` and one more key, called like its `type` and checked
  against that schema; `title` names what it is ("sampling policy"). A missing block counts as an empty one.
- `"errorMessage": {keyword: sentence}` (`required`: {key: sentence}): said before our own words.
- Of `anyOf` and `oneOf` one branch is picked, by type and by constants, and only its violations are told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from collector.config.sentences import Path, Violation, key_meant, sentence
from collector.config.units import PARSERS

Schema: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One violation. `at_key`: the key itself is wrong, not its value."""

    path: Path
    text: str
    at_key: bool = False
    meant: str = ""
    """The key that was probably meant by a misspelt one, or that is missing."""


def faults(schema: Schema, value: Any) -> list[Fault]:
    """Return everything in `value` that `schema` does not allow, in the order of the schema.

    A key that is missing because it is misspelt is told once, as misspelt.
    """
    found = [_fault(error) for error in _VALIDATOR(dict(schema)).iter_errors(value)]
    misspelt = {(*fault.path[:-1], fault.meant) for fault in found if fault.at_key}
    return [f for f in found if f.at_key or not f.meant or (*f.path, f.meant) not in misspelt]


def dereference(root: Schema, schema: Schema) -> Schema:
    """Follow `$ref` inside `root`; keywords beside the reference win."""
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")] if part else target
        schema = {**target, **{key: item for key, item in schema.items() if key != "$ref"}}
    return schema


def effective(root: Schema, schema: Schema, value: Any) -> Schema:
    """Return one flat schema that holds for `value`: references followed, branches picked, parts joined."""
    schema = dereference(root, schema)
    parts = list(schema.get("allOf", ()))
    unions = [schema[union] for union in ("anyOf", "oneOf") if union in schema]
    parts += [branches[pick(root, branches, value)] for branches in unions]
    for part in parts:
        other = effective(root, part, value)
        properties = {**other.get("properties", {}), **schema.get("properties", {})}
        schema = {**other, **schema}
        if properties:
            schema = {**schema, "properties": properties}
    return schema


def child(schema: Schema, key: str, value: Mapping[str, Any]) -> Schema | None:
    """Return the schema of `value[key]`, where `schema` is an effective one."""
    if key in schema.get("properties", {}):
        found: Schema = schema["properties"][key]
        return found
    if key in schema.get("x-block", {}) and key == value.get("type"):
        block: Schema = schema["x-block"][key]
        return block
    rest = schema.get("additionalProperties")
    return rest if isinstance(rest, Mapping) else None


def allows(schema: Schema, kind: str) -> bool:
    """Say whether an effective schema allows a JSON type."""
    if kind == "null" and "enum" in schema:
        return None in schema["enum"]
    types = schema.get("type", kind)
    return kind == types or (isinstance(types, list) and kind in types)


def pick(root: Schema, branches: Sequence[Schema], value: Any) -> int:
    """Return which branch of a union is meant: by type, then by constants, then the one with the fewest violations."""
    fits = [i for i, branch in enumerate(branches) if _type_fits(dereference(root, branch), value)]
    if len(fits) == 1:
        return fits[0]
    validator = _VALIDATOR(dict(root))
    return _best([list(validator.descend(value, branch)) for branch in branches])


def _type_fits(schema: Schema, value: Any) -> bool:
    names = schema.get("type", ())
    if schema.get("format") in PARSERS and _is(value, "number"):
        return True
    return not names or any(_is(value, n) for n in ([names] if isinstance(names, str) else names))


def _best(outcomes: Sequence[Sequence[ValidationError]]) -> int:
    return min(range(len(outcomes)), key=lambda i: (*_misfit(outcomes[i]), i))


def _misfit(errors: Sequence[ValidationError]) -> tuple[bool, bool, int, int]:
    """Return how badly a branch fits; of two that fit alike, the one that knows what a misspelt key means is better."""
    wrong_type = any(error.validator == "type" and not error.path for error in errors)
    wrong_constant = any(error.validator == "const" and len(error.path) < 2 for error in errors)
    strange = [_violation(e) for e in errors if e.validator == "additionalProperties"]
    return wrong_type, wrong_constant, len(errors), sum(not key_meant(key) for key in strange)


def _is(value: Any, name: str) -> bool:
    return bool(Draft202012Validator.TYPE_CHECKER.is_type(value, name))


_Errors: TypeAlias = Iterator[ValidationError]


def _type(validator: Any, types: Any, value: Any, schema: Schema) -> _Errors:
    names = [types] if isinstance(types, str) else types
    if schema.get("format") in PARSERS and _is(value, "number"):
        names = [*names, "number"]
    if not any(validator.is_type(value, name) for name in names):
        yield ValidationError("type")
    elif isinstance(value, float) and not math.isfinite(value):
        yield ValidationError("finite", validator="finite", schema=schema)


def _format(validator: Any, name: str, value: Any, schema: Schema) -> _Errors:
    if name in PARSERS and (isinstance(value, str) or _is(value, "number")):
        try:
            number = PARSERS[name](value)
        except (ValueError, OverflowError) as error:
            yield ValidationError(str(error))
            return
        if number < 0 and not {"minimum", "exclusiveMinimum"} & schema.keys():
            yield ValidationError(f"expected at least 0, got {value!r}")


def _bound(keyword: str) -> Callable[[Any, Any, Any, Schema], _Errors]:
    standard = Draft202012Validator.VALIDATORS[keyword]

    def check(validator: Any, bound: Any, value: Any, schema: Schema) -> _Errors:
        parse = PARSERS.get(schema.get("format", ""))
        try:
            number = parse(value) if parse and isinstance(value, str) else value
        except ValueError:
            return  # `format` tells it
        yield from standard(validator, bound, number, schema) or ()

    return check


def _additional_properties(validator: Any, allowed: Any, value: Any, schema: Schema) -> _Errors:
    standard = Draft202012Validator.VALIDATORS["additionalProperties"]
    if allowed is not False or not isinstance(value, dict):
        yield from standard(validator, allowed, value, schema) or ()
        return
    for key in value:
        if list(standard(validator, False, {key: None}, schema) or ()):
            yield ValidationError("key", path=(key,))


def _union(validator: Any, branches: Any, value: Any, schema: Schema) -> _Errors:
    outcomes = [list(validator.descend(value, branch)) for branch in branches]
    if not all(outcomes):
        return
    best = outcomes[_best(outcomes)]
    if _misfit(best)[0]:
        yield ValidationError("type", validator="type", validator_value=_types_of(outcomes))
    else:
        yield from best


def _types_of(outcomes: Iterable[Iterable[ValidationError]]) -> list[str]:
    """Return the types that the branches wanted where none of them fits."""
    wanted: list[str] = []
    for error in (e for errors in outcomes for e in errors if e.validator == "type" and not e.path):
        names: Any = error.validator_value
        wanted += [names] if isinstance(names, str) else names
    return list(dict.fromkeys(wanted))


def _block(validator: Any, blocks: Any, value: Any, schema: Schema) -> _Errors:
    if not isinstance(value, dict):
        return
    kind = value.get("type")
    allowed = {*schema.get("properties", {}), *([kind] if isinstance(kind, str) else blocks)}
    for key in value:
        if key not in allowed:
            yield ValidationError("key", path=(key,), validator="additionalProperties")
    if isinstance(kind, str) and kind not in blocks:
        yield ValidationError("unknown", path=("type",))
    elif isinstance(kind, str):
        block = value.get(kind)
        yield from validator.descend(block if block is not None else {}, blocks[kind], path=kind)


_VALIDATOR: Final[Any] = extend(  # type: ignore[no-untyped-call] # jsonschema types it loosely
    Draft202012Validator,
    {
        "type": _type,
        "format": _format,
        "additionalProperties": _additional_properties,
        "anyOf": _union,
        "oneOf": _union,
        "x-block": _block,
        **{
            keyword: _bound(keyword)
            for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
        },
    },
)


def _fault(error: ValidationError) -> Fault:
    violation = _violation(error)
    at_key = violation.keyword == "additionalProperties"
    meant = key_meant(violation) if violation.keyword in _ABOUT_KEYS else ""
    return Fault(violation.path, sentence(violation), at_key, meant)


def _violation(error: ValidationError) -> Violation:
    return Violation(
        keyword=str(error.validator),
        rule=error.validator_value,
        value=error.instance,
        schema=error.schema if isinstance(error.schema, Mapping) else {},
        path=tuple(error.absolute_path),
        message=error.message,
    )


_ABOUT_KEYS: Final = frozenset({"additionalProperties", "required"})
