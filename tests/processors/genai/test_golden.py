"""Real emitters' spans and log records: what must become of each, and what counts.

One JSON file per case: `request` or `steps` (OTLP/JSON), `expect` per span or record, `ledger` over all that counts.
`d…` one emitter, `m…` several records of calls, `e…` edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from processors.batch import Batch, Signal
from processors.wire import Value
from tests.processors.genai.replay import (
    NAMES,
    Graph,
    Left,
    genai,
    golden,
    ledger,
    played,
    requests,
)


@pytest.mark.parametrize("name", NAMES)
def test_every_record_becomes_what_it_must(name: str) -> None:
    case = golden(name)
    left = played(case)
    for expected in case["expect"]:
        copies = [one for one in left if one.span_id == expected["span_id"]]
        wrong = [_wrong(expected, one) for one in copies]
        assert [] in wrong if expected["priced"] else wrong == [[]], (expected["span_id"], wrong)


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_holds_each_call_once(name: str) -> None:
    case = golden(name)
    assert ledger(played(case)) == case["ledger"]


@pytest.mark.parametrize("name", NAMES)
def test_source_attributes_stay(name: str) -> None:
    case = golden(name)
    sent = {
        (item.trace_id.hex(), item.span_id.hex()): item
        for signal, request in requests(case)
        for item in Batch(signal, request.SerializeToString()).items()
    }
    rewritten = {key for expected in case["expect"] for key in expected["attributes"]}
    for one in played(case):
        item = sent[one.identity]
        for key in item.keys():  # noqa: SIM118 - an element is no mapping
            if key not in rewritten:
                assert one.attributes[key] == item.get(key)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_pass_changes_nothing(name: str) -> None:
    once = _normalised(requests_of(name))
    assert _normalised(once) == once


def requests_of(name: str) -> list[tuple[Signal, bytes]]:
    return [(signal, request.SerializeToString()) for signal, request in requests(golden(name))]


def _normalised(sent: list[tuple[Signal, bytes]]) -> list[tuple[Signal, bytes]]:
    """Return what leaves a fresh `genai`, which knows nothing of an earlier pass, each request by itself."""
    graph = Graph()
    out: list[tuple[Signal, bytes]] = []
    for signal, raw in sent:
        processor = graph.genai[signal]
        batches = [processor.process(Batch(signal, raw, received_ns=graph.now_ns))]
        batches += [*processor.tick(graph.now_ns + 10**10)]
        graph.now_ns += 10**10
        out += [(signal, batch.encode()) for batch in batches if batch is not None]
    return out


@pytest.mark.parametrize("name", [n for n in NAMES if n != "m02-duplicate-delivery"])
def test_the_order_of_attributes_does_not_matter(name: str) -> None:
    turned = golden(name)
    _reverse_attributes(turned)
    assert _facts(played(turned)) == _facts(played(golden(name)))


def _facts(left: list[Left]) -> dict[tuple[str, str], Mapping[str, Value]]:
    return {one.identity: one.attributes for one in left}


def _reverse_attributes(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _reverse_attributes(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "attributes" and isinstance(item, list):
                item.reverse()
            else:
                _reverse_attributes(item)


def test_what_is_not_genai_leaves_as_the_very_same_bytes() -> None:
    (signal, raw), *_ = requests_of("e04-not-genai")
    batch = Batch(signal, raw, received_ns=1)
    assert genai().process(batch) is batch
    assert batch.encode() is raw


def _wrong(expected: dict[str, Any], one: Left) -> list[str]:
    attributes = one.attributes
    found = attributes.get("app.llm.span.class")
    wrong = []
    if found != expected["class"] and not (expected["class"] == "other" and found is None):
        wrong.append(f"class {found}")
    if one.counted != expected["priced"]:
        wrong.append(f"counted {one.counted}: {attributes.get('app.llm.cost.skip_reason')}")
    for key, value in expected["attributes"].items():
        got = attributes.get(key)
        same = pytest.approx(value, abs=1e-6) == got if isinstance(value, float) else value == got
        if not same or type(got) is not type(value):
            wrong.append(f"{key}: expected {value!r}, got {got!r}")
    wrong += [f"{key} is there" for key in expected["absent"] if key in attributes]
    return wrong
