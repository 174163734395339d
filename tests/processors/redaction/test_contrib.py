"""Contrib's rules on whole requests. What the Collector does stands in redactionprocessor v0.158.0; quirks included."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from processors.batch import Batch, Signal
from processors.errors import InvalidConfig
from processors.redaction.contrib import ContribRedaction
from processors.redaction.entities import EntityRedaction
from processors.redaction.go_text import as_string
from processors.redaction.sanitizers.database import FAMILIES
from processors.redaction.sanitizers.url import cluster
from tests.telemetry import any_value

from .support import (
    attributes,
    plain,
    plain_attributes,
    processor,
    redacted,
    span_request,
    through,
)

ALL = {"allow_all_keys": True}
EXTERNAL = {"name": "n", "type": "external", "external": {"entry_point": "nobody"}}
RECORDED = yaml.safe_load(
    (Path(__file__).parents[2] / "golden" / "redaction" / "sanitizers.yaml").read_text("utf-8")
)


def after(config: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return what becomes of a span's attributes."""
    return plain_attributes(redacted(processor(config), attributes=attributes(values)).attributes)


def test_no_configuration_deletes_every_attribute():
    assert after({}, {"a": "b", "n": 1}) == {}


def test_precedence_is_ignored_deleted_allowed_value_blocked_key_blocked_value():
    config = {
        "allowed_keys": ["keep", "password", "note"],
        "ignored_keys": ["raw"],
        "ignored_key_patterns": ["_id$"],
        "blocked_key_patterns": ["pass"],
        "allowed_values": ["^fine"],
        "blocked_values": [r"\d{4}"],
    }
    values = {
        "raw": "1234",
        "run_id": "1234",
        "gone": "1",
        "password": "fine 1",
        "note": "fine 1234",
        "keep": "a 1234",
    }
    assert after(config, values) == {
        **{k: v for k, v in values.items() if k != "gone"},
        "keep": "a ****",
    }


def test_each_pattern_sees_what_the_one_before_left():
    config = {**ALL, "blocked_values": ["secret", r"^\*{4} x"]}
    assert after(config, {"a": "secret x y"}) == {"a": "**** y"}


@pytest.mark.parametrize(
    ("function", "digest"),
    [
        ("md5", hashlib.md5(b"x1", usedforsecurity=False).hexdigest()),
        ("SHA1", hashlib.sha1(b"x1", usedforsecurity=False).hexdigest()),
        ("sha3", hashlib.sha3_256(b"x1").hexdigest()),
        ("hmac-sha256", hmac.new(b"k" * 32, b"x1", "sha256").hexdigest()),
    ],
)
def test_hash_functions(function: str, digest: str):
    config = {**ALL, "hash_function": function, "hmac_key": "k" * 32, "blocked_values": [r"x\d"]}
    assert after(config, {"a": "to x1!"}) == {"a": f"to {digest}!"}


def test_other_types_count_as_empty_text_unless_all_types_are_redacted():
    values = {"i": 4242, "l": ["4242", 1], "m": {"b": "4242", "a": None}, "f": 1e-7, "t": True}
    pattern = {**ALL, "blocked_values": ["4242|true|e-7"]}
    assert after(pattern, values) == values
    assert after({**pattern, "redact_all_types": True}, values) == {
        "i": "****", "l": '["****",1]', "m": '{"a":null,"b":"****"}', "f": "1****", "t": "****"
    }  # fmt: skip
    assert after({**ALL, "blocked_values": ["x*"]}, {"n": 5}) == {"n": "****"}


def test_a_blocked_key_is_masked_line_by_line():
    assert after({**ALL, "blocked_key_patterns": ["k"]}, {"k": "a\n\nb", "n": 1}) == {
        "k": "****\n****\n****",
        "n": 1,
    }


def test_summaries_of_two_processors_add_up():
    config = {
        "allowed_keys": ["a", "b"], "ignored_keys": ["i"], "allowed_values": ["^ok"], "blocked_values": ["x"],
        "summary": "debug",
    }  # fmt: skip
    once = after(
        config,
        {
            "a": "x",
            "b": "ok",
            "c": 1,
            "i": 1,
            "redaction.masked.keys": "z",
            "redaction.masked.count": 1,
        },
    )
    assert once == {
        "a": "****", "b": "ok", "i": 1,
        "redaction.masked.keys": "a,z", "redaction.masked.count": 2,
        "redaction.redacted.keys": "c", "redaction.redacted.count": 1,
        "redaction.allowed.keys": "b", "redaction.allowed.count": 1, "redaction.ignored.count": 1,
    }  # fmt: skip


