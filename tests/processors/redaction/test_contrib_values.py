"""Contrib's rules on values: what one scan over a request finds is exactly what each pattern would have found."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.redaction.blocked import BlockedValues
from processors.redaction.masks import make_mask
from processors.redaction.regexp import Pattern
from processors.redaction.shapes import shape
from processors.redaction.walk import Hits, splice
from processors.wire import encode_value

PATTERNS = (
    r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,24}\b",
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"(?:\+\d{1,3}[ .-]?)?\(?\b\d{2,3}\)?[ .-]\d{3,4}[ .-]\d{4}\b",
    r"^secret",
    r"end$",
    r"(?i)bearer\s+\w+",
    r"[^a-z]{3}\*+",
    r"a{2,3}b?",
    r"\*{4}x",
    r"(?m)^line",
    r"[[:upper:]]{2}\d+",
    r"\x41\x{42}\Q.+\E",
    r"(?U)q.*q",
    r"ö+|\pL\d",
)
BOUNDED = (
    r"\b[a-z]+@[a-z]+\b",
    r"\b\d{3}-\d{2}\b",
    r"(?:\+\d{1,3} ?)?\(?\b\d{2,3}\b",
    r"\b\b1\b\b",
    r"\b(?:a|(?:x|q)e?)+1",
    r"\b(?:a|B)?-",
    r"\b(?:|a)-",
    r"\b\(?\b\d",
    r"(?:\b|x)\d{2}",
    r"(?:\ba)*b\b?",
    r"(?P<name>\b1)2",
    r"(?P<name>1)3",
    r"\b(?i)E{0,2}a",
    r"(?i)\be{1,2}?b",
    r"\B4\B",
    r"1\b(?:-2)?",
    r"a\b(?:-|@*)",
    r"q\b-?",
)
"""Whose alphabets are letters, digits and punctuation: only of these the scan keeps boundaries."""
SOME_PATTERNS = st.one_of(
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=6),
    st.lists(st.sampled_from(BOUNDED), min_size=1, max_size=4),
)
LENGTH = st.one_of(
    st.integers(0, 127).map(lambda n: bytes((n,))),
    st.tuples(st.integers(128, 255), st.integers(0, 127)).map(bytes),
)
TEXT = st.text(alphabet="aAbB1234-.@ +()*xqeE\nönd" + "secretlinebear", max_size=60)


def sequentially(patterns: list[str], text: bytes, mask: bytes) -> bytes:
    """Replace with one pattern after the other over all of the text: contrib's loop."""
    for pattern in patterns:
        text = Pattern(pattern).replace(text, 0, len(text), lambda _: mask)[0]
    return text


@given(text=TEXT, patterns=SOME_PATTERNS)
@settings(max_examples=300, deadline=None)
def test_masking_in_runs_equals_masking_one_pattern_after_the_other(text, patterns):
    encoded = text.encode()
    blocked = BlockedValues(patterns, make_mask("", ""))
    assert blocked.clean(encoded) == sequentially(patterns, encoded, b"****")


@given(
    pieces=st.lists(st.sampled_from(["b@a", "X123-45", "123-45", "+1 23", "B-", "\n", "é", " "])),
    patterns=st.lists(st.sampled_from(BOUNDED[:6]), min_size=2, max_size=4),
)
@settings(max_examples=400, deadline=None)
def test_texts_dense_with_hits_keep_what_stands_between_them(pieces, patterns):
    encoded = "".join(pieces).encode()
    blocked = BlockedValues(patterns, make_mask("", ""))
    assert blocked.clean(encoded) == sequentially(patterns, encoded, b"****")


def test_a_line_that_begins_behind_a_hit_stays_once():
    blocked = BlockedValues([r"\b[a-z]+@[a-z]+\b", r"\b\d{3}-\d{2}\b"], make_mask("", ""))
    assert blocked.clean(b"mail a@b\nX123-45 and") == b"mail ****\nX123-45 and"


@given(
    before=st.binary(max_size=20),
    length=LENGTH,
    text=TEXT,
    after=st.binary(max_size=20),
    patterns=SOME_PATTERNS,
)
@settings(max_examples=600, deadline=None)
def test_a_scan_over_surrounding_bytes_misses_nothing(before, length, text, after, patterns):
    """Whatever stands around a value in a request, its hits are found; its tag and its length stand before it."""
    before += b"\x0a" + length
    encoded = text.encode()
    blocked = BlockedValues(patterns, make_mask("", ""))
    start, end = len(before), len(before) + len(encoded)
    request = before + encoded + after
    hits = Hits(blocked.scan(request)).inside(start, end)
    edits = blocked.edits(request, start, end, hits)
    assert splice(request, start, end, edits) == sequentially(patterns, encoded, b"****")


@given(text=TEXT, pattern=st.sampled_from(PATTERNS + BOUNDED))
@settings(max_examples=300, deadline=None)
def test_a_match_holds_only_bytes_of_the_alphabet(text, pattern):
    described = shape(pattern)
    for match in re2.finditer(pattern.encode(), text.encode()):
        assert set(match.group()) <= described.alphabet
        assert re2.search(described.relaxed.encode(), match.group())


def test_near_misses_are_told_by_the_boundary_before_them():
    blocked = BlockedValues([r"\b\d{3}-\d{3}\b"], make_mask("", ""))
    assert blocked.scan(b"order 2024-118") == []
    assert blocked.scan(b"order A024-118") == []
    assert blocked.scan(b"order 024-118") == [(6, 13)]


def test_a_text_whose_length_looks_like_a_letter_begins_at_a_boundary():
    blocked = BlockedValues([r"\b\d{3}-\d{3}\b"], make_mask("", ""))
    text = b"024-118" + b" " * 41
    value = encode_value(text.decode())
    assert value[:2] == b"\x0a0"
    assert blocked.scan(value) == [(0, 9)]


@pytest.mark.parametrize("rest", ["", "(?:-2)?", "(?:-|@*)", "-?", "-{0,2}", "(?i)", "(|-)", "$"])
def test_a_text_ends_at_a_boundary_whatever_field_comes_next(rest):
    blocked = BlockedValues([rf"\b1\b{rest}"], make_mask("", ""))
    assert blocked.scan(encode_value("1") + b"J")


def test_patterns_may_share_the_names_of_groups():
    blocked = BlockedValues(["(?P<kind>a)1", "(?P<kind>b)2"], make_mask("", ""))
    assert blocked.clean(b"a1 b2 b1") == b"**** **** b1"


def test_an_empty_match_that_touches_the_match_before_it_is_left_out():
    """As Go does; `re.sub` of Python would write five masks."""
    assert sequentially(["x*"], b"abxd", b"****") == b"****a****b****d****"


@pytest.mark.parametrize(("text", "masked"), [("aéa", "aéa"), ("é", "*é*"), ("a😀-", "a😀*-*")])
def test_no_match_stands_inside_a_character(text, masked):
    """RE2 sees the bytes of a character as no letters, one beside the other."""
    assert sequentially([r"\B"], text.encode(), b"*").decode() == masked


def test_a_backslash_before_a_c_may_be_asked_for():
    assert sequentially([r"\\C", r"\QB\C\E"], rb"a\Cb B\C", b"*") == b"a*b B*"
