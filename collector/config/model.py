"""What a checked configuration is: frozen values that compare equal when nothing changed, which is the reload diff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.config.document import Node
from collector.config.places import mark_of, steps
from collector.errors import Problem
from collector.registry import Kind
from processors.batch import Signal
from processors.errors import InvalidConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline: component ids in the order they were written."""

    signal: Signal
    receivers: tuple[str, ...]
    processors: tuple[str, ...] = ()
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """`service.telemetry`: the collector's own log and metrics."""

    log_level: str = "info"
    log_encoding: str = "console"
    metrics_level: str = "normal"
    """`none` serves no metrics at all."""
    metrics_host: str = "localhost"
    metrics_port: int = 8888
    resource: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphConfig:
    """A whole configuration, schema-checked and resolved (see `registry.Settings`)."""

    components: Mapping[Kind, Mapping[str, Mapping[str, Any]]]
    """Kind → component id (`type` or `type/name`) → settings. Only what some pipeline or `service.extensions` uses."""
    pipelines: Mapping[str, Pipeline]
    extensions: tuple[str, ...] = ()
    telemetry: Telemetry = field(default_factory=Telemetry)
    gates: frozenset[str] = frozenset()
    """Feature gates that are on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file the configuration was made of: a change of its content triggers a reload."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A checked configuration, what is odd about it, and the files it was made of."""

    config: GraphConfig
    warnings: tuple[Problem, ...]
    sources: tuple[Source, ...]
    document: Node = field(compare=False, repr=False)
    """What was read, with places."""

    def problem(self, error: InvalidConfig) -> Problem:
        """Say where what a component refused was written. `error.path` begins at the top of the configuration."""
        mark = mark_of(self.document, steps(self.document, error.path))
        return Problem(*mark, error.path, error.text)


def component_type(component_id: str) -> str:
    """Return the type in an id: `redaction/strict` → `redaction`."""
    return component_id.partition("/")[0]


def ids_of(pipelines: Sequence[Pipeline]) -> set[str]:
    """Return every component id that some pipeline names."""
    return {name for p in pipelines for name in (*p.receivers, *p.processors, *p.exporters)}
