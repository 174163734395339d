"""What is appended to spans of an undecoded request stands there as if the spans had been decoded and edited."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.amend import Body, amend_spans
from processors.batch import Batch, Signal, Span
from processors.wire import Value, delimited
from tests.telemetry import key_values, span, spans_of, traces

ADDED: dict[str, Value] = {"said": "so", "cost": 0.25}
UNKNOWN = b"\xa2\x06\x03abc"
"""A field that OTLP does not have."""

spans = st.builds(
    span,
    number=st.integers(1, 1 << 40),
    name=st.sampled_from([0, 1, 200, 20_000]).map("x".__mul__),
    attributes=st.dictionaries(st.sampled_from(["a", "b", "amend"]), st.just(1), max_size=3),
)
requests = st.lists(st.lists(spans, max_size=4), max_size=4).map(
    lambda groups: b"".join(traces(*group) for group in groups)
)


def where_asked(view: Any, raw: bytes, start: int, end: int) -> bytes | None:
    """Append to the spans that ask for it."""
    return Span.fields(ADDED) if "amend" in view.attributes else None


def rewritten_where_asked(view: Any, raw: bytes, start: int, end: int) -> bytes | None:
    """Do the same by replacing them."""
    return Body(raw[start:end] + Span.fields(ADDED)) if "amend" in view.attributes else None


@settings(deadline=None)
@given(requests)
def test_amended_spans_are_those_that_were_edited(raw: bytes) -> None:
    edited = Batch(Signal.TRACES, raw)
    for one in edited.spans():
        if "amend" in one:
            for key, value in ADDED.items():
                one.set(key, value)

    amended = amend_spans(raw, where_asked)
    assert spans_of(amended) == spans_of(edited)
    assert amend_spans(raw, rewritten_where_asked) == amended


@settings(deadline=None)
@given(requests)
def test_everything_else_keeps_its_bytes(raw: bytes) -> None:
    amended = amend_spans(raw, where_asked)
    batch = Batch(Signal.TRACES, amended)
    for one in batch.spans():
        for key in ADDED:
            one.remove(key)

    assert batch.encode() == raw
    assert (amended is raw) == (not any("amend" in one for one in batch.spans()))


def test_fields_between_groups_scopes_and_spans_stay_where_they_are() -> None:
    (one,) = Batch(Signal.TRACES, traces(span(attributes={"amend": 1}))).spans()
    scope = delimited(b"\x12", UNKNOWN + one.frame() + UNKNOWN + one.frame() + UNKNOWN)
    group = delimited(b"\x0a", UNKNOWN + scope + UNKNOWN + scope + UNKNOWN)
    raw = UNKNOWN + group + UNKNOWN

    amended = amend_spans(raw, where_asked)

    assert amended.count(UNKNOWN) == raw.count(UNKNOWN)
    assert [list(one.attributes) for one in spans_of(amended)] == [
        key_values({"amend": 1, **ADDED})
    ] * 4
