"""Further layers behind the patterns: detectors that other packages bring, such as named-entity recognition.

A package offers a factory under the entry-point group `otelcol_llm.detectors`: a callable that takes the `options` of
the configuration and returns an `External`. It is called once, when the processor is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from processors.errors import InvalidConfig
from processors.redaction.overlaps import Match
from processors.redaction.regexp import Pattern

GROUP: Final = "otelcol_llm.detectors"
CONTENT_KEYS: Final = (
    r"^gen_ai\.(?:input\.messages|output\.messages|system_instructions|prompt|completion|content|tool\.call)",
    r"^(?:input|output)\.value$",
    r"^llm\.(?:prompts|completions|input_messages|output_messages)",
    r"^traceloop\.entity\.(?:input|output)$",
    r"^ai\.(?:prompt|response|result|toolCall)",
    r"^langfuse\.(?:observation|trace)\.(?:input|output)$",
)
"""Keys that carry prompts and answers."""


class External(Protocol):
    """Finds entities in text by other means than patterns.

    - `find` is called by one thread at a time, with the pipeline waiting: it MUST return or raise `TimeoutError` within
      `timeout_ns`. The core has no clock, so the detector watches its own.
    - Any exception means that the text was not judged; `on_error` says what becomes of it.
    - It MUST NOT log or keep the text.
    """

    def find(self, text: str, timeout_ns: int) -> Sequence[tuple[int, int, str, float]]:
        """Return (start, end, entity, confidence) of what is found; offsets count characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One configured external detector."""

    name: str
    external: External
    entities: frozenset[str]
    keys: tuple[Pattern, ...]
    timeout_ns: int
    max_bytes: int
    redact_on_error: bool

    def wants(self, key: bytes) -> bool:
        """Say whether texts under a key are looked at; bodies of logs stand under no key."""
        return not key or any(pattern.search(key) for pattern in self.keys)

    def find(self, text: bytes) -> list[Match]:
        """Return what is found. Raises: whatever the detector raises."""
        found: list[Match] = []
        for start in range(0, len(text), self.max_bytes):
            piece = text[start : start + self.max_bytes].decode("utf-8", "replace")
            for first, last, entity, score in self.external.find(piece, self.timeout_ns):
                if not self.entities or entity in self.entities:
                    begin = start + len(piece[:first].encode())
                    end = begin + len(piece[first:last].encode())
                    found.append(Match(begin, min(end, len(text)), entity, score))
        return found


def layers(detectors: Sequence[Mapping[str, Any]]) -> tuple[Layer, ...]:
    """Build the layers of a configuration. Raises: `InvalidConfig`."""
    return tuple(_layer(place, detector) for place, detector in enumerate(detectors))


def _layer(place: int, detector: Mapping[str, Any]) -> Layer:
    settings = detector["external"]
    make = _factory(f"detectors[{place}].external.entry_point", settings["entry_point"])
    return Layer(
        name=detector["name"],
        external=make(settings["options"]),
        entities=frozenset(settings["entities"]),
        keys=tuple(map(Pattern, settings["keys"] or CONTENT_KEYS)),
        timeout_ns=settings["timeout"],
        max_bytes=settings["max_bytes"],
        redact_on_error=settings["on_error"] == "redact",
    )


def _factory(path: str, name: str) -> Callable[[Mapping[str, Any]], External]:
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise InvalidConfig(
            path, f"no detector {name!r} is installed in {GROUP}; there are: {there}"
        )
    make: Callable[[Mapping[str, Any]], External] = known[name].load()
    return make
