"""What a span is and what it is called: class and operation name, from all its kind attributes together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from processors import semconv
from processors.genai.dialects.otel import OPERATIONS
from processors.genai.plan import Plan
from processors.genai.table import Hint, Kind, Role
from processors.genai.values import text


class Classified(NamedTuple):
    """The role of a span; None when only its counts can tell (a model and tokens, but no operation: a model call)."""

    role: Role | None
    operation: str | None


def classify(plan: Plan, attributes: Mapping[str, bytes]) -> Classified:
    """Judge a span by its kind attributes."""
    written = text(attributes.get(semconv.GEN_AI_OPERATION_NAME, b""))
    hints = list(_hints(plan, attributes))
    role = min((hint.role for hint in hints), default=None)
    if plan.counts_tokens:
        role = Role.NEVER
    if not hints:
        return Classified(role, None)
    return Classified(role, normalised_operation(written) if written else _first_operation(hints))


def _hints(plan: Plan, attributes: Mapping[str, bytes]) -> Iterator[Hint]:
    for kind in plan.kinds:
        value = text(attributes[kind.key])
        hint = _hint(kind, value.lower()) if value else None
        if hint is not None:
            yield hint


def _hint(kind: Kind, value: str) -> Hint | None:
    return kind.hints.get(value) or kind.suffixes.get(value.rpartition(".")[2]) or kind.unknown


def _first_operation(hints: list[Hint]) -> str | None:
    strongest = min(hint.role for hint in hints)
    fitting = [hint.operation for hint in hints if hint.role is strongest and hint.operation]
    return fitting[0] if fitting else None


def normalised_operation(written: str) -> str:
    """Return today's name of an operation; unknown ones pass in lower case."""
    low = written.lower()
    return OPERATIONS.get(low, low)


def untold_operation(scope_name: str) -> str:
    """Return the operation of a model call that only its counts gave away."""
    return "generate_content" if scope_name.startswith("gcp.vertex.agent") else "chat"
