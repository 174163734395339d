"""Every component type there is: one table per kind, type → `ComponentType`.

Adding a component is one import and one row; a component is found by its config type, the name of its module or folder.
Other people's components come from the entry-point group `otelcol_llm.components`: each entry point loads to a
`ComponentType`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

from collector import connectors, memory_limiter
from collector.exporters import debug, file, otlp_grpc, otlp_http, prometheus
from collector.extensions import file_storage, freshness, health_check
from collector.receivers import otlp
from processors import attributes, batching, genai, llm_cost, llm_metrics, redaction, tail_sampling
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


BUILT_IN: Final[tuple[ComponentType, ...]] = (
    ComponentType(
        kind="receivers",
        type="otlp",
        schema="collector/receivers/otlp/schema.json",
        build=otlp.build,
        check=otlp.check,
    ),
    ComponentType(
        kind="processors",
        type="memory_limiter",
        schema="collector/memory_limiter.schema.json",
        build=memory_limiter.build,
        check=memory_limiter.check,
    ),
    ComponentType(
        kind="processors",
        type="attributes",
        schema="processors/attributes.schema.json",
        build=attributes.build_attributes,
    ),
    ComponentType(
        kind="processors",
        type="batch",
        schema="processors/batching.schema.json",
        build=batching.build,
    ),
    ComponentType(
        kind="processors",
        type="resource",
        schema="processors/resource.schema.json",
        build=attributes.build_resource,
    ),
    ComponentType(
        kind="extensions",
        type="health_check",
        schema="collector/extensions/health_check.schema.json",
        build=health_check.build,
    ),
    ComponentType(
        kind="extensions",
        type="file_storage",
        schema="collector/extensions/file_storage/schema.json",
        build=file_storage.build,
        check=file_storage.check,
    ),
    ComponentType(
        kind="extensions",
        type="freshness",
        schema="collector/extensions/freshness/schema.json",
        build=freshness.build,
        check=freshness.check,
    ),
    ComponentType(
        kind="connectors",
        type="forward",
        schema="collector/forward.schema.json",
        build=connectors.build_forward,
        emits=frozenset(Signal),
    ),
    ComponentType(
        kind="processors",
        type="genai",
        schema="processors/genai/schema.json",
        build=genai.build,
        check=genai.check,
        signals=genai.Genai.signals,
    ),
    ComponentType(
        kind="processors",
        type="llm_cost",
        schema="processors/llm_cost/schema.json",
        build=llm_cost.build,
        check=llm_cost.check,
        signals=llm_cost.LlmCost.signals,
    ),
    ComponentType(
        kind="processors",
        type="redaction",
        schema="processors/redaction/schema.json",
        build=redaction.build,
        check=redaction.check,
    ),
    ComponentType(
        kind="processors",
        type="tail_sampling",
        schema="processors/tail_sampling/schema.json",
        build=tail_sampling.build,
        check=tail_sampling.check,
        signals=tail_sampling.TailSampling.signals,
    ),
    ComponentType(
        kind="exporters",
        type="otlp_grpc",
        aliases=("otlp",),
        schema="collector/exporters/otlp_grpc.schema.json",
        build=otlp_grpc.build,
        check=otlp_grpc.check,
    ),
    ComponentType(
        kind="exporters",
        type="otlp_http",
        aliases=("otlphttp",),
        schema="collector/exporters/otlp_http.schema.json",
        build=otlp_http.build,
        check=otlp_http.check,
    ),
    ComponentType(
        kind="exporters",
        type="file",
        schema="collector/exporters/file.schema.json",
        build=file.build,
        check=file.check,
    ),
    ComponentType(
        kind="exporters",
        type="debug",
        schema="collector/exporters/debug.schema.json",
        build=debug.build,
    ),
    ComponentType(
        kind="connectors",
        type="llm_metrics",
        schema="processors/llm_metrics/schema.json",
        build=llm_metrics.build,
        check=llm_metrics.check,
        signals=llm_metrics.LlmMetrics.signals,
        emits=frozenset((Signal.METRICS,)),
    ),
    ComponentType(
        kind="exporters",
        type="prometheus",
        schema="collector/exporters/prometheus/schema.json",
        build=prometheus.build,
        check=prometheus.check,
        signals=prometheus.PrometheusExporter.signals,
    ),
)


@cache
def components(kind: Kind) -> Mapping[str, ComponentType]:
    """Return the component types of a kind by every name they answer to."""
    foreign = [point.load() for point in entry_points(group="otelcol_llm.components")]
    return {
        name: component
        for component in (*BUILT_IN, *foreign)
        if component.kind == kind
        for name in (component.type, *component.aliases)
    }
