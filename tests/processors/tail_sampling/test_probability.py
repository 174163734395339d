"""Shares of traces: contrib's hash, OpenTelemetry's consistent probability, and what is recorded of it."""

from __future__ import annotations

import re
from math import sqrt
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from processors.tail_sampling.policies.probability import fnv1a
from processors.tail_sampling.probability import (
    FULL,
    adjusted_count,
    decode,
    encode,
    hash_limit,
    threshold,
)
from processors.tail_sampling.tracestate import parse

from .support import ALWAYS, ERRORS, Run, attributes_of, keeps, policy, span

RECORD = {"tracestate": True, "attributes": True}
IDS = {
    "0102030405060708090a0b0c0d0e0f10": 0xDBCF64D5420F4CAD,
    "000000000000000052969a8955571a3f": 0x77283E4155B1A1F3,
    "4bf92f3577b34da6a3ce929d0e0e4736": 0xA54533BA2E4970B5,
    "0af7651916cd43dd8448eb211c80319c": 0x33BF83D45F51634C,
    "00000000000000000000000000000001": 0xE19535EED1BBAA8A,
    "ffffffffffffffffffffffffffffffff": 0x17BEC3739634FE2D,
}


def share(percent: float, **block: Any) -> dict[str, Any]:
    return policy("probabilistic", "baseline", sampling_percentage=percent, **block)


def equal(percent: float, **block: Any) -> dict[str, Any]:
    return share(percent, mode="equalizing", **block)


@pytest.mark.parametrize(
    ("percent", "limit"),
    [
        (0, 0), (-50, 0), (0.1, 18446744073709551), (1, 184467440737095519),
        (5, 922337203685477631), (10, 1844674407370955263), (25, 4611686018427387903),
        (33, 6087425544324152319), (50, 9223372036854775807), (99.9, 18428297329635844095),
        (100, 18446744073709551615), (150, 18446744073709551615),
    ],
)  # fmt: skip
def test_the_limit_of_the_hash_is_contribs_to_the_last_digit(percent: float, limit: int) -> None:
    assert hash_limit(percent) == limit


@pytest.mark.parametrize(("hex_id", "expected"), IDS.items())
def test_the_hash_is_contribs(hex_id: str, expected: int) -> None:
    seed = fnv1a(b"default-hash-seed", 0xCBF29CE484222325)
    assert fnv1a(bytes.fromhex(hex_id), seed) == expected


@pytest.mark.parametrize(
    ("percent", "short", "full"),
    [
        (99.9, "004189", "004189374bc6a"), (99, "028f6", "028f5c28f5c29"), (75, "4", "4"),
        (66.6, "5581", "55810624dd2f2"), (50, "8", "8"), (33.333, "aaab", "aaaae297396d0c"),
        (33, "ab85", "ab851eb851eb84"), (25, "c", "c"), (20, "cccd", "cccccccccccccc"),
        (12.5, "e", "e"), (10, "e666", "e6666666666666"), (5, "f3333", "f3333333333333"),
        (3, "f851f", "f851eb851eb852"), (2, "fae14", "fae147ae147ae1"),
        (1, "fd70a", "fd70a3d70a3d71"), (0.5, "feb85", "feb851eb851eb8"),
        (0.1, "ffbe77", "ffbe76c8b43958"), (0.05, "ffdf3b", "ffdf3b645a1cac"),
        (0.01, "fff9724", "fff972474538ef"), (0.001, "ffff583a", "ffff583a53b8e5"),
        (0.0001, "ffffef39", "ffffef39085f4a"), (100, "0", "0"),
    ],
)  # fmt: skip
def test_thresholds_are_those_of_the_specification(percent: float, short: str, full: str) -> None:
    for precision, digits in ((4, short), (14, full)):
        t = threshold(percent, precision)
        assert t is not None
        assert encode(t) == digits
        assert decode(digits) == t


