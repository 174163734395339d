"""What a value means, in whatever form it came."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.genai.models import comparable, provider_of, vendor_of_model
from processors.genai.raw_usage import exact_counts
from processors.genai.values import (
    count,
    flag,
    instant_ns,
    mapping,
    number,
    reasons,
    text,
)
from processors.wire import Value, encode_value

INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0), (127, 127), (128, 128), (16_383, 16_383), (16_384, 16_384), (2_097_151, 2_097_151),
        (2_097_152, 2_097_152),
        (12.0, 12), ("12", 12), (" 12 ", 12), ('"12"', 12), ("12.0", 12), ('"\\"12\\""', None),
        (True, None), (-1, None), (2.5, None), (float("nan"), None), (float("inf"), None), ("", None), ("x", None),
        ("1e3", None), ("-3", None), ("٣", None), (1 << 60, None), (None, None), (b"1", None), ([1], None),
    ],
)  # fmt: skip
def test_a_count_is_a_whole_number_of_things(value: Value, expected: int | None) -> None:
    assert count(encode_value(value)) == expected


@given(st.integers(0, (1 << 53) - 1))
def test_every_count_reads_back(n: int) -> None:
    assert count(encode_value(n)) == n == count(encode_value(str(n)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gpt-4o", "gpt-4o"), (" gpt-4o\n", "gpt-4o"), ('"gpt-4o"', "gpt-4o"), ('" gpt-4o "', "gpt-4o"), ('""', None),
        ("", None), ("  ", None), (4, "4"), (4.0, "4"), (4.5, "4.5"), (True, None), (float("nan"), None),
        (None, None),
        (["a"], None), ('"unfinished', '"unfinished'), ('"a" "b"', '"a" "b"'), ("é" * 90, "é" * 90),
    ],
)  # fmt: skip
def test_a_text_is_trimmed_and_unquoted_once(value: Value, expected: str | None) -> None:
    assert text(encode_value(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["stop"], ["stop"]), ('["STOP"]', ["STOP"]), ("[STOP]", ["STOP"]), ("[A, B]", ["A", "B"]),
        ("a,b", ["a", "b"]),
        ("stop", ["stop"]), ('"stop"', ["stop"]), ("['a', 'b']", ["a", "b"]), ("", None), ([], None),
        (["", "x"], ["x"]),
        ("[]", None), (7, None), ('"[\\"x\\"]"', ["x"]),
    ],
)  # fmt: skip
def test_finish_reasons_become_a_list(value: Value, expected: list[str] | None) -> None:
    assert reasons(encode_value(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, {"a": 1}), ('{"a": 1}', {"a": 1}), ('"{\\"a\\": 1}"', {"a": 1}), ("{'a': None}", {"a": None}),
        ('{"a": 1', None), ("[1]", None), ("no", None), (3, None), ("{" * 20_000, None), ("{__import__('os')}", None),
        ("{'a':" * 3_000, None), ("{" + "'a'," * 9_000 + "}", None), ("[" * 100_000, None),
    ],
)  # fmt: skip
def test_an_object_may_be_json_or_a_python_dict(value: Value, expected: object) -> None:
    assert mapping(encode_value(value)) == expected


@given(st.text(max_size=200))
def test_no_text_breaks_a_reader(value: str) -> None:
    raw = encode_value(value)
    for read in (count, text, number, reasons, mapping, flag, instant_ns):
        read(raw)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, 0.5), ("0.5", 0.5), (3, 3.0), ("nan", None), (-1, None), (True, None), ("x", None)],
)
def test_a_number_is_finite_and_not_negative(value: Value, expected: float | None) -> None:
    assert number(encode_value(value)) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"2026-11-20T10:00:00.410000Z"', 1_795_168_800_410_000_000),
        ("2026-11-20T10:00:00", 1_795_168_800_000_000_000),
        ("2026-11-20T12:00:00+02:00", 1_795_168_800_000_000_000),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_moment_is_iso_8601(written: str, expected: int | None) -> None:
    assert instant_ns(encode_value(written)) == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("OpenAI", "openai"), ("openai.chat", "openai"), ("Anthropic", "anthropic"),
        ("anthropic.messages", "anthropic"),
        ("AWS", "aws.bedrock"), ("bedrock_converse", "aws.bedrock"), ("Azure", "azure.ai.openai"),
        ("azure.chat", "azure.ai.openai"), ("azure.ai.inference", "azure.ai.inference"),
        ("az.ai.inference", "azure.ai.inference"),
        ("Gemini", "gcp.gemini"), ("google.generative-ai", "gcp.gemini"), ("google.vertex.chat", "gcp.vertex_ai"),
        ("google", "gcp.gen_ai"), ("xai", "x_ai"), ("mistral.chat", "mistral_ai"), ("watsonx", "ibm.watsonx.ai"),
        ("Langchain", None), ("strands-agents", None), ("unknown", None), ("vLLM", "vllm"),
        ("microsoft.foundry", "microsoft.foundry"),
        ("aws.bedrock", "aws.bedrock"), ("gcp.vertex_ai", "gcp.vertex_ai"),
    ],
)  # fmt: skip
def test_a_provider_gets_its_well_known_name(named: str, expected: str | None) -> None:
    assert provider_of(named) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "aws.bedrock"), ("amazon.nova-pro-v1:0", "aws.bedrock"),
        ("us-gov.meta.llama3-70b", "aws.bedrock"), ("arn:aws:bedrock:us-east-1:1:inference-profile/x", "aws.bedrock"),
        ("openai/gpt-4o", "openai"), ("anthropic/claude-3", "anthropic"), ("models/gemini-2.5-pro", "gcp.gen_ai"),
        ("claude-sonnet-4-5", "anthropic"), ("gpt-5", "openai"), ("o3", "openai"), ("o4-mini", "openai"),
        ("olmo-7b", None),
        ("text-embedding-3-small", "openai"), ("grok-4", "x_ai"), ("codestral-latest", "mistral_ai"),
        ("command-r", "cohere"),
        ("deepseek-chat", "deepseek"), ("sonar-pro", "perplexity"), ("kimi-k2", "moonshot_ai"),
        ("meta-llama/Llama-3.3", None),
        ("sonnet-prod", None),
    ],
)  # fmt: skip
def test_a_model_tells_its_vendor(model: str, expected: str | None) -> None:
    assert vendor_of_model(model) == expected


@pytest.mark.parametrize(
    "spelling",
    [
        "claude-sonnet-4-5", "Claude-Sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5", "claude-sonnet-4-5@20250929",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "publishers/anthropic/models/claude-sonnet-4-5@20250929",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
    ],
)  # fmt: skip
def test_spellings_of_one_model_compare_equal(spelling: str) -> None:
    assert comparable(spelling) == "claude-sonnet-4-5"


def test_different_models_do_not() -> None:
    names = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "gpt-5-mini", "o3", "o3-mini"]
    assert len({comparable(name) for name in names}) == len(names)


@given(
    st.dictionaries(
        st.sampled_from(["input", "output", "input_cached_tokens", "output_reasoning", "total"]),
        st.integers(0, 10_000),
        min_size=1,
    )
)
def test_langfuse_buckets_never_hold_more_than_their_sum(buckets: dict[str, int]) -> None:
    counts = exact_counts(buckets) or {}
    assert counts.get(INPUT, 0) <= sum(n for k, n in buckets.items() if k.startswith("input"))
    assert counts.get(OUTPUT, 0) <= sum(n for k, n in buckets.items() if k.startswith("output"))


@pytest.mark.parametrize("members", [{}, {"cost": 1}, {"usage": {"input": 1}}])
def test_an_object_of_no_vendor_is_no_usage(members: dict[str, object]) -> None:
    assert exact_counts(members) is None


def test_members_may_be_objects_as_text() -> None:
    nested = {"prompt_tokens": 10, "prompt_tokens_details": json.dumps({"cached_tokens": 4})}
    assert (exact_counts(nested) or {})["gen_ai.usage.cache_read.input_tokens"] == 4
