"""The running graph: the components of a configuration, wired. Built whole, started and stopped in one fixed order.

    receiver → intake → pipeline → exporter
                            └────→ connector → pipeline → …

Start: extensions, exporters, receivers last. Stop: receivers, then the pipelines are emptied in the order data flows,
then exporters, extensions last. Components are built, or carried over from the graph before, in `made`; how a new graph
takes the place of the old one is in `handover`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

from collector import logs
from collector.component import Exporter, Extension
from collector.config.model import GraphConfig
from collector.errors import StartError, starting
from collector.intake import GraphIntake
from collector.junction import branch, release, through
from collector.made import Made
from collector.outlet import Outlet
from collector.pipeline import Pipeline, Stage
from collector.routes import Routes
from collector.state import State
from collector.turns import in_turns
from processors.batch import Batch, Signal
from processors.stats import Stats

_LAST_COMMIT_S = 5.0
"""How long a pipeline that is closed waits for its disk."""


class Graph:
    """Everything of one configuration. Nothing runs before `start`."""

    def __init__(self, config: GraphConfig, state: State, previous: Graph | None = None) -> None:
        """Build every component. Raises: `InvalidConfig`, `StartError` (a key file cannot be read)."""
        self.config = config
        self.state = state
        self.made: Made = Made(config, state, previous.made if previous else None)
        self.extensions, self.exporters = self.made.extensions, self.made.exporters
        self.connectors, self.receivers = self.made.connectors, self.made.receivers
        self.connector_stages: dict[str, Stage] = {}
        self.pipelines: dict[str, Pipeline] = {}
        self.routes = Routes(config, self.made, self.pipelines)
        for pipeline_id in self._upstream_last():
            self.pipelines[pipeline_id] = self._make_pipeline(pipeline_id)
        self.intakes = {name: self._make_intake(name, previous) for name in self.receivers}
        self._expect()

    def _upstream_last(self) -> Iterable[str]:
        """Return pipeline ids so that a pipeline comes after every pipeline it feeds."""
        feeds = {
            name: [
                other
                for other, candidate in self.config.pipelines.items()
                if set(pipeline.exporters) & set(candidate.receivers) & set(self.connectors)
            ]
            for name, pipeline in self.config.pipelines.items()
        }
        return TopologicalSorter(feeds).static_order()

    def _make_pipeline(self, pipeline_id: str) -> Pipeline:
        config = self.config.pipelines[pipeline_id]
        stages = [self.made.stages[pipeline_id, name] for name in config.processors]
        outlets = [self._outlet(name) for name in config.exporters]
        return Pipeline(pipeline_id, config.signal, stages, outlets, self.state.gate.tickets)

    def _outlet(self, name: str) -> Outlet:
        """Return where an exporter id of a pipeline leads."""
        if name in self.exporters:
            return Outlet(self.exporters[name].export, False, name)
        connector = self.connectors[name]
        targets = {signal: list(self.routes.fed_by(name, signal)) for signal in Signal}
        stage = self._connector_stage(name)
        writes = getattr(connector, "mutates", False)
        to_some = partial(branch, stage, targets)
        return Outlet(partial(through, stage, targets), writes, name, to_some)

    def _connector_stage(self, name: str) -> Stage:
        """Return the place of a connector: one for all pipelines that feed it."""
        if name not in self.connector_stages:
            self.connector_stages[name] = Stage(name, self.connectors[name])
        return self.connector_stages[name]

    def _make_intake(self, name: str, previous: Graph | None) -> GraphIntake:
        """Return what counts on where the previous one is: a receiver that is replaced finishes what it reads."""
        before = previous.intakes.get(name) if previous else None
        return GraphIntake(self.state.gate, self.routes.of(name), before.stats if before else None)

    def _expect(self) -> None:
        """Let receivers and exporters show what they may count before they count it."""
        for name, receiver in self.receivers.items():
            self.intakes[name].expect(getattr(receiver, "transports", ()))
        for name, exporter in self.exporters.items():
            if hasattr(exporter, "expect"):
                pipelines = self.config.pipelines.values()
                exporter.expect({each.signal for each in pipelines if name in each.exporters})

    def stage(self, pipeline_id: str, name: str) -> Stage | None:
        """Return a processor's place in a pipeline."""
        return self.made.stages.get((pipeline_id, name))

    def start(self) -> None:
        """Start what was not carried over. Raises: `StartError`, with everything started here stopped again."""
        started: list[Extension | Exporter] = []
        try:
            for kind, table in (("extensions", self.extensions), ("exporters", self.exporters)):
                for name, component in table.items():
                    if id(component) not in self.made.carried:
                        with starting(f"{kind}.{name}"):
                            component.start()
                        started.append(component)
            self._open_stores()
        except StartError:
            for component in reversed(started):
                component.stop(0.0)
            raise

    def _open_stores(self) -> None:
        for pipeline in self.pipelines.values():
            for stage in pipeline.stages:
                processor = stage.processor
                if hasattr(processor, "open") and id(processor) not in self.made.carried:
                    with starting(f"processors.{stage.id}"):
                        processor.open()

    def sources(self) -> Iterator[tuple[str, Stats]]:
        """Yield every component's figures with its id."""
        for name, intake in self.intakes.items():
            yield name, intake.stats
        for table in (self.receivers, self.exporters, self.connectors, self.extensions):
            for name, component in table.items():
                yield name, component.stats
        for name, stage in self.connector_stages.items():
            yield name, _failures(stage)
        for pipeline in self.pipelines.values():
            yield pipeline.id, pipeline.stats
            for stage in pipeline.stages:
                yield stage.id, stage.processor.stats
                yield stage.id, stage.figures(pipeline)

    def tick(self) -> None:
        """Let everything release what is due."""
        in_turns(self.state.gate, self._tick())

    def _tick(self) -> Iterator[bool]:
        gate = self.state.gate
        for pipeline in self.pipelines.values():
            if pipeline.busy:
                while pipeline.tick(gate.clock.now_ns()) and not gate.draining:
                    yield False
        for name in self.connectors:
            while self._tick_connector(name) and not gate.draining:
                yield False
            yield False

    def _tick_connector(self, name: str) -> bool:
        """Let a connector release what is due; say whether it has more to do at once."""
        stage = self._connector_stage(name)
        now_ns = self.state.gate.clock.now_ns()
        self._pump(name, stage.released(stage.processor.tick(now_ns)))
        return stage.behind

    def _pump(self, name: str, batches: Iterable[Batch]) -> None:
        """Hand what a connector releases to the pipelines it feeds."""
        for batch in batches:
            release(batch, list(self.routes.fed_by(name, batch.signal)))

    def close_pipelines(self, only: Callable[[Any], bool] = lambda component: True) -> None:
        """Empty the stages and connectors that `only` selects into what stands behind them, first to last."""
        in_turns(self.state.gate, self._close(only))

    def _close(self, only: Callable[[Any], bool]) -> Iterator[bool]:
        for pipeline in reversed(self.pipelines.values()):
            yield from _emptied(pipeline, only)
            for name in self.config.pipelines[pipeline.id].exporters:
                if name in self.connectors and only(self.connectors[name]):
                    self._pump(name, self.connectors[name].close())

    def drain(self, deadline_s: float) -> None:
        """Wait until everything that was released found room and is safe there, or the time is up."""
        in_turns(self.state.gate, self._drain(time.monotonic() + deadline_s))
        for pipeline in self.pipelines.values():
            if pipeline.backlog.losing:
                logs.error(
                    "Released data found no room in time and is lost.",
                    pipeline=pipeline.id,
                    items=pipeline.backlog.losing,
                )

    def _drain(self, until: float) -> Iterator[bool]:
        """Hand on what waits, a batch of each pipeline a step; goes on while something finds room."""
        moved, pipelines = True, self.pipelines.values()
        while moved or time.monotonic() < until:
            moves = [pipeline.hand_on_oldest() for pipeline in pipelines]
            settled = [pipeline.settle() for pipeline in pipelines]
            if all(settled) and not any(pipeline.backlog.waiting for pipeline in pipelines):
                return
            moved = any(moves)
            yield not moved


def _emptied(pipeline: Pipeline, only: Callable[[Any], bool]) -> Iterator[bool]:
    """Close a pipeline step by step. One that has more, but lets nothing out, waits for its disk: not for ever."""
    out, since = -1, time.monotonic()
    while pipeline.close(only):
        quiet = pipeline.outgoing == out
        if not quiet:
            out, since = pipeline.outgoing, time.monotonic()
        elif time.monotonic() - since > _LAST_COMMIT_S:
            return
        yield quiet


def _failures(connector: Stage) -> Stats:
    """Return what failed in a connector; what went through it, the pipelines around it count."""
    stats = Stats()
    stats.counters["otelcol_llm_connector_failed_items_total",] = connector.flow.failed
    return stats