@pytest.mark.parametrize("decoded", [False, True])
def test_log_bodies_are_followed_to_their_leaves(decoded: bool):
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    bodies: list[Any] = [
        "pin 1234", 1234, {"a": {"b": ["1234", {"skip": "1234", "no": 1}]}, "pass": "x", "gone": 1, "ok": "fine 1234"},
        ["1234", "x"], None,
    ]  # fmt: skip
    for body in bodies:
        records.add(body=any_value(body), attributes=attributes({"a": "1"}))
    config = {
        "allowed_keys": ["a", "b", "pass", "ok"], "ignored_keys": ["skip"], "blocked_key_patterns": ["pass"],
        "allowed_values": ["^fine"], "blocked_values": [r"\d{4}"], "summary": "debug",
    }  # fmt: skip
    out = through(processor(config), Signal.LOGS, request, decoded=decoded)
    got = out.resource_logs[0].scope_logs[0].log_records
    assert [plain(record.body) for record in got] == [
        "pin ****", "****", {"a": {"b": ["****", {"skip": "1234"}]}, "pass": "****", "ok": "fine 1234"},
        ["****", "x"], None,
    ]  # fmt: skip
    summary = plain_attributes(got[2].attributes)
    assert summary["redaction.body.masked.keys"] == "a.b.[0],pass"
    assert summary["redaction.body.redacted.keys"] == "a.b.[1].no,gone"
    assert (summary["redaction.body.allowed.keys"], summary["redaction.body.ignored.count"]) == (
        "ok",
        1,
    )
    assert "redaction.body.masked.count" not in plain_attributes(got[4].attributes)


@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("summary", ["silent", "debug"])
def test_numbers_in_log_bodies_are_looked_at_where_nothing_else_has_a_hit(
    summary: str, decoded: bool
):
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in (4111111111111111, {"card": 4111111111111111, "n": [1, 4111111111111111.0]}, 7):
        records.add(body=any_value(body), attributes=attributes({"n": 4111111111111111}))
    config = {"allow_all_keys": True, "blocked_values": ["4[0-9]{15}"], "summary": summary}
    out = through(processor(config), Signal.LOGS, request, decoded=decoded)
    got = out.resource_logs[0].scope_logs[0].log_records
    assert [plain(record.body) for record in got] == ["****", {"card": "****", "n": [1, "****"]}, 7]
    assert all(plain(record.attributes[0].value) == 4111111111111111 for record in got)


def test_a_body_that_is_exempt_as_a_whole_is_not_counted():
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in ("ok 1234", ["ok 1234"]):
        records.add(body=any_value(body))
    config = {**ALL, "allowed_values": ["^ok"], "blocked_values": [r"\d{4}"], "summary": "debug"}
    out = through(processor(config), Signal.LOGS, request)
    got = out.resource_logs[0].scope_logs[0].log_records
    assert [plain(record.body) for record in got] == ["ok 1234", ["ok 1234"]]
    assert plain_attributes(got[0].attributes) == {}
    assert plain_attributes(got[1].attributes)["redaction.body.allowed.keys"] == "[0]"


def test_a_count_that_is_full_begins_again():
    sent = {"a": "x", "redaction.masked.count": 2**63 - 1}
    config = {**ALL, "blocked_values": ["x"], "summary": "info"}
    assert after(config, sent) == {"a": "****", "redaction.masked.count": -(2**63)}


def test_data_points_of_every_kind_are_redacted():
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    kinds = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    for kind in kinds:
        point = getattr(metrics.add(name=kind), kind).data_points.add()
        point.attributes.extend(attributes({"a": "x"}))
    out = through(processor({**ALL, "blocked_values": ["x"]}), Signal.METRICS, request)
    for kind, metric in zip(kinds, out.resource_metrics[0].scope_metrics[0].metrics, strict=True):
        assert plain_attributes(getattr(metric, kind).data_points[0].attributes) == {"a": "****"}


def test_what_an_earlier_processor_wrote_is_redacted_too():
    batch = Batch(Signal.TRACES, span_request(name="s").SerializeToString())
    for span in batch.spans():
        span.set("copied", "x1")
        span.set("listed", ["fine"])
    raw = processor({**ALL, "blocked_values": [r"x\d"]}).process(batch).encode()
    assert b"x1" not in raw
    assert b"listed" in raw


@pytest.mark.parametrize(
    "config", [{"allowed_keys": ["b"]}, {**ALL, "blocked_values": ["x*"], "summary": "debug"}]
)
def test_what_was_written_to_a_resource_that_came_without_bytes_is_redacted_too(
    config: dict[str, Any],
):
    batch = Batch(Signal.TRACES, span_request(name="s").SerializeToString())
    batch.groups[0].resource.set("a", "x1")
    assert b"x1" not in processor(config).process(batch).encode()