def test_adjusted_counts_are_those_of_the_specification() -> None:
    assert adjusted_count(decode("fd70a") or 0) == 99.99771123402633
    assert adjusted_count(decode("e666") or 0) == 9.99938968568813
    assert threshold(0, 4) is None
    assert decode("xyz") is None
    assert decode("") is None


@pytest.mark.parametrize(
    ("hex_id", "kept_at"),
    [
        ("0102030405060708090a0b0c0d0e0f10", []),
        ("000000000000000052969a8955571a3f", [50]),
        ("4bf92f3577b34da6a3ce929d0e0e4736", [25, 50]),
        ("00000000000000000000000000000001", []),
        ("ffffffffffffffffffffffffffffffff", [1, 5, 10, 25, 50]),
    ],
)
def test_the_last_seven_bytes_of_the_id_are_the_randomness(hex_id: str, kept_at: list[int]) -> None:
    one = span(bytes.fromhex(hex_id))
    assert [p for p in (1, 5, 10, 25, 50) if keeps(equal(p), one)] == kept_at


@pytest.mark.parametrize(
    ("rv", "kept_at"),
    [
        ("fd70a000000000", [1, 5, 10, 25, 50]),
        ("fd709fffffffff", [5, 10, 25, 50]),
        ("c0000000000000", [25, 50]),
        ("bfffffffffffff", [50]),
    ],
)
def test_explicit_randomness_goes_before_the_id(rv: str, kept_at: list[int]) -> None:
    one = span(b"\xff" * 16, trace_state=f"ot=rv:{rv}")
    assert [p for p in (1, 5, 10, 25, 50) if keeps(equal(p), one)] == kept_at


def kept_of(rule: dict[str, Any], ids: list[bytes], **options: Any) -> Run:
    run = Run(rule, num_traces=len(ids), **options)
    for begin in range(0, len(ids), 500):
        run.send(*[span(one) for one in ids[begin : begin + 500]])
    run.wait(10)
    return run


def random_ids(count: int, seed: int) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(16) for _ in range(count)]


@pytest.mark.parametrize("rule", [share(5), equal(5), equal(10), share(1, hash_salt="x")])
def test_the_share_is_within_binomial_bounds(rule: dict[str, Any]) -> None:
    n, p = 20_000, rule["probabilistic"]["sampling_percentage"] / 100
    kept = len(kept_of(rule, random_ids(n, 7)).traces)
    assert abs(kept - n * p) <= 4 * sqrt(n * p * (1 - p))


def test_shares_nest_and_every_process_chooses_the_same() -> None:
    ids = random_ids(5_000, 8)
    one, ten, again = (kept_of(equal(p), ids).traces for p in (1, 10, 10))
    assert one < ten == again


def test_adjusted_counts_estimate_the_population() -> None:
    n, p = 20_000, 0.1
    run = kept_of(equal(10), random_ids(n, 9), record={"attributes": True})
    counts = [attributes_of(one)["sampling.adjusted_count"] for one in run.spans]
    assert abs(sum(counts) - n) <= 4 * sqrt(n * (1 - p) / p)


def state_after(rule: dict[str, Any], state: str, hex_id: str = "ff" * 16, **fields: Any) -> str:
    """Return the trace state with which a kept span leaves."""
    run = Run(ERRORS, rule, record=RECORD)
    run.send(span(bytes.fromhex(hex_id), trace_state=state, **fields))
    run.wait(10)
    return run.only("s").trace_state


@pytest.mark.parametrize(
    ("rule", "state", "status", "after"),
    [
        (equal(25), "", "unset", "ot=th:c"),
        (equal(25), "ot=rv:ffffffffffffff", "unset", "ot=rv:ffffffffffffff;th:c"),
        (equal(25), "ot=th:e", "unset", "ot=th:e"),
        (equal(25), "", "error", "ot=th:0"),
        (
            equal(25),
            "vendor=x,ot=th:8;rv:f0000000000000",
            "error",
            "vendor=x,ot=th:8;rv:f0000000000000",
        ),
        (equal(25), "vendor=x", "unset", "ot=th:c,vendor=x"),
        (equal(25), "vendor=x,ot=p:8", "unset", "ot=p:8;th:c,vendor=x"),
        (equal(25), "bad", "error", "bad"),
        (equal(25), "ot=th:8;rv:00000000000001", "error", "ot=rv:00000000000001"),
        (share(100), "", "unset", ""),
        (share(100), "ot=th:8", "unset", ""),
        (share(100), "ot=th:8,vendor=x", "unset", "vendor=x"),
    ],
)
def test_the_threshold_on_a_span_is_the_stricter_one(
    rule: dict[str, Any], state: str, status: str, after: str
) -> None:
    assert state_after(rule, state, status=status) == after


