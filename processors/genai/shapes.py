"""Finds the plan of a span by its keys, and reads its values on the way.

Applications emit few distinct key sets. Which one a span has is found out by reading the values: if it has as many keys
as a shape that was met, and a value for each of them, then these are its keys. That costs what listing the keys does,
and the values are at hand then. Shapes of one size are told apart by a key that one has and the other lacks. What is
kept is bounded, since keys come from the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from processors.allowance import ENTRY_BYTES, Allowance, length
from processors.batch import Span
from processors.genai.plan import Attributes, Plan, compile_plan, is_marked, values_of
from processors.genai.scopes import ScopeProfile, profile

_RECORD: Final = "\n"
"""Begins the cache key of log records; no attribute is called so."""
_MAX_SHAPES: Final = 512
_MAX_SCOPES: Final = 512
_REMEMBERED: Final = 32 << 20
"""Bytes of all plans and of what they remember, estimated. Traffic of a hundred instrumentations takes a few MiB."""
_PLAN_BYTES: Final = 4096
_USUAL_KEYS: Final = 64
"""Of spans with more keys than that, no shape is expected: each number of keys has shapes of its own."""
_MOST_FORKS: Final = 6
"""So many questions, 0.06 µs each, are asked to tell shapes of one size apart; then the latest one is expected."""
_LONG_BYTES: Final = 256
"""A value that is larger costs more to copy than to ask for."""


@dataclass(slots=True)
class Shape:
    """A set of keys, and how to find it again."""

    plan: Plan | None
    """None: nothing about these keys is GenAI."""
    present: tuple[str, ...]
    read: Callable[[Attributes], tuple[bytes, ...]]
    """Returns the values of the plan's columns, then those of other keys. Makes those that are missing."""
    keys: tuple[str, ...]
    """Theirs."""
    long: tuple[str, ...]
    """The rest of the keys: of content, as far as the first span of the shape and those that were reviewed told."""


@dataclass(slots=True)
class Fork:
    """A key by which shapes of one size are told apart."""

    key: str
    has: Shape | Fork
    lacks: Shape | Fork


class Planner:
    """Finds profiles of scopes. Holds bounded caches and nothing else."""

    def __init__(self) -> None:
        self._allowance = Allowance(_REMEMBERED)
        self._scopes: dict[tuple[str, str], ScopeProfile] = {}

    def scope(self, name: str, version: str) -> ScopeProfile:
        """Return the profile of a scope, the same object for the same scope."""
        found = self._scopes.get((name, version))
        if found is None:
            if len(self._scopes) >= _MAX_SCOPES:
                self._scopes.clear()
            self._allowance.spend(len(name) + len(version), self._scopes)
            found = self._scopes[name, version] = profile(name, version, self._allowance)
        return found


def read_span(
    scope: ScopeProfile, span: Span, attributes: Attributes
) -> tuple[Plan | None, tuple[bytes, ...]]:
    """Return a span's plan, or None when it is none of ours, and the values of the plan's columns and maybe more.

    `attributes` are those of its view.
    """
    size = len(attributes)
    shape: Shape | Fork | None = scope.likely.get(size)
    while isinstance(shape, Fork):
        shape = shape.has if shape.key in attributes else shape.lacks
    if shape is not None:
        values = shape.read(attributes)
        if len(attributes) != size:
            _take_back(shape.present, span, attributes, size)
        elif not shape.long or all(map(attributes.__contains__, shape.long)):
            span.present = shape.present
            span.columns = shape.keys, values
            return shape.plan, values
    shape = _shape(scope, span.present, attributes)
    span.present = shape.present
    return shape.plan, shape.read(attributes)


def review(scope: ScopeProfile, span: Span) -> None:
    """Read no more values, beside the plan's columns, under keys that hold a long one in this span.

    To ask every span would cost as much as it saves; one of each scope group is enough to learn it soon.
    """
    if span.columns is None:
        return
    keys, values = span.columns
    shape: Shape | None = scope.shapes.get(span.present)
    if shape is None or shape.keys is not keys:
        return
    columns = shape.plan.columns.keys if shape.plan is not None else ()
    others = zip(keys[len(columns) :], values[len(columns) :], strict=False)
    long = [key for key, value in others if len(value) > _LONG_BYTES]
    if long:
        shape.keys = tuple(key for key in keys if key not in long)
        shape.long += tuple(long)
        shape.read = values_of(shape.keys)


def _take_back(asked: tuple[str, ...], span: Span, attributes: Attributes, size: int) -> None:
    """Take out again what reading has put in: a protobuf map makes an empty entry for a key that it does not hold."""
    empty = [key for key in asked if key in attributes and not attributes[key]]
    if len(attributes) - len(empty) != size:  # some came empty
        came = span.parse().attributes
        empty = [key for key in empty if key not in came]
    for key in empty:
        del attributes[key]  # type: ignore[attr-defined] # read-only for everyone else


def _shape(scope: ScopeProfile, present: tuple[str, ...], attributes: Attributes) -> Shape:
    found: Shape | None = scope.shapes.get(present)
    if found is None:
        plan = compile_plan(scope, present) if is_marked(present) else None
        found = _remember(scope, present, _shape_of(plan, present, attributes))
    size = len(present)
    if size <= _USUAL_KEYS:
        scope.likely[size] = _with(scope.likely.get(size), found, _MOST_FORKS)
    return found


def _with(known: Shape | Fork | None, new: Shape, forks: int) -> Shape | Fork:
    """Return what tells apart what was told apart before and a shape that was taken for another of these."""
    if isinstance(known, Fork):
        if known.key in new.present:
            known.has = _with(known.has, new, forks - 1)
        else:
            known.lacks = _with(known.lacks, new, forks - 1)
        return known
    if known is None or not forks:
        return new
    key = next((key for key in known.present if key not in new.present), None)
    return new if key is None else Fork(key, known, new)


def _shape_of(plan: Plan | None, present: tuple[str, ...], attributes: Attributes) -> Shape:
    columns = plan.columns.keys if plan is not None else ()
    others = [key for key in present if key not in columns]
    long = tuple(key for key in others if len(attributes[key]) > _LONG_BYTES)
    keys = (*columns, *(key for key in others if key not in long))
    return Shape(plan, present, values_of(keys), keys, long)


def read_record(scope: ScopeProfile, attributes: Attributes) -> tuple[Plan, tuple[bytes, ...]]:
    """Return the plan for a log record that reports a call, and its values: it needs no marker among its keys."""
    present = (_RECORD, *attributes)
    found: Shape | None = scope.shapes.get(present)
    if found is None:
        plan = compile_plan(scope, present[1:])
        found = _remember(scope, present, _shape_of(plan, present[1:], attributes))
    return found.plan, found.read(attributes)  # type: ignore[return-value] # under keys that begin so stand only plans


def _remember(scope: ScopeProfile, present: tuple[str, ...], found: Shape) -> Shape:
    if len(scope.shapes) >= _MAX_SHAPES:
        scope.shapes.clear()
        scope.likely.clear()
    size = _PLAN_BYTES + length(present) + ENTRY_BYTES * len(present)
    scope.allowance.spend(size, scope.shapes, scope.likely)
    scope.shapes[present] = found
    return found
