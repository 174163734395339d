"""What is let in nests as deep as the parser goes, and whoever walks it gets to its end."""

from __future__ import annotations

import pytest

from collector.otlp_json import decode, encode
from processors.admission import admit
from processors.batch import Batch, Signal
from processors.wire import Value, delimited, encode_key_value
from tests.processors.redaction.support import processor

MAIL = "ann@pii.example"
IDS = delimited(b"\x0a", b"t" * 16) + delimited(b"\x12", b"s" * 8)


def request(value: Value) -> bytes:
    span = IDS + delimited(b"\x4a", encode_key_value("a", value))
    return delimited(b"\x0a", delimited(b"\x12", delimited(b"\x12", span)))


def arrays(levels: int) -> Value:
    """Return a text in so many values inside each other."""
    value: Value = MAIL
    for _ in range(levels - 1):
        value = [value]
    return value


def mappings(levels: int) -> Value:
    value: Value = MAIL
    for _ in range(levels - 1):
        value = {"k": value}
    return value


@pytest.fixture(params=[arrays(48), mappings(32)], ids=["arrays", "mappings"])
def deepest(request: pytest.FixtureRequest) -> Value:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("deeper", [arrays(49), mappings(33)], ids=["arrays", "mappings"])
def test_one_level_more_is_left_out(deeper: Value) -> None:
    assert admit(Signal.TRACES, request(deeper), 1).rejected == 1


def test_it_is_let_in_read_and_written(deepest: Value) -> None:
    batch = Batch(Signal.TRACES, admit(Signal.TRACES, request(deepest), 1).raw)
    (span,) = batch.spans()
    assert span.get("a") == deepest
    span.set("b", deepest)
    (written,) = Batch(Signal.TRACES, admit(Signal.TRACES, batch.encode(), 1).raw).spans()
    assert written.get("b") == written.get("a") == deepest


def test_it_is_shown_as_json_and_read_again(deepest: Value) -> None:
    raw = request(deepest)
    shown = encode(Signal.TRACES, raw)
    assert MAIL in shown
    assert decode(Signal.TRACES, shown.encode()) == raw


def test_a_secret_in_it_is_found(deepest: Value) -> None:
    subject = processor({"entities": ["default"], "summary": "silent"})
    raw = subject.process(Batch(Signal.TRACES, request(deepest))).encode()
    assert MAIL.encode() not in raw
    assert admit(Signal.TRACES, raw, 1).raw is raw
