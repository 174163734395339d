"""What a dialect is made of: rows, no code. `dialects/` holds one module per emitter.

A *field* is named after the attribute that is written for it; fields that are only evidence have names of their own.
All dialects' aliases of a field form one list, sorted by `Alias.order`: a span may carry two dialects at once, so
values are found globally, and the emitter only decides what they mean (`Emitter`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Final

from processors.genai.values import Reader

TOTAL: Final = "total tokens"
"""Field of the emitter's own total: evidence, never written."""
UNCACHED: Final = "uncached input tokens"
"""Field of an explicit count of input tokens outside the cache."""
REQUEST_ID: Final = "request id"
"""Field of a request's own id: by it a log record and a span of one call are told to be one."""


class Role(IntEnum):
    """What a span is, by the strength of the evidence: the smallest of a span's hints wins."""

    NEVER = 0
    """Re-reads or measures a call and is never billed: class `other`."""
    TOOL = 1
    AGGREGATE = 2
    MODEL_CALL = 3
    OTHER = 4

    @property
    def label(self) -> str:
        """The value of `app.llm.span.class`."""
        return _LABELS[self]


_LABELS: Final = {
    Role.NEVER: "other",
    Role.TOOL: "tool",
    Role.AGGREGATE: "aggregate",
    Role.MODEL_CALL: "model_call",
    Role.OTHER: "other",
}


class Semantics(Enum):
    """Whether an emitter's input count holds the cached tokens."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class Output(Enum):
    """Where an emitter's thinking tokens are."""

    INCLUDED = "included"
    EXCLUDED = "excluded"
    MISSING = "missing"
    """Outside the output count, and nothing on the span tells how many."""


class Level(IntEnum):
    """How near to the vendor an instrumentation sits; of two records of one call the smaller is kept."""

    SDK = 0
    GATEWAY = 1
    FRAMEWORK = 2


@dataclass(frozen=True, slots=True)
class Alias:
    """One name under which a field is found."""

    key: str
    order: int
    """Place in the precedence of its field: of several that are there, the smallest wins."""
    read: Reader | None = None
    """How to read it, where the field's own reader does not do."""
    needs: str = ""
    """An attribute without which the name means something else: `key`, or `key=value`."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What one value of a kind attribute says."""

    role: Role
    operation: str | None = None
    """Operation name to write when the emitter gave none."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An attribute that tells what a span is. Values compare in lower case."""

    key: str
    order: int
    hints: Mapping[str, Hint]
    suffixes: Mapping[str, Hint] = field(default_factory=dict)
    """Hints by the part of the value behind its last dot, for values that are not in `hints`."""
    unknown: Hint | None = Hint(Role.OTHER)
    """What other values say; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitter:
    """What the counts of one instrumentation mean. It applies when all given conditions hold; the first row wins."""

    scope: str = ""
    """Pattern at the start of the scope name."""
    key: str = ""
    """An attribute that must be there; a trailing `*` makes it a prefix."""
    value: str = ""
    """Text that the attribute `key` must have."""
    version: str = ""
    """`<5` or `>=5`: bound of the scope version, which must then be there."""
    input: Semantics | None = None
    """None: the emitter does either, so evidence or the specification's default decides."""
    vendors: Mapping[str, Semantics | None] = field(default_factory=dict)
    """Exceptions by provider."""
    claude: Semantics | None = None
    """Exception for models of the Claude family."""
    output: Output = Output.INCLUDED
    drops_cache_split: bool = False
    """It forwards a vendor's cache-exclusive count and keeps the cache counts to itself."""


@dataclass(frozen=True, slots=True)
class UsageObject:
    """An attribute that holds several counts as one object."""

    key: str
    read: Callable[[Mapping[str, Any]], Mapping[str, int] | None]
    """Object → counts by field; None when it is not what it was taken for."""
    path: tuple[str, ...] = ()
    """Members to descend before reading."""
    exact: bool = False
    """A vendor's own usage object: its counts replace all others (input is then the total)."""
    semantics: Semantics | None = None
    """What the input count means beside such an object, where no row of the emitter says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Everything that is special about one emitter."""

    name: str
    aliases: Mapping[str, tuple[Alias, ...]] = field(default_factory=dict)
    kinds: tuple[Kind, ...] = ()
    emitters: tuple[Emitter, ...] = ()
    objects: tuple[UsageObject, ...] = ()
    sdk: tuple[str, ...] = ()
    """Patterns of its scopes that sit on a vendor's SDK."""
    gateway: tuple[str, ...] = ()
    """Patterns of its scopes that are a proxy or a server."""
    scope: str = ""
    """Pattern of the scopes to which `milliseconds` and `ignores` apply."""
    milliseconds: frozenset[str] = frozenset()
    """Keys that hold seconds elsewhere and milliseconds in its scopes."""
    ignores: frozenset[str] = frozenset()
    """Keys that mean something else in its scopes."""
    provider: str = ""
    """Provider of calls in its scopes that name none and whose model tells none."""
    events: Mapping[str, Hint] = field(default_factory=dict)
    """Log records that carry usage, by event name."""


def matches(pattern: str, name: str) -> bool:
    """Whether a scope name begins with what `pattern` describes."""
    return re.match(pattern, name) is not None
