"""Whole configurations: everything that is wrong is told with its place, everything right arrives."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cli import render
from collector.config.load import load
from collector.config.model import Loaded, Telemetry
from collector.errors import ConfigError
from processors.batch import Signal
from processors.errors import InvalidConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "config"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))

VALID: dict[str, Any] = {
    "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
    "processors": {
        "redaction/strict": {"allow_all_keys": True, "blocked_values": ["4[0-9]{15}"]},
        "tail_sampling": {
            "decision_wait": "10s",
            "policies": [
                {"name": "slow", "type": "latency", "latency": {"threshold_ms": 5000}},
                {"name": "all", "type": "always_sample"},
            ],
        },
    },
    "connectors": {"forward": None},
    "exporters": {"otlp": {"endpoint": "127.0.0.1:4317", "tls": {"insecure": True}}, "debug": {}},
    "service": {
        "telemetry": {"logs": {"level": "warn"}, "metrics": {"level": "none"}},
        "pipelines": {
            "traces/in": {
                "receivers": ["otlp"],
                "processors": ["redaction/strict"],
                "exporters": ["forward", "debug"],
            },
            "traces/out": {
                "receivers": ["forward"],
                "processors": ["tail_sampling"],
                "exporters": ["otlp"],
            },
        },
    },
}


def loaded(config: Any, **options: Any) -> Loaded:
    return load([f"yaml:{yaml.safe_dump(config, sort_keys=False)}"], env={}, **options)


@pytest.mark.parametrize("name", CASES)
def test_every_problem_is_told_with_its_line_and_column(name: str) -> None:
    with contextlib.chdir(GOLDEN):
        try:
            problems = load([f"{name}.yaml"], env={}).warnings
        except ConfigError as error:
            problems = error.problems
    assert render(problems) + "\n" == (GOLDEN / f"{name}.txt").read_text()


def test_a_valid_configuration_arrives_resolved() -> None:
    config = loaded(VALID).config
    assert list(config.components["processors"]) == ["redaction/strict", "tail_sampling"]
    assert config.components["processors"]["tail_sampling"]["decision_wait"] == 10_000_000_000
    assert config.components["connectors"] == {"forward": {}}
    assert config.pipelines["traces/out"].signal is Signal.TRACES
    assert config.pipelines["traces/in"].exporters == ("forward", "debug")
    assert (config.telemetry.log_level, config.telemetry.metrics_level) == ("warn", "none")


def test_equal_files_make_equal_configurations() -> None:
    assert loaded(VALID).config == loaded(VALID).config


def test_parts_that_did_not_change_compare_equal() -> None:
    before = loaded(VALID).config
    after = loaded(VALID, sets=("processors.tail_sampling.decision_wait=20s",)).config
    changed = [
        (kind, name)
        for kind, parts in after.components.items()
        for name, part in parts.items()
        if before.components[kind][name] != part
    ]
    assert (changed, before.pipelines == after.pipelines) == (
        [("processors", "tail_sampling")],
        True,
    )


def test_components_that_no_pipeline_uses_do_not_run_and_are_told() -> None:
    result = loaded(VALID, sets=("exporters.debug/spare={}",))
    assert "debug/spare" not in result.config.components["exporters"]
    assert [w.text for w in result.warnings] == ["this is defined but not used in any pipeline"]


def test_telemetry_of_the_collectors_form_is_understood() -> None:
    reader = {"pull": {"exporter": {"prometheus": {"host": "0.0.0.0", "port": 9999}}}}  # noqa: S104
    telemetry = {
        "logs": {"encoding": "json", "output_paths": ["stdout"]},
        "metrics": {"level": "detailed", "readers": [reader]},
        "resource": {"service.name": "sidecar", "shard": 3, "host.name": None},
    }
    service = {**VALID["service"], "telemetry": telemetry}
    result = loaded({**VALID, "service": service})
    assert result.config.telemetry == Telemetry(
        log_encoding="json",
        metrics_level="detailed",
        metrics_host="0.0.0.0",  # noqa: S104
        metrics_port=9999,
        resource={"service.name": "sidecar", "shard": "3"},
    )
    assert [w.text for w in result.warnings] == [
        "this has no effect here: logs go to standard error"
    ]


def test_without_readers_no_metrics_are_served() -> None:
    service = {**VALID["service"], "telemetry": {"metrics": {"readers": []}}}
    assert loaded({**VALID, "service": service}).config.telemetry.metrics_level == "none"


def test_feature_gates_are_turned_on_and_off() -> None:
    gate = "otelcol_llm.tail_sampling.contrib_quirks"
    assert loaded(VALID, gates=[f"+{gate}"]).config.gates == {gate}
    assert loaded(VALID, gates=[gate, f"-{gate}"]).config.gates == frozenset()


def test_an_unknown_feature_gate_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="no such feature gate; did you mean"):
        loaded(VALID, gates=["otelcol_llm.tail_sampling.contrib_quirk"])


def test_a_password_of_digits_stays_a_text(tmp_path: Path) -> None:
    exporter = {"endpoint": "127.0.0.1:1", "headers": {"authorization": "${env:TOKEN}"}}
    config = {**VALID, "exporters": {**VALID["exporters"], "otlp": exporter}}
    result = load([f"yaml:{yaml.safe_dump(config, sort_keys=False)}"], env={"TOKEN": "0123"})
    headers = result.config.components["exporters"]["otlp"]["headers"]
    assert (headers["authorization"], repr(headers)) == ("0123", "{'authorization': [REDACTED]}")


def test_an_extension_that_settings_name_must_run() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(VALID, sets=("exporters.otlp.sending_queue.storage=file_storage/x",))
    told = [
        p.text for p in caught.value.problems if p.path == "exporters.otlp.sending_queue.storage"
    ]
    assert (
        "expected an extension that is listed under service.extensions, got 'file_storage/x'"
        in told
    )


def test_a_late_refusal_is_told_where_it_was_written() -> None:
    refusal = InvalidConfig("processors.redaction/strict.blocked_values[0]", "no")
    problem = loaded(VALID).problem(refusal)
    assert (problem.file, problem.line, problem.column) == ("--config yaml", 10, 7)


def test_a_secret_is_in_no_message() -> None:
    for pair in (
        "exporters.otlp.headers.authorization=[hunter2]",
        "exporters.otlp.headers.authorization=!hunter hunter2",
        "exporters.otlp.hmac_key=hunter2",
        "exporters.otlp.headers={authorization: hunter2, more: 4711}",
    ):
        with pytest.raises(ConfigError) as caught:
            loaded(VALID, sets=(pair,))
        assert "hunter2" not in str(caught.value)
        assert "4711" not in str(caught.value)


def keys_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = []
    items = enumerate(value) if isinstance(value, list) else ()
    for key, item in value.items() if isinstance(value, dict) else items:
        if isinstance(value, dict):
            found.append((*path, key))
        found += keys_of(item, (*path, key))
    return found


def with_typo(value: Any, path: tuple[Any, ...], typo: str) -> Any:
    if isinstance(value, list):
        return [
            with_typo(item, path[1:], typo) if i == path[0] else item
            for i, item in enumerate(value)
        ]
    if len(path) > 1:
        return {k: with_typo(v, path[1:], typo) if k == path[0] else v for k, v in value.items()}
    return {typo if key == path[0] else key: item for key, item in value.items()}


@st.composite
def typos(draw: st.DrawFn) -> tuple[tuple[Any, ...], str]:
    """A key of the valid configuration with one letter left out, doubled or replaced."""
    path = draw(st.sampled_from(keys_of(VALID)))
    key: str = path[-1]
    at = draw(st.integers(1, len(key.partition("/")[0]) - 1))
    return path, draw(
        st.sampled_from(
            (key[:at] + key[at + 1 :], key[:at] + "zq" + key[at:], key[:at] + "Q" + key[at + 1 :])
        )
    )


@settings(max_examples=150, deadline=None)
@given(typos())
def test_any_misspelt_key_is_exactly_one_problem_that_names_it(
    case: tuple[tuple[Any, ...], str],
) -> None:
    path, typo = case
    with pytest.raises(ConfigError) as caught:
        loaded(with_typo(VALID, path, typo))
    problems = [problem for problem in caught.value.problems if not problem.warning]
    assert [problem.path.endswith(typo) for problem in problems] == [True]


PLACES = keys_of(VALID)
TEXTS = st.sampled_from(["", "otlp", "1s", "a b", "${env:X}", "$$", "4(", "0", "always_sample"])
KEYS = st.sampled_from(["name", "type", "otlp", "latency", "", "grpc", "a.b", "policies"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, list):
        return [replaced(v, path[1:], new) if i == path[0] else v for i, v in enumerate(value)]
    return {k: replaced(v, path[1:], new) if k == path[0] else v for k, v in value.items()}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLACES), ANYTHING)
def test_anything_anywhere_loads_or_is_told(path: tuple[Any, ...], new: Any) -> None:
    with contextlib.suppress(ConfigError):
        loaded(replaced(VALID, path, new))
