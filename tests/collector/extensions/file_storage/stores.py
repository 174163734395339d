"""A storage for tests, and queues on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collector.config.settings import resolve
from collector.exporters.queue import SendingQueue, Taken
from collector.exporters.queue_config import Joining, QueueConfig
from collector.extensions import file_storage
from collector.extensions.file_storage import FileStorage
from collector.registry import schema_of
from processors.batch import Signal
from processors.ports import Context
from processors.requests import Request

SCHEMA = "collector/extensions/file_storage/schema.json"
QUEUE = QueueConfig(
    enabled=True,
    num_consumers=2,
    queue_size=100_000,
    max_bytes=1,
    sizer="requests",
    block_on_overflow=False,
    wait_for_result=False,
    joining=Joining(eager=True, linger_s=0.0, most_items=1),
    most_items=0,
    most_bytes=0,
)


@contextmanager
def storage(
    folder: Path, say: Callable[..., None] = lambda *a, **k: None, **settings: Any
) -> Iterator[FileStorage]:
    """Run a storage in a folder."""
    written = {"directory": str(folder), "reserve_bytes": "256KiB"} | settings
    one = file_storage.build(
        resolve(schema_of(SCHEMA), written), Context(id="file_storage", say=say)
    )
    one.start()
    try:
        yield one
    finally:
        one.stop(0.0)


def queue_on(one: FileStorage, **rest: Any) -> SendingQueue:
    """Open the queue of `otlp`."""
    queue = SendingQueue(QUEUE, one.queue("otlp"), **rest)
    queue.open()
    return queue


def request(number: int, size: int = 100, signal: Signal = Signal.TRACES) -> Request:
    """Return a request that is told from others by its number."""
    return Request(signal, number.to_bytes(4, "big") * (size // 4), 1)


def put(queue: SendingQueue, request: Request, source: str = "") -> None:
    """Put and wait for the commit."""
    ticket = queue.put(request, source)
    if ticket is not None:
        ticket.wait(10)


def number_of(taken: Taken | None) -> int:
    assert taken is not None
    return int.from_bytes(taken.request.raw[:4], "big")


def drain(queue: SendingQueue) -> list[int]:
    """Take everything that waits and acknowledge it; returns the numbers."""
    numbers = []
    while queue.size():
        taken = queue.take()
        if taken is None:
            break
        numbers.append(number_of(taken))
        queue.ack(taken)
    return numbers


def left(queue: SendingQueue) -> list[int]:
    """Take everything that waits, without acknowledging it; returns the numbers and closes the queue."""
    queue.close()
    return [number_of(taken) for taken in iter(queue.take, None)]
