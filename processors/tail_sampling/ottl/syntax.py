"""Text → tree: the lexer and the parser of conditions. The grammar stands in the package."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, TypeVar

from processors.errors import InvalidConfig

_TOKEN: Final = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<bytes>0x[0-9a-fA-F]+)"
    r"|(?P<float>(?:\d+\.\d*|\d*\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<int>\d+)"
    r'|(?P<string>"(?:\\.|[^\\"])*")'
    r"|(?P<comparison>==|!=|<=|>=|<|>)"
    r"|(?P<symbol>[-+*/=()\[\]{},.:])"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_]*)",
    re.DOTALL,
)
_QUOTED: Final = re.compile(
    r'"(?:[^\\"]|\\(?:[abfnrtv\\"]|[0-3][0-7]{2}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5}))*"'
)
"""Strings with Go's escapes."""
_ESCAPE: Final = re.compile(rb"\\(?:[0-7]{3}|x..|u.{4}|U.{8}|.)", re.DOTALL)
_LETTERS: Final = dict(zip(b'abfnrtv\\"', b'\a\b\f\n\r\t\v\\"', strict=True))
_KEYWORDS: Final = frozenset(("and", "or", "not", "true", "false", "nil"))
_DEEPEST: Final = 50
_MOST_INT: Final = (1 << 63) - 1
_T = TypeVar("_T")


class Token(NamedTuple):
    """A piece of the text; `kind` is a group of the lexer, a keyword or a symbol itself."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text."""

    value: str | bytes | int | float | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Value, ...]
    at: int


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{"key": a}`."""

    items: tuple[tuple[str, Value], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Enum:
    """A constant: `SPAN_KIND_SERVER`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Field:
    """One name of a path with the keys behind it."""

    name: str
    keys: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """`span.attributes["key"]`."""

    fields: tuple[Field, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """`Name(arguments)[keys]`."""

    name: str
    arguments: tuple[Value, ...]
    named: tuple[tuple[str, Value], ...]
    keys: tuple[str | int, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left operator right`."""

    operator: str
    left: Value
    right: Value
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`, true or false."""

    operator: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Not:
    """`not inner`."""

    inner: Test


@dataclass(frozen=True, slots=True)
class Junction:
    """`a and b` or `a or b`, with any number of parts."""

    any: bool
    parts: tuple[Test, ...]


Value: TypeAlias = "Literal | ListOf | MapOf | Enum | Path | Call | Arithmetic"
Test: TypeAlias = "Comparison | Not | Junction | Call | Literal"


def fail(text: str, at: int, problem: str) -> InvalidConfig:
    """Return the error for a condition, with the place in it (columns from 1)."""
    return InvalidConfig("", f"unable to parse OTTL condition {text!r}, column {at + 1}: {problem}")


def _unescape(found: re.Match[bytes]) -> bytes:
    """Return what an escape of Go stands for: a character, or a byte of one."""
    body = found[0][1:]
    if body[:1] in b"uU":
        return chr(int(body[1:], 16)).encode("utf-8", "replace")
    if len(body) == 1:
        return bytes((_LETTERS[body[0]],))
    return bytes((int(body[1:], 16) if body[:1] == b"x" else int(body, 8),))


def parse(text: str) -> Test:
    """Return the tree of a condition. Raises: `InvalidConfig`, with the position."""
    parser = _Parser(text)
    tree = parser.condition(0)
    parser.expect("end")
    return tree


def _tokens(text: str) -> list[Token]:
    tokens = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise fail(text, at, f"invalid input text {text[at : at + 10]!r}")
        kind, piece = str(found.lastgroup), found.group()
        if kind in ("comparison", "symbol") or piece in _KEYWORDS:
            kind = "comparison" if kind == "comparison" else piece
        if kind != "space":
            tokens.append(Token(kind, piece, at))
        at = found.end()
    tokens.append(Token("end", "", at))
    return tokens


