"""How a graph takes the place of another one: on a reload, and at the start, when there is none before it.

Receivers are opened while the old graph still serves; their requests wait. `take_over` is the swap, under the gate's
lock; then the old graph is retired. Until the swap nothing has changed that is not put back. What is read from disk
before it, and what is emptied after it, goes in turns with requests.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from collector.component import Receiver
from collector.errors import StartError, starting
from collector.graph import Graph
from collector.turns import in_turns

_RELEASE_S: Final = 2.0
"""How long an old receiver may take to free the port that its successor needs."""

RECEIVERS_SHARE: Final = 0.25
"""Of the time to stop, what requests in flight get."""


def open_receivers(graph: Graph, previous: Graph | None = None) -> None:
    """Start the receivers that were not carried over; their requests wait for `take_over`.

    A receiver that replaces one on the same port can only start when that has stopped; when it fails even then, the
    old one is started again. Raises: `StartError`, with those started here stopped.
    """
    started: list[Receiver] = []
    try:
        for name, receiver in graph.receivers.items():
            if id(receiver) not in graph.made.carried:
                with starting(f"receivers.{name}"):
                    _start_receiver(graph, name, previous)
                started.append(receiver)
    except StartError:
        for receiver in started:
            receiver.stop(0.0)
        raise


def _start_receiver(graph: Graph, name: str, previous: Graph | None) -> None:
    receiver, intake = graph.receivers[name], graph.intakes[name]
    try:
        receiver.start(intake)
    except StartError:
        if previous is None or name not in previous.receivers:
            raise
        previous.receivers[name].stop(_RELEASE_S)
        try:
            receiver.start(intake)
        except StartError:
            _reopen(previous, name)
            raise


def _reopen(graph: Graph, name: str) -> None:
    """Start a stopped receiver again, from its settings."""
    graph.receivers[name] = graph.made.build("receivers", name)
    graph.receivers[name].start(graph.intakes[name])


def take_over(graph: Graph, previous: Graph | None = None) -> None:
    """Make it the graph that requests enter, with the state of changed processors of `previous`."""
    in_turns(graph.state.gate, _restore(graph, previous))
    with graph.state.gate.lock:
        if previous is not None:
            _adopt(graph, previous)
        for name, intake in graph.intakes.items():
            before = previous.intakes.get(name) if previous else None
            if before is not None:  # a receiver that is replaced finishes what it reads
                before.redirect(graph.routes.of(name))
            if before is not None and id(graph.receivers[name]) in graph.made.carried:
                graph.intakes[name] = before
            else:
                intake.open()


def _restore(graph: Graph, previous: Graph | None) -> Iterator[bool]:
    """Let processors that are new go on where an ended process was; nothing enters them yet."""
    now_ns = graph.state.gate.clock.now_ns()
    for pipeline_id, pipeline in graph.pipelines.items():
        for stage in pipeline.stages:
            known = previous is not None and previous.stage(pipeline_id, stage.id)
            if not known and hasattr(stage.processor, "restore"):
                for _ in stage.processor.restore(now_ns):
                    yield False


def _adopt(graph: Graph, previous: Graph) -> None:
    """Give what was changed the state of what it replaces."""
    for pipeline_id, pipeline in graph.pipelines.items():
        for stage in pipeline.stages:
            old = previous.stage(pipeline_id, stage.id)
            if old is not None and old is not stage:
                _inherit(graph, stage.processor, old.processor)
    for name, connector in graph.connectors.items():
        predecessor = previous.connectors.get(name)
        if predecessor is not None and predecessor is not connector:
            _inherit(graph, connector, predecessor)
    for name in graph.connector_stages.keys() & previous.connector_stages.keys():
        graph.connector_stages[name].flow = previous.connector_stages[name].flow


def _inherit(graph: Graph, heir: Any, predecessor: Any) -> None:
    adopt = getattr(heir, "adopt", None)
    if adopt is not None:
        adopt(predecessor)
        graph.made.carried.add(id(predecessor))


def stop_receivers(receivers: Iterable[Receiver], deadline_s: float) -> None:
    """Let requests in flight end within their share of the time to stop.

    One sender that is slow, or has vanished, uses up all of it, and would leave none for data that was acknowledged.
    What was not is sent again.
    """
    until = time.monotonic() + deadline_s * RECEIVERS_SHARE
    for receiver in receivers:
        receiver.stop(max(0.0, until - time.monotonic()))


def retire(graph: Graph, successor: Graph, deadline_s: float) -> None:
    """Stop what the successor did not carry over: receivers, held data, exporters, extensions.

    What found no room waits on in the pipeline of the same name: an exporter that was carried over may be full for
    longer than the deadline.
    """
    until = time.monotonic() + deadline_s

    def is_retired(component: object) -> bool:
        return id(component) not in successor.made.carried

    stop_receivers(filter(is_retired, graph.receivers.values()), deadline_s)
    graph.close_pipelines(is_retired)
    with graph.state.gate.lock:
        for pipeline_id in graph.pipelines.keys() & successor.pipelines.keys():
            successor.pipelines[pipeline_id].adopt(graph.pipelines[pipeline_id])
    graph.drain(max(0.0, until - time.monotonic()))
    for component in (*graph.exporters.values(), *reversed(graph.extensions.values())):
        if is_retired(component):
            component.stop(max(0.0, until - time.monotonic()))


def abandon(graph: Graph) -> None:
    """Stop what was started for a graph that never took over."""
    for component in (*graph.exporters.values(), *graph.extensions.values()):
        if id(component) not in graph.made.carried:
            component.stop(0.0)
