"""Builds single components from a configuration, and tries all that can be built without touching anything."""

from __future__ import annotations

from typing import Any, Final

from collector.config.model import GraphConfig, Loaded, component_type
from collector.errors import ConfigError
from collector.registry import Kind, components
from processors.errors import InvalidConfig
from processors.ports import Context

_PURE: Final[tuple[Kind, ...]] = ("processors", "connectors")


def build_component(config: GraphConfig, kind: Kind, name: str, context: Context) -> Any:
    """Build a component. Raises: `InvalidConfig`, with the path from the top of the configuration; `StartError`."""
    settings = config.components[kind][name]
    try:
        return components(kind)[component_type(name)].build(settings, context)
    except InvalidConfig as error:
        raise InvalidConfig(f"{kind}.{name}.{error.path}".removesuffix("."), error.text) from error


def try_pure(loaded: Loaded, secret: bytes | None) -> None:
    """Build every processor and connector once; `secret` as in `Context`.

    Raises: `ConfigError` with what their own checks missed.
    """
    problems = []
    for kind in _PURE:
        for name in loaded.config.components[kind]:
            try:
                context = Context(id=name, gates=loaded.config.gates, secret=secret)
                build_component(loaded.config, kind, name, context)
            except InvalidConfig as error:
                problems.append(loaded.problem(error))
    if problems:
        raise ConfigError([*problems, *loaded.warnings])
