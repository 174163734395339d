"""Which pipelines a receiver or connector feeds, and who behind them must have room before a request enters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from collector.config.model import GraphConfig
from collector.intake import Fits, Room, Route
from collector.made import Made
from collector.pipeline import Pipeline
from processors.batch import Signal


class Routes:
    """Of one graph."""

    def __init__(self, config: GraphConfig, made: Made, pipelines: Mapping[str, Pipeline]) -> None:
        """`pipelines` may still be filled: those behind a pipeline MUST be there before it is asked for."""
        self._config = config
        self._exporters = made.exporters
        self._connectors = made.connectors
        self._pipelines = pipelines

    def fed_by(self, source: str, signal: Signal) -> Iterator[Pipeline]:
        """Yield the pipelines of a signal that name a receiver or connector as where their data comes from."""
        for pipeline_id, config in self._config.pipelines.items():
            if config.signal is signal and source in config.receivers:
                yield self._pipelines[pipeline_id]

    def of(self, receiver: str) -> dict[Signal, Route]:
        """Return where a receiver's requests enter, by signal."""
        fed = {signal: list(self.fed_by(receiver, signal)) for signal in Signal}
        return {signal: self._route(pipelines) for signal, pipelines in fed.items() if pipelines}

    def _route(self, pipelines: list[Pipeline]) -> Route:
        """Collect who must have room for what enters these pipelines.

        An exporter behind a stage that holds data back need not have room now: there the backlog of the pipeline tells.
        """
        on_the_way = list(self._reachable(pipelines))
        names = Counter(
            name
            for pipeline in self._reachable(pipelines, at_once=True)
            for name in self._config.pipelines[pipeline.id].exporters
            if name in self._exporters
        )
        exporters: list[Any] = [self._exporters[name] for name in names]
        return Route(
            pipelines,
            [room for pipeline in on_the_way for room in _rooms(pipeline)],
            [exporter.room for exporter in exporters],
            [fits for pipeline in on_the_way for fits in _fits(pipeline)],
            [_crowded(exporter) for exporter in exporters],
            in_portions=not all(map(self._is_blind, on_the_way)),
            unproved=all(map(_begins_with_proof, pipelines)),
            bounded=[
                (exporter, times)
                for exporter, times in zip(exporters, names.values(), strict=True)
                if hasattr(exporter, "fits")
            ],
        )

    def _reachable(
        self, pipelines: Iterable[Pipeline], *, at_once: bool = False
    ) -> Iterator[Pipeline]:
        """Yield these pipelines and those behind them; `at_once`: up to the first stage that holds data back."""
        for pipeline in pipelines:
            if at_once and any(getattr(each.processor, "holds", False) for each in pipeline.stages):
                continue
            yield pipeline
            for name in self._config.pipelines[pipeline.id].exporters:
                if name in self._connectors and getattr(self._connectors[name], "mutates", False):
                    behind = self.fed_by(name, pipeline.signal)
                    yield from self._reachable(behind, at_once=at_once)

    def _is_blind(self, pipeline: Pipeline) -> bool:
        """Whether nothing in a pipeline looks inside its batches."""
        stages = (stage.processor for stage in pipeline.stages)
        return all(getattr(each, "blind", False) for each in (*stages, *self._behind(pipeline)))

    def _behind(self, pipeline: Pipeline) -> list[Any]:
        """Return the exporters and connectors that a pipeline leads to."""
        known = {**self._exporters, **self._connectors}
        return [known[name] for name in self._config.pipelines[pipeline.id].exporters]


def _rooms(pipeline: Pipeline) -> Iterator[Room]:
    yield pipeline.backlog.room
    for stage in pipeline.stages:
        if hasattr(stage.processor, "room"):
            yield stage.processor.room


def _begins_with_proof(pipeline: Pipeline) -> bool:
    """Whether the first stage that looks inside a batch proves texts when it hands them on."""
    stages = (stage.processor for stage in pipeline.stages)
    first = next((each for each in stages if not getattr(each, "blind", False)), None)
    return bool(getattr(first, "proves", False))


def _fits(pipeline: Pipeline) -> Iterator[Fits]:
    for stage in pipeline.stages:
        if hasattr(stage.processor, "fits"):
            yield stage.processor.fits


def _crowded(exporter: Any) -> Callable[[], bool]:
    """Return what says whether `room` would refuse or wait; one without a word for it never waits."""
    known: Callable[[], bool] | None = getattr(exporter, "crowded", None)
    return known or (lambda: exporter.room() is not None)
