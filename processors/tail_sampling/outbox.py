"""Spans on their way out: equal envelopes share one group, whatever traces and requests they came with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from processors.batch import Batch, Signal
from processors.encoded import assemble, frame_head
from processors.tail_sampling.traces import Envelope

_SPANS_A_BATCH: Final = 512
_BYTES_A_BATCH: Final = 1 << 20


class Outbox:
    """Collects released spans and makes batches of them."""

    def __init__(self) -> None:
        self.spans = 0
        self.size = 0
        self._groups: dict[bytes, dict[bytes, list[bytes]]] = {}

    @property
    def full(self) -> bool:
        """Whether there is enough for a batch."""
        return self.spans >= _SPANS_A_BATCH or self.size >= _BYTES_A_BATCH

    def add(self, envelope: Envelope, span: bytes) -> None:
        """Take a span; those of one scope leave in this order."""
        self.spans += 1
        self.size += len(span)
        scopes = self._groups.setdefault(envelope.resource, {})
        scopes.setdefault(envelope.scope, []).extend((frame_head(span), span))

    def take(self, now_ns: int, prove: Callable[[bytes], bytes]) -> Batch | None:
        """Return everything, or None when there is nothing, and be empty again. `prove`: see `Release`."""
        if not self.spans:
            return None
        raw = assemble(
            {
                (resource, scope): spans
                for resource, scopes in self._groups.items()
                for scope, spans in scopes.items()
            }
        )
        batch = Batch(Signal.TRACES, prove(raw), received_ns=now_ns, items=self.spans)
        self.spans = self.size = 0
        self._groups = {}
        return batch
