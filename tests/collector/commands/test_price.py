"""`otelcol-llm price` and `otelcol-llm models` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.commands.models import models
from collector.commands.price import price
from collector.errors import ConfigError

OWN = """
schema: 1
catalog: {id: acme, revision: "7", base: none}
providers: [{id: shop, multiplier: 0.5, regions: {eu: 1.1}}]
models:
  - provider: acme
    match: m[1]
    prices:
      - {until: 2026-01-01, rates: {input: 9}}
      - from: 2026-02-01
        rates: {input: 1, output: 4, cache_read: 0.1}
        tiers: [{above: 1000, rates: {input: 2, output: 8, cache_read: 0.2}}]
        fees: {web_search: 0.01}
        variants: [{when: {service_tier: [flex]}, multiplier: 0.5}]
        windows: [{utc: ["01:00-02:00"], multiplier: 3}]
  - {provider: shop, match: {glob: "copy-*"}, same_as: "acme/m[1]", multiplier: 0.8}
  - {provider: acme, match: bare, prices: [{rates: {input: 1}}]}
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "pricing.yaml"
    path.write_text(OWN, "utf-8")
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(price, arguments, catch_exceptions=False)


def lines(text: str) -> dict[str, str]:
    """Return what a printed table says, by its first words."""
    rows = [line.strip().split("  ", 1) for line in text.splitlines() if "  " in line.strip()]
    return {name.strip(): " ".join(rest.split()) for name, rest in rows}


def test_a_price_of_the_base_data_is_explained() -> None:
    result = run(
        "--model", "gpt-4o-2024-08-06", "--input", "2006", "--cache-read", "1920", "--output", "300"
    )
    assert result.exit_code == 0
    said = lines(result.output)
    assert said["provider"] == "openai (told by the model's name)"
    assert said["model"] == "openai/gpt-4o"
    assert said["source"].startswith("base, genai-prices/0.2")
    assert said["fresh input"] == "86 2.5 0.000215"
    assert said["read from cache"] == "1,920 1.25 0.0024"
    assert said["total"] == "0.005615"


def test_every_step_of_an_own_price_is_told(own: str) -> None:
    result = run(
        *("--pricing", own, "--provider", "shop", "--model", "copy-1", "--at", "2026-06-01T12:00Z"),
        *("--input", "1100", "--cache-write", "100", "--output", "10", "--web-searches", "2"),
        *("--service-tier", "flex", "--region", "eu", "--speed", "fast"),
    )
    said = lines(result.output)
    assert said["model"] == "acme/m[1]"
    assert said["found by"] == "pattern (copy-1)"
    assert said["source"].startswith("overlay, acme@7+sha256:")
    assert said["at"] == "2026-06-01 12:00:00 UTC"
    assert said["in force since"] == "2026-02-01"
    assert said["tier"] == "above 1,000 tokens of input"
    assert said["variant"] == "service_tier=flex,region=eu"
    assert (said["region factor"], said["model factor"], said["provider factor"]) == (
        "1.1",
        "0.8",
        "0.5",
    )
    assert said["not priced"] == "speed: the usual price is taken"
    assert said["fresh input"] == "1,000 0.44 0.00044"  # 2 x 0.5 x 1.1 x 0.8 x 0.5
    assert said["written to cache (at the input rate)"].startswith("100 0.44 ")
    assert said["web searches"] == "2 0.01 each 0.02"


def test_the_answer_comes_as_json_too(own: str) -> None:
    result = run(
        "--pricing",
        own,
        "--provider",
        "acme",
        "--model",
        "M[1]",
        "--at",
        "2026-06-01",
        "--input",
        "10",
        "--json",
    )
    answer = json.loads(result.output)
    assert answer["cost_usd"] == "0.00001"
    assert answer["model"] == "acme/m[1]"
    assert answer["at"] == "2026-06-01 UTC"
    assert answer["lines"] == [{"what": "input", "amount": "10", "usd": "0.00001"}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--provider", "openai", "--model", "gpt-5-mni"],
            "openai has no model 'gpt-5-mni'. Near: gpt-5-mini",
        ),
        (["--provider", "nimbus", "--model", "x"], "unknown_provider. Nothing tells who sells 'x'"),
        (["--model", "no-such-thing"], "unknown_provider."),
    ],
)
def test_without_a_price_the_reason_is_told(arguments: list[str], said: str) -> None:
    result = run(*arguments, "--input", "1")
    assert result.exit_code == 1
    assert said in result.output


