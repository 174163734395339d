"""Every component type there is: one table per kind, type → `ComponentType`.

Adding a component is one row; a component is found by its config type, the name of its module or folder. It is imported
when a configuration names it: all of them take a third of the CPU time of a start.
Other people's components come from the entry-point group `otelcol_llm.components`: each entry point loads to a
`ComponentType`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

from processors.batch import Signal
from processors.errors import Finding
from processors.ports import Context

Kind: TypeAlias = Literal["receivers", "processors", "connectors", "exporters", "extensions"]
Settings: TypeAlias = Mapping[str, Any]
"""A component's configuration after `collector.config`: schema-checked, defaults filled in, durations in nanoseconds,
sizes in bytes."""


def _nothing(settings: Settings, context: Context) -> Iterable[Finding]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentType:
    """How a component is described and built."""

    kind: Kind
    type: str
    schema: str
    """Where the JSON Schema is: `package/file.json`. The only place of defaults and descriptions."""
    build: Callable[[Settings, Context], Any]
    """Make the component. Pure for processors and connectors. Raises: `InvalidConfig`."""
    check: Callable[[Settings, Context], Iterable[Finding]] = _nothing
    """Say everything that is wrong or odd about the settings beyond the schema. Pure."""
    signals: frozenset[Signal] = frozenset(Signal)
    aliases: tuple[str, ...] = ()
    """Other spellings of the type."""
    emits: frozenset[Signal] = frozenset()
    """For connectors: the signals of the pipelines they feed."""


@cache
def schema_of(where: str) -> dict[str, Any]:
    """Load a component's schema. `where` is `package/file.json`; a definition may be another file of that kind."""
    package, _, name = where.rpartition("/")
    loaded: dict[str, Any] = json.loads(
        files(package.replace("/", ".")).joinpath(name).read_text("utf-8")
    )
    definitions = loaded.get("$defs", {})
    for key, definition in definitions.items():
        if definition.get("$ref", "").endswith(".json"):
            definitions[key] = schema_of(definition["$ref"])
    return loaded


@dataclass(frozen=True, slots=True)
class Late:
    """A function of a module that is imported when it is called."""

    where: str
    """`module:name`, as entry points are written."""

    def __call__(self, settings: Settings, context: Context) -> Any:
        return self.function()(settings, context)

    def function(self) -> Callable[[Settings, Context], Any]:
        """Import it."""
        module, _, name = self.where.partition(":")
        function: Callable[[Settings, Context], Any] = getattr(import_module(module), name)
        return function


BUILT_IN: Final[tuple[ComponentType, ...]] = (
    ComponentType(
        kind="receivers",
        type="otlp",
        schema="collector/receivers/otlp/schema.json",
        build=Late("collector.receivers.otlp:build"),
        check=Late("collector.receivers.otlp:check"),
    ),
    ComponentType(
        kind="processors",
        type="memory_limiter",
        schema="collector/memory_limiter.schema.json",
        build=Late("collector.memory_limiter:build"),
        check=Late("collector.memory_limiter:check"),
    ),
    ComponentType(
        kind="processors",
        type="attributes",
        schema="processors/attributes.schema.json",
        build=Late("processors.attributes:build_attributes"),
    ),
    ComponentType(
        kind="processors",
        type="batch",
        schema="processors/batching.schema.json",
        build=Late("processors.batching:build"),
    ),
    ComponentType(
        kind="processors",
        type="resource",
        schema="processors/resource.schema.json",
        build=Late("processors.attributes:build_resource"),
    ),
    ComponentType(
        kind="extensions",
        type="health_check",
        schema="collector/extensions/health_check.schema.json",
        build=Late("collector.extensions.health_check:build"),
        check=Late("collector.extensions.health_check:check"),
    ),
    ComponentType(
        kind="extensions",
        type="file_storage",
        schema="collector/extensions/file_storage/schema.json",
        build=Late("collector.extensions.file_storage:build"),
        check=Late("collector.extensions.file_storage:check"),
    ),
    ComponentType(
        kind="extensions",
        type="freshness",
        schema="collector/extensions/freshness/schema.json",
        build=Late("collector.extensions.freshness:build"),
        check=Late("collector.extensions.freshness:check"),
    ),
    ComponentType(
        kind="connectors",
        type="forward",
        schema="collector/forward.schema.json",
        build=Late("collector.connectors:build_forward"),
        emits=frozenset(Signal),
    ),
    ComponentType(
        kind="processors",
        type="genai",
        schema="processors/genai/schema.json",
        build=Late("processors.genai:build"),
        check=Late("processors.genai:check"),
        signals=frozenset((Signal.TRACES, Signal.LOGS)),
    ),
    ComponentType(
        kind="processors",
        type="llm_cost",
        schema="processors/llm_cost/schema.json",
        build=Late("processors.llm_cost:build"),
        check=Late("processors.llm_cost:check"),
        signals=frozenset((Signal.TRACES, Signal.LOGS)),
    ),
    ComponentType(
        kind="processors",
        type="redaction",
        schema="processors/redaction/schema.json",
        build=Late("processors.redaction:build"),
        check=Late("processors.redaction:check"),
    ),
    ComponentType(
        kind="processors",
        type="tail_sampling",
        schema="processors/tail_sampling/schema.json",
        build=Late("processors.tail_sampling:build"),
        check=Late("processors.tail_sampling:check"),
        signals=frozenset((Signal.TRACES,)),
    ),
    ComponentType(
        kind="exporters",
        type="otlp_grpc",
        aliases=("otlp",),
        schema="collector/exporters/otlp_grpc.schema.json",
        build=Late("collector.exporters.otlp_grpc:build"),
        check=Late("collector.exporters.otlp_grpc:check"),
    ),
    ComponentType(
        kind="exporters",
        type="otlp_http",
        aliases=("otlphttp",),
        schema="collector/exporters/otlp_http.schema.json",
        build=Late("collector.exporters.otlp_http:build"),
        check=Late("collector.exporters.otlp_http:check"),
    ),
    ComponentType(
        kind="exporters",
        type="file",
        schema="collector/exporters/file.schema.json",
        build=Late("collector.exporters.file:build"),
        check=Late("collector.exporters.file:check"),
    ),
    ComponentType(
        kind="exporters",
        type="debug",
        schema="collector/exporters/debug.schema.json",
        build=Late("collector.exporters.debug:build"),
    ),
    ComponentType(
        kind="connectors",
        type="llm_metrics",
        schema="processors/llm_metrics/schema.json",
        build=Late("processors.llm_metrics:build"),
        check=Late("processors.llm_metrics:check"),
        emits=frozenset((Signal.METRICS,)),
    ),
    ComponentType(
        kind="exporters",
        type="prometheus",
        schema="collector/exporters/prometheus/schema.json",
        build=Late("collector.exporters.prometheus:build"),
        check=Late("collector.exporters.prometheus:check"),
        signals=frozenset((Signal.METRICS,)),
    ),
)


@cache
def components(kind: Kind) -> Mapping[str, ComponentType]:
    """Return the component types of a kind by every name they answer to."""
    return {
        name: component
        for component in (*BUILT_IN, *_foreign())
        if component.kind == kind
        for name in (component.type, *component.aliases)
    }


@cache
def _foreign() -> Sequence[ComponentType]:
    """Return what other packages bring: looking at all that are installed takes 5 ms."""
    return [point.load() for point in entry_points(group="otelcol_llm.components")]
