"""Settings: violations as sentences, defaults, units, blocks named after their type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.config.settings import Secret, examine, resolve
from collector.errors import ConfigError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "wait": {"type": "string", "format": "duration", "default": "30s", "minimum": 1_000_000},
        "buffer": {
            "type": "object",
            "default": {},
            "additionalProperties": False,
            "properties": {"max_bytes": {"type": "string", "format": "size", "default": "1KiB"}},
        },
        "tls": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "insecure": {"type": "boolean", "default": False},
                "level": {"type": "integer", "minimum": 0},
            },
        },
        "token": {"type": "string", "format": "secret", "minLength": 8},
        "nothing": {"type": ["string", "null"]},
        "strategy": {"enum": ["trace-complete", "span-ingest"]},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "weight": {"type": "number"},
        "names": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "match": {
            "oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "required": ["kind"],
                    "additionalProperties": False,
                    "properties": {"kind": {"const": "exact"}, "text": {"type": "string"}},
                },
                {
                    "type": "object",
                    "required": ["kind"],
                    "additionalProperties": False,
                    "properties": {"kind": {"const": "range"}, "low": {"type": "integer"}},
                },
            ]
        },
        "either": {
            "anyOf": [
                {"properties": {"first": {}, "other": {}}, "additionalProperties": False},
                {"properties": {"second": {}, "other": {}}, "additionalProperties": False},
            ]
        },
        "policies": {"type": "array", "items": {"$ref": "#/$defs/policy"}},
    },
    "$defs": {
        "policy": {
            "type": "object",
            "title": "sampling policy",
            "required": ["name", "type"],
            "errorMessage": {"required": {"name": "policy name cannot be empty"}},
            "properties": {"name": {"type": "string"}, "type": {"type": "string"}},
            "x-block": {
                "always_sample": {},
                "latency": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "threshold_ms": {"type": "integer"},
                        "spread": {"type": "string", "format": "duration", "default": "1s"},
                    },
                },
                "and": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "and_sub_policy": {"type": "array", "items": {"$ref": "#/$defs/policy"}}
                    },
                },
            },
        }
    },
}


def problems(settings: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        resolve(SCHEMA, settings)
    return {problem.path: problem.text for problem in caught.value.problems}


@pytest.mark.parametrize("written", [{}, None])
def test_defaults_are_filled_in_and_units_become_numbers(written: Any) -> None:
    assert resolve(SCHEMA, written) == {"wait": 30_000_000_000, "buffer": {"max_bytes": 1024}}


def test_a_key_without_a_value_is_an_empty_mapping_where_one_is_allowed() -> None:
    assert resolve(SCHEMA, {"tls": None})["tls"] == {"insecure": False}


def test_a_key_without_a_value_counts_as_not_written() -> None:
    assert resolve(SCHEMA, {"wait": None, "strategy": None}) == resolve(SCHEMA, {})


def test_null_stays_where_it_is_allowed() -> None:
    assert resolve(SCHEMA, {"nothing": None})["nothing"] is None


def test_a_mapping_without_default_stays_missing() -> None:
    assert "tls" not in resolve(SCHEMA, {})


def test_integral_numbers_become_integers_where_no_other_number_is_allowed() -> None:
    settings = resolve(SCHEMA, {"tls": {"level": 5.0}, "weight": 5.0})
    assert (type(settings["tls"]["level"]), type(settings["weight"])) == (int, float)


def test_blocks_named_after_their_type_get_their_defaults() -> None:
    inner = {"name": "i", "type": "latency", "latency": {"spread": "2s"}}
    settings = resolve(
        SCHEMA,
        {
            "policies": [
                {"name": "a", "type": "latency"},
                {"name": "b", "type": "and", "and": {"and_sub_policy": [inner]}},
            ]
        },
    )
    first, second = settings["policies"]
    assert first["latency"] == {"spread": 1_000_000_000}
    assert second["and"]["and_sub_policy"][0]["latency"] == {"spread": 2_000_000_000}


@pytest.mark.parametrize(
    ("settings", "path", "text"),
    [
        ({"wiat": "1s"}, "wiat", "no such key; did you mean 'wait'? (has invalid keys: wiat)"),
        (
            {"policies": [{"name": "a", "type": "latency", "latncy": {}}]},
            "policies[0].latncy",
            "no such key; did you mean 'latency'? ('policies[0]' has invalid keys: latncy)",
        ),
        (
            {"policies": [{"name": "a", "type": "latency", "latency": {"treshold_ms": 5}}]},
            "policies[0].latency.treshold_ms",
            "no such key; did you mean 'threshold_ms'?"
            " ('policies[0].latency' has invalid keys: treshold_ms)",
        ),
        (
            {"wait": "1s", "wiat": "2s"},
            "wiat",
            "no such key; 'wait' is there already (has invalid keys: wiat)",
        ),
        (
            {"policies": [{"name": "a", "type": "latncy"}]},
            "policies[0].type",
            "unknown sampling policy type latncy; did you mean 'latency'?"
            " There are always_sample, and, latency",
        ),
        (
            {"policies": [{"type": "always_sample"}]},
            "policies[0]",
            "policy name cannot be empty: expected the key 'name', which is missing",
        ),
        (
            {"policies": [{"name": "a", "type": "latency", "latency": {"threshold_ms": "50"}}]},
            "policies[0].latency.threshold_ms",
            'expected a whole number, got "50"; write it without quotes',
        ),
        (
            {"headers": {"accept": False}},
            "headers.accept",
            "expected text, got false; put quotes around it",
        ),
        ({"names": [12]}, "names[0]", "expected text, got 12; put quotes around it"),
        ({"names": 1}, "names", "expected a list, got 1"),
        ({"names": "a,b,a"}, "names", "expected every item once, got one twice"),
        ({"names": ""}, "names", "expected at least 1 item, got 0"),
        ({"names": []}, "names", "expected at least 1 item, got 0"),
        ({"names": ["a", "a"]}, "names", "expected every item once, got one twice"),
        (
            {"wait": "soon"},
            "wait",
            "expected a duration such as 30s, 1m30s or 250ms, got 'soon'",
        ),
        ({"wait": "1us"}, "wait", 'expected at least 1ms, got "1us"'),
        ({"wait": 999}, "wait", "expected at least 1ms, got 999"),
        (
            {"policies": [{"name": "a", "type": "latency", "latency": {"spread": "-1s"}}]},
            "policies[0].latency.spread",
            "expected at least 0, got '-1s'",
        ),
        ({"wait": True}, "wait", "expected a duration such as 30s, got true"),
        (
            {"buffer": {"max_bytes": []}},
            "buffer.max_bytes",
            "expected a size such as 64MiB, got a list",
        ),
        ({"tls": {"level": -1}}, "tls.level", "expected at least 0, got -1"),
        (
            {"weight": float("nan")},
            "weight",
            "expected a finite number, got an infinite one or none at all",
        ),
        (
            {"strategy": "eager"},
            "strategy",
            'invalid strategy "eager": expected trace-complete or span-ingest',
        ),
        (
            {"strategy": "span-ingst"},
            "strategy",
            "invalid strategy \"span-ingst\": expected trace-complete or span-ingest; did you mean 'span-ingest'?",
        ),
        ({"match": []}, "match", "expected text or a mapping, got a list"),
        (
            {"either": {"other": 1, "secnd": 2}},
            "either.secnd",
            "no such key; did you mean 'second'? ('either' has invalid keys: secnd)",
        ),
        (
            {"match": {"kind": "range", "text": "x"}},
            "match.text",
            "no such key ('match' has invalid keys: text)",
        ),
        (
            {"strategy": "x" * 99},
            "strategy",
            f'invalid strategy "{"x" * 56}…: expected trace-complete or span-ingest',
        ),
        (
            {"tls": {"insecure": "true"}},
            "tls.insecure",
            'expected true or false, got "true"; write it without quotes',
        ),
        ({"token": "hunter2"}, "token", "expected at least 8 characters, got 7"),
    ],
)
def test_a_violation_is_told_by_place_and_in_a_sentence(
    settings: dict[str, Any], path: str, text: str
) -> None:
    assert problems(settings) == {path: text}


def test_all_violations_are_told_at_once() -> None:
    assert set(problems({"a": 1, "wait": [], "policies": [{"type": "x"}]})) == {
        "a",
        "wait",
        "policies[0]",
        "policies[0].type",
    }


def test_secrets_are_texts_that_do_not_print() -> None:
    token = resolve(SCHEMA, {"token": "hunter2hunter2"})["token"]
    assert (token, repr({"t": token}), isinstance(token, Secret)) == (
        "hunter2hunter2",
        "{'t': [REDACTED]}",
        True,
    )


def test_messages_never_quote_secrets() -> None:
    assert "4711" not in json.dumps(problems({"token": 4711}))


@pytest.mark.parametrize(
    ("spread", "odd"), [(5, True), (999_999, True), (1_000_000, False), ("5ns", False), (0, False)]
)
def test_a_small_number_is_no_duration_that_anybody_means(spread: Any, odd: bool) -> None:
    schema = {"type": "object", "properties": {"spread": {"type": "string", "format": "duration"}}}
    examined = examine(schema, {"spread": spread})
    assert examined.faults == []
    assert [fault.path for fault in examined.odd] == ([("spread",)] if odd else [])