class _Parser:
    """Recursive descent, one method a rule; goes back only where a parenthesis may open a condition or a value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    # -- tokens

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *kinds: str) -> Token | None:
        """Take the next token if it is of one of the kinds."""
        token = self._tokens[self._next]
        if token.kind not in kinds:
            return None
        self._next += 1
        return token

    def expect(self, *kinds: str) -> Token:
        """Take the next token, which must be of one of the kinds."""
        token = self._take(*kinds)
        if token is None:
            raise self._unexpected(" or ".join(kinds))
        return token

    def _unexpected(self, wanted: str) -> InvalidConfig:
        token = self._peek()
        found = "<EOF>" if token.kind == "end" else token.text
        problem = f'condition has invalid syntax: unexpected token "{found}" (expected {wanted})'
        return fail(self._text, token.at, problem)

    # -- conditions

    def condition(self, depth: int) -> Test:
        if depth > _DEEPEST:
            raise fail(self._text, self._peek().at, f"more than {_DEEPEST} levels of parentheses")
        parts = [self._term(depth)]
        while self._take("or"):
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else Junction(True, tuple(parts))

    def _term(self, depth: int) -> Test:
        parts = [self._factor(depth)]
        while self._take("and"):
            parts.append(self._factor(depth))
        return parts[0] if len(parts) == 1 else Junction(False, tuple(parts))

    def _factor(self, depth: int) -> Test:
        if self._take("not"):
            return Not(self._affirmed(depth))
        return self._affirmed(depth)

    def _affirmed(self, depth: int) -> Test:
        if self._peek().kind == "(":
            return self._parenthesis(depth)
        left = self._value(depth)
        operator = self._take("comparison")
        if operator:
            return Comparison(operator.text, left, self._value(depth))
        if isinstance(left, Call) or (isinstance(left, Literal) and isinstance(left.value, bool)):
            return left
        raise self._unexpected("a comparison")

    def _parenthesis(self, depth: int) -> Test:
        """A condition in parentheses, or a comparison that begins with a sum in parentheses."""
        began = self._next
        try:
            left = self._value(depth + 1)
            operator = self.expect("comparison")
            return Comparison(operator.text, left, self._value(depth + 1))
        except InvalidConfig as no_comparison:
            furthest, reached = no_comparison, self._next
        self._next = began
        self.expect("(")
        try:
            inner = self.condition(depth + 1)
            self.expect(")")
        except InvalidConfig:
            if self._next >= reached:
                raise
            raise furthest from None
        return inner

    # -- values

    def _value(self, depth: int) -> Value:
        token = self._peek()
        if token.kind in _CONSTANTS:
            self._next += 1
            return Literal(_CONSTANTS[token.kind], token.at)
        if token.kind == "string":
            self._next += 1
            return Literal(self._unquote(token), token.at)
        if token.kind == "bytes":
            self._next += 1
            return Literal(self._bytes(token), token.at)
        if token.kind == "[":
            return self._list(depth)
        if token.kind == "{":
            return self._map(depth)
        return self._sum(depth)

    def _unquote(self, token: Token) -> str:
        text = token.text
        if "\n" in text or not _QUOTED.fullmatch(text):
            raise fail(self._text, token.at, f"invalid quoted string {text}")
        raw = _ESCAPE.sub(_unescape, text[1:-1].encode("utf-8", "surrogatepass"))
        return raw.decode("utf-8", "replace")

    def _bytes(self, token: Token) -> bytes:
        if len(token.text) % 2:
            raise fail(self._text, token.at, "expected an even number of hexadecimal digits")
        return bytes.fromhex(token.text[2:])

    def _list(self, depth: int) -> ListOf:
        at = self.expect("[").at
        return ListOf(tuple(self._separated("]", lambda: self._value(self._deeper(depth)))), at)

    def _map(self, depth: int) -> MapOf:
        at = self.expect("{").at

        def entry() -> tuple[str, Value]:
            key = self._unquote(self.expect("string"))
            self.expect(":")
            return key, self._value(self._deeper(depth))

        return MapOf(tuple(self._separated("}", entry)), at)

    def _deeper(self, depth: int) -> int:
        if depth > _DEEPEST:
            raise fail(self._text, self._peek().at, f"more than {_DEEPEST} levels")
        return depth + 1

    def _separated(self, end: str, item: Callable[[], _T]) -> Iterator[_T]:
        """Yield items between commas up to the closing symbol."""
        if self._take(end):
            return
        while True:
            yield item()
            if self.expect(",", end).kind == end:
                return

    def _sum(self, depth: int) -> Value:
        left = self._product(depth)
        while operator := self._take("+", "-"):
            left = Arithmetic(operator.text, left, self._product(depth), operator.at)
        return left

    def _product(self, depth: int) -> Value:
        left = self._operand(depth)
        while operator := self._take("*", "/"):
            left = Arithmetic(operator.text, left, self._operand(depth), operator.at)
        return left

    def _operand(self, depth: int) -> Value:
        sign = self._take("+", "-")
        token = self._peek()
        if token.kind in ("int", "float"):
            self._next += 1
            return Literal(self._number(token, sign), token.at)
        operand = self._unsigned(depth)
        if sign and sign.text == "-":
            return Arithmetic("-", Literal(0, sign.at), operand, sign.at)
        return operand

    def _number(self, token: Token, sign: Token | None) -> int | float:
        factor = -1 if sign and sign.text == "-" else 1
        if token.kind == "float":
            return factor * float(token.text)
        number = int(token.text)
        if number > _MOST_INT:
            raise fail(self._text, token.at, "expected a 64-bit integer")
        return factor * number

    def _unsigned(self, depth: int) -> Value:
        if self._take("("):
            inner = self._sum(self._deeper(depth))
            self.expect(")")
            return inner
        name = self._take("name")
        if name is None:
            raise self._unexpected("a value")
        if self._peek().kind == "(":
            return self._call(name, depth)
        if name.text.isupper():
            return Enum(name.text, name.at)
        return self._path(name)

    def _call(self, name: Token, depth: int) -> Call:
        self.expect("(")
        plain: list[Value] = []
        named: list[tuple[str, Value]] = []

        def argument() -> None:
            label = self._label()
            value = self._value(self._deeper(depth))
            if label:
                named.append((label, value))
            elif named:
                raise fail(self._text, value.at, "unnamed argument used after named argument")
            else:
                plain.append(value)

        for _ in self._separated(")", argument):
            pass
        return Call(name.text, tuple(plain), tuple(named), self._keys(), name.at)

    def _label(self) -> str:
        """Take `name=` if it comes."""
        token, behind = self._peek(), self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        if token.kind == "name" and behind.kind == "=":
            self._next += 2
            return token.text
        return ""

    def _path(self, first: Token) -> Path:
        fields = [Field(first.text, self._keys())]
        while self._take("."):
            fields.append(Field(self.expect("name").text, self._keys()))
        return Path(tuple(fields), first.at)

    def _keys(self) -> tuple[str | int, ...]:
        keys: list[str | int] = []
        while self._take("["):
            token = self.expect("string", "int")
            keys.append(self._unquote(token) if token.kind == "string" else int(token.text))
            self.expect("]")
        return tuple(keys)


_CONSTANTS: Final = {"nil": None, "true": True, "false": False}
