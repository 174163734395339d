"""The components of one configuration: built from their settings, or carried over from the configuration before.

A component whose settings are equal is carried over with its state; a processor, if it also stands in the pipeline of
the same name. Nothing is started here, and nothing is wired: that is the graph's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from collector import logs
from collector.component import Exporter, Extension, Receiver, Storage, storage_of
from collector.config.build import build_component
from collector.config.model import GraphConfig
from collector.pipeline import Stage
from collector.registry import Kind
from collector.state import State
from processors.errors import InvalidConfig
from processors.ports import Context, Store


class Made:
    """Every component, by kind and id; a processor has a stage in each pipeline that names it."""

    def __init__(self, config: GraphConfig, state: State, previous: Made | None = None) -> None:
        """Raises: `InvalidConfig`, `StartError` (a key file cannot be read)."""
        self._config = config
        self._state = state
        self.carried: set[int] = set()
        """Identities of the components that were taken over from `previous`."""
        self._keep_storages(previous)
        self.extensions: dict[str, Extension] = self._make("extensions", previous)
        self.exporters: dict[str, Exporter] = self._make("exporters", previous)
        self.connectors: dict[str, Any] = self._make("connectors", previous)
        self.receivers: dict[str, Receiver] = self._make("receivers", previous)
        self.stages: dict[tuple[str, str], Stage] = {
            (pipeline, name): self._make_stage(pipeline, name, previous)
            for pipeline, lists in config.pipelines.items()
            for name in lists.processors
        }
        """By the ids of pipeline and processor."""

    def build(self, kind: Kind, name: str, pipeline: str = "") -> Any:
        """Build one component from its settings. Raises: `InvalidConfig`, `StartError`."""
        return build_component(self._config, kind, name, self._context(name, pipeline))

    def _keep_storages(self, previous: Made | None) -> None:
        """Refuse to change a storage that runs: others use its files now. Raises: `InvalidConfig`."""
        for name, extension in previous.extensions.items() if previous else ():
            if isinstance(extension, Storage) and not self._unchanged("extensions", name, previous):
                text = "expected the same settings as before: a storage changes only with a restart"
                raise InvalidConfig(f"extensions.{name}", text)

    def _make(self, kind: Kind, previous: Made | None) -> dict[str, Any]:
        return {
            name: self._carry(getattr(previous, kind)[name])
            if self._unchanged(kind, name, previous)
            else self.build(kind, name)
            for name in self._config.components.get(kind, {})
        }

    def _make_stage(self, pipeline: str, name: str, previous: Made | None) -> Stage:
        old = previous.stages.get((pipeline, name)) if previous else None
        if old is None or not self._unchanged("processors", name, previous):
            return Stage(name, self.build("processors", name, pipeline))
        self._carry(old.processor)
        return old

    def _carry(self, component: Any) -> Any:
        self.carried.add(id(component))
        return component

    def _unchanged(self, kind: Kind, name: str, previous: Made | None) -> bool:
        """Whether a component was there before with the settings it has now."""
        if previous is None:
            return False
        before = previous._config.components.get(kind, {}).get(name)
        return before is not None and before == self._config.components.get(kind, {}).get(name)

    def _context(self, name: str, pipeline: str) -> Context:
        return Context(
            id=name,
            gates=self._config.gates,
            decisions=self._state.decisions,
            open_store=partial(self._open_store, pipeline),
            extension=self._extension,
            shared=partial(_shared, self._state.shared, name),
            say=logs.say,
            ready=self._state.obstacle,
            secret=self._state.secret,
        )

    def _extension(self, name: str) -> Any:
        if name not in self.extensions:
            raise LookupError(
                f"expected an extension that is listed under service.extensions, got {name!r}"
            )
        return self.extensions[name]

    def _open_store(self, pipeline: str, extension: str, component: str) -> Store:
        """Return the store of a processor; in every pipeline it is another one, as the processor is."""
        storage = storage_of(self._extension(extension), extension)
        store: Store = storage.open(f"{component}@{pipeline}", self._state.gate.tickets)
        return store


def _shared(
    store: dict[tuple[str, str], Any], component: str, key: str, make: Callable[[], Any]
) -> Any:
    if (component, key) not in store:
        store[component, key] = make()
    return store[component, key]
