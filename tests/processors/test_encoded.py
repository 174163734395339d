"""Cutting an encoded request into envelopes and spans: nothing is lost, and the views keep step."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.encoded import span_views, split
from processors.wire import delimited

NAMES = st.text(max_size=300)
SPANS = st.lists(
    st.tuples(st.binary(max_size=20), st.sampled_from([0, 1, 127, 128, 20_000])), max_size=4
)
URL = delimited(b"\x1a", b"https://example.org/schema")
UNKNOWN = b"\xc0\x3e\x07"  # field 1000, a number
RESOURCE = delimited(b"\x0a", delimited(b"\x0a", delimited(b"\x0a", b"service.name")))


def span(span_id: bytes, size: int) -> bytes:
    return delimited(b"\x12", span_id) + delimited(b"\x2a", b"n" * size)


@settings(max_examples=40, deadline=None)
@given(groups=st.lists(st.lists(SPANS, max_size=3), max_size=3))
def test_every_span_comes_with_its_envelopes_and_its_view(
    groups: list[list[list[tuple[bytes, int]]]],
) -> None:
    raw, expected = b"", []
    for scopes in groups:
        body = RESOURCE
        for spans in scopes:
            encoded = tuple(span(*each) for each in spans)
            items = b"".join(delimited(b"\x12", each) for each in encoded)
            body += delimited(b"\x12", UNKNOWN + items + URL)
            expected.append((RESOURCE + UNKNOWN + URL, UNKNOWN + URL, encoded))
        raw += delimited(b"\x0a", body + UNKNOWN + URL)

    actual = list(split(raw))

    assert expected == actual
    ids = [[span_id for span_id, _ in spans] for scopes in groups for spans in scopes]
    assert ids == [[view.span_id for view in views] for views in span_views(raw)]


@given(name=NAMES)
@settings(max_examples=20, deadline=None)
def test_spans_are_the_very_bytes_that_came(name: str) -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.scope.name = "s"
    sent = [scope.spans.add(name=name, span_id=b"12345678"), scope.spans.add()]

    ((_, envelope, spans),) = split(request.SerializeToString())

    assert tuple(each.SerializeToString() for each in sent) == spans
    assert delimited(b"\x0a", delimited(b"\x0a", b"s")) == envelope
