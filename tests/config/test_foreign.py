"""Components of other people: what their checks say arrives, and their types may clash with ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from collector import connectors, registry
from collector.config.load import load
from collector.errors import ConfigError
from collector.registry import ComponentType, Settings, components
from processors.errors import Finding, InvalidConfig
from processors.ports import Context


def refuse(settings: Settings, context: Context) -> Iterable[Finding]:
    raise InvalidConfig("", "expected better weather")


FOREIGN = (
    ComponentType(
        kind="processors",
        type="weather",
        schema="collector/forward.schema.json",
        build=connectors.build_forward,
        check=refuse,
    ),
    ComponentType(
        kind="connectors",
        type="debug",
        schema="collector/forward.schema.json",
        build=connectors.build_forward,
    ),
)


@pytest.fixture(autouse=True)
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "BUILT_IN", (*registry.BUILT_IN, *FOREIGN))
    components.cache_clear()
    yield
    monkeypatch.undo()
    components.cache_clear()


def problems(written: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load([f"yaml:{written}"], env={})
    return [(problem.path, problem.text) for problem in caught.value.problems]


def test_a_check_that_raises_is_told_like_one_that_returns() -> None:
    told = problems(
        "{receivers: {otlp: {protocols: {grpc: }}}, processors: {weather: }, exporters: {debug: },"
        " service: {pipelines: {traces: {receivers: [otlp], processors: [weather], exporters: [debug]}}}}"
    )
    assert told == [("processors.weather", "expected better weather")]


def test_an_id_that_is_an_exporter_and_a_connector_is_refused() -> None:
    told = problems(
        "{receivers: {otlp: {protocols: {grpc: }}}, connectors: {debug: }, exporters: {debug: },"
        " service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}}"
    )
    assert (
        "service.pipelines.traces.exporters[0]",
        "expected one component called 'debug', got one each under exporters and connectors",
    ) in told
