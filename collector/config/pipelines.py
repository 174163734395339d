"""Checks how pipelines connect components: everything named is defined, fits, and leads somewhere."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, TypeAlias

from collector.config.document import Node
from collector.config.model import Pipeline
from collector.config.parts import KINDS, Part
from collector.config.places import mark_of
from collector.config.report import Report
from collector.config.sentences import Path, did_you_mean, nearest
from collector.registry import Kind
from processors.batch import Signal

Parts: TypeAlias = Mapping[Kind, Mapping[str, Part | None]]

SIGNALS: Final[Mapping[str, Signal]] = {signal.label: signal for signal in Signal}
_ROLES: Final[Mapping[str, tuple[Kind, ...]]] = {
    "receivers": ("receivers", "connectors"),
    "processors": ("processors",),
    "exporters": ("exporters", "connectors"),
}
"""Which kinds may stand in which list of a pipeline."""
_VERBS: Final = {"receivers": "gives", "processors": "works on", "exporters": "takes"}


def check_pipelines(
    root: Node, written: Mapping[str, Any], unclear: Container[str], parts: Parts, report: Report
) -> dict[str, Pipeline]:
    """Return the pipelines; everything wrong with them is told. `unclear`: those with problems told before."""
    checker = _Checker(root, parts, report)
    pipelines = {}
    for name, lists in written.items():
        signal = checker.signal_of(name)
        if signal is not None and name not in unclear:
            named = {role: tuple(lists[role]) for role in _ROLES}
            pipelines[name] = Pipeline(signal=signal, **named)
    for name, pipeline in pipelines.items():
        checker.check_lists(name, pipeline)
    if len(pipelines) == len(written):
        checker.check_connectors(pipelines)
        checker.check_circles(pipelines)
    if not written and not report.problems:
        path = ("service", "pipelines")
        report.wrong(mark_of(root, path), path, "expected at least one pipeline, got none")
    return pipelines


def check_extensions(root: Node, names: Sequence[str], parts: Parts, report: Report) -> None:
    """Tell which of `service.extensions` are not defined, and which extensions components name that do not run."""
    for i, name in enumerate(names):
        if name not in parts["extensions"]:
            path: Path = ("service", "extensions", i)
            text = f"{name!r} is used here but not defined under extensions"
            text += did_you_mean(name, parts["extensions"])
            report.wrong(mark_of(root, path), path, text)
    used = [part for kind in KINDS for part in parts[kind].values() if part]
    for path, name in (item for part in used for item in part.extensions.items()):
        if name not in names:
            text = f"expected an extension that is listed under service.extensions, got {name!r}"
            report.wrong(mark_of(root, path), path, text + did_you_mean(name, names))


def tell_unused(
    root: Node,
    pipelines: Iterable[Pipeline],
    extensions: Sequence[str],
    parts: Parts,
    report: Report,
) -> None:
    """Warn of components that are defined and do not run."""
    used = {name for p in pipelines for name in (*p.receivers, *p.processors, *p.exporters)}
    for kind in KINDS:
        where = "service.extensions" if kind == "extensions" else "any pipeline"
        for name, part in parts[kind].items():
            if part and name not in (extensions if kind == "extensions" else used):
                mark = mark_of(root, (kind, name), at_key=True)
                report.odd(mark, (kind, name), f"this is defined but not used in {where}")


def feeds(
    pipelines: Mapping[str, Pipeline], connectors: Iterable[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield (pipeline, connector, pipeline) for every way data takes from one pipeline to another."""
    for connector in connectors:
        for source, before in pipelines.items():
            for target, after in pipelines.items():
                if connector in before.exporters and connector in after.receivers:
                    yield source, connector, target


def _leads(part: Part, source: Signal, target: Signal) -> bool:
    """Say whether a connector turns one signal into another; those that change nothing keep the signal."""
    takes, gives = part.type.signals, part.type.emits or part.type.signals
    return source is target if takes == gives else source in takes and target in gives


def _signals(part: Part, role: str) -> frozenset[Signal]:
    """Return the signals of the pipelines in which a component may stand under `role`."""
    gives = part.kind == "connectors" and role == "receivers"
    return (part.type.emits if gives else None) or part.type.signals


