"""Every detector in both directions: what it finds, and what looks like it and is something else."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.redaction.detectors import DEFAULT, ENTITIES
from processors.redaction.detectors.contexts import CONTEXTS
from processors.redaction.engine import Engine
from processors.redaction.regexp import Pattern

TABLE = Path(__file__).parents[2] / "golden" / "redaction" / "detectors.yaml"
CASES = yaml.safe_load(TABLE.read_text("utf-8"))
ENGINE = Engine([d for name in DEFAULT for d in ENTITIES[name].detectors])
HITS = [(entity, text) for entity, case in CASES.items() for text in case["hits"]]
MISSES = [(entity, text) for entity, case in CASES.items() for text in case["misses"]]
MARKS = re.compile("[⟦⟧]")


def found(text: str) -> list[tuple[str, str]]:
    raw = text.encode()
    return [(m.entity, raw[m.start : m.end].decode()) for m in ENGINE.find(raw)]


@pytest.mark.parametrize(("entity", "marked"), HITS)
def test_it_finds(entity: str, marked: str):
    expected = re.findall("⟦(.*?)⟧", marked, re.DOTALL)
    assert [value for name, value in found(MARKS.sub("", marked)) if name == entity][
        -len(expected) :
    ] == expected


@pytest.mark.parametrize(("entity", "text"), MISSES)
def test_it_leaves(entity: str, text: str):
    assert entity not in {name for name, _ in found(text)}


@pytest.mark.parametrize(("entity", "marked"), HITS)
def test_it_finds_the_same_inside_json(entity: str, marked: str):
    """Escapes put letters and backslashes where the text had line breaks and quotes."""
    plain = MARKS.sub("", marked)
    values = {value for name, value in found(plain) if name == entity}
    for text in (f"x\n{plain}", f"x\t{plain}\n", f"日本{plain}"):
        once = json.dumps({"content": text})
        for outer in (once, json.dumps([once])):
            inside = {value for name, value in found(outer) if name == entity}
            assert {json.dumps(v)[1:-1].lstrip("\\") for v in values} <= {
                v.lstrip("\\") for v in inside
            } | {re.sub(r"\\+", r"\\", v) for v in inside}


def test_every_entity_that_is_on_has_a_case_or_a_prefix_of_its_own():
    prefixed = {
        name
        for name in DEFAULT
        if ENTITIES[name].detectors[0].score == 0.95
        and name.endswith(("_KEY", "_TOKEN", "_WEBHOOK", "_BOT"))
    }
    rare = {"UK_UTR", "AU_MEDICARE", "IE_PPS", "PT_NIF", "BE_NRN", "IN_GSTIN", "MX_CURP"}
    assert set(DEFAULT) - set(CASES) - prefixed == rare


def test_every_context_is_asked_for_and_exists():
    asked = {
        name
        for entity in ENTITIES.values()
        for d in entity.detectors
        for name in (d.context, d.without)
        if name
    }
    assert asked == set(CONTEXTS)


@pytest.mark.parametrize("entity", sorted(ENTITIES))
def test_a_prefilter_finds_what_its_pattern_finds(entity: str):
    texts = [MARKS.sub("", marked).encode() for name, marked in HITS if name == entity]
    for detector in ENTITIES[entity].detectors:
        prefilter = Pattern(detector.prefilter, binary=True)
        for text in texts:
            if detector.compiled().search(text):
                assert prefilter.search(text)


@given(st.text("0123456789 -./:@abcdefABCDEF+()=\\n\"'", max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_matches_in_order_and_apart(text: str):
    matches = ENGINE.find(text.encode())
    assert all(a.end <= b.start for a, b in pairwise(matches))
    assert all(0 <= m.start < m.end <= len(text.encode()) for m in matches)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\u00df:6c:02:eb:2d:df:f6"', "6c:02:eb:2d:df:f6"),
        (r'"\n-536-90-4399"', "536-90-4399"),
        (r'"caf\u00e9/536-90-4399"', "536-90-4399"),
        ("f:6c:02:eb:2d:df:f6", None),
        ("n-536-90-4399", None),
    ],
)
def test_a_separator_behind_an_escape_is_no_part_of_a_longer_number(text: str, value: str | None):
    assert [what for _, what in found(text)] == ([] if value is None else [value])


def test_a_word_counts_up_to_its_reach_wherever_other_candidates_stand():
    far = "20260102 " * 12
    assert found(f"{far}, phone 5550123456, {far}") == [("PHONE", "5550123456")]
    assert found(f"phone {far}5550123456") == []


def test_an_address_begins_where_its_run_begins():
    assert found("1:2:3:4:5:6:7:8:9 and 1.2.3.4.5.6") == []
    assert found("at fe80::1:2, 10.1.2.3") == [
        ("IP_ADDRESS", "fe80::1:2"),
        ("IP_ADDRESS", "10.1.2.3"),
    ]