def test_a_trace_state_that_cannot_be_read_is_left_and_counted() -> None:
    for state in ("bad", "ot=" + "a:" + "b" * 255):
        run = Run(ALWAYS, record={"tracestate": True})
        run.send(span("t", trace_state=state))
        run.wait(10)
        assert run.only("s").trace_state == state
        name = "otelcol_processor_tail_sampling_count_spans_with_unparseable_tracestate_total"
        assert run.count(name) == 1


def test_a_threshold_that_would_not_fit_is_left_out() -> None:
    state = "ot=" + "a:" + "b" * 254
    run = Run(ALWAYS, record={"tracestate": True})
    run.send(span("t", trace_state=state))
    run.wait(10)
    assert run.only("s").trace_state == state


def test_a_broken_threshold_is_erased_and_counted() -> None:
    run = Run(ALWAYS, record=RECORD)
    run.send(span("t", trace_state="ot=rv:10000000000000;th:8"))
    run.wait(10)
    assert run.only("s").trace_state == "ot=rv:10000000000000"
    assert "sampling.adjusted_count" not in attributes_of(run.only("s"))
    assert run.count("otelcol_llm_tail_sampling_invalid_threshold_total") == 1


def test_the_last_members_go_when_there_are_too_many() -> None:
    members = ",".join(f"k{i}=v" for i in range(32))
    run = Run(ALWAYS, record={"tracestate": True})
    run.send(span("t", trace_state=members))
    run.wait(10)
    after = parse(run.only("s").trace_state)
    assert after is not None
    assert list(after) == ["ot", *[f"k{i}" for i in range(31)]]


def test_long_trace_states_are_cut_to_512_characters() -> None:
    members = ",".join(f"k{i}={'v' * 100}" for i in range(5))
    run = Run(ALWAYS, record={"tracestate": True})
    run.send(span("t", trace_state=members[:512]))
    run.wait(10)
    assert len(run.only("s").trace_state) <= 512
    assert parse(run.only("s").trace_state) is not None


def test_two_samplers_in_line_leave_the_stricter_threshold_and_set() -> None:
    ids = random_ids(3_000, 10)
    first = kept_of(equal(10), ids, record={"tracestate": True})
    second = Run(equal(1), record={"tracestate": True}, num_traces=3_000)
    for batch in first.out:
        second.send_raw(batch.encode())
    second.wait(10)
    assert second.traces == kept_of(equal(1), ids).traces
    assert {one.trace_state for one in second.spans} == {"ot=th:fd70a"}


def test_deciding_again_keeps_everything_and_changes_nothing() -> None:
    ids = random_ids(2_000, 11)
    first = kept_of(equal(10), ids, record={"tracestate": True})
    again = Run(equal(10), record={"tracestate": True}, num_traces=2_000)
    for batch in first.out:
        again.send_raw(batch.encode())
    again.wait(10)
    assert sorted(s.SerializeToString() for s in again.spans) == sorted(
        s.SerializeToString() for s in first.spans
    )


def test_late_spans_carry_the_threshold_of_their_trace() -> None:
    run = Run(equal(25), record={"tracestate": True})
    run.send(span(b"\xff" * 16, "a"))
    run.wait(10)
    assert run.send(span(b"\xff" * 16, "late")) == ["late"]
    assert run.only("late").trace_state == "ot=th:c"


