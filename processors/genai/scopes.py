"""What the name and version of an instrumentation scope tell, found out once per scope."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from processors.allowance import Allowance
from processors.genai.dialects import DIALECTS
from processors.genai.table import Dialect, Emitter, Level, matches

_FAMILIES: Final = (
    r"com\.anthropic\.sdk",
    r"opentelemetry\.instrumentation",
    r"openinference",
    r"@traceloop/",
    r"openlit",
)
"""Of two equal records the one of the earlier family is kept."""
_SPRING: Final = r"org\.springframework|io\.micrometer"
_EVENTFUL: Final = (
    r"openinference|@arizeai|@?traceloop|strands|azure"
    r"|opentelemetry\.instrumentation\.(?!genai|openai_v2|google_genai|botocore)"
)
"""Emitters that tell the first token or the finish reason by span events."""
_TASK_TOTALS: Final = r"opentelemetry\.instrumentation\.crewai"
"""Its agent spans repeat, at every task, the sum over the agent's life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeProfile:
    """An instrumentation, as far as it matters here. Equal scopes share one object, with the plans of its key sets."""

    name: str
    version: str
    level: Level
    family: int
    emitters: tuple[Emitter, ...]
    """Rows whose scope and version conditions hold, in order; attributes decide among them."""
    milliseconds: frozenset[str]
    ignores: frozenset[str]
    provider: str | None
    spring: bool
    task_totals: bool
    tells_by_events: bool
    mark: int
    """By which records are compared: digest of the name (32 bits), family (4), level (4). Equal for equal names."""
    allowance: Allowance = field(compare=False)
    """Of everything that is remembered of its spans."""
    shapes: dict[tuple[str, ...], Any] = field(default_factory=dict, compare=False)
    """Filled by `shapes`: one entry per set of attribute keys."""
    likely: dict[int, Any] = field(default_factory=dict, compare=False)
    """Number of keys → the shape of the spans with as many, or what tells those that were met apart."""


def profile(name: str, version: str, allowance: Allowance) -> ScopeProfile:
    """Look a scope up in all dialects. `allowance`: for what will be remembered of its spans."""
    mine = [d for d in DIALECTS if d.scope and matches(d.scope, name)]
    level = _level(name)
    family = next((n for n, p in enumerate(_FAMILIES) if matches(p, name)), len(_FAMILIES))
    return ScopeProfile(
        name=name,
        version=version,
        level=level,
        family=family,
        emitters=tuple(row for row in _rows() if _scope_fits(row, name, version)),
        milliseconds=frozenset().union(*(d.milliseconds for d in mine)),
        ignores=frozenset().union(*(d.ignores for d in mine)),
        provider=next((d.provider for d in mine if d.provider), None),
        spring=matches(_SPRING, name),
        task_totals=matches(_TASK_TOTALS, name),
        tells_by_events=matches(_EVENTFUL, name),
        allowance=allowance,
        mark=(hash(name) & 0xFFFF_FFFF) << 8 | family << 4 | level,
    )


def _rows() -> Iterator[Emitter]:
    for dialect in DIALECTS:
        yield from dialect.emitters


def _level(name: str) -> Level:
    if any(matches(p, name) for p in _patterns("gateway")):
        return Level.GATEWAY
    if any(matches(p, name) for p in _patterns("sdk")):
        return Level.SDK
    return Level.FRAMEWORK


def _patterns(kind: str) -> Iterator[str]:
    for dialect in DIALECTS:
        yield from _patterns_of(dialect, kind)


def _patterns_of(dialect: Dialect, kind: str) -> tuple[str, ...]:
    return dialect.gateway if kind == "gateway" else dialect.sdk


def _scope_fits(row: Emitter, name: str, version: str) -> bool:
    return matches(row.scope, name) and (not row.version or _version_fits(row.version, version))


_BOUND: Final = re.compile(r"(<|>=)([0-9.]+)")


def _version_fits(condition: str, version: str) -> bool:
    """Compare by the leading numbers; a version without any fits no condition."""
    bound = _BOUND.fullmatch(condition)
    if bound is None or not (found := _numbers(version)):
        return False
    return (found < _numbers(bound[2])) == (bound[1] == "<")


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"v?(\d{1,6}(?:\.\d{1,6})*)", version)
    return tuple(map(int, leading[1].split("."))) if leading else ()
