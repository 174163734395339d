"""Conditions in the transformation language: what they mean, and what is refused with its place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.encoded import split
from processors.errors import InvalidConfig
from processors.tail_sampling.ottl import ConditionFailed, Subject, condition
from processors.tail_sampling.traces import Envelope
from processors.views import PARSE
from tests.telemetry import key_values

from .support import Run, keeps, policy, request, span

ATTRIBUTES: dict[str, Any] = {
    "text": "hello world", "empty": "", "int": 7, "neg": -7, "double": 2.5, "yes": True, "no": False,
    "bytes": b"\x01\xff", "list": ["a", 1, 2.5], "map": {"a": {"b": 1}, "c": "x"}, "json": '{"ok": true, "n": [1, 2]}',
    "broken": "{", "number": "42", "big": 9223372036854775807,
}  # fmt: skip


def subject() -> Subject:
    one = span(
        b"0123456789abcdef", "chat gpt-4o", ATTRIBUTES, status="error", ms=(1000, 3500), parent="p", kind=3, flags=1,
        trace_state="a=b,ot=th:8", dropped_attributes_count=1, dropped_events_count=2, dropped_links_count=3,
    )  # fmt: skip
    one.attributes.add(key="void")
    one.status.message = "failed"
    one.events.add(
        name="first", attributes=key_values({"n": 1}), time_unix_nano=5, dropped_attributes_count=4
    )
    one.links.add()
    raw = request([one], {"service.name": "shop"}, scope="my.scope", schema_url="https://s")
    ((resource, scope, (encoded,)),) = split(raw)
    view = PARSE["WholeSpan"](encoded)
    return Subject(view, Envelope(resource, scope), PARSE["Event"](view.events[0]), 0)


SUBJECT = subject()


@pytest.mark.parametrize(
    "text",
    [
        'attributes["text"] == "hello world"',
        'span.attributes["text"] != "x"',
        'attributes["none"] == nil',
        'nil == attributes["none"]',
        'attributes["empty"] != nil',
        'not (attributes["none"] != nil)',
        'attributes["none"] != "x"',
        'attributes["int"] == 7',
        'attributes["int"] == 7.0',
        'attributes["int"] >= 6.5 and attributes["int"] < 8',
        'attributes["double"] > 2',
        'attributes["neg"] == -7',
        'attributes["neg"] < -6.5',
        '7 == attributes["int"]',
        'attributes["text"] != 7',
        'not (attributes["text"] == 7)',
        'not (attributes["text"] < 7)',
        'attributes["text"] > "hello"',
        'attributes["yes"] == true',
        'attributes["yes"] > attributes["no"]',
        'attributes["bytes"] == 0x01ff',
        'attributes["bytes"] < 0x02',
        'attributes["list"][0] == "a"',
        'attributes["map"]["a"]["b"] == 1',
        'attributes["map"]["none"] == nil',
        'attributes["none"]["x"] == nil and attributes["none"][0]["x"] == nil',
        'attributes["void"] == nil',
        'attributes["list"] == ["a", 1, 2.5]',
        'attributes["list"] != ["a", 1]',
        'attributes["map"] == {"a": {"b": 1}, "c": "x"}',
        'attributes["map"] != {}',
        'attributes["int"] + 1 == 8',
        'attributes["int"] - 1 * 2 == 5',
        '(attributes["int"] - 1) * 2 == 12',
        'attributes["int"] / 2 == 3',
        'attributes["neg"] / 2 == -3',
        'attributes["double"] * 2 == 5',
        'attributes["int"] / 2.0 == 3.5',
        'attributes["big"] + 1 < 0',
        "-attributes[\"int\"] == -7",
        "+7 == 7",
        "true",
        "not false",
        "true and (false or true)",
        "false and false or true",
        '((attributes["int"]) == 7)',
        'name == "chat gpt-4o"',
        "kind == SPAN_KIND_CLIENT",
        'kind.string == "Client"',
        'kind.deprecated_string == "SPAN_KIND_CLIENT"',
        "status.code == STATUS_CODE_ERROR",
        'status.message == "failed"',
        'trace_id.string == "30313233343536373839616263646566"',
        "trace_id == TraceID(0x30313233343536373839616263646566)",
        'trace_id == TraceID("30313233343536373839616263646566")',
        "span_id != SpanID(0x0000000000000000)",
        'SpanID("abcdefgh") == SpanID(0x6162636465666768) and SpanID(1) == SpanID("0000000000000001")',
        'span_id.string != ""',
        'parent_span_id.string != ""',
        "not (parent_span_id == SpanID(0x0000000000000000))",
        'trace_state == "a=b,ot=th:8"',
        'trace_state["ot"] == "th:8"',
        'trace_state["none"] == ""',
        'ParseJSON(attributes["broken"]) == nil or true',
        'ParseJSON(attributes["broken"]) == nil or {"a": [1]} == {"a": [1]}',
        'ParseJSON(attributes["broken"]) == nil or STATUS_CODE_ERROR == 2',
        'not (ParseJSON(attributes["broken"]) == nil and 1 == 2)',
        'not (true and 1 == 2) and not (false or false)',
        '[1, 2] != [1, 2.0] and [1, 2] == [1, 2]',
        r'name != "\x41\101\u00e9\U0001F600" and "\x41\101" == "AA" and "\a\v" != ""',
        "Hour(start_time) == 8 and Minute(start_time) == 0 and Second(start_time) == 1",
        "Year(start_time) == 2027 and Month(start_time) == 1 and Day(start_time) == 15",
        "Weekday(start_time) == 5 and Nanosecond(end_time) == 500000000",
        'TruncateTime(end_time, Duration("1s")) < end_time and Unix(1800000001) == start_time',
        'SHA256("x") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"',
        'MD5("x") == "9dd4e461268c8034f5c8564e155c67a6" and Len(SHA1("x")) == 40 and Len(SHA512("x")) == 128',
        r'String(attributes["list"]) == "[\"a\",1,2.5]"',
        r'String([true, 1.0, attributes["bytes"]]) == "[true,1,\"Af8=\"]"',
        r'String({"b": "<", "a": nil}) == "{\"a\":null,\"b\":\"\\u003c\"}"',
        'IsList(Split(name, " ")) and Concat(["a", span_id], "") != "a"',
        'FNV("x") == -5808529385363204345',
        'Hex("x") == "78" and Hex(attributes["bytes"]) == "01ff" and Hex(7) == "0000000000000007"',
        'Hex(true) == "01" and Hex(1.5) == "3ff8000000000000" and Hex(attributes["none"]) == ""',
        'Base64Decode("aGVsbG8=") == "hello" and Base64Encode("hello") == "aGVsbG8="',
        'IsEmpty(attributes["none"]) and IsEmpty("") and IsEmpty([]) and IsEmpty(0) and IsEmpty(Duration("0s"))',
        'not IsEmpty(name) and not IsEmpty(start_time) and not IsEmpty(attributes)',
        'Coalesce([attributes["none"], "d"]) == "d" and Coalesce([attributes["none"]]) == nil',
        'ConvertCase("Ab", "lower") == "ab" and ConvertCase("Ab", "upper") == "AB"',
        'IsInCIDR("10.1.2.3", ["::/0", "10.0.0.0/8"]) and not IsInCIDR("11.1.2.3", ["10.0.0.1/8"])',
        'not IsInCIDR("no address", ["10.0.0.0/8"])',
        'IsValidLuhn("4111 1111 1111 1111") and not IsValidLuhn("4111111111111112") and not IsValidLuhn("")',
        'ExtractPatterns(name, "^(?P<verb>[a-z]+)")["verb"] == "chat"',
        'Len(ExtractPatterns(name, "^(?P<verb>[0-9]+)")) == 0',
        'ParseInt("ff", 16) == 255 and ParseInt("-7", 10) == -7',
        'Keys(attributes["map"]) == ["a", "c"] and Values(attributes["map"])[1] == "x"',
        "Log(1) == 0 and Log(attributes[\"int\"]) > 1.9",
        "end_time_unix_nano - start_time_unix_nano == 2500000000",
        'end_time - start_time > Duration("2s")',
        'start_time + Duration("2500ms") == end_time',
        'Duration("1h30m") - Duration("30m") == Duration("1h")',
        'end_time - Duration("1s") < end_time',
        "flags == 1",
        "dropped_attributes_count == 1 and dropped_events_count == 2 and dropped_links_count == 3",
        "Len(events) == 1 and Len(links) == 1",
        'resource.attributes["service.name"] == "shop"',
        'resource.schema_url == "https://s"',
        'scope.name == "my.scope" and instrumentation_scope.version == ""',
        'scope.schema_url == "https://s"',
        'IsMatch(name, "^chat (gpt|claude)-")',
        'IsMatch(attributes["int"], "^7$")',
        'IsMatch(attributes["yes"], "true")',
        'not IsMatch(attributes["none"], ".*")',
        'IsMatch(attributes["map"], "c")',
        "not IsRootSpan()",
        'IsString(attributes["text"]) and not IsString(attributes["int"])',
        'IsInt(attributes["int"]) and IsDouble(attributes["double"]) and IsBool(attributes["no"])',
        'IsMap(attributes["map"]) and IsList(attributes["list"])',
        'not IsInt(attributes["yes"])',
        'Int(attributes["number"]) == 42',
        'Int("x") == nil and Int(nil) == nil and Int(2.9) == 2 and Int(true) == 1',
        'Int("99999999999999999999") == nil',
        'Double(attributes["number"]) == 42.0',
        'Double(nil) == nil and Double(true) == 1 and Double("0x1p-2") == 0.25 and Double("-Inf") < 0',
        'String(attributes["int"]) == "7" and String(2.5) == "2.5" and String(2.0) == "2"',
        'String(attributes["bytes"]) == "01ff"',
        "String(nil) == nil",
        'Bool("true") == true and Bool("F") == false and Bool(1) == true and Bool(nil) == nil',
        'Len(attributes["text"]) == 11 and Len(attributes["list"]) == 3 and Len(attributes["map"]) == 2',
        'ParseJSON(attributes["json"])["ok"] == true',
        'ParseJSON(attributes["json"])["n"][1] == 2',
        'Concat(["a", 1, nil], "-") == "a-1-<nil>"',
        'Substring(name, 0, 4) == "chat"',
        'Split(name, " ")[1] == "gpt-4o" and Len(Split(name, " ")) == 2',
        'Split("ab", "")[1] == "b" and Split("ab", "") != ["a", "b"]',
        'ToUpperCase("a") == "A" and ToLowerCase("A") == "a"',
        'Trim("  a ") == "a" and Trim("xax", "x") == "a"',
        'TrimPrefix("abc", "ab") == "c" and TrimSuffix("abc", "bc") == "a"',
        'HasPrefix(name, "chat") and HasSuffix(name, "4o")',
        'ContainsValue(attributes["list"], "a") and not ContainsValue(attributes["list"], "b")',
        'Index("abc", "c") == 2 and Index(attributes["list"], 1) == 1 and Index(["a"], "b") == -1',
        'Milliseconds(end_time - start_time) == 2500 and Seconds(Duration("1500ms")) == 1.5',
        'Minutes(Duration("90s")) == 1.5 and Hours(Duration("90m")) == 1.5',
        'Nanoseconds(Duration("-1.5us")) == -1500 and Microseconds(Duration("-1.5us")) == -1',
        "UnixNano(start_time) == start_time_unix_nano and UnixSeconds(start_time) * 1000 == UnixMilli(start_time)",
        "UnixMicro(end_time) * 1000 == end_time_unix_nano",
        'IsMatch(target=name, pattern="gpt")',
        'IsMatch(name, pattern="gpt")',
        r'"a\"b\\c\n" == "a\"b\\c\n"',
        "1.e3 == 1000 and .5 == 0.5",
        'attributes == attributes',
    ],
)  # fmt: skip
def test_it_holds(text: str) -> None:
    assert condition(text, "span")(SUBJECT)


@pytest.mark.parametrize(
    "text",
    [
        'name == "first"',
        'spanevent.name == "first" and span.name == "chat gpt-4o"',
        'attributes["n"] == 1',
        "time_unix_nano == 5 and time < span.end_time",
        "event_index == 0 and dropped_attributes_count == 4",
        'resource.attributes["service.name"] == "shop"',
    ],
)
def test_it_holds_for_an_event(text: str) -> None:
    assert condition(text, "spanevent")(SUBJECT)


@pytest.mark.parametrize(
    "text",
    [
        'ParseJSON(attributes["broken"]) == nil',
        'ParseJSON(attributes["none"]) == nil',
        'ParseJSON(attributes["json"])["none"] == nil',
        'attributes["list"][7] == 1',
        'attributes["text"]["x"] == 1',
        'attributes["void"]["x"] == nil',
        'attributes["map"][0] == 1',
        'attributes["text"] + 1 == 2',
        'attributes["int"] / 0 == 1',
        'attributes["double"] / 0 == 1',
        "start_time + end_time == start_time",
        "start_time * 2 == start_time",
        'Duration("1s") - start_time == nil',
        'HasPrefix(attributes["none"], "x")',
        'Len(attributes["int"]) == 1',
        'Substring(name, 5, 100) == ""',
        'Substring(name, attributes["text"], 1) == ""',
        'Duration(name) == nil',
        "Seconds(name) == 1",
        "UnixNano(name) == 1",
        'ContainsValue(name, "x")',
        'TraceID("zz") == trace_id',
        'SpanID("00") == span_id',
        'SpanID("00 00 00 00 00 0") == span_id',
        'SpanID("-000000000000000") == span_id',
        'Int(attributes["map"]) == 1',
        'Double(attributes["map"]) == 1',
        'Bool("x") == true',
        "String(start_time) == name",
        'IsMatch(name, Concat(["("], ""))',
        'Int("1") and true',
        'ParseJSON("[")',
        'ParseJSON("5") != nil',
        'ParseJSON("[1e400]") != nil',
        'Double(attributes["text"]) == nil',
        'Double("1e999") > 1',
        'String(attributes["double"] * 1.e308 * 10) != ""',
        'Base64Decode("a") == ""',
        'Log(0) == 0',
        'Keys(name) == nil',
        'IsInCIDR(name, ["10.0.0.0"])',
        'IsInCIDR(name, ["10.0.0.0/99"])',
        'IsValidLuhn("12a")',
        'IsValidLuhn(attributes["none"])',
        'ExtractPatterns(name, "chat") == nil',
        'ParseInt("1_0", 10) == 10',
        'ParseInt("z", 10) == 10',
        'ParseInt("1", 1) == 1',
        'ParseInt("9223372036854775808", 10) == 1',
        'ConvertCase(name, "title") == name',
        "Hour(name) == 1",
        'ParseJSON("null") == nil',
        'ParseJSON("[NaN]") != nil',
    ],
)  # fmt: skip
def test_it_cannot_be_told(text: str) -> None:
    with pytest.raises(ConditionFailed):
        condition(text, "span")(SUBJECT)


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("Frobnicate(span.name)", 1, 'undefined function "Frobnicate"'),
        ('span.nmae == "x"', 1, 'segment "nmae" from path "span.nmae"'),
        ('span.attributes["a"]', 21, 'unexpected token "<EOF>" (expected a comparison)'),
        ("", 1, 'condition has invalid syntax: unexpected token "<EOF>"'),
        ('name == "x" and', 16, 'condition has invalid syntax: unexpected token "<EOF>"'),
        ('name = "x"', 6, 'unexpected token "=" (expected a comparison)'),
        ('name == "x', 9, "invalid input text"),
        ("name == §", 9, "invalid input text"),
        ('name == "x")', 12, 'unexpected token ")" (expected end)'),
        ('(name == "x"', 13, 'unexpected token "<EOF>" (expected ))'),
        ("kind == SPAN_KIND_X", 9, "enum symbol, SPAN_KIND_X, not found"),
        (
            "IsMatch(name)",
            1,
            'call to "IsMatch": incorrect number of arguments. Expected: 2 Received: 1',
        ),
        ('IsMatch(name, "a", "b")', 1, "incorrect number of arguments"),
        ("IsRootSpan(name)", 1, "incorrect number of arguments"),
        ('IsMatch(name, "(")', 15, "is not a valid pattern"),
        ('IsMatch(target=name, patern="x")', 29, "no such parameter: patern"),
        ('IsMatch(target=name, "x")', 22, "unnamed argument used after named argument"),
        ("int == 99999999999999999999", 8, "expected a 64-bit integer"),
        ("bytes == 0x123", 10, "expected an even number of hexadecimal digits"),
        (r'name == "\q"', 9, "invalid quoted string"),
        ('spanevent.name == "x"', 1, 'segment "spanevent" is not a valid path nor'),
        ("attributes[0] == 1", 1, "attributes are indexed by their key"),
        ('status["x"].code == 1', 1, "cannot be indexed in the middle"),
        ('name["x"] == 1', 1, "is not a valid path nor a valid OTTL keyword for the span context"),
        ("IsMatch(name, pattern=5)", 23, "expected string but got int"),
        ("int == 1e3", 9, 'unexpected token "e3"'),
        ("HasPrefix(name, 5)", 17, "invalid argument at position 1: expected string but got int"),
        (
            'HasPrefix(nil, "x")',
            11,
            "invalid argument at position 0: expected string but got nonetype",
        ),
        ("IsInt(nil)", 7, "expected int64 but got nonetype"),
        ("IsDouble(5)", 10, "expected float64 but got int"),
        ('IsBool("true")', 8, "expected bool but got str"),
        ("IsMap([5])", 7, "expected a map but got list"),
        ('Substring(name, "a", 1) == ""', 17, "expected int64 but got str"),
        ('Duration(5) > Duration("5s")', 10, "expected string but got int"),
        ('Hours("5s") > 1', 7, "expected a duration but got str"),
        ('Concat(attributes["list"], "") == ""', 8, "expected a list that is written out"),
        ('Trim(name, name) == ""', 12, "expected a string that is written out"),
        (r'name == "\/"', 9, "invalid quoted string"),
        ("(" * 60 + "true" + ")" * 60, 52, "levels"),
        ("Len(" * 60 + "name" + ")" * 60 + " == 1", 209, "levels"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, column: int, problem: str) -> None:
    with pytest.raises(InvalidConfig) as error:
        condition(text, "span")
    assert problem in error.value.text
    assert f"column {column}: " in error.value.text


@given(st.text(alphabet='()[]"\\ andortr=<>!+-*/.,:{}0x1aZ_IsMatch', max_size=40))
@limits(max_examples=300, deadline=None)
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        test = condition(text, "span")
    except InvalidConfig:
        return
    with suppress(ConditionFailed):
        assert test(SUBJECT) in (True, False)


BAD, GOOD, OTHER = ({"payload": text} for text in ("{", '{"ok": true}', '{"ok": false}'))
PAYLOAD = 'ParseJSON(attributes["payload"])["ok"] == true'


@pytest.mark.parametrize(
    ("mode", "payloads", "kept"),
    [
        ("propagate", [BAD], False),
        ("propagate", [GOOD, BAD], True),
        ("propagate", [BAD, GOOD], False),
        ("ignore", [BAD, GOOD], True),
        ("silent", [BAD, GOOD], True),
        ("", [BAD, GOOD], True),
        ("", [OTHER], False),
    ],
)
def test_a_condition_that_fails_counts_as_its_mode_says(
    mode: str, payloads: list[dict[str, str]], kept: bool
) -> None:
    rule = policy("ottl_condition", error_mode=mode, span=[PAYLOAD])
    assert keeps(rule, *[span("t", str(i), a) for i, a in enumerate(payloads)]) is kept


def test_a_failing_policy_votes_nothing_and_is_counted() -> None:
    run = Run(policy("ottl_condition", error_mode="propagate", span=[PAYLOAD]))
    run.send(span("t", attributes=BAD))
    run.wait(10)
    assert run.count("otelcol_processor_tail_sampling_sampling_policy_evaluation_error_total") == 1


def test_conditions_on_events_are_asked_for_each_event() -> None:
    rule = policy(
        "ottl_condition", spanevent=['name == "exception"', 'attributes["verdict"] == "bad"']
    )
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"name": "exception"}, True),
        ({"name": "x", "attributes": key_values({"verdict": "bad"})}, True),
        ({"name": "x"}, False),
    ]
    for event, kept in cases:
        one = span("t", "exception")
        one.events.add(name="start")
        one.events.add(**event)
        assert keeps(rule, one) is kept


def test_resources_and_scopes_tell_what_they_dropped() -> None:
    message = ExportTraceServiceRequest.FromString(request([span("t")]))
    (group,) = message.resource_spans
    group.resource.dropped_attributes_count = 2
    group.scope_spans[0].scope.dropped_attributes_count = 3
    counts = "resource.dropped_attributes_count == 2 and scope.dropped_attributes_count == 3"
    run = Run(policy("ottl_condition", span=[counts]))
    run.send_raw(message.SerializeToString())
    assert run.wait(10) == ["s"]


def test_only_a_span_is_a_root() -> None:
    with pytest.raises(InvalidConfig, match='undefined function "IsRootSpan"'):
        condition("IsRootSpan()", "spanevent")
