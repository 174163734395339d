"""What earlier processors wrote is redacted like what came, and what came is redacted below it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.batch import Batch, Signal
from processors.wire import delimited
from tests.processors.redaction.support import attributes, plain_attributes, processor, span_request

MAIL = r"\b[\w.]+@[\w.]+\b"
LEVELS = ("silent", "info", "debug")
PROCESSORS = {
    level: processor({"allow_all_keys": True, "summary": level, "blocked_values": [MAIL, "secret"]})
    for level in LEVELS
}
values = st.one_of(
    st.sampled_from(["plain", "ann@example.com", "a secret of ann@example.com", "x" * 100]),
    st.sampled_from([7, True, 0.5]),
    st.lists(st.sampled_from(["plain", "ann@example.com"]), max_size=2),
)
some = st.dictionaries(st.sampled_from("abcdef"), values, max_size=4)


def batch_of(came: dict[str, Any], added: dict[str, Any], set_: dict[str, Any]) -> Batch:
    """Return a batch whose span had some attributes appended, others set, and one removed."""
    batch = Batch(Signal.TRACES, span_request(attributes=attributes(came)).SerializeToString())
    (span,) = batch.spans()
    fresh = {f"new.{key}": value for key, value in added.items()}
    if fresh:
        span.append(span.fields(fresh), fresh, span.fields(fresh))
    for key, value in set_.items():
        span.set(key, value)
    span.remove("a")
    return batch


def redacted(level: str, batch: Batch) -> dict[str, Any]:
    out = PROCESSORS[level].process(batch).encode()
    (span,) = Batch(Signal.TRACES, out).spans()
    return {**plain_attributes(span.message().attributes)}  # type: ignore[attr-defined] # a span's message


@pytest.mark.parametrize("level", LEVELS)
@given(came=some, added=some, set_=some)
def test_written_attributes_are_redacted_like_those_that_came(
    level: str, came: dict[str, Any], added: dict[str, Any], set_: dict[str, Any]
) -> None:
    encoded = Batch(Signal.TRACES, batch_of(came, added, set_).encode())

    assert redacted(level, batch_of(came, added, set_)) == redacted(level, encoded)


def test_a_summary_that_was_written_is_added_to() -> None:
    batch = batch_of({"b": "a secret"}, {}, {"redaction.masked.count": 7})
    assert redacted("info", batch)["redaction.masked.count"] == 8


def test_a_resource_behind_its_spans_hides_none_of_their_values() -> None:
    """Fields may come in any order; groups are looked at resource first."""
    request = span_request(attributes=attributes({"a": "ann@example.com"}))
    (group,) = request.resource_spans
    resource = type(group)()
    resource.resource.attributes.extend(attributes({"b": "bob@example.com"}))
    body = group.SerializeToString() + resource.SerializeToString()
    batch = Batch(Signal.TRACES, delimited(b"\x0a", body))
    assert len(batch.groups) == 1
    assert b"@" not in PROCESSORS["silent"].process(batch).encode()
