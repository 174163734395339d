"""Texts that nobody proved on arrival: policies read them as if somebody had, and what leaves is UTF-8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from processors.wire import delimited

from .support import ALWAYS, BEGIN, Run, arrived, policy, request, span
from .test_journal import Durable, MemoryStore

MARK, NO_TEXT, REPAIRED = "caf#", b"caf\xe9", "caf\ufffd"
COUNTED = "otelcol_llm_tail_sampling_repaired_strings_total"
SKELETON = {**ALWAYS, "content_tier": "skeleton"}
RECORD = {"record": {"attributes": True, "tracestate": True}}


def damaged(trace: str = "t", name: str = "s") -> bytes:
    """Return a request whose span has one text that is no UTF-8."""
    raw = request([span(trace, name, {"place": MARK, "n": 7})])
    assert raw.count(MARK.encode()) == 1
    return raw.replace(MARK.encode(), NO_TEXT)


def places(run: Run) -> list[str]:
    return [
        attribute.value.string_value
        for one in run.spans
        for attribute in one.attributes
        if attribute.key == "place"
    ]


def test_requests_of_the_tests_arrive_unproved() -> None:
    assert arrived(damaged(), BEGIN).reading is not None


@pytest.mark.parametrize("rule", [ALWAYS, SKELETON], ids=["full", "skeleton"])
@pytest.mark.parametrize("options", [{}, RECORD], ids=["as it came", "with a record"])
def test_what_leaves_is_repaired_and_counted(rule: Mapping[str, Any], options: Any) -> None:
    run = Run(rule, **options)
    run.send_raw(damaged())
    run.wait(10)
    assert places(run) == [REPAIRED]
    run.send_raw(damaged(name="late"))
    assert places(run) == [REPAIRED] * 2
    assert run.count(COUNTED) == 2
    assert run.closes


@pytest.mark.parametrize("rule", [ALWAYS, SKELETON], ids=["full", "skeleton"])
def test_a_status_that_is_none_keeps_nothing_back(rule: Mapping[str, Any]) -> None:
    """Only the last one of a span is looked at on arrival."""
    broken = span("t", "broken").SerializeToString() + b"\x7a\x02\x12\x7f" + b"\x7a\x02\x18\x02"
    right = span("t", "right", status="error").SerializeToString()
    raw = delimited(
        b"\x0a", delimited(b"\x12", delimited(b"\x12", broken) + delimited(b"\x12", right))
    )
    assert arrived(raw, BEGIN).reading is not None
    run = Run(rule)
    run.send_raw(raw)
    run.wait(10)
    assert [(one.name, one.status.code) for one in run.spans] == [("broken", 2), ("right", 2)]


def test_who_reads_all_of_a_span_asks_for_proved_texts() -> None:
    """What is read in one parse lacks events: proving and parsing again would cost twice as much."""
    anything = policy("ottl_condition", spanevent=['name == "exception"'])
    assert [Run(rule).sampler.proves for rule in (ALWAYS, anything)] == [True, False]


def test_right_texts_are_not_counted() -> None:
    run = Run(ALWAYS)
    run.send(span("t", attributes={"place": "café"}))
    run.wait(10)
    assert places(run) == ["café"]
    assert run.count(COUNTED) == 0


@pytest.mark.parametrize(
    "rule",
    [
        policy("string_attribute", key="place", values=[REPAIRED]),
        policy("ottl_condition", span=[f'attributes["place"] == "{REPAIRED}"']),
        policy("numeric_attribute", key="n", min_value=7),
    ],
    ids=lambda rule: str(rule["type"]),
)
def test_policies_see_the_repaired_text(rule: dict[str, Any]) -> None:
    run = Run(rule)
    run.send_raw(damaged())
    run.wait(10)
    assert places(run) == [REPAIRED]


def test_what_was_held_is_repaired_after_a_reload() -> None:
    run = Run(ALWAYS)
    run.send_raw(damaged())
    run.reload(policy("ottl_condition", span=[f'attributes["place"] == "{REPAIRED}"']))
    run.wait(10)
    assert places(run) == [REPAIRED]


def test_what_was_held_is_repaired_after_a_restart() -> None:
    run = Durable(MemoryStore(), ALWAYS)
    run.send_raw(damaged())
    run.settle()
    run.begin()
    run.wait(10)
    run.settle()
    run.wait(1)
    assert places(run) == [REPAIRED]