@pytest.mark.parametrize(
    ("session", "rv"),
    [
        ("conv-77", "e96fdaaa87ebe7"),
        ("c-9", "a9b01cc1969a69"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "4a9586f388191c"),
    ],
)
def test_all_turns_of_a_conversation_share_their_randomness(session: str, rv: str) -> None:
    rule = equal(100, randomness="session")
    for where in ({"attributes": {"gen_ai.conversation.id": session}}, {}):
        run = Run(rule, record={"tracestate": True})
        resource = None if where else {"gen_ai.conversation.id": session}
        run.send(span("t", **where), resource=resource)
        run.wait(10)
        assert run.only("s").trace_state == f"ot=th:0;rv:{rv}"


def test_a_conversation_is_kept_whole_or_not_at_all() -> None:
    rule = equal(40, randomness="session")
    run = Run(rule)
    for turn in range(5):
        for session in ("conv-77", "c-9", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"):
            run.send(span(f"{session}/{turn}", session, {"gen_ai.conversation.id": session}))
    run.wait(10)
    assert sorted(one.name for one in run.spans) == ["c-9"] * 5 + ["conv-77"] * 5


def test_a_trace_without_conversation_falls_back_on_its_id() -> None:
    assert keeps(equal(1, randomness="session"), span(b"\xff" * 16))


KEY = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
MEMBER = re.compile(f"({KEY})={VALUE}")
"""Of a list, as the W3C's grammar spells it: https://www.w3.org/TR/trace-context/#list."""
OTHERS = st.lists(
    st.from_regex(
        re.compile(r"[a-z][a-z0-9_*/-]{0,9}=[ -+.-;>-~]{0,90}[!-+.-;>-~]"), fullmatch=True
    ).filter(lambda member: not member.startswith("ot=")),
    max_size=34,
)
OT = st.lists(
    st.from_regex(re.compile(r"(th|rv|p|x9):[0-9a-f]{1,15}|x:[!-+.-:>-~]{1,260}"), fullmatch=True),
    max_size=4,
)


def sub_keys(state: str) -> dict[str, str]:
    """Return what the `ot` member of a trace state says."""
    member = next((one for one in state.split(",") if one.startswith("ot=")), "ot=")
    return dict(part.split(":", 1) for part in member[3:].split(";") if part)


@given(OTHERS, OT, st.integers(0, 34), st.sampled_from([ALWAYS, equal(25), equal(100)]))
@limits(max_examples=200, deadline=None)
def test_every_trace_state_that_is_written_is_one(
    others: list[str], ot: list[str], place: int, rule: dict[str, Any]
) -> None:
    came = list(others)
    if ot:
        came.insert(place, "ot=" + ";".join(ot))
    run = Run(rule, record={"tracestate": True})
    run.send(span(b"\xff" * 16, trace_state=",".join(came)))
    run.wait(10)
    for one in run.spans:
        left = one.trace_state
        if left == ",".join(came):
            continue  # it was none that can be read, or said this already
        members = left.split(",") if left else []
        assert all(MEMBER.fullmatch(member) for member in members)
        keys = [member.partition("=")[0] for member in members]
        assert len(keys) == len(set(keys)) <= 32
        assert len(left) <= 512
        assert keys.count("ot") == 0 or (keys[0] == "ot" and len(members[0]) <= 256 + len("ot="))
        rest = [member for member in came if not member.startswith("ot=")]
        assert [member for member in members if not member.startswith("ot=")] == rest[
            : len(members) - ("ot" in keys)
        ]
        said = sub_keys(left)
        assert re.fullmatch("0|[0-9a-f]{0,13}[1-9a-f]", said.get("th", "0"))
        assert {k: v for k, v in said.items() if k != "th"}.items() <= sub_keys(
            ",".join(came)
        ).items()


@given(st.floats(0.0001, 100), st.integers(1, 14))
@limits(max_examples=100, deadline=None)
def test_a_threshold_is_written_and_read_back(percent: float, precision: int) -> None:
    t = threshold(percent, precision)
    assert t is not None
    assert 0 <= t < FULL
    assert decode(encode(t)) == t
