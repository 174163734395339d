"""`otelcol-llm redact` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.commands.redact import redact
from collector.errors import ConfigError

TEXT = "Zoë, write to ann@example.com"


def run(*arguments: str, text: str = TEXT) -> Result:
    result = CliRunner().invoke(redact, arguments, input=text, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_it_shows_before_and_after() -> None:
    out = run().output
    assert TEXT in out
    assert "Zoë, write to [EMAIL]" in out
    assert "14-29" in out


def test_a_long_line_stays_one_line() -> None:
    text = "word " * 100 + "zoe@mail.example"
    out = run(text=text).output.splitlines()
    assert out[1] == text
    assert out[3] == "word " * 100 + "[EMAIL]"


def test_it_says_when_there_is_nothing() -> None:
    assert "Nothing was found." in run(text="fine").output


def test_json_has_offsets_in_characters() -> None:
    answer = json.loads(run("--json").output)
    assert answer["text"] == "Zoë, write to [EMAIL]"
    assert answer["spans"] == [{"start": 14, "end": 29, "type": "EMAIL", "confidence": 0.95}]


def test_lines_are_answered_with_lines() -> None:
    rows = "\n".join(json.dumps({"id": n, "text": text}) for n, text in enumerate((TEXT, "fine")))
    first, second = run("--jsonl", text=rows).output.splitlines()
    assert [span["type"] for span in json.loads(first)["spans"]] == ["EMAIL"]
    assert json.loads(second) == {"id": 1, "spans": []}


def test_the_key_is_context() -> None:
    assert "[PHONE]" not in run(text="2015550123").output
    assert "[PHONE]" in run("--key", "user.phone", text="2015550123").output


def test_it_reads_settings_and_whole_configurations(tmp_path: Path) -> None:
    settings = tmp_path / "redaction.yaml"
    settings.write_text("entities: [EMAIL]\naction: remove\npseudonym_keys: []\n")
    assert "Zoë, write to \n" in run("--config", str(settings)).output
    whole = tmp_path / "collector.yaml"
    whole.write_text(
        """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {redaction: {entities: [EMAIL], action: mask, pseudonym_keys: []}}
exporters: {debug: {}}
service: {pipelines: {traces: {receivers: [otlp], processors: [redaction], exporters: [debug]}}}
"""
    )
    assert "a**@*******.***" in run("--config", str(whole)).output


def test_a_broken_setting_is_told_as_the_collector_tells_it(tmp_path: Path) -> None:
    settings = tmp_path / "redaction.yaml"
    settings.write_text("entities: [EMIAL]\n")
    with pytest.raises(ConfigError, match="no such entity"):
        run("--config", str(settings))


def test_contribs_keys_alone_have_nothing_to_show(tmp_path: Path) -> None:
    settings = tmp_path / "redaction.yaml"
    settings.write_text("allow_all_keys: true\n")
    result = CliRunner().invoke(redact, ["--config", str(settings)], input=TEXT)
    assert result.exit_code == 2
    assert "contrib's keys alone" in result.output


def test_the_entities_are_listed() -> None:
    out = run("--list").output
    assert "CREDIT_CARD" in out
    assert "default" in out


def test_lines_that_are_no_requests_are_named_and_the_others_answered() -> None:
    lines = [
        '{"id":1}',
        "ann@example.com",
        "[]",
        "[" * 100_000,
        '{"id":2,"text":"ann@example.com"}',
    ]
    done = CliRunner().invoke(redact, ["--jsonl"], input="\n".join(lines), catch_exceptions=False)
    assert done.exit_code == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        f"line {number}" for number in (1, 2, 3, 4)
    ]
    assert json.loads(done.stdout)["spans"][0]["type"] == "EMAIL"
    assert "ann@example.com" not in done.stderr