class _Checker:
    def __init__(self, root: Node, parts: Parts, report: Report) -> None:
        self._root = root
        self._parts = parts
        self._report = report

    def _wrong(self, path: Path, text: str, *, at_key: bool = False) -> None:
        self._report.wrong(mark_of(self._root, path, at_key=at_key), path, text)

    def signal_of(self, name: str) -> Signal | None:
        """Return the signal in a pipeline's id."""
        label = name.partition("/")[0]
        if label not in SIGNALS:
            text = f"expected traces, metrics or logs, or one of them with /name, got {name!r}"
            text += did_you_mean(label, SIGNALS)
            self._wrong(("service", "pipelines", name), text, at_key=True)
        return SIGNALS.get(label)

    def check_lists(self, name: str, pipeline: Pipeline) -> None:
        """Tell what is missing, undefined, named twice or made for other signals."""
        path: Path = ("service", "pipelines", name)
        for role in _ROLES:
            listed: tuple[str, ...] = getattr(pipeline, role)
            if not listed and role != "processors":
                self._wrong((*path, role), f"expected at least one of the {role}, got none")
            for i, part in enumerate(listed):
                self._check_use((*path, role, i), role, part, pipeline.signal)
                if part in listed[:i]:
                    text = f"expected each of the {role} once, got {part!r} again"
                    self._wrong((*path, role, i), text)

    def _check_use(self, path: Path, role: str, name: str, signal: Signal) -> None:
        found = [kind for kind in _ROLES[role] if name in self._parts[kind]]
        if not found and not self._misspelt(role, name):
            text = f"{name!r} is used here but not defined under {role}"
            self._wrong(path, text + self._hint(role, name))
        if len(found) > 1:
            both = " and ".join(found)
            self._wrong(path, f"expected one component called {name!r}, got one each under {both}")
        elif found:
            self._check_signal(path, role, self._parts[found[0]][name], signal)

    def _misspelt(self, role: str, name: str) -> bool:
        """Say whether the definition is there with a misspelt type, which was told."""
        unknown = [
            n for kind in _ROLES[role] for n, part in self._parts[kind].items() if part is None
        ]
        return bool(nearest(name, unknown))

    def _hint(self, role: str, name: str) -> str:
        elsewhere = [kind for kind in KINDS if name in self._parts[kind]]
        if elsewhere:
            return f"; it is defined under {elsewhere[0]}"
        return did_you_mean(name, [n for kind in _ROLES[role] for n in self._parts[kind]])

    def _check_signal(self, path: Path, role: str, part: Part | None, signal: Signal) -> None:
        if part is None:
            return  # its type is unknown, which was told
        fit = _signals(part, role)
        if signal not in fit:
            words = " and ".join(s.label for s in Signal if s in fit)
            self._wrong(path, f"{part.id!r} {_VERBS[role]} {words}, not {signal.label}")

    def check_connectors(self, pipelines: Mapping[str, Pipeline]) -> None:
        """Tell connectors that data enters and does not leave, or the other way round."""
        for name, part in self._parts["connectors"].items():
            if part is not None:
                self._check_ends(name, part, pipelines)

    def _check_ends(self, name: str, part: Part, pipelines: Mapping[str, Pipeline]) -> None:
        into = {id_: p.signal for id_, p in pipelines.items() if name in p.exporters}
        out_of = {id_: p.signal for id_, p in pipelines.items() if name in p.receivers}
        for id_, source in into.items():
            led_on = any(_leads(part, source, target) for target in out_of.values())
            if source in _signals(part, "exporters") and not led_on:
                self._dead_end(id_, name, pipelines[id_].exporters, "exporters", "receiver")
        for id_, target in out_of.items():
            fed = any(_leads(part, source, target) for source in into.values())
            if target in _signals(part, "receivers") and not fed:
                self._dead_end(id_, name, pipelines[id_].receivers, "receivers", "exporter")

    def _dead_end(
        self, pipeline: str, name: str, listed: Sequence[str], role: str, other: str
    ) -> None:
        """Contains the Collector's sentence."""
        text = (
            f"connector {name!r} used as {role[:-1]} in [{pipeline}] pipeline but not used in any"
            f" supported {other} pipeline"
        )
        self._wrong(("service", "pipelines", pipeline, role, listed.index(name)), text)

    def check_circles(self, pipelines: Mapping[str, Pipeline]) -> None:
        """Tell when data would run in a circle."""
        ways: dict[str, set[str]] = {}
        for source, connector, target in feeds(pipelines, self._parts["connectors"]):
            ways.setdefault(f"pipeline {source}", set()).add(f"connector {connector}")
            ways.setdefault(f"connector {connector}", set()).add(f"pipeline {target}")
        try:
            TopologicalSorter(ways).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            first = next(n.removeprefix("pipeline ") for n in circle if n.startswith("pipeline "))
            text = f"expected data to leave, but it runs in a circle: {' → '.join(circle)}"
            self._wrong(("service", "pipelines", first), text, at_key=True)
