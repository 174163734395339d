"""The contract of processors and connectors.

A component is built once from its configuration, then called by one thread at a time:

    process(batch) … tick(now_ns) … process(batch) … close()

- `process` MUST NOT keep a reference to the batch, to anything inside it or to a protobuf object after returning;
  bytes taken out of it (`Element.frame`, `ScopeGroup.envelope`) may be kept. It may edit the batch in place: the
  caller does not use it any more.
- What `process` returns goes on to the next stage at once; None means that nothing does (it was dropped, or is held).
- `tick` is called about every 100 ms, in order, with the pipeline's clock; `now_ns` and `Batch.received_ns` come from
  the same clock and never go back. What it yields enters at the *next* stage, so a component that holds data may
  stand anywhere in a pipeline.
- `close` MUST give back everything that is still held and may be called twice. Nothing else is called after it.
- Nothing may hold everybody else up for long. A component whose `tick` or `close` may have much to do does a bounded
  share of it a call, and has a property `behind`, true while there is more: it is called again soon, requests get their
  turn in between.
- A component MUST NOT sleep, read a clock, log per item, or touch files and sockets.
- An exception out of `process` means that `on_error` is applied to that batch; the component MUST still be usable.
  `Overloaded` is not an error: it travels to the sender, and the batch MUST then not have changed any state.
- A component that can refuse data MAY have a method `room() -> Overloaded | None`, callable from any thread without the
  lock: it is asked before a request is read, so that refusing costs nothing and changes no state upstream.
- It SHOULD NOT refuse a batch that `follows`: the first portion of its request is taken, or another stage held it, and
  its sender is gone.
- It MAY also have a method `fits(raw, items) -> Overloaded | None`, called with the lock when a request was read and no
  stage has seen it: what is refused there was not counted by anybody upstream.
- A request of many items comes in portions, a trace's spans in one as far as they fit, with other batches in between. A
  component that never looks inside a batch MAY say so by an attribute `blind`, true: where nobody does, requests come
  whole.
- A component that holds back all that comes, to hand it on later, says so by an attribute `holds`, true: what stands
  behind it need not have room for a request that comes now.
- A component that copes with texts of attribute values that nobody proved to be UTF-8, and proves them when it hands
  them on, says so by an attribute `proves`, true. Where all ways of a request begin with one, it may find
  `Batch.reading` set.
- There is one object per pipeline and component id. What the instances of one id must share (the ledger of model
  calls, for traces and logs alike) they take from `Context.shared`; one lock covers the whole graph.
- A component that holds state MAY have a method `adopt(predecessor)`: on a reload that changed its configuration it is
  called once, before anything else, with the instance it replaces, whose state it takes over.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import ClassVar, Protocol, runtime_checkable

from processors.batch import Batch, Signal
from processors.stats import Stats

ALL_SIGNALS = frozenset(Signal)


class OnError(Enum):
    """What the pipeline does with a batch whose processing raised."""

    PASS = "pass"  # noqa: S105 - no password
    """Fail open: hand the batch on as it came and count it."""
    DROP_CONTENT = "drop_content"
    """Fail closed: call `fail_closed(batch)` and hand on what it returns, or drop the batch when that raises too."""


@runtime_checkable
class Processor(Protocol):
    """See the module for the rules."""

    on_error: ClassVar[OnError]
    signals: ClassVar[frozenset[Signal]]
    """Signals it works on; `validate` refuses it in other pipelines."""
    stats: Stats

    def process(self, batch: Batch) -> Batch | None: ...

    def tick(self, now_ns: int) -> Iterable[Batch]: ...

    def close(self) -> Iterable[Batch]: ...


class Stateless:
    """Base of processors that hold nothing between calls."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = ALL_SIGNALS

    def __init__(self) -> None:
        self.stats = Stats()

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Nothing waits."""
        return ()

    def close(self) -> Iterable[Batch]:
        """Nothing is held."""
        return ()
