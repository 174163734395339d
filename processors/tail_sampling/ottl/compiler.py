"""Tree → closures, once: what can be wrong about a condition is found here, before the first span."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from processors.tail_sampling.ottl import syntax
from processors.tail_sampling.ottl.functions import FUNCTIONS, Function, pattern
from processors.tail_sampling.ottl.paths import read_path
from processors.tail_sampling.ottl.values import (
    ConditionFailed,
    Subject,
    calculate,
    compare,
    index,
    kind,
)

Context: TypeAlias = Literal["span", "spanevent"]
Condition: TypeAlias = Callable[[Subject], bool]
"""Raises: `ConditionFailed` when it cannot be told."""
_Read: TypeAlias = Callable[[Subject], Any]

_ENUMS: Final[Mapping[str, int]] = {
    "SPAN_KIND_UNSPECIFIED": 0,
    "SPAN_KIND_INTERNAL": 1,
    "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3,
    "SPAN_KIND_PRODUCER": 4,
    "SPAN_KIND_CONSUMER": 5,
    "STATUS_CODE_UNSET": 0,
    "STATUS_CODE_OK": 1,
    "STATUS_CODE_ERROR": 2,
}


def condition(text: str, context: Context) -> Condition:
    """Compile a condition. Raises: `InvalidConfig`, with the place in it."""
    return _Compiler(text, context).test(syntax.parse(text))


class _Compiler:
    """Compiles the parts of one condition."""

    def __init__(self, text: str, context: Context) -> None:
        self._text = text
        self._context = context

    def test(self, tree: syntax.Test) -> Condition:
        if isinstance(tree, syntax.Junction):
            return _junction([self.test(part) for part in tree.parts], tree.any)
        if isinstance(tree, syntax.Not):
            inner = self.test(tree.inner)
            return lambda subject: not inner(subject)
        if isinstance(tree, syntax.Comparison):
            sign, left, right = tree.operator, self.value(tree.left), self.value(tree.right)
            return lambda subject: compare(sign, left(subject), right(subject))
        return _boolean(self.value(tree))

    def value(self, tree: syntax.Value) -> _Read:
        compile_part: Callable[[Any], _Read] = _PARTS[type(tree)].__get__(self)
        return compile_part(tree)

    def _literal(self, tree: syntax.Literal) -> _Read:
        value = tree.value
        return lambda subject: value

    def _list(self, tree: syntax.ListOf) -> _Read:
        items = [self.value(item) for item in tree.items]
        return lambda subject: [item(subject) for item in items]

    def _map(self, tree: syntax.MapOf) -> _Read:
        items = [(key, self.value(item)) for key, item in tree.items]
        return lambda subject: {key: item(subject) for key, item in items}

    def _enum(self, tree: syntax.Enum) -> _Read:
        if tree.name not in _ENUMS:
            raise syntax.fail(self._text, tree.at, f"enum symbol, {tree.name}, not found")
        value = _ENUMS[tree.name]
        return lambda subject: value

    def _path(self, tree: syntax.Path) -> _Read:
        return read_path(self._text, tree, self._context)

    def _arithmetic(self, tree: syntax.Arithmetic) -> _Read:
        sign, left, right = tree.operator, self.value(tree.left), self.value(tree.right)
        return lambda subject: calculate(sign, left(subject), right(subject))

    def _call(self, tree: syntax.Call) -> _Read:
        read = self._indexed(self._applied(tree), tree.keys)
        return read

    def _applied(self, tree: syntax.Call) -> _Read:
        if tree.name == "IsRootSpan":
            self._arguments(tree, Function((), lambda: None))
            return lambda subject: not any(subject.span.parent_span_id)
        if tree.name not in FUNCTIONS:
            raise syntax.fail(self._text, tree.at, f'undefined function "{tree.name}"')
        function = FUNCTIONS[tree.name]
        trees = self._arguments(tree, function)
        if tree.name == "IsMatch":
            self._check_pattern(trees[1])
        apply, arguments = function.apply, [self.value(argument) for argument in trees]
        return lambda subject: apply(*[argument(subject) for argument in arguments])

    def _arguments(self, tree: syntax.Call, function: Function) -> Sequence[syntax.Value]:
        """Return the arguments in the order of the parameters."""
        given: dict[str, syntax.Value] = dict(
            zip(function.parameters, tree.arguments, strict=False)
        )
        known = function.parameters[len(tree.arguments) :]
        for name, argument in tree.named:
            if name not in known:
                raise syntax.fail(self._text, argument.at, f"no such parameter: {name}")
            given[name] = argument
        required = len(function.parameters) if function.required < 0 else function.required
        if len(tree.arguments) > len(function.parameters) or any(
            name not in given for name in function.parameters[:required]
        ):
            wanted = ", ".join(function.parameters) or "none"
            problem = f"incorrect number of arguments to {tree.name}: expected {wanted}"
            raise syntax.fail(self._text, tree.at, problem)
        return [given[name] for name in function.parameters if name in given]

    def _check_pattern(self, tree: syntax.Value) -> None:
        if isinstance(tree, syntax.Literal) and isinstance(tree.value, str):
            try:
                pattern(tree.value)
            except ConditionFailed:
                problem = "the pattern supplied to IsMatch is not a valid regexp pattern"
                raise syntax.fail(self._text, tree.at, problem) from None

    def _indexed(self, read: _Read, keys: Sequence[str | int]) -> _Read:
        if not keys:
            return read

        def indexed(subject: Subject) -> Any:
            value = read(subject)
            for key in keys:
                value = index(value, key)
            return value

        return indexed


_PARTS: Final[Mapping[type, Callable[..., _Read]]] = {
    syntax.Literal: _Compiler._literal,
    syntax.ListOf: _Compiler._list,
    syntax.MapOf: _Compiler._map,
    syntax.Enum: _Compiler._enum,
    syntax.Path: _Compiler._path,
    syntax.Arithmetic: _Compiler._arithmetic,
    syntax.Call: _Compiler._call,
}


def _junction(parts: Sequence[Condition], any_of: bool) -> Condition:
    if any_of:
        return lambda subject: any(part(subject) for part in parts)
    return lambda subject: all(part(subject) for part in parts)


def _boolean(read: _Read) -> Condition:
    def test(subject: Subject) -> bool:
        value = read(subject)
        if not isinstance(value, bool):
            raise ConditionFailed(f"expected a boolean but got {kind(value)}")
        return value

    return test
