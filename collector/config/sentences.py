"""A readable sentence for every way in which a value can violate a schema: what was expected, what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from collector.config.units import PARSERS, write_unit

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top down."""

_NOUNS: Final[Mapping[str, str]] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_KEY_WITHOUT_SPACE: Final = re.compile(r"[a-z_]+:\S")
_UNIT_NOUNS: Final[Mapping[str, str]] = {
    "duration": "a duration such as 30s",
    "size": "a size such as 64MiB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What a validator found: the keyword and its rule, the value and the schema it stands in."""

    keyword: str
    rule: Any
    value: Any
    schema: Mapping[str, Any]
    path: Path
    message: str


def dotted(path: Iterable[str | int]) -> str:
    """Write a path as users read it: `policies[2].trace_cost`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most similar, or nothing."""
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the most similar known word, or nothing."""
    close = nearest(word, known)
    return f"; did you mean {close!r}?" if close else ""


def sentence(violation: Violation) -> str:
    """Say what is wrong; the schema's own `errorMessage` comes first."""
    text = _SENTENCES.get(violation.keyword, _other)(violation)
    said = violation.schema.get("errorMessage", {}).get(violation.keyword)
    if isinstance(said, Mapping):
        said = said.get(_missing(violation))
    return f"{said}: {text}" if said else text


def _described(error: Violation) -> str:
    """Say what was found, without secrets and without quoting at length."""
    value = error.value
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if error.schema.get("format") == "secret":
        return "[REDACTED]"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def any_of(names: Sequence[Any]) -> str:
    """Write names as a choice: `a, b or c`."""
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _type_sentence(error: Violation) -> str:
    names = error.rule
    wanted = [names] if isinstance(names, str) else list(names)
    unit = _UNIT_NOUNS.get(error.schema.get("format", ""))
    nouns = [unit] if unit else [_NOUNS[name] for name in wanted]
    hint = "" if unit else _hint(wanted, error.value)
    return f"expected {any_of(nouns)}, got {_described(error)}{hint}"


def _hint(wanted: Sequence[str], value: Any) -> str:
    if isinstance(value, str) and {"integer", "number", "boolean"} & set(wanted):
        return "; write it without quotes" if _plain(value) else ""
    if isinstance(value, (bool, int, float)) and "string" in wanted:
        return "; put quotes around it"
    if isinstance(value, str) and "array" in wanted:
        return "; write it as a list, [...]"
    if isinstance(value, str) and "object" in wanted and _KEY_WITHOUT_SPACE.match(value):
        return "; write a space after the colon of a key"
    return ""


def _plain(text: str) -> bool:
    """Say whether a text would be a number or a boolean without its quotes."""
    if text in ("true", "false"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def key_meant(error: Violation) -> str:
    """Return the key that is missing, or that was probably meant by one that is not known."""
    if error.keyword == "required":
        return _missing(error)
    absent = [name for name in _known_keys(error) if name not in error.value]
    return nearest(str(error.path[-1]), absent)


def _known_keys(error: Violation) -> Sequence[str]:
    holder = error.schema
    known = [*holder.get("properties", {})]
    if "x-block" in holder:
        kind = error.value.get("type")
        known += [kind] if isinstance(kind, str) else [*holder["x-block"]]
    return known


def _key_sentence(error: Violation) -> str:
    """Contains what the Collector (mapstructure) says, so that a search for it finds this."""
    *parent, key = error.path
    guess = did_you_mean(str(key), _known_keys(error))
    meant = nearest(str(key), _known_keys(error))
    if meant in error.value:
        guess = f"; {meant!r} is there already"
    holder = f"{dotted(parent)!r} " if parent else ""
    return f"no such key{guess} ({holder}has invalid keys: {key})"


def _missing(error: Violation) -> str:
    """Return the key that `required` misses. jsonschema tells it in its message alone."""
    absent = [key for key in error.rule if error.message.startswith(repr(key))]
    return str(absent[0])


def _required_sentence(error: Violation) -> str:
    key = _missing(error)
    return f"expected the key {key!r}, which is missing"


def _enum_sentence(error: Violation) -> str:
    key = error.path[-1] if error.path else "value"
    value = error.value
    known = [str(item) if item else repr(item) for item in error.rule]
    guess = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"invalid {key} {_described(error)}: expected {any_of(known)}{guess}"


def _block_sentence(error: Violation) -> str:
    noun = error.schema.get("title", "").strip()
    kind = error.value["type"]
    guess = did_you_mean(kind, error.rule)
    listed = ", ".join(sorted(error.rule))
    return f"unknown {f'{noun} type'.strip()} {kind}{guess or '.'} There are {listed}"


def _bound_sentence(words: str) -> Callable[[Violation], str]:
    def sentence(error: Violation) -> str:
        kind = error.schema.get("format", "")
        bound = write_unit(kind, error.rule) if kind in PARSERS else error.rule
        return f"expected {words} {bound}, got {_described(error)}"

    return sentence


def _count_sentence(words: str, noun: str) -> Callable[[Violation], str]:
    def sentence(error: Violation) -> str:
        counted = noun if error.rule == 1 else f"{noun}s"
        return f"expected {words} {error.rule} {counted}, got {len(error.value)}"

    return sentence


def _other(error: Violation) -> str:
    """Quotes the rule, never the value, which may hold a secret."""
    rule = json.dumps(error.rule, ensure_ascii=False)
    return f"does not satisfy {error.keyword}: {rule}"


_SENTENCES: Final[Mapping[str, Callable[[Violation], str]]] = {
    "type": _type_sentence,
    "finite": lambda error: "expected a finite number, got an infinite one or none at all",
    "format": lambda error: error.message,
    "enum": _enum_sentence,
    "const": lambda error: f"expected {error.rule!r}, got {_described(error)}",
    "required": _required_sentence,
    "additionalProperties": _key_sentence,
    "x-block": _block_sentence,
    "minimum": _bound_sentence("at least"),
    "maximum": _bound_sentence("at most"),
    "exclusiveMinimum": _bound_sentence("more than"),
    "exclusiveMaximum": _bound_sentence("less than"),
    "minItems": _count_sentence("at least", "item"),
    "maxItems": _count_sentence("at most", "item"),
    "minLength": _count_sentence("at least", "character"),
    "maxLength": _count_sentence("at most", "character"),
    "minProperties": _count_sentence("at least", "key"),
    "maxProperties": _count_sentence("at most", "key"),
    "pattern": lambda e: f"expected text that matches {e.rule}, got {_described(e)}",
    "uniqueItems": lambda error: "expected every item once, got one twice",
}
