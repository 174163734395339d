"""Where a connector leads: what it hands on enters the pipelines behind it, and each of them takes a batch once.

Where some of these have no room, the connector says so to the pipeline before it. That one refuses the batch or keeps
it, as it would for an exporter. If it keeps it, only the rest is offered again: to the pipelines that had no room, from
the stage or the outlets where the batch got stuck. So nothing is delivered or counted twice, and there is one place
that keeps the batch, refuses what comes next and lets the sender wait.

Released batches have names, by which a durable queue knows what it has already. Behind a connector the name tells the
way, too: an exporter that several ways lead to gets a batch by each of them, and by none a second time after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from collector.backlog import Stuck, kept
from collector.outlet import Partly, Sink
from collector.pipeline import Pipeline, Stage
from processors.batch import Batch, Signal

_Left = tuple[Pipeline, Stuck]
_Targets = Mapping[Signal, Sequence[Pipeline]]


def branch(stage: Stage, targets: _Targets, only: frozenset[str]) -> Sink:
    """Return what leads through a connector to these pipelines alone; to all where none of them is there."""
    some = {
        signal: [pipeline for pipeline in behind if pipeline.id in only]
        for signal, behind in targets.items()
    }
    return partial(through, stage, some if any(some.values()) else targets)


def through(stage: Stage, targets: _Targets, batch: Batch) -> None:
    """Hand a batch to a connector and what comes out of it to the pipelines behind. Raises: `Overloaded`.

    The receipt stays with the pipeline before: it waits for all outlets there, and for what they wait for.
    """
    receipt, source = batch.receipt, batch.source
    batch.receipt = None
    try:
        out = stage.process(batch)
        if out is not None:
            left = _offer(targets[out.signal], out)
            if out is not batch:
                out.release()
            _refuse(left)
    finally:
        batch.receipt, batch.source = receipt, source


def release(batch: Batch, behind: Sequence[Pipeline]) -> None:
    """Let pipelines take a batch that a connector releases; each has one of its own, to edit and to keep."""
    for pipeline in behind[:-1]:
        pipeline.take(kept(batch))
    for pipeline in behind[-1:]:
        pipeline.take(batch)


def _offer(behind: Sequence[Pipeline], out: Batch) -> list[_Left]:
    """Offer a batch to every pipeline. Where some of it is left, the batch itself is as it was."""
    left: list[_Left] = []
    name = out.source
    for place, pipeline in enumerate(behind, 1):
        mine = out if place == len(behind) and not left else _copy(out)
        mine.source = name and f"{name} {pipeline.id}"
        stuck = pipeline.offer(mine)
        if stuck is not None:
            left.append((pipeline, replace(stuck, batch=kept(stuck.batch))))
        if mine is not out:
            mine.release()
    return left


def _copy(out: Batch) -> Batch:
    copy = Batch(out.signal, out.encode(), received_ns=out.received_ns, items=len(out))
    copy.follows = out.follows
    return copy


def _again(left: Sequence[_Left], batch: Batch) -> None:
    """Offer what is left of a batch; what is left has bytes of its own."""
    offered = [(pipeline, pipeline.resume(stuck)) for pipeline, stuck in left]
    _refuse([(pipeline, stuck) for pipeline, stuck in offered if stuck is not None])


def _refuse(left: Sequence[_Left]) -> None:
    if left:
        ids = frozenset(pipeline.id for pipeline, _ in left)
        raise Partly(left[0][1].why, partial(_again, left), ids)