@pytest.mark.parametrize("family", ["sql", "redis", "json", "url"])
def test_sanitizers_do_what_the_collector_does(family: str):
    by_system = {system: f for f in FAMILIES for system in f.systems}
    for case in RECORDED[family]:
        if family == "url":
            assert cluster(case["in"]) == case["out"]
        else:
            assert by_system[case["system"]].obfuscate(case["in"], "") == case["out"]


def test_sanitizers_need_their_database_in_spans_but_not_in_logs():
    config = {
        **ALL,
        "db_sanitizer": {"sql": {"enabled": True, "attributes": ["q"]}, "es": {"enabled": True}},
    }
    assert after(config, {"q": "a = 1"}) == {"q": "a = 1"}
    assert after(config, {"db.system": "MySQL", "q": "a = 1"})["q"] == "a = ?"
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(attributes=attributes({"q": "a = 1"}))
    )
    record.body.string_value = "WHERE b = 2"
    out = (
        through(processor(config), Signal.LOGS, request)
        .resource_logs[0]
        .scope_logs[0]
        .log_records[0]
    )
    assert plain_attributes(out.attributes) == {"q": "a = ?"}
    assert out.body.string_value == "WHERE b = ?"


def test_a_sanitizer_that_is_off_leaves_its_attributes_alone():
    config = {
        **ALL,
        "url_sanitizer": {"enabled": False, "attributes": ["u"]},
        "db_sanitizer": {"sql": {"enabled": True, "attributes": ["q"]}},
    }
    sent = {"db.system": "mysql", "u": "/users/42", "q": "a = 1"}
    assert after(config, sent) == {**sent, "q": "a = ?"}


