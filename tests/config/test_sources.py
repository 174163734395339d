"""Expansion and merging: what reaches the checks, and from where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.config.document import MAX_BYTES, Node, unwrap
from collector.config.expand import Expander
from collector.config.places import mark_of, texts_of
from collector.config.report import Report
from collector.config.sources import gather

ENV = {
    "NUMBER": "42",
    "TEXT": "hello",
    "LIST": "[a, 1]",
    "ZEROS": "0123",
    "DOLLAR": "$$5",
    "INNER": "NUMBER",
    "NESTED": "x-${env:TEXT}",
    "LOOP": "${env:LOOP}",
    "INLINE_LOOP": "a${env:INLINE_LOOP}",
    "BROKEN": "a: [b",
    "CONFIG": "{a: {b: 1}}",
    "EMPTY": "",
}


def read(*configs: str, sets: tuple[str, ...] = ()) -> tuple[Node, Report]:
    report = Report()
    return gather(configs, sets, Expander(ENV, report), report), report


def value_of(written: str) -> Any:
    root, report = read(f"yaml:a: {written}")
    assert not report.problems
    return unwrap(root)["a"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${env:NUMBER}", 42),
        ("'${env:NUMBER}'", 42),
        ("${NUMBER}", 42),
        ("n=${env:NUMBER}", "n=42"),
        ("${env:LIST}", ["a", 1]),
        ("${env:LIST}!", "[a, 1]!"),
        ("${env:NOPE:-7}", 7),
        ("${env:NOPE:-}", None),
        ("${env:NUMBER:-7}", 42),
        ("x${env:NOPE:-7}y", "x7y"),
        ("${env:EMPTY:-7}", None),
        ("$$5", "$5"),
        ("$${env:TEXT}", "${env:TEXT}"),
        ("a$b$", "a$b$"),
        ("${env:DOLLAR}", "$5"),
        ("p${env:DOLLAR}", "p$5"),
        ("${env:${env:INNER}}", 42),
        ("${env:NESTED}", "x-hello"),
        ("['${env:NUMBER}', {b: '${env:TEXT}'}]", [42, {"b": "hello"}]),
        ("${env:BROKEN}", "a: [b"),
        ("${yaml:[1, 2]}", [1, 2]),
    ],
)
def test_expansions_become_what_their_text_means(written: str, value: Any) -> None:
    assert value_of(written) == value


def test_a_text_is_kept_for_where_text_is_wanted() -> None:
    root, _ = read("yaml:a: ${env:ZEROS}")
    assert (unwrap(root), texts_of(root)) == ({"a": 83}, {("a",): "0123"})


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (
            "${env:NOT A NAME}",
            "expected the name of an environment variable, got 'NOT A NAME'; write $$",
        ),
        ("${vault:x}", "expected ${env:…} or ${file:…}, got the scheme 'vault'"),
        ("${env:LOOP}", "expected at most 100 nested expansions, got more"),
        ("${env:INLINE_LOOP}", "expected at most 100 expansions in a value, got more"),
        ("${file:nowhere.yaml}", "expected the file nowhere.yaml, got: No such file"),
    ],
)
def test_what_cannot_be_expanded_is_told_with_its_path(written: str, says: str) -> None:
    _, report = read(f"yaml:a: ['{written}']")
    (problem,) = report.problems
    assert (problem.path, problem.text[: len(says)], report.incomplete) == ("a[0]", says, True)


def test_a_variable_that_is_not_set_is_empty_and_told() -> None:
    root, report = read("yaml:a: ${env:NOPE}")
    assert unwrap(root) == {"a": None}
    assert [(w.path, w.warning) for w in report.warnings] == [("a", True)]


def test_an_included_file_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "main.yaml").write_text("a: ${file:parts/one.yaml}\n")
    (tmp_path / "parts/one.yaml").write_text("# comment\nb: ${file:two.yaml}\n")
    (tmp_path / "parts/two.yaml").write_text("- x\n- {y: 1}\n")
    report = Report()
    expander = Expander({}, report)
    root = gather([str(tmp_path / "main.yaml")], [], expander, report)
    assert unwrap(root) == {"a": {"b": ["x", {"y": 1}]}}
    assert mark_of(root, ("a", "b", 1, "y")) == (str(tmp_path / "parts/two.yaml"), 2, 7)
    assert [Path(name).name for name in expander.sources] == ["main.yaml", "one.yaml", "two.yaml"]


def test_an_included_file_that_is_no_yaml_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_text("a: ${file:token}\nb: 'Bearer ${file:token}'\n")
    (tmp_path / "token").write_text("x: [$$\n")
    root, report = read(str(tmp_path / "main.yaml"))
    assert (unwrap(root)["a"], texts_of(root)["a",], report.problems) == ("x: [$$", "x: [$$", set())


def test_an_empty_included_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_text("a: ${file:b.yaml}\n")
    (tmp_path / "b.yaml").write_text("# nothing yet\n")
    assert unwrap(read(str(tmp_path / "main.yaml"))[0]) == {"a": None}


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_text("a: ${file:main.yaml}\n")
    _, report = read(str(tmp_path / "main.yaml"))
    assert "which includes itself" in sorted(report.problems)[0].text


@pytest.mark.parametrize(
    ("content", "line", "column", "found"),
    [
        (b"a: 1\nb: \xff\n", 2, 4, "the byte 0xff"),
        ("a: 1\nb: Gr\u00f6\u00dfe\n".encode("latin-1"), 2, 6, "the byte 0xf6"),
        ("# \u00f6\n\u00f6 ".encode() + b"\xff", 2, 3, "the byte 0xff"),
        ("a: 1\n".encode("utf-16"), 1, 1, "UTF-16"),
        ("\ufeffa: \u00f6\u00f6".encode() + b"\xff", 1, 6, "the byte 0xff"),
    ],
)
def test_bytes_that_are_no_utf8_are_told_with_their_place(
    tmp_path: Path, content: bytes, line: int, column: int, found: str
) -> None:
    (tmp_path / "main.yaml").write_bytes(content)
    _, report = read(str(tmp_path / "main.yaml"))
    (problem,) = report.problems
    assert (problem.line, problem.column) == (line, column)
    assert problem.text == f"expected UTF-8, got {found}; save the file as UTF-8"


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_bytes(b"#" * (MAX_BYTES - 1) + "\u00f6\n".encode())
    _, report = read(str(tmp_path / "main.yaml"))
    assert [problem.text for problem in report.problems] == ["expected at most 1 MiB, got more"]


def test_a_configuration_has_a_limited_number_of_expansions() -> None:
    _, report = read("yaml:a:\n" + "- ${env:NUMBER}\n" * 10_001)
    assert [p.text for p in report.problems] == ["expected at most 10000 expansions, got more"]


def test_later_sources_win_and_mappings_merge() -> None:
    root, _ = read(
        "yaml:{a: {b: 1, c: [1, 2]}}", "yaml:{a: {c: [3]}, d: 4}", sets=("a.b=2", "e.f=[x]")
    )
    assert unwrap(root) == {"a": {"b": 2, "c": [3]}, "d": 4, "e": {"f": ["x"]}}


def test_yaml_sources_take_the_collectors_double_colons() -> None:
    root, _ = read(
        "yaml:processors::batch::timeout: 2s", "yaml:processors::batch::send_batch_size: 5"
    )
    assert unwrap(root) == {"processors": {"batch": {"timeout": "2s", "send_batch_size": 5}}}


def test_a_source_can_be_an_environment_variable_or_a_file_uri(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("c: 2\n")
    root, _ = read("env:CONFIG", f"file:{tmp_path / 'x.yaml'}")
    assert unwrap(root) == {"a": {"b": 1}, "c": 2}


@pytest.mark.parametrize(
    ("configs", "sets", "says"),
    [
        (("http://x/y.yaml",), (), "expected a file, yaml:… or env:…, got http"),
        (("env:NOPE",), (), "expected a configuration in the environment variable NOPE, got none"),
        (("yaml:[1]",), (), "expected a mapping of receivers, processors …"),
        (("nowhere.yaml",), (), "expected the file nowhere.yaml, got: No such file"),
        ((), ("a.b",), "expected --set KEY=VALUE"),
        ((), ("a=[",), "expected YAML, got something else here"),
    ],
)
def test_what_cannot_be_read_is_told(
    configs: tuple[str, ...], sets: tuple[str, ...], says: str
) -> None:
    _, report = read(*configs, sets=sets)
    assert sorted(report.problems)[0].text.startswith(says)
    assert report.incomplete
