"""Warns where the order of components breaks a promise; follows connectors from pipeline to pipeline.

Redact before anything is stored; normalise before pricing; price and count before sampling, from all traffic; refuse
before any work is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from collector.config.document import Node
from collector.config.model import Pipeline
from collector.config.parts import Part
from collector.config.pipelines import Parts, feeds
from collector.config.places import mark_of
from collector.config.report import Report
from collector.config.sentences import Path

_PROMISES: Final = (
    ("redaction", "tail_sampling", "tail_sampling keeps spans that are not redacted yet"),
    ("genai", "llm_cost", "llm_cost prices only what genai has normalised"),
    ("genai", "llm_metrics", "llm_metrics counts only what genai has normalised"),
    ("llm_cost", "llm_metrics", "llm_metrics counts only what llm_cost has priced"),
    ("llm_cost", "tail_sampling", "tail_sampling decides without knowing what a trace costs"),
    ("llm_metrics", "tail_sampling", "llm_metrics counts only the traces that tail_sampling kept"),
)
"""(what comes first, what comes later, what happens otherwise)."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """A place in a pipeline that data passes."""

    type: str
    path: Path


def tell_order(root: Node, pipelines: Mapping[str, Pipeline], parts: Parts, report: Report) -> None:
    """Warn of every promise that is broken. `pipelines` MUST have no circles and name defined components only."""
    ways = _Ways(pipelines, parts)
    for name in pipelines:
        passed = ways.before(name)
        for stop in ways.stops(name):
            for first, later, consequence in _PROMISES:
                if stop.type == first and later in passed:
                    text = f"{first} stands after {later}: {consequence}"
                    report.odd(mark_of(root, stop.path), stop.path, text)
            passed = passed | {stop.type}
    for path in ways.stored_unredacted():
        report.wrong(mark_of(root, path), path, _UNREDACTED)
    for path in [*ways.late_limiters(), *ways.stored_too_early()]:
        report.odd(mark_of(root, path), path, _WHY[str(path[3])])


_WHY: Final = {
    "processors": "memory_limiter does not stand first: data is worked on before it is refused",
    "exporters": "data leaves here before redaction, which only follows behind a connector of this pipeline",
}


_UNREDACTED: Final = (
    "expected redaction before what is stored on disk, found none in front of this; buffer.allow_unredacted_storage: "
    "true stores the data as it came"
)


def _stores(part: Part | None) -> bool:
    """Say whether a processor keeps what it holds on disk, and nobody said that this may be unredacted."""
    buffer = (part.settings or {}).get("buffer") if part else None
    if not isinstance(buffer, Mapping) or not buffer.get("storage"):
        return False
    return not buffer.get("allow_unredacted_storage")


class _Ways:
    def __init__(self, pipelines: Mapping[str, Pipeline], parts: Parts) -> None:
        self._pipelines = pipelines
        self._parts = parts
        self._feeds = [
            (source, target)
            for source, _, target in feeds(pipelines, parts["connectors"])
            if pipelines[source].signal is pipelines[target].signal
        ]

    def _type(self, kind: str, name: str) -> str:
        part = self._parts[kind].get(name)  # type: ignore[index] # callers pass kinds
        return part.type.type if part else ""

    def stops(self, pipeline: str) -> Iterator[_Stop]:
        """Yield what data meets in a pipeline: processors, then connectors."""
        lists = self._pipelines[pipeline]
        for i, name in enumerate(lists.processors):
            yield _Stop(
                self._type("processors", name), ("service", "pipelines", pipeline, "processors", i)
            )
        for i, name in enumerate(lists.exporters):
            if name in self._parts["connectors"]:
                yield _Stop(
                    self._type("connectors", name),
                    ("service", "pipelines", pipeline, "exporters", i),
                )

    def before(self, pipeline: str) -> frozenset[str]:
        """Return the types that data may have passed when it enters a pipeline."""
        passed: frozenset[str] = frozenset()
        for source, target in self._feeds:
            if target == pipeline:
                passed |= self.before(source) | {stop.type for stop in self.stops(source)}
        return passed

    def late_limiters(self) -> Iterator[Path]:
        for name, pipeline in self._pipelines.items():
            for i, part in enumerate(pipeline.processors[1:], 1):
                if self._type("processors", part) == "memory_limiter":
                    yield ("service", "pipelines", name, "processors", i)

    def stored_unredacted(self) -> Iterator[Path]:
        """Yield processors that store what no redaction can have seen."""
        for name, pipeline in self._pipelines.items():
            passed = self.before(name)
            for i, one in enumerate(pipeline.processors):
                if _stores(self._parts["processors"].get(one)) and "redaction" not in passed:
                    yield ("service", "pipelines", name, "processors", i)
                passed |= {self._type("processors", one)}

    def stored_too_early(self) -> Iterator[Path]:
        """Yield exporters beside a connector behind which redaction comes only."""
        for source, target in self._feeds:
            if "redaction" in self._all(source) or "redaction" not in self._all(target):
                continue
            for i, part in enumerate(self._pipelines[source].exporters):
                if part in self._parts["exporters"]:
                    yield ("service", "pipelines", source, "exporters", i)

    def _all(self, pipeline: str) -> frozenset[str]:
        return self.before(pipeline) | {stop.type for stop in self.stops(pipeline)}
