"""A lint for what Tempo accepts without an error and answers with nothing, or with the wrong number.

Measured on Tempo 3.0: a literal must have the attribute's type (a double is never greater than `1`, an integer never
than `1.0`); `sum_over_time` over spans of which some lack the attribute counts too little; a backslash escape that Go
does not know, as regex-escaped values have, is a parse error; a variable in quotes is safe only as `${name:pipe}`.
"""

from __future__ import annotations

import re

_TYPES = (
    # part of the attribute's name: its type
    (re.compile(r"(?:_usd|_s|\.score\.value)$"), "double"),
    (re.compile(r"(?:tokens|retry_count|model_calls|status_code)$"), "integer"),
)
_COMPARISON = re.compile(
    r"(?P<name>(?:span|resource|event)?\.[\w.]+)\s*(?:[<>]=?|!?=)(?!~)\s*(?P<literal>-?[\d.]+)(?![\w.])"
)
_SUMMED = re.compile(r"sum_over_time\(\s*(?P<name>[\w.]+)\s*\)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def problems(query: str) -> list[str]:
    """Return what is wrong with a TraceQL query, as sentences."""
    found = []
    for match in _COMPARISON.finditer(query):
        kind = type_of(match["name"])
        is_double = "." in match["literal"]
        if kind and is_double != (kind == "double"):
            found.append(f"{match['name']} is a {kind}; {match['literal']} never compares with it")
    found += [
        f"sum_over_time({name}) needs the filter {name} != nil"
        for name in _SUMMED.findall(query)
        if f"{name} != nil" not in query
    ]
    for text in _STRING.findall(query):
        if re.search(r'\\[^"\\nrt]', text):
            found.append(f'"{text}" has an escape that TraceQL does not know')
        if re.search(r"\$\w|\$\{\w+\}", text):
            found.append(f'"{text}": a variable in quotes is written ${{name:pipe}}')
    if query.count("{") != query.count("}"):
        found.append("the braces do not match")
    return found


def type_of(attribute: str) -> str:
    """Return `double` or `integer` for the numbers of the conventions, nothing for the rest."""
    return next((kind for pattern, kind in _TYPES if pattern.search(attribute)), "")
