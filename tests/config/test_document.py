"""YAML: every node knows its place, scalars mean what they mean to the Collector, hostile input is refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config.document import MAX_BYTES, Node, parse, unwrap
from collector.config.places import at, mark_of, steps
from collector.config.report import Mark, Report, Unreadable

START = Mark("f.yaml", 1, 1)


def read(text: str) -> Node:
    return parse(text, START, Report())


def read_plainly(text: str) -> Any:
    return unwrap(read(text))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-12", -12),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("0123", 83),
        ("0b101", 5),
        ("089", 89.0),
        ("1e9", 1e9),
        ("1.5", 1.5),
        (".5", 0.5),
        (".inf", float("inf")),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("1.2.3.4", "1.2.3.4"),
        ("'12'", "12"),
        ('"no"', "no"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 12", 12),
        ("1_", "1_"),
    ],
)
def test_scalars_mean_what_they_mean_to_the_collector(written: str, value: Any) -> None:
    assert repr(read_plainly(f"a: {written}")["a"]) == repr(value)


def test_keys_are_texts_as_they_are_written() -> None:
    assert read_plainly("{1: a, no: b, null: c}") == {"1": "a", "no": "b", "null": "c"}


def test_every_key_and_value_knows_its_place() -> None:
    root = read("a:\n  b: [x,\n    {c: 1}]\n")
    assert mark_of(root, ("a", "b", 0)) == ("f.yaml", 2, 7)
    assert mark_of(root, ("a", "b", 1, "c")) == ("f.yaml", 3, 9)
    assert mark_of(root, ("a", "b", 1, "c"), at_key=True) == ("f.yaml", 3, 6)
    assert mark_of(root, ("a", "b")) == ("f.yaml", 2, 3)


def test_what_is_missing_is_shown_where_it_should_be() -> None:
    assert mark_of(read("a:\n  b: {}\n"), ("a", "b", "c", "d")) == ("f.yaml", 2, 3)


def test_anchors_aliases_and_merge_keys_work() -> None:
    text = "base: &base {x: 1, y: 2}\nmine:\n  <<: *base\n  y: 3\nboth: {<<: [*base, {z: 4}]}\n"
    assert read_plainly(text) == {
        "base": {"x": 1, "y": 2},
        "mine": {"x": 1, "y": 3},
        "both": {"x": 1, "y": 2, "z": 4},
    }


def test_a_duplicate_key_is_told_with_its_path_and_both_places() -> None:
    report = Report()
    parse("a:\n  b: 1\n  b: 2\n", START, report)
    (problem,) = report.problems
    assert (problem.line, problem.column, problem.path) == (3, 3, "a.b")
    assert problem.text == "expected each key once, got it again; it was first written in line 2"


def test_an_octal_number_is_told_as_a_warning() -> None:
    report = Report()
    parse("a: 0123", START, report)
    assert [w.text for w in report.warnings] == [
        "YAML reads 0123 as 83; write that, or put quotes around a text"
    ]


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return "\n".join(lines)


def chain() -> str:
    return "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100))])


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("[" * 5000, (1, 65), "expected at most 64 levels, got more"),
        ("{a: " * 5000, (1, 257), "expected at most 64 levels, got more"),
        (bomb(), (5, 10), "expected a small document, got one that aliases blow up"),
        (chain(), (63, 12), "expected a small document, got one that aliases blow up"),
        ("a: &a [*a]", (1, 8), "expected an anchor &a above, got none"),
        ("a: b: c", (1, 5), "expected YAML, got something else here: mapping values"),
        (
            "a: [b",
            (2, 1),
            "expected YAML, got something else here: did not find expected ',' or ']', while parsing a flow sequence"
            " that begins in line 1",
        ),
        ("a:\n\tb: 1", (2, 1), "expected YAML, got a tab here; indent with spaces"),
        (
            "a: 'b\nc: d",
            (2, 5),
            "expected YAML, got something else here: found unexpected end of stream, while scanning a quoted scalar"
            " that begins in line 1",
        ),
        ("a: 1\n---\nb: 2", (2, 1), "expected one YAML document, got a second one"),
        (
            "a: !!python/object/apply:os.system [ls]",
            (1, 4),
            "expected a value without a tag, got tag:yaml.org,2002:python",
        ),
        ("a: !secret x", (1, 4), "expected a value without a tag, got !secret"),
        (
            "a: !!timestamp 2026-01-01",
            (1, 4),
            "expected a value without a tag, got tag:yaml.org,2002:timestamp",
        ),
        ("? [a]\n: b", (1, 3), "expected a text as key, got a list, a mapping or an alias"),
        ("a: {<<: 1}", (1, 9), "expected a mapping to merge with <<, got something else"),
        ("a: 1\nb: \x07", (2, 4), r"expected text, got the character '\x07', which YAML"),
        ("x" * (MAX_BYTES + 1), (1, 1), "expected at most 1 MiB of YAML, got more"),
    ],
)
def test_what_is_no_usable_yaml_is_refused_with_its_place(
    text: str, place: tuple[int, int], says: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        read(text)
    assert (caught.value.mark, caught.value.text[: len(says)]) == (("f.yaml", *place), says)


TEXTS = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200)
@given(VALUES)
def test_what_is_written_as_json_is_read_as_it_was(value: Any) -> None:
    assert repr(read_plainly(json.dumps(value))) == repr(value)


@settings(max_examples=200)
@given(st.text(alphabet="ab:-[]{}&*!'\"\n #|>?<,0\t", max_size=60))
def test_any_text_is_a_document_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        unwrap(read(text))


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("", ()),
        ("b.d[1].e", ("b.d", 1, "e")),
        ("b[0]", ("b", 0)),
        ("x.y", ("x", "y")),
        ("[3]", (3,)),
    ],
)
def test_a_written_path_finds_keys_that_hold_dots(written: str, path: tuple[Any, ...]) -> None:
    node = read("{b: [1], b.d: [1, {e: 2}]}")
    assert steps(node, written) == path


def test_nothing_is_found_beside_the_tree() -> None:
    assert at(read("a: [1]"), ("a", 7)) is None
