"""What the user wrote for our engine, and what of it is compiled once: entities, actions, scope, exemptions."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Final

from processors.errors import Finding
from processors.redaction.actions import MaskStyle, Pseudonyms, Replace, replacer
from processors.redaction.detectors import DEFAULT, ENTITIES, Detector
from processors.redaction.detectors.contexts import CONTEXTS
from processors.redaction.regexp import Pattern, PatternError
from processors.redaction.shapes import shape

PLACES: Final = (
    "name", "attributes", "events", "links", "status", "trace_state", "resource", "scope", "body", "severity",
    "datapoints", "metric",
)  # fmt: skip
_LEAST_KEY_BYTES: Final = 32
_MOST_PATTERNS, _LONGEST_PATTERN = 200, 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Our keys; equal configs build processors that do the same."""

    entities: tuple[Any, ...]
    action: str
    mask: Mapping[str, Any]
    hash_keys: tuple[str, ...]
    allow_values: tuple[str, ...]
    patterns: tuple[Mapping[str, Any], ...]
    min_confidence: float
    scope: Mapping[str, Any]
    secret_keys: tuple[str, ...]
    pseudonym_keys: tuple[str, ...]
    ignored_keys: tuple[str, ...]
    ignored_key_patterns: tuple[str, ...]
    detectors: tuple[Mapping[str, Any], ...]
    data_urls: Mapping[str, Any]
    dry_run: bool
    audit: bool
    summary: str

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        read: dict[str, Any] = {field.name: settings[field.name] for field in fields(cls)}
        lists = {name: tuple(value) for name, value in read.items() if isinstance(value, list)}
        keys = tuple(key for key in read["hash_keys"] if key)  # `${env:NAME:-}` may be empty
        return cls(**read | lists | {"hash_keys": keys})


def selected(config: Config) -> dict[str, str]:
    """Return entity → action. A later entry of the list goes before an earlier one."""
    chosen: dict[str, str] = {}
    for entry in config.entities:
        named = {"name": entry} if isinstance(entry, str) else entry
        names = DEFAULT if named["name"] == "default" else (named["name"],)
        chosen.update(dict.fromkeys(names, named.get("action", config.action)))
    for pattern in config.patterns:
        chosen[pattern["name"]] = pattern.get("action", config.action)
    return chosen


def findings(config: Config, secret: bytes | None) -> Iterator[Finding]:
    """Yield what is wrong with a configuration beyond the schema."""
    known = {"default", *ENTITIES, *(p["name"] for p in config.patterns)}
    known |= {name for d in config.detectors for name in d.get("entities", ())}
    for place, entry in enumerate(config.entities):
        name = entry if isinstance(entry, str) else entry["name"]
        if name not in known:
            yield Finding(f"entities[{place}]", _no_such(name, known))
    yield from _key_findings(config, secret)
    yield from _pattern_findings(config)
    for key in ("ignored_key_patterns", "secret_keys"):
        for place, source in enumerate(getattr(config, key)):
            yield from _compiles(f"{key}[{place}]", source)
    for name in ("include_keys", "exclude_keys"):
        for place, source in enumerate(config.scope[name]):
            yield from _compiles(f"scope.{name}[{place}]", source)


def _no_such(name: str, known: set[str]) -> str:
    written = {other.upper(): other for other in known}
    close = get_close_matches(name.upper(), written, n=1)
    guess = f"did you mean {written[close[0]]!r}? " if close else ""
    return f"no such entity {name!r}; {guess}`otelcol-llm redact --list` lists them"


def _key_findings(config: Config, secret: bytes | None) -> Iterator[Finding]:
    hashing = "hash" in selected(config).values() or config.audit or bool(config.pseudonym_keys)
    if hashing and not config.hash_keys and secret is None:
        yield Finding(
            "hash_keys",
            "expected a key of at least 32 bytes, since `pseudonym_keys`, `audit` or an action `hash` needs one, got "
            "none; set what stands here (`openssl rand -hex 32` makes a key), or go without: `pseudonym_keys: []`",
        )
    for place, key in enumerate(config.hash_keys):
        size = len(key.encode())
        if size < _LEAST_KEY_BYTES:
            yield Finding(f"hash_keys[{place}]", f"expected at least 32 bytes, got {size}")


