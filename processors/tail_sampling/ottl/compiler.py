"""Tree → closures, once: what can be wrong about a condition is found here, before the first span."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

from processors.tail_sampling.ottl import syntax
from processors.tail_sampling.ottl.converters import CONVERTERS
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

_FUNCTIONS: Final[Mapping[str, Function]] = {**FUNCTIONS, **CONVERTERS}
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
            return _negation(self.test(tree.inner))
        if isinstance(tree, syntax.Comparison):
            return self._comparison(tree)
        if isinstance(tree, syntax.Literal):
            return _SETTLED[bool(tree.value)]
        return _boolean(self.value(tree))

    def _comparison(self, tree: syntax.Comparison) -> Condition:
        sign, first, second = tree.operator, tree.left, tree.right
        left, right = self.value(first), self.value(second)
        if _is_constant(first) and _is_constant(second):
            return _SETTLED[compare(sign, left(_NO_SPAN), right(_NO_SPAN))]
        return lambda subject: compare(sign, left(subject), right(subject))

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
        if tree.name == "IsRootSpan" and self._context == "span":
            self._arguments(tree, Function((), lambda: None))
            return lambda subject: not any(subject.span.parent_span_id)
        if tree.name not in _FUNCTIONS:
            raise syntax.fail(self._text, tree.at, f'undefined function "{tree.name}"')
        function = _FUNCTIONS[tree.name]
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
        got = len(tree.arguments) + len(tree.named)
        if got > len(function.parameters) or any(
            name not in given for name in function.parameters[:required]
        ):
            wanted = ", ".join(function.parameters) or "none"
            problem = (
                f'error while parsing arguments for call to "{tree.name}": incorrect number of arguments.'
                f" Expected: {required} Received: {got} (expected {wanted})"
            )
            raise syntax.fail(self._text, tree.at, problem)
        for position, name in enumerate(function.parameters):
            if name in given:
                self._check_argument(tree, position, function, given[name])
        return [given[name] for name in function.parameters if name in given]

    def _check_argument(
        self, call: syntax.Call, position: int, function: Function, argument: syntax.Value
    ) -> None:
        """Refuse a constant that the function cannot read. What a path or a call gives is known with the span alone."""
        letter = function.kinds[position : position + 1]
        written = _CONSTANT_TYPES.get(type(argument)) or type(getattr(argument, "value", argument))
        constant = isinstance(argument, (syntax.Literal, syntax.ListOf, syntax.MapOf))
        if letter not in _KINDS or not (constant or letter in _WRITTEN):
            return
        types, wanted = _KINDS[letter]
        if written not in types:
            problem = (
                f'error while parsing arguments for call to "{call.name}": invalid argument at position'
                f" {position}: expected {wanted} but got {written.__name__.lower()}"
            )
            raise syntax.fail(self._text, argument.at, problem)

    def _check_pattern(self, tree: syntax.Value) -> None:
        if isinstance(tree, syntax.Literal) and isinstance(tree.value, str):
            try:
                pattern(tree.value)
            except ConditionFailed as failed:
                problem = (
                    "couldn't create function: the regex pattern supplied to IsMatch"
                    f" {tree.value!r} is not a valid pattern: {failed}"
                )
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


_KINDS: Final[Mapping[str, tuple[Collection[type], str]]] = {
    "s": ((str,), "string"),
    "S": ((str,), "a string that is written out"),
    "b": ((bool,), "bool"),
    "f": ((float,), "float64"),
    "i": ((int,), "int64"),
    "l": ((list,), "a list"),
    "L": ((list,), "a list that is written out"),
    "m": ((dict,), "a map"),
    "t": ((), "a time"),
    "d": ((), "a duration"),
}
"""`Function.kinds` → what a constant must be there."""
_WRITTEN: Final = frozenset("SL")
"""Those of them that must be constants."""
_CONSTANT_TYPES: Final[Mapping[type, type]] = {syntax.ListOf: list, syntax.MapOf: dict}
_PARTS: Final[Mapping[type, Callable[..., _Read]]] = {
    syntax.Literal: _Compiler._literal,
    syntax.ListOf: _Compiler._list,
    syntax.MapOf: _Compiler._map,
    syntax.Enum: _Compiler._enum,
    syntax.Path: _Compiler._path,
    syntax.Arithmetic: _Compiler._arithmetic,
    syntax.Call: _Compiler._call,
}


def _is_constant(tree: syntax.Value) -> bool:
    if isinstance(tree, syntax.ListOf):
        return all(map(_is_constant, tree.items))
    if isinstance(tree, syntax.MapOf):
        return all(_is_constant(item) for _, item in tree.items)
    return isinstance(tree, (syntax.Literal, syntax.Enum))


_NO_SPAN: Final = cast(Subject, None)
"""What constants are asked about: they do not look."""


def _always(subject: Subject) -> bool:
    return True


def _never(subject: Subject) -> bool:
    return False


_SETTLED: Final[Mapping[bool, Condition]] = {True: _always, False: _never}
"""Conditions that no span can change: what stands beside one that decides is not even asked."""


def _negation(inner: Condition) -> Condition:
    if inner in _SETTLED.values():
        return _SETTLED[inner is _never]
    return lambda subject: not inner(subject)


def _junction(parts: Sequence[Condition], any_of: bool) -> Condition:
    if _SETTLED[any_of] in parts:
        return _SETTLED[any_of]
    parts = [part for part in parts if part is not _SETTLED[not any_of]]
    if not parts:
        return _SETTLED[not any_of]
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
