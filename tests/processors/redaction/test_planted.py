"""A secret that is planted anywhere never comes out; what is out of scope stays as it is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.batch import Batch, Signal

from .support import attributes, processor, span_request

SECRETS = {
    "EMAIL": "ann.lee@pii.example",
    "CREDIT_CARD": "4111 1111 1111 1111",
    "US_SSN": "536-90-4399",
    "IBAN": "DE89370400440532013000",
    "PHONE": "+49 30 901820",
    "IP_ADDRESS": "203.0.113.77",
    "MAC_ADDRESS": "6c:02:eb:2d:df:f6",
    "AWS_ACCESS_KEY": "AKIAEHYCVWQJ52TDUCSO",
    "GITHUB_TOKEN": "ghp_oHc06zPwZwi05ErLkZpnhDcXKG1EvyY8Dfna",
    "BR_CPF": "159.300.180-06",
    "FI_HETU": "070675-054E",
    "JWT": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI5NjQyOTY4NyJ9.krv-eDn2pdUkkSHvD7Vd4RLb_rxe8MTXg3",
}
SUBJECT = processor({"entities": ["default"]})
AROUND = st.text(
    st.characters(blacklist_categories=("Cs", "Nd", "L"), blacklist_characters="_-+/.,:@#%=()"),
    max_size=6,
) | st.sampled_from(["\n", "\t", "\r\n", "日本", "é ", "😀", "", '"', "] ", "\\n", "\u00a0", "ß:"])
WRAPPERS = st.sampled_from(
    ["plain", "json", "json twice", "list", "map", "nested", "event", "name", "status"]
)


def wrapped(how: str, text: str) -> dict[str, Any]:
    """Return the fields of a span that carries a text."""
    once = json.dumps([{"role": "user", "content": text}])
    shapes: dict[str, dict[str, Any]] = {
        "plain": {"attributes": attributes({"a": text})},
        "json": {"attributes": attributes({"gen_ai.input.messages": once})},
        "json twice": {"attributes": attributes({"input.value": json.dumps({"m": once})})},
        "list": {"attributes": attributes({"a": ["x", text, 3]})},
        "map": {"attributes": attributes({"a": {"b": text}})},
        "nested": {"attributes": attributes({"a": [{"b": [{"c": text}]}]})},
        "event": {"events": [{"name": "e", "attributes": attributes({"m": text})}]},
        "name": {"name": text},
        "status": {"status": {"message": text, "code": 2}},
    }
    return shapes[how]


@given(entity=st.sampled_from(sorted(SECRETS)), before=AROUND, after=AROUND, how=WRAPPERS)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_planted_secret_never_comes_out(entity: str, before: str, after: str, how: str):
    secret = SECRETS[entity]
    request = span_request(**wrapped(how, f"{before}{secret}{after}"))
    raw = SUBJECT.process(Batch(Signal.TRACES, request.SerializeToString())).encode()
    assert secret.encode() not in raw
    again = SUBJECT.process(Batch(Signal.TRACES, raw)).encode()
    assert again == raw


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text("abc é\n", max_size=8)
KEYS = st.text("kv", min_size=1, max_size=3)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(value=TREES)
@settings(max_examples=100, deadline=None)
def test_json_text_stays_json_and_keeps_what_is_no_secret(value: Any):
    text = json.dumps({"v": value, "ssn": 536904399, "mail": SECRETS["EMAIL"]})
    request = span_request(attributes=attributes({"doc": text}))
    out = SUBJECT.process(Batch(Signal.TRACES, request.SerializeToString()))
    clean = json.loads(next(iter(out.spans())).get("doc"))
    assert clean == {"v": value, "ssn": "[US_SSN]", "mail": "[EMAIL]"}


def test_other_spans_and_attributes_keep_their_bytes():
    request = span_request(attributes=attributes({"a": "x", "b": SECRETS["EMAIL"], "n": 7}))
    scope = request.resource_spans[0].scope_spans[0]
    other = scope.spans.add(trace_id=b"o" * 16, name="other", attributes=attributes({"a": "4.2.1"}))
    raw = SUBJECT.process(Batch(Signal.TRACES, request.SerializeToString())).encode()
    assert other.SerializeToString() in raw
    assert attributes({"a": "x"})[0].SerializeToString() in raw
    assert attributes({"n": 7})[0].SerializeToString() in raw
