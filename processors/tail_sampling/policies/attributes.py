"""Policies on one attribute of any span or resource: numbers, strings, booleans.

Numbers are compared as numbers, exactly (an integer is never rounded to a double); what is no number never matches,
and a bound that is written is a bound, 0 included. The Collector reads integers alone, takes anything else for 0 and a
bound of 0 for none: that is `quirks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import re2

from processors import go_regexp
from processors.errors import InvalidConfig
from processors.tail_sampling.plan import ValueTest
from processors.tail_sampling.policies.base import AnySpan, Desk, Policy, Settings
from processors.wire import INT, Value, decode_value, read_varint


def numeric_attribute(settings: Settings, desk: Desk) -> Policy:
    """Build `numeric_attribute`."""
    least, most = settings["min_value"], settings["max_value"]
    whole = not isinstance(least, float) and not isinstance(most, float)
    read = _integer_or_zero if desk.quirks and whole else _number
    if desk.quirks and whole:
        least, most = least or None, most or None
    if least is None and most is None:
        raise InvalidConfig("", "expected min_value or max_value, got neither")
    test = _between(
        read,
        float("-inf") if least is None else least,
        float("inf") if most is None else most,
    )
    bit = desk.watch.any_attribute(settings["key"], test, test)
    return AnySpan("numeric_attribute", bit, settings["invert_match"])


def _between(read: Callable[[Value], float | None], least: float, most: float) -> ValueTest:
    def test(raw: bytes) -> bool:
        if raw[:1] == _INT:  # by far the most frequent
            number, end = read_varint(raw, 1)
            if end == len(raw):  # else it is set more than once
                return least <= (number - _WRAP if number >> 63 else number) <= most
        value = read(decode_value(raw, 0, len(raw)))
        return value is not None and least <= value <= most

    return test


_INT: Final = bytes((INT,))
_WRAP: Final = 1 << 64


def _decoded(accepts: Callable[[Value], bool]) -> ValueTest:
    return lambda raw: accepts(decode_value(raw, 0, len(raw)))


def _number(value: Value) -> int | float | None:
    return value if type(value) is int or type(value) is float else None


def _integer_or_zero(value: Value) -> int:
    return value if type(value) is int else 0


def boolean_attribute(settings: Settings, desk: Desk) -> Policy:
    """Build `boolean_attribute`; only booleans match. The Collector reads anything else as false."""
    wanted = settings["value"]
    reads_all = desk.quirks
    test = _decoded(lambda value: ((value is True) if reads_all else value) is wanted)
    bit = desk.watch.any_attribute(settings["key"], test, test)
    return AnySpan("boolean_attribute", bit, settings["invert_match"])


def string_attribute(settings: Settings, desk: Desk) -> Policy:
    """Empty values of spans are passed over, those of resources are not; what is no string is the empty one."""
    values: Sequence[str] = settings["values"]
    matches = (
        _any_pattern(values)
        if settings["enabled_regex_matching"]
        else frozenset(value for value in values if value).__contains__
    )

    def on_span(value: Value) -> bool:
        return isinstance(value, str) and value != "" and matches(value)

    def on_resource(value: Value) -> bool:
        return matches(value if isinstance(value, str) else "")

    bit = desk.watch.any_attribute(settings["key"], _decoded(on_span), _decoded(on_resource))
    return AnySpan("string_attribute", bit, settings["invert_match"])


def _any_pattern(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for a match anywhere in the text. RE2, as in the Collector: linear time."""
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re2.compile(pattern, _quiet()))
        except re2.error as error:
            text = f"invalid regex `{pattern}`: {go_regexp.sentence(error)}"
            raise InvalidConfig("values", text) from None
    return lambda text: any(pattern.search(text) for pattern in compiled)


def _quiet() -> Any:
    """Return options that keep RE2 from writing to standard error."""
    options = re2.Options()
    options.log_errors = False
    return options
