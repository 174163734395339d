"""Spans that wait for their verdict, kept as bytes, and how they leave again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from processors.batch import Batch, Signal, Span
from processors.encoded import assemble
from processors.genai.call import Call


class Held(NamedTuple):
    """One span that waits."""

    call: Call
    resource: bytes
    scope: bytes
    frame: bytes


class HeldSpans:
    """Waiting spans by trace. They came through one pipeline and leave through the same."""

    def __init__(self) -> None:
        self._traces: dict[bytes, list[Held]] = {}

    def __len__(self) -> int:
        """Return how many spans wait."""
        return sum(map(len, self._traces.values()))

    def take(self, trace_id: bytes, call: Call, span: Span) -> int:
        """Take a span out of its batch; returns its size in bytes."""
        resource, scope = span.group.parent.envelope(), span.group.envelope()
        held = Held(call, resource, scope, span.frame())
        self._traces.setdefault(trace_id, []).append(held)
        span.dropped = True
        return len(held.frame)

    def release(self, now_ns: int) -> Iterator[tuple[Batch, list[Held]]]:
        """Yield a batch for each trace with verdicts, and what waited, in the order of the batch's spans."""
        for trace_id, waiting in list(self._traces.items()):
            ready = [held for held in waiting if held.call.verdict is not None]
            if not ready:
                continue
            self._traces[trace_id] = [held for held in waiting if held.call.verdict is None]
            if not self._traces[trace_id]:
                del self._traces[trace_id]
            yield _batch(ready, now_ns)


def _batch(ready: list[Held], now_ns: int) -> tuple[Batch, list[Held]]:
    groups: dict[tuple[bytes, bytes], list[Held]] = {}
    for held in ready:
        groups.setdefault((held.resource, held.scope), []).append(held)
    frames = {envelopes: [held.frame for held in some] for envelopes, some in groups.items()}
    batch = Batch(Signal.TRACES, assemble(frames), received_ns=now_ns)
    return batch, [held for some in groups.values() for held in some]
