"""What a component refuses when it is built is told where it was written."""

from __future__ import annotations

import pytest

from collector.config.build import build_component, try_pure
from collector.config.document import parse
from collector.config.model import GraphConfig, Loaded
from collector.config.report import Mark, Report
from collector.config.settings import resolve
from collector.errors import ConfigError
from collector.registry import components, schema_of
from processors.errors import InvalidConfig
from processors.ports import Context

WRITTEN = """processors:
  redaction/x:
    blocked_values: ['a(b']
"""


def unchecked(written: dict[str, object]) -> Loaded:
    """A redaction processor whose settings fit the schema and were not checked beyond it."""
    settings = resolve(schema_of(components("processors")["redaction"].schema), written)
    parts = {"processors": {"redaction/x": settings}, "connectors": {}}
    config = GraphConfig(components=parts, pipelines={})  # type: ignore[arg-type] # the kinds that are built
    document = parse(WRITTEN, Mark("f.yaml", 1, 1), Report())
    return Loaded(config=config, warnings=(), sources=(), document=document)


def test_a_refusal_carries_the_whole_path() -> None:
    loaded = unchecked({"allow_all_keys": True, "blocked_values": ["a(b"]})
    with pytest.raises(InvalidConfig) as caught:
        build_component(loaded.config, "processors", "redaction/x", Context(id="redaction/x"))
    assert caught.value.path == "processors.redaction/x.blocked_values[0]"


def test_a_refusal_is_told_where_it_was_written() -> None:
    with pytest.raises(ConfigError) as caught:
        try_pure(unchecked({"allow_all_keys": True, "blocked_values": ["a(b"]}), secret=None)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("f.yaml", 3, 22)
    assert problem.path == "processors.redaction/x.blocked_values[0]"


def test_what_can_be_built_is_no_problem() -> None:
    try_pure(unchecked({"allow_all_keys": True}), secret=None)
