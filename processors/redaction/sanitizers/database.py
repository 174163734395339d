"""Queries without their literals, one function per family of databases.

The results are those of the obfuscators contrib uses (Datadog agent `pkg/obfuscate` 0.77, go-sqllexer, obfuscate-only
mode); the code is ours: one token pattern per language instead of a lexer, and no state between calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One key of `db_sanitizer`."""

    key: str
    systems: frozenset[str]
    """Values of `db.system.name` it is responsible for."""
    obfuscate: Callable[[str, str], str]
    """(query, system or nothing) → query without literals."""
    by_attribute: bool = True
    """Whether it can be pointed at attributes; contrib ignores the list of two."""


# ------------------------------------------------------------------ SQL

_SQL: Final = re.compile(
    r"""
      (?P<word> [^\W\d][\w".?$\#/@!]* )
    | (?P<string> '(?:[^'\\]|\\.)*+(?:'|\Z|\\\Z) )
    | (?P<comment> --[^\n]* | /\*(?:[^*]|\*(?!/))*+(?:\*/)? )
    | (?P<number> [-+](?=[\d.])(?:[\d.]|[eE][-+]?)* | 0[xX][\da-fA-F]* | 0[0-7]+ | \d(?:[\d.]|[eE][-+]?)* )
    | (?P<parameter> \$\d+ )
    | (?P<dollar> \$(?P<tag>[^$]*)\$ )
    | (?P<variable> @@?\w+ )
    | (?P<double> "(?:[^"]|"\.")*+" )
    | (?P<back> `(?:[^`]|`\.`)*+` )
    | (?P<hash> \#[^\n]* )
    | (?P<operator> ->>?|\#>>?|\#-|\?[|&]|<@|@[?>]|@@
        | (?:=(?=[?@])|[-+/=<>!&|^%~?@:])(?:(?<!=)[?@]|[-+*/=<>!&|^%~:\#])* )
    """,
    re.VERBOSE | re.DOTALL,
)
_DIGITS: Final = re.compile("[0-9]+")
_LITERAL_WORDS: Final = frozenset(("TRUE", "FALSE", "NULL"))
_AFTER_KEYWORD: Final = frozenset(" \t\n\r(),;.:[]{}")


def obfuscate_sql(query: str, system: str) -> str:
    """Put `?` for strings, numbers, booleans, NULL, parameters and the digits in identifiers."""
    query = query.partition("\0")[0]  # where the lexer ends
    pieces: list[str] = []
    at = 0
    while at < len(query):
        match = _SQL.match(query, at)
        if match is None:
            pieces.append(query[at])
            at += 1
            continue
        kind = match.lastgroup or ""
        kind = "dollar" if kind == "tag" else kind
        text, at = _token(query, match, _DIALECT.get((system, kind), kind), system)
        pieces.append(text)
    return "".join(pieces).strip()


_DIALECT: Final[Mapping[tuple[str, str], str]] = {
    ("mysql", "double"): "string",  # without ANSI_QUOTES, double quotes are strings
    ("mysql", "back"): "quoted",
    ("mysql", "hash"): "comment",
}


def _token(query: str, match: re.Match[str], kind: str, system: str) -> tuple[str, int]:
    """Return what a token becomes and where the next one starts."""
    text, end = match.group(), match.end()
    if kind in ("string", "number", "parameter"):
        return "?", end
    if kind == "word":
        return _word(query, text, end), end
    if kind in ("double", "quoted"):
        return _DIGITS.sub("?", text), end
    if kind == "dollar":
        return _dollar(query, match, system)
    if kind in ("back", "hash"):
        return text[0], match.start() + 1
    return text, end


def _word(query: str, text: str, end: int) -> str:
    following = query[end : end + 1]
    # A keyword ends where a letter or underscore does; what may follow is part of an identifier.
    if text.upper() in _LITERAL_WORDS and (not following or following in _AFTER_KEYWORD):
        return "?"
    return text if following == "(" else _DIGITS.sub("?", text)


def _dollar(query: str, match: re.Match[str], system: str) -> tuple[str, int]:
    """Handle `$tag$…$tag$`: a string, or a function whose text is obfuscated in turn."""
    tag = match.group()
    end = query.find(tag, match.end())
    if end < 0:
        return query[match.start() :], len(query)
    if tag == "$func$":
        inner = obfuscate_sql(query[match.end() : end], system)
        return f"{tag}{inner}{tag}", end + len(tag)
    return "?", end + len(tag)


# ------------------------------------------------------------------ Redis, Valkey

