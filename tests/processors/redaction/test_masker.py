"""The quick way through a request does, byte for byte, what the general one does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config.settings import resolve
from collector.registry import schema_of
from processors.batch import Signal
from processors.redaction.editor import RuleEditor
from processors.redaction.masker import Masker
from processors.redaction.rules import Config, Rules
from processors.redaction.walk import Hits, request_layout
from processors.wire import delimited, encode_key_value, encode_value, varint

MAIL = r"\b[a-z.]+@[a-z]+\.[a-z]{2,9}\b"
NUMBER = r"\b\d{3}-\d{2}\b"


def rules(**config):
    schema = schema_of("processors/redaction/schema.json")
    return Rules(Config.load(resolve(schema, {"allow_all_keys": True, **config})), False)


PLAIN = rules(blocked_values=[MAIL, NUMBER])

TEXTS = st.lists(
    st.sampled_from(["a@b.example", "123-45", "x", " ", "\n", "ü", "y" * 130, "z" * 17_000])
).map("".join)
VALUES = st.one_of(TEXTS, st.integers(0, 9), st.lists(TEXTS, max_size=2), TEXTS.map(str.encode))


def backwards(key: str, text: str) -> bytes:
    """Encode a pair with its value first, as nobody does and everybody may."""
    return delimited(b"\x12", encode_value(text)) + delimited(b"\x0a", key.encode())


PAIRS = st.one_of(
    st.builds(encode_key_value, st.sampled_from(["k", "k" * 200]), VALUES),
    st.builds(backwards, st.just("k"), TEXTS),
    # without a value, with two of them, with a text twice, with a field of another version
    st.just(delimited(b"\x0a", b"me@b.example")),
    st.builds(lambda t: encode_key_value("k", "x") + delimited(b"\x12", encode_value(t)), TEXTS),
    st.builds(
        lambda t: (
            delimited(b"\x0a", b"k") + delimited(b"\x12", encode_value(t) + encode_value("123-45"))
        ),
        TEXTS,
    ),
    st.builds(lambda t: encode_key_value("k", t) + b"\x98\x06\x01", TEXTS),
    st.just(b""),
    st.just(delimited(b"\x12", b"")),
)


def message(tag: int, children: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[bytes]:
    """A message with other fields between those that are looked at, one of which looks like a hit."""
    others = st.sampled_from([b"", b"\x39 123-45 ", b"\x30\x03", b"\x85\x01abcd"])
    head = bytes((tag,))
    return st.tuples(children, others).map(
        lambda drawn: b"".join([delimited(head, child) + drawn[1] for child in drawn[0]])
    )


EVENTS = message(0x1A, st.lists(PAIRS, max_size=2))
SPANS = st.tuples(
    message(0x4A, st.lists(PAIRS, max_size=4)), message(0x5A, st.lists(EVENTS, max_size=2))
).map(b"".join)
SCOPES = st.tuples(
    message(0x0A, st.lists(message(0x1A, st.lists(PAIRS, max_size=1)), max_size=1)),
    message(0x12, st.lists(SPANS, max_size=3)),
).map(b"".join)
GROUPS = st.tuples(
    message(0x0A, st.lists(message(0x0A, st.lists(PAIRS, max_size=2)), max_size=1)),
    message(0x12, st.lists(SCOPES, max_size=2)),
).map(b"".join)
REQUESTS = message(0x0A, st.lists(GROUPS, max_size=2))


@given(request=REQUESTS)
@settings(max_examples=200, deadline=None)
def test_both_ways_lead_to_the_same_bytes(request):
    layout = request_layout(PLAIN.layouts, Signal.TRACES)
    found = PLAIN.blocked.scan(request)
    general = RuleEditor(PLAIN, Hits(found)).rewrite(request, 0, len(request), layout)
    assert Masker(PLAIN, Hits(found)).rewrite(request, 0, len(request), layout) == general


def test_lengths_follow_a_text_that_needs_fewer_bytes_for_its_own():
    text = "y" * 118 + " " + "a@b.example"
    request = b"".join([varint(0x4A), delimited(b"", encode_key_value("k", text))])
    masked = b"".join([varint(0x4A), delimited(b"", encode_key_value("k", "y" * 118 + " ****"))])
    layout = PLAIN.layouts[next(kind for kind in PLAIN.layouts if kind.__name__ == "Span")]
    hits = Hits(PLAIN.blocked.scan(request))
    assert len(masked) < len(request) - 7
    assert Masker(PLAIN, hits).rewrite(request, 0, len(request), layout) == masked


@pytest.mark.parametrize(
    "config",
    [
        {"summary": "info"},
        {"allowed_values": ["a@b"]},
        {"ignored_keys": ["k"]},
        {"ignored_key_patterns": ["k"]},
        {"blocked_key_patterns": ["k"]},
        {"allow_all_keys": False},
        {"redact_all_types": True},
        {"blocked_values": ["x*"]},
        {"url_sanitizer": {"enabled": True}},
    ],
)
def test_rules_that_say_more_than_mask_this_are_not_plain(config):
    assert not rules(**{"blocked_values": [MAIL], **config}).plain
