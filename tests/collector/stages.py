"""Stages, sinks and tickets for tests of pipelines, and a pipeline made of them."""

from __future__ import annotations

from collections.abc import Iterable

from collector.outlet import Outlet
from collector.pipeline import Pipeline, Stage
from processors.base import Stateless
from processors.batch import Batch, Signal
from processors.errors import Overloaded
from processors.ports import Ticket
from tests.telemetry import spans_of


class Namer(Stateless):
    """Writes its name on every span."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def process(self, batch: Batch) -> Batch:
        for item in batch.spans():
            seen = item.get("seen") or ""
            item.set("seen", f"{seen}{self.name}")
        return batch


class Holder(Stateless):
    """Holds everything until it is ticked."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[bytes] = []

    def process(self, batch: Batch) -> None:
        self.held.append(batch.encode())

    def tick(self, now_ns: int) -> Iterable[Batch]:
        while self.held:
            yield Batch(Signal.TRACES, self.held.pop(0))

    def close(self) -> Iterable[Batch]:
        return self.tick(0)


class Stepper(Holder):
    """Gives one batch a call."""

    def tick(self, now_ns: int) -> Iterable[Batch]:
        if self.held:
            yield Batch(Signal.TRACES, self.held.pop(0))

    @property
    def behind(self) -> bool:
        return bool(self.held)


class Swapper(Holder):
    """Holds what comes, and hands on what came before."""

    def process(self, batch: Batch) -> Batch | None:  # type: ignore[override] # it does hand on
        before = Batch(Signal.TRACES, self.held.pop()) if self.held else None
        super().process(batch)
        return before


class Copier(Stateless):
    """Hands on another batch than the one it got."""

    def process(self, batch: Batch) -> Batch:
        return Batch(batch.signal, batch.encode())


class Sink:
    """Keeps what it gets; full while `room` is 0."""

    def __init__(self, room: int = 1_000) -> None:
        self.room = room
        self.got: list[bytes] = []

    def __call__(self, batch: Batch) -> Ticket | None:
        if self.room == 0:
            raise Overloaded("full")
        self.room -= 1
        self.got.append(batch.encode())
        return None

    def seen(self) -> list[str]:
        """Return the attribute `seen` of every span that arrived."""
        return [
            a.value.string_value
            for raw in self.got
            for one in spans_of(raw)
            for a in one.attributes
            if a.key == "seen"
        ]


def pipeline(*processors: object, outlets: Iterable[Outlet]) -> Pipeline:
    stages = [Stage(f"stage/{n}", p) for n, p in enumerate(processors)]  # type: ignore[arg-type]
    return Pipeline("traces", Signal.TRACES, stages, list(outlets), [])


class Receipt:
    """Counts how often it was settled."""

    def __init__(self) -> None:
        self.settled = 0

    def settle(self, failure: Exception | None = None) -> None:
        self.settled += 1


class Promise:
    """A ticket that is kept or broken when the test says so."""

    def __init__(self) -> None:
        self.known = False
        self.failure: Overloaded | None = None

    def settled(self) -> bool:
        return self.known

    def wait(self, timeout_s: float | None = None) -> None:
        assert self.known
        if self.failure is not None:
            raise self.failure