def test_a_date_or_a_token_without_a_price_is_told(own: str) -> None:
    of = ("--pricing", own, "--provider", "acme")
    gap = run(*of, "--model", "m[1]", "--input", "1", "--at", "2026-01-15")
    assert "no_rate. 'm[1]' of acme has no price at 2026-01-15 UTC." in gap.output
    bare = run(*of, "--model", "bare", "--input", "1", "--output", "1")
    assert "no_rate. acme/bare has no rate for a kind of token that was used." in bare.output
    as_json = run(*of, "--model", "bare", "--input", "1", "--output", "1", "--json")
    assert (json.loads(as_json.output), as_json.exit_code) == (
        {"cost_usd": None, "reason": "no_rate"},
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected --model NAME, or --check FILE"),
        (["--model", "gpt-4o"], "expected --input or --output, got neither"),
        (
            ["--model", "gpt-4o", "--input", "1", "--image-in", "5"],
            "the parts of the usage do not fit",
        ),
        (
            ["--model", "gpt-4o", "--input", "1", "--at", "yesterday"],
            "expected a date such as 2026-08-17",
        ),
        (["--model", "gpt-4o", "--input", "-1"], "-1 is not in the range"),
    ],
)
def test_a_wrong_question_is_a_usage_error(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(price, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_images_alone_are_a_usage(own: str) -> None:
    result = run("--pricing", own, "--provider", "acme", "--model", "bare", "--images", "2")
    assert lines(result.output)["total"] == "0"


def test_check_tells_what_looks_wrong_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "pricing.yaml"
    path.write_text(OWN.replace("input: 9", "input: 9.0000000000001"), "utf-8")
    result = run("--check", str(path))
    assert result.exit_code == 0
    assert f"{path}:9:44" in result.output
    assert "rounded half-even" in result.output
    assert result.output.endswith(f"{path}: 3 models, 1 provider, 1 to look at.\n")
    path.write_text(OWN, "utf-8")
    assert "nothing to look at" in run("--check", str(path)).output


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        (("input: 9", "imput: 9"), ":9:37", "did you mean 'input'?"),
        (("acme/m[1]", "acme/m2"), ":16:", "got 'acme/m2', which nothing prices"),
        (("schema: 1", "schema: [1"), ":", "expected"),
        (
            ("models:", "models:\n  - {provider: acme, match: m}"),
            ":",
            "needs its prices, or same_as",
        ),
    ],
)
def test_check_tells_mistakes_with_their_place(
    tmp_path: Path, change: tuple[str, str], place: str, said: str
) -> None:
    path = tmp_path / "pricing.yaml"
    path.write_text(OWN.replace(*change), "utf-8")
    with pytest.raises(ConfigError) as refused:
        run("--check", str(path))
    assert f"{path}{place}" in str(refused.value)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        run("--check", "nowhere.yaml")


def listed(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments, catch_exceptions=False)


def test_models_are_listed_by_part_or_pattern() -> None:
    out = listed("sonnet-4-5").output
    assert "anthropic/claude-sonnet-4-5 " in out
    assert "web_search 0.01 each" in out
    assert "openai/" not in listed("anthropic/*").output
    names = [row["name"] for row in json.loads(listed("openai/gpt-4o*", "--json").output)]
    assert "openai/gpt-4o" in names
    assert all(name.startswith("openai/gpt-4o") for name in names)


def test_own_prices_are_listed_with_their_factors(own: str) -> None:
    rows = {row["name"]: row for row in json.loads(listed("--pricing", own, "--json").output)}
    copy = rows["shop/copy-*"]
    assert copy["rates"] == {
        "input": "0.8",
        "output": "3.2",
        "cache_read": "0.08",
        "cache_write": "",
    }
    assert copy["notes"].startswith("as acme/m[1], x 0.8, above 1,000 tokens other rates")
    assert rows["acme/m[1]"]["since"] == "2026-02-01"
    assert "times of day, service_tier=flex" in rows["acme/m[1]"]["notes"]
    assert "m[1]" in listed("--pricing", own).output


def test_no_match_is_told() -> None:
    result = listed("no-such-model")
    assert result.exit_code == 1
    assert "No model matches 'no-such-model'." in result.output
