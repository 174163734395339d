"""From command-line arguments to a checked configuration, or to everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from collector.config.document import Node, unwrap
from collector.config.expand import Expander
from collector.config.gates import gates_on
from collector.config.model import GraphConfig, Loaded, Pipeline, Telemetry, ids_of
from collector.config.order import tell_order
from collector.config.parts import KINDS, check_parts, tell
from collector.config.pipelines import Parts, check_extensions, check_pipelines, tell_unused
from collector.config.places import texts_of
from collector.config.repair import repair
from collector.config.report import Report
from collector.config.settings import examine
from collector.config.sources import gather
from collector.registry import Kind, schema_of
from processors.ports import Context

SCHEMA: Final = "collector/config/configuration.schema.json"
_ROUNDS: Final = 5
"""Below a misspelt key, misspelt keys are found after the first is repaired; this deep at most."""


def load(
    sources: Sequence[str],
    sets: Sequence[str] = (),
    gates: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    secret: bytes | None = None,
) -> Loaded:
    """Load the configuration that `--config`, `--set` and `--feature-gates` ask for.

    `sources`: files, or `file:`, `env:` and `yaml:` URIs; later ones win. `env`: the environment unless given.
    `secret`: the key for hashing that the program has where the configuration names none.
    Raises: `ConfigError` with all problems and warnings.
    """
    report = Report()
    expander = Expander(os.environ if env is None else env, report)
    root = gather(sources, sets, expander, report)
    report.stop_if_incomplete()
    context = Context(id="", gates=gates_on(gates, report), secret=secret)
    config = _check(root, context, report)
    report.finish()
    return Loaded(
        config=config,
        warnings=tuple(sorted(report.warnings)),
        sources=tuple(expander.sources.values()),
        document=root,
    )


def _check(root: Node, context: Context, report: Report) -> GraphConfig:
    root, service, unclear = _structure(root, report)
    parts = check_parts(root, context, report)
    extensions: list[str] = service["extensions"]
    pipelines = check_pipelines(root, service["pipelines"], unclear, parts, report)
    check_extensions(root, extensions, parts, report)
    if not report.problems:
        tell_unused(root, pipelines.values(), extensions, parts, report)
        tell_order(root, pipelines, parts, report)
    return GraphConfig(
        components=_used(parts, pipelines, extensions),
        pipelines=pipelines,
        extensions=tuple(extensions),
        telemetry=_telemetry(service["telemetry"]),
        gates=context.gates,
    )


def _structure(root: Node, report: Report) -> tuple[Node, Mapping[str, Any], frozenset[str]]:
    """Return the configuration with its mistakes repaired, its `service`, and the pipelines that are unclear."""
    schema, unclear = schema_of(SCHEMA), set()
    for _ in range(_ROUNDS):
        examined = examine(schema, unwrap(root), texts_of(root), split_texts=False)
        tell(root, (), examined, report)
        if not examined.faults:
            break
        unclear |= {
            fault.path[2]
            for fault in examined.faults
            if fault.path[:2] == ("service", "pipelines")
            and len(fault.path) > 2
            and not (fault.at_key and fault.meant)
        }
        root = repair(root, examined.faults)
    else:
        report.finish()
    return root, examined.settings["service"], frozenset(map(str, unclear))


def _used(
    parts: Parts, pipelines: Mapping[str, Pipeline], extensions: Sequence[str]
) -> dict[Kind, dict[str, Mapping[str, Any]]]:
    named = ids_of(list(pipelines.values()))
    return {
        kind: {
            name: part.settings
            for name, part in parts[kind].items()
            if part
            and part.settings is not None
            and name in (extensions if kind == "extensions" else named)
        }
        for kind in KINDS
    }


def _telemetry(settings: Mapping[str, Any]) -> Telemetry:
    logs, metrics = settings["logs"], settings["metrics"]
    served = [reader["pull"]["exporter"]["prometheus"] for reader in metrics["readers"]]
    return Telemetry(
        log_level=logs["level"].lower(),
        log_encoding=logs["encoding"],
        metrics_level=metrics["level"] if served else "none",
        **(
            {"metrics_host": served[0]["host"], "metrics_port": served[0]["port"]} if served else {}
        ),
        resource={
            key: str(value) for key, value in settings["resource"].items() if value is not None
        },
    )
