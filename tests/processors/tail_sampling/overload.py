"""Sends a sampler three times as much as it may hold, in a process of its own, and prints by how much that grew."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from collector.self_metrics import rss_bytes
from collector.tuning import calm_garbage_collection, keep_freed_memory

from .support import BEGIN, ERRORS, Run, arrived, request, span

A_REQUEST = 1 << 20
MARK = b"the id of a span"


def requests(text: int, total: int) -> Iterator[bytes]:
    """Yield requests of about a MiB, one span a trace. The ids differ, the rest of the bytes is the same."""
    one = span(MARK, "s", {"text": "x" * text})
    parts = request([one] * max(1, A_REQUEST // one.ByteSize())).split(MARK)
    sent = number = 0
    while sent < total:
        raw = bytearray(parts[0])
        for part in parts[1:]:
            number += 1
            raw += number.to_bytes(16, "big") + part
        sent += len(raw)
        yield bytes(raw)


def process(run: Run, text: int, total: int) -> int:
    """Returns the most that the process ever held."""
    most = rss_bytes()
    for raw in requests(text, total):
        batch = arrived(raw, BEGIN)
        left = run.sampler.process(batch)
        for one in (batch, left):
            if one is not None:
                one.release()  # as the pipeline does
        most = max(most, rss_bytes())
    return most


def main(bound: int, text: int) -> None:
    keep_freed_memory()
    calm_garbage_collection()
    run = Run(ERRORS, buffer={"max_bytes": bound}, num_traces=10**7)
    before = process(run, text, A_REQUEST)  # what is allocated once
    print(process(run, text, 3 * bound) - before)
    assert run.ledger()["dropped"] > run.ledger()["held"] > 0


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