# Command → which arguments are values, as a slice of all arguments; the rest are keys and options.
_VALUES: Final[Mapping[str, tuple[int, int | None, int]]] = {
    name: places
    for names, places in (
        ("APPEND GETSET LPUSHX GEORADIUSBYMEMBER RPUSHX SET SETNX SISMEMBER ZRANK ZREVRANK ZSCORE", (1, 2, 1)),
        ("HSETNX LREM LSET SETBIT SETEX PSETEX SETRANGE ZINCRBY SMOVE RESTORE", (2, 3, 1)),
        ("LINSERT", (3, 4, 1)),
        ("GEOADD", (3, None, 3)),
        ("HSET HMSET", (2, None, 2)),
        ("MSET MSETNX", (1, None, 2)),
    )
    for name in names.split()
}  # fmt: skip
_FIRST_ONLY: Final[Mapping[str, int]] = {
    "AUTH": 0,
    **dict.fromkeys(("GEOHASH", "GEOPOS", "GEODIST", "LPUSH", "RPUSH", "SREM", "ZREM", "SADD"), 1),
}
"""Command → from which argument on everything becomes one `?`."""
_ARGUMENT: Final = re.compile(r'(?:"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)|\\.|[^ \n"\\]|\\)+', re.DOTALL)


def obfuscate_redis(commands: str, system: str) -> str:
    """Put `?` for the values in Redis commands; keys and options stay."""
    out: list[str] = []
    text, at = commands.strip(), 0
    while at < len(text):
        arguments: list[str] = []
        while at < len(text) and text[at] != "\n":
            match = _ARGUMENT.match(text, at) if text[at] not in " \t\r" else None
            if match is None:
                at += 1
                continue
            arguments.append(match.group())
            at = match.end()
        at += 1
        if arguments:
            out.append(
                " ".join([arguments[0], *_redis_arguments(arguments[0].upper(), arguments[1:])])
            )
    return "\n".join(out)


def _redis_arguments(command: str, arguments: list[str]) -> list[str]:
    if command in _FIRST_ONLY:
        first = _FIRST_ONLY[command]
        return [*arguments[:first], "?"] if len(arguments) > first else arguments
    places = _VALUES.get(command) or _irregular(command, arguments)
    if places is not None:
        for i in range(*slice(*places).indices(len(arguments))):
            arguments[i] = "?"
    return arguments


def _irregular(command: str, arguments: list[str]) -> tuple[int, int | None, int] | None:
    """Return the value places of commands whose options shift them."""
    upper = [argument.upper() for argument in arguments]
    if command == "CONFIG" and upper[:1] == ["SET"]:
        return 2, 3, 1
    if command == "BITFIELD" and "SET" in upper[1:]:
        last = len(upper) - 1 - upper[::-1].index("SET")
        place = last + 3 if upper[1:].count("SET") == 1 else upper.index("SET", 1) + 3
        return place, place + 1, 1
    if command == "ZADD":
        start = 1
        while arguments[start : start + 1] and arguments[start] in ("NX", "XX", "CH", "INCR"):
            start += 1
        return start + 1, None, 2
    return None


# ------------------------------------------------------------------ Memcached, and what speaks JSON


def obfuscate_memcached(command: str, system: str) -> str:
    """Keep the command line; what a storage command stores stands on the lines behind it."""
    return command.split("\r\n", 1)[0].strip()


_JSON: Final = re.compile(
    r"""\s* (?: (?P<kept> [{}\[\],:] | "(?:[^"\\]|\\.)*+"(?=\s*:) )
           | "(?:[^"\\]|\\.)*+" | [^\s{}\[\],:"]+ )""",
    re.VERBOSE,
)


def obfuscate_json(query: str, system: str) -> str:
    """Put `"?"` for every value; keys stay as they are written, and text that is no JSON stays."""
    try:
        json.loads(query, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return query
    return _JSON.sub(lambda token: token["kept"] or '"?"', query)


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


FAMILIES: Final = (
    Family(
        key="sql",
        systems=frozenset(("other_sql", "mysql", "postgresql", "mariadb", "sqlite")),
        obfuscate=obfuscate_sql,
    ),
    Family(key="redis", systems=frozenset(("redis",)), obfuscate=obfuscate_redis),
    Family(key="valkey", systems=frozenset(("valkey",)), obfuscate=obfuscate_redis),
    Family(key="memcached", systems=frozenset(("memcached",)), obfuscate=obfuscate_memcached),
    Family(key="mongo", systems=frozenset(("mongodb",)), obfuscate=obfuscate_json),
    Family(
        key="opensearch",
        systems=frozenset(("opensearch",)),
        obfuscate=obfuscate_json,
        by_attribute=False,
    ),
    Family(
        key="es",
        systems=frozenset(("elasticsearch",)),
        obfuscate=obfuscate_json,
        by_attribute=False,
    ),
)