def test_span_names_are_sanitized_by_kind_and_system():
    config = {**ALL, "url_sanitizer": {"enabled": True}, "db_sanitizer": {"sql": {"enabled": True}}}
    subject = processor(config)
    system = attributes({"db.system.name": "postgresql"})
    assert redacted(subject, name="GET /users/42", kind=2).name == "GET /users/*"
    assert redacted(subject, name="/42/43", kind=2).name == "/42/43"  # nothing would be left
    assert redacted(subject, name="SELECT 7", kind=1, attributes=system).name == "SELECT ?"
    assert redacted(subject, name="SELECT 7", kind=4, attributes=system).name == "SELECT 7"
    exempting = processor({**config, "allowed_values": ["SELECT"]})
    assert redacted(exempting, name="SELECT 7", kind=1, attributes=system).name == "SELECT 7"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17.0, "17"), (1e-7, "1e-7"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (0.1, "0.1"), (-0.0, "-0"),
        (float("nan"), "NaN"), (float("-inf"), "-Infinity"), (b"\x01\x02", "AQI="), (False, "false"), (None, ""),
        ([b"", b"a", ""], '[null,"YQ==",""]'), ({"a": [float("inf")]}, ""), ([float("nan")], ""),
        ({"b": [1, None], "a": "<é>&"}, '{"a":"<é>&","b":[1,null]}'),
        (["\u2028\u2029\b\x0b\x7f"], '["\\u2028\\u2029\\b\\u000b\x7f"]'),
    ],
)  # fmt: skip
def test_values_as_go_writes_them(value: Any, text: str):
    assert as_string(value) == text


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"blocked_values": ["a(b"]}, "failed to process block list"),
        ({"blocked_values": [r"\Qa\Eb\C"]}, r"invalid escape sequence: `\C`"),
        ({"hash_function": "crc"}, "unknown HashFunction crc"),
        ({"hash_function": "hmac-sha256"}, "hmac_key must not be empty"),
        ({"hash_function": "hmac-sha512", "hmac_key": "k" * 32}, "got 32 bytes"),
        ({"entities": ["EMIAL"]}, "no such entity 'EMIAL'; did you mean 'EMAIL'? `otelcol-llm redact --list` lists"),
        ({"entities": ["defalt"]}, "no such entity 'defalt'; did you mean 'default'? "),
        ({"action": "hash", "hash_keys": ["short"]}, "expected at least 32 bytes, got 5"),
        ({"patterns": [{"name": "EMAIL", "regex": "x"}]}, "EMAIL is built in"),
        ({"patterns": [{"name": "X", "regex": "x*"}]}, "matches the empty text"),
        ({"patterns": [{"name": "X", "regex": "(?=x)"}]}, "RE2 syntax"),
        ({"patterns": [{"name": "X", "regex": "x" * 3000}]}, "at most 2048 bytes"),
        ({"secret_keys": ["("]}, "RE2 syntax"),
        ({"scope": {"include_keys": ["("]}}, "RE2 syntax"),
        ({"detectors": [EXTERNAL]}, "no detector 'nobody'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_sentence(config: dict[str, Any], sentence: str):
    with pytest.raises(InvalidConfig) as refused:
        processor(config)
    assert sentence in str(refused.value)


def test_without_a_key_for_pseudonyms_the_start_is_refused():
    with pytest.raises(InvalidConfig, match="hash_keys"):
        processor({"entities": ["EMAIL"]}, secret=None)
    assert processor({"entities": ["EMAIL"], "pseudonym_keys": []}, secret=None)
    assert processor({"entities": ["EMAIL"], "hash_keys": ["k" * 32, ""]}, secret=None)


def test_the_mode_follows_from_the_keys_that_are_written():
    assert isinstance(processor({}), ContribRedaction)
    assert isinstance(processor({"allow_all_keys": True, "summary": "debug"}), ContribRedaction)
    assert isinstance(processor({"dry_run": False}), EntityRedaction)


def test_contribs_keys_come_first_in_our_mode():
    config = {"entities": ["EMAIL"], "blocked_values": ["X-\\d+"], "summary": "silent"}
    assert after(config, {"a": "X-12 of a@example.com"}) == {"a": "**** of [EMAIL]"}
    config = {
        "entities": ["EMAIL"],
        "allow_all_keys": False,
        "allowed_keys": ["a"],
        "summary": "silent",
    }
    assert after(config, {"a": "a@example.com", "b": "x"}) == {"a": "[EMAIL]"}


def test_our_options():
    text = "mail a.b@example.com or c@corp.test, id E-123456, badge E-654321, from 10.1.2.3 and 203.0.113.7"
    config = {
        "entities": ["default", {"name": "EMAIL", "action": "mask"}],
        "allow_values": ["@corp.test", "10.0.0.0/8"],
        "patterns": [
            {"name": "EMPLOYEE", "regex": r"E-\d{6}", "context": ["badge"], "action": "remove"}
        ],
        "summary": "silent",
    }
    masked = "a**@*******.***"
    assert after(config, {"note": text}) == {
        "note": f"mail {masked} or c@corp.test, id E-123456, badge , from 10.1.2.3 and [IP_ADDRESS]"
    }


def test_pseudonyms_are_keyed_stable_and_left_alone_the_second_time():
    config = {"entities": [], "summary": "silent"}
    once = after(config, {"user.id": "ann", "enduser.id": "ann", "userId": 42, "gen_ai.user": ""})
    assert once["user.id"] == once["enduser.id"] != "ann"
    assert once["user.id"].startswith("user_")
    assert len(once["user.id"]) == 21
    assert once["userId"].startswith("user_")
    assert once["gen_ai.user"] == ""
    assert after(config, once) == once
    other = plain_attributes(
        redacted(
            processor(config, secret=b"z" * 32), attributes=attributes({"user.id": "ann"})
        ).attributes
    )
    assert other["user.id"] != once["user.id"]


def test_hashes_are_the_same_in_any_notation():
    config = {"entities": ["CREDIT_CARD"], "action": "hash", "summary": "silent"}
    out = after(
        config, {"a": "4111 1111 1111 1111", "b": "4111-1111-1111-1111", "c": "5555 5555 5555 4444"}
    )
    assert out["a"] == out["b"] != out["c"]


def test_audit_fingerprints_follow_both_keys():
    config = {
        "entities": ["EMAIL"],
        "audit": True,
        "hash_keys": ["a" * 32, "b" * 32],
        "summary": "debug",
    }
    out = after(config, {"to": "a@example.com"})
    assert len(out["redaction.fingerprints"]) == 2
    assert all(mark.startswith("EMAIL:") for mark in out["redaction.fingerprints"])
    assert (out["redaction.masked.count"], out["redaction.masked.keys"]) == (1, "to")
    assert out["redaction.entities"] == ["EMAIL"]


def test_scope_by_key_and_secret_keys():
    config = {"scope": {"include_keys": ["^gen_ai"], "exclude_keys": ["raw$"]}, "summary": "silent"}
    mail = "a@example.com"
    values = {
        "gen_ai.prompt": mail,
        "gen_ai.raw": mail,
        "note": mail,
        "db.password": "x",
        "http.header.authorization": ["Basic a"],
    }
    assert after(config, values) == {
        "gen_ai.prompt": "[EMAIL]", "gen_ai.raw": mail, "note": mail, "db.password": "[SECRET]",
        "http.header.authorization": ["[SECRET]"],
    }  # fmt: skip
