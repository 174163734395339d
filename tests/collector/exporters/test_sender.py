"""The threads between queue and destination: few while idle, none lost to a bug, all gone after stop."""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from collector.errors import ExportFailed
from collector.exporters.delivery import TAKEN, Answer
from collector.exporters.queue_config import Joining
from collector.exporters.retry import RetryConfig
from collector.exporters.sender import Sender
from collector.exporters.shelf import NoShelf, Waiting
from processors.requests import Request
from tests.collector.extensions.file_storage.stores import QUEUE
from tests.countable import span_ids, traces
from tests.e2e.servers import poll

FOUR_AT_ONCE = replace(
    QUEUE,
    num_consumers=4,
    queue_size=100,
    max_bytes=1 << 20,
    joining=Joining(eager=True, linger_s=0.0, enough_items=1),
)
RETRY = RetryConfig(
    enabled=True, initial_s=60.0, max_s=60.0, multiplier=1, randomization=0, max_elapsed_s=0
)


class Destination:
    """A transport that does what `push` says."""

    def __init__(self, push: Callable[[Request], Answer]) -> None:
        self.push = push
        self.log: list[str] = []

    def connect(self) -> None:
        self.log.append("connect")

    def disconnect(self) -> None:
        self.log.append("disconnect")


def sender(push: Callable[[Request], Answer], **rest: Any) -> tuple[Sender, Destination]:
    destination = Destination(push)
    usual: dict[str, Any] = {"retry": RETRY, "say": lambda *a, **k: None}
    made = Sender(transport=destination, sending=FOUR_AT_ONCE, **usual | rest)
    return made, destination


def threads() -> int:
    return sum(thread.name.startswith("sender-") for thread in threading.enumerate())


def test_threads_start_when_they_are_needed() -> None:
    running, together = threading.Semaphore(0), threading.Barrier(4)

    def push(request: Request) -> Answer:
        running.release()
        together.wait(10)
        return TAKEN

    made, _ = sender(push)
    before = threads()
    made.start()
    assert threads() == before + 1
    for span_id in span_ids(4):
        made.export(traces([span_id]))
    for _ in range(4):
        assert running.acquire(timeout=10)
    made.stop(10)
    assert threads() == before
    assert made.stats.counters["otelcol_exporter_sent_spans_total",] == 4


def test_a_bug_costs_one_request_and_no_thread() -> None:
    def push(request: Request) -> Answer:
        if b"bug" in request.raw:
            raise ZeroDivisionError
        return TAKEN

    made, _ = sender(push)
    made.start()
    made.export(traces(span_ids(3), text="bug"))
    made.export(traces(span_ids(5)))
    made.stop(10)
    counters = made.stats.counters
    assert counters["otelcol_llm_exporter_dropped_items_total", "traces", "internal_error"] == 3
    assert counters["otelcol_exporter_sent_spans_total",] == 5


def test_a_thread_that_waits_for_a_load_keeps_nothing_of_the_last_one() -> None:
    sent: list[bytes] = []

    def push(request: Request) -> Answer:
        sent.append(request.raw)
        return TAKEN

    made, _ = sender(push)
    made.start()
    made.export(traces(span_ids(3)))
    poll("nobody but the list", lambda: sent and sys.getrefcount(sent[0]) == 2)
    made.stop(10)


def test_what_waits_without_a_start_is_counted_and_said_as_lost() -> None:
    said: list[object] = []
    made, destination = sender(lambda request: TAKEN, say=lambda *a, **k: said.append(k["items"]))
    for ids in (span_ids(3), span_ids(4)):
        made.export(traces(ids))
    made.stop(0.0)
    counters = made.stats.counters
    assert counters["otelcol_llm_exporter_dropped_items_total", "traces", "shutdown"] == 7
    assert said == [7]
    assert destination.log == ["disconnect"]


class Shelf(NoShelf):
    """A place that says that it keeps its data."""

    durable = True

    def __init__(self) -> None:
        self.left: list[Waiting] = []

    def close(self, heir: object, left: list[Waiting]) -> None:
        self.left = left


def test_a_durable_queue_keeps_what_a_dead_destination_did_not_take() -> None:
    shelf = Shelf()
    tried = threading.Event()

    def push(request: Request) -> Answer:
        tried.set()
        raise ExportFailed("away", retryable=True)

    made, _ = sender(push, open_shelf=lambda: shelf)
    made.start()
    for span_id in span_ids(3):
        made.export(traces([span_id]))
    assert tried.wait(10)
    made.stop(10)
    assert len(shelf.left) == 3
    assert "otelcol_exporter_send_failed_spans_total" not in dict(made.stats.counters)


@pytest.mark.parametrize("attempts", [1, 3])
def test_while_stopping_retries_do_not_wait_long(attempts: int) -> None:
    tried = threading.Event()
    requests: list[Request] = []

    def push(request: Request) -> Answer:
        requests.append(request)
        tried.set()
        if len(requests) <= attempts:
            raise ExportFailed("away", retryable=True)
        return TAKEN

    made, _ = sender(push)
    made.start()
    made.export(traces(span_ids(3)))
    assert tried.wait(10)
    made.stop(10)
    assert made.stats.counters["otelcol_exporter_sent_spans_total",] == 3


def test_a_run_of_failures_is_told_once_and_so_is_its_end() -> None:
    """A destination that is away, such as a full disk, is said when it begins, not with every attempt."""
    said: list[tuple[str, dict[str, Any]]] = []
    attempts = threading.Semaphore(0)
    back = threading.Event()

    def push(request: Request) -> Answer:
        attempts.release()
        if back.is_set():
            return TAKEN
        raise ExportFailed("No space left on device.", retryable=True)

    def say(text: str, **fields: Any) -> None:
        said.append((text, fields))

    made, _ = sender(push, retry=replace(RETRY, initial_s=0.01, max_s=0.01), say=say)
    made.start()
    for span_id in span_ids(3):
        made.export(traces([span_id]))
    for _ in range(12):
        assert attempts.acquire(timeout=10)
    warning = ("Delivery fails and is tried again; the data waits.", "No space left on device.")
    assert [(text, fields["why"]) for text, fields in said] == [warning]
    back.set()
    made.stop(10)
    assert [text for text, _ in said[1:]] == ["Data is delivered again."]
