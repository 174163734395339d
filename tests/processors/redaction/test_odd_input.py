"""What nobody sends on purpose: huge, deep, dense and broken texts cost bounded work and come out clean."""

from __future__ import annotations

from typing import Any

import pytest

from processors.batch import Batch, Signal
from processors.wire import Value, delimited, encode_key_value
from tests.ruler import Calls

from .support import attributes, processor, span_request, text_through

MAIL = "ann@pii.example"
SUBJECT = processor({"entities": ["default"], "summary": "silent"})
# Stretches that mean trouble to somebody's engine; each is repeated to about 64 kB.
DENSE = (
    "a", "1", "a@", ".", "1-1-", "a.", "111 ", "eyJaaaa.", '[{"a":', "0.123456, ", "12345678,", "call 123 ",
    "550e8400-e29b-41d4-a716-446655440000 ", "2024-11-05T10:30:00.123Z ", "+1 ", "password=", "Bearer ",
)  # fmt: skip


def request(value: Value) -> bytes:
    """Return a traces request of one span with one attribute, whatever protobuf would say about it."""
    span = delimited(b"\x4a", encode_key_value("a", value))
    return delimited(b"\x0a", delimited(b"\x12", delimited(b"\x12", span)))


def calls(text: bytes) -> int:
    """Return how many functions are called for a text: each looks at a bounded piece, or goes through it once."""
    raw = request(text.decode())
    with Calls() as counted:
        SUBJECT.process(Batch(Signal.TRACES, raw)).encode()
    return counted.made


@pytest.mark.parametrize("stretch", DENSE)
def test_dense_text_takes_work_in_proportion_to_its_length(stretch: str):
    text = stretch.encode() * (65_536 // len(stretch))
    assert calls(text * 4) < 4.5 * max(calls(text), 100)


def test_a_secret_behind_ten_megabytes_is_found():
    raw = request("lorem ipsum dolor " * 550_000 + MAIL)
    assert MAIL.encode() not in SUBJECT.process(Batch(Signal.TRACES, raw)).encode()


def test_ten_thousand_attributes_are_all_redacted():
    many = span_request(attributes=attributes({f"k{n}": f"to {MAIL}" for n in range(10_000)}))
    raw = SUBJECT.process(Batch(Signal.TRACES, many.SerializeToString())).encode()
    assert raw.count(b"[EMAIL]") == 10_000


def test_fifty_levels_down_a_secret_is_found():
    value: Any = MAIL
    for _ in range(50):
        value = [{"a": value}]
    assert MAIL.encode() not in SUBJECT.process(Batch(Signal.TRACES, request(value))).encode()


@pytest.mark.parametrize(
    "broken", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x80\x80", b"\xfe\xfe\xff"]
)
@pytest.mark.parametrize(
    "secret", [MAIL, "4111 1111 1111 1111", "AKIAEHYCVWQJ52TDUCSO", "536-90-4399"]
)
def test_invalid_utf8_hides_nothing(broken: bytes, secret: str):
    text = b"XXXX" * len(broken) + secret.encode() + b"XXXX" * len(broken)
    raw = request(text.decode()).replace(b"XXXX" * len(broken), broken * 4)
    assert secret.encode() not in SUBJECT.process(Batch(Signal.TRACES, raw)).encode()


def test_ascii_behind_escapes_is_found():
    assert text_through(SUBJECT, r'{"to":"ann\u0040pii.example"}') == '{"to":"[EMAIL]"}'
    assert text_through(SUBJECT, r"{\"to\":\"\\u0061nn@pii.example\"}") == r"{\"to\":\"[EMAIL]\"}"
    assert text_through(SUBJECT, r"a \u003c b") == r"a \u003c b"


def test_large_data_urls_go_on_demand():
    subject = processor({"data_urls": {"over": 64}, "summary": "silent"})
    url = f"data:image/png;base64,{'A' * 100}"
    assert text_through(subject, f'{{"url":"{url}"}}') == '{"url":"[DATA_URL]"}'
    assert text_through(subject, "data:text/plain;base64,QUJD") == "data:text/plain;base64,QUJD"
    assert text_through(SUBJECT, url) == url


def test_a_text_of_nothing_but_candidates_is_replaced_whole():
    assert text_through(SUBJECT, "1.1.1.1 " * 60_000) == "[REDACTED:DENSE]"
    assert text_through(SUBJECT, "::1 " * 5_000) == "[REDACTED:DENSE]"
    assert text_through(SUBJECT, "::1 " * 10) == "[IP_ADDRESS] " * 10
