"""Contrib's rules on values: what one scan over a request finds is exactly what each pattern would have found."""

from __future__ import annotations

import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.redaction.blocked import BlockedValues
from processors.redaction.masks import make_mask
from processors.redaction.regexp import Pattern
from processors.redaction.shapes import shape

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
TEXT = st.text(alphabet="aAbB1234-.@ +()*xqeE\nönd" + "secretlinebear", max_size=60)


def sequentially(patterns: list[str], text: bytes, mask: bytes) -> bytes:
    """Replace with one pattern after the other over all of the text: contrib's loop."""
    for pattern in patterns:
        text = Pattern(pattern).replace(text, 0, len(text), lambda _: mask)[0]
    return text


@given(text=TEXT, patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_masking_in_runs_equals_masking_one_pattern_after_the_other(text, patterns):
    encoded = text.encode()
    blocked = BlockedValues(patterns, make_mask("", ""))
    assert blocked.clean(encoded) == sequentially(patterns, encoded, b"****")


@given(
    before=st.binary(max_size=20),
    text=TEXT,
    after=st.binary(max_size=20),
    patterns=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_a_scan_over_surrounding_bytes_misses_nothing(before, text, after, patterns):
    """Whatever stands around a value in a request, its hits are found."""
    encoded = text.encode()
    blocked = BlockedValues(patterns, make_mask("", ""))
    start, end = len(before), len(before) + len(encoded)
    cut = [
        (max(first, start) - start, min(last, end) - start)
        for first, last in blocked.scan(before + encoded + after)
        if first < end and last > start
    ]
    assert blocked.clean(encoded, cut) == sequentially(patterns, encoded, b"****")


@given(text=TEXT, pattern=st.sampled_from(PATTERNS))
@settings(max_examples=300, deadline=None)
def test_a_match_holds_only_bytes_of_the_alphabet(text, pattern):
    described = shape(pattern)
    for match in re2.finditer(pattern.encode(), text.encode()):
        assert set(match.group()) <= described.alphabet
        assert re2.search(described.relaxed.encode(), match.group())


def test_an_empty_match_that_touches_the_match_before_it_is_left_out():
    """As Go does; `re.sub` of Python would write five masks."""
    assert sequentially(["x*"], b"abxd", b"****") == b"****a****b****d****"