def _pattern_findings(config: Config) -> Iterator[Finding]:
    if len(config.patterns) > _MOST_PATTERNS:
        yield Finding("patterns", f"expected at most {_MOST_PATTERNS}, got {len(config.patterns)}")
    for place, pattern in enumerate(config.patterns):
        path, source = f"patterns[{place}]", pattern["regex"]
        if pattern["name"] in ENTITIES:
            yield Finding(
                f"{path}.name", f"{pattern['name']} is built in; expected a name of its own"
            )
        if len(source.encode()) > _LONGEST_PATTERN:
            yield Finding(f"{path}.regex", f"expected at most {_LONGEST_PATTERN} bytes, got more")
            continue
        broken = list(_compiles(f"{path}.regex", source))
        yield from broken
        if not broken and shape(source).nullable:
            yield Finding(
                f"{path}.regex",
                "expected a pattern that needs a text, got one that matches the empty text",
            )
        for word in pattern.get("context", ()):
            yield from _compiles(f"{path}.context", word)


def _compiles(path: str, source: str) -> Iterator[Finding]:
    try:
        Pattern(source)
    except PatternError as error:
        yield Finding(path, f"expected a regular expression in RE2 syntax: {error}")


# ------------------------------------------------------------------ compiled


class Allowed:
    """Values that are no secret: exact ones, endings such as `@example.com`, and address ranges."""

    def __init__(self, values: Sequence[str]) -> None:
        self._exact = {_plain(value.encode()) for value in values}
        self._endings = tuple(value.lower().encode() for value in values if value.startswith("@"))
        self._networks = [network for value in values if (network := _network(value)) is not None]

    def __bool__(self) -> bool:
        """Say whether anything is exempted at all."""
        return bool(self._exact)

    def __call__(self, entity: str, value: bytes) -> bool:
        """Say whether a match is exempted."""
        if _plain(value) in self._exact or (
            self._endings and value.lower().endswith(self._endings)
        ):
            return True
        return entity == "IP_ADDRESS" and bool(self._networks) and self._inside(value)

    def _inside(self, value: bytes) -> bool:
        address = ipaddress.ip_address(value.decode().partition("%")[0])
        return any(address in network for network in self._networks)


def _plain(value: bytes) -> bytes:
    return value.lower().translate(None, b" -")


def _network(value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None


def custom_detectors(config: Config) -> list[Detector]:
    """Make detectors of the user's patterns. They run in RE2 alone."""
    made = []
    for place, pattern in enumerate(config.patterns):
        source = pattern["regex"]
        made.append(
            Detector(
                entity=pattern["name"],
                prefilter=shape(source).relaxed,
                pattern=b"",
                exact=Pattern(source),
                context=custom_context(place) if pattern["context"] else "",
                score=pattern["confidence"],
                edge="none",
                bounded=False,
            )
        )
    return made


def custom_context(place: int) -> str:
    """Return the name of the context of a user's pattern."""
    return f"patterns[{place}]"


def contexts(config: Config) -> dict[str, str]:
    """Return every context by name: ours, and those of the user's patterns."""
    own = {
        custom_context(place): "|".join(f"(?:{word})" for word in pattern["context"])
        for place, pattern in enumerate(config.patterns)
        if pattern["context"]
    }
    return {**CONTEXTS, **own}


class Actions:
    """What is done with each entity; with those nobody named (what another layer reports), what is done by default."""

    def __init__(self, config: Config, pseudonyms: Pseudonyms | None) -> None:
        style = MaskStyle(**config.mask)
        self._names: Mapping[str, str] = selected(config)
        self._default = config.action
        actions = {*self._names.values(), config.action}
        self._replace: Mapping[str, Replace | None] = {
            action: replacer(action, pseudonyms, style) for action in actions
        }

    def name(self, entity: str) -> str:
        """Return the action for an entity."""
        return self._names.get(entity, self._default)

    def write(self, entity: str, value: bytes) -> bytes:
        """Return what is written for a match."""
        replace = self._replace[self.name(entity)]
        return value if replace is None else replace(entity, value)


def pseudonyms_of(config: Config, secret: bytes | None) -> Pseudonyms | None:
    """Return the keys to write with: the configured ones, else the one that the shell provides."""
    keys = [key.encode() for key in config.hash_keys] or ([secret] if secret is not None else [])
    return Pseudonyms(keys) if keys else None
