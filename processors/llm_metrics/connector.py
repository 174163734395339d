"""The connector: reads spans and log records, tells metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from processors import semconv
from processors.base import OnError
from processors.batch import Batch, Item, LogRecord, Resource, Signal, Span
from processors.llm_metrics.calls import Call, Calls
from processors.llm_metrics.catalogue import METRICS, OVERFLOW
from processors.llm_metrics.config import Config
from processors.llm_metrics.labels import LabelValues, clean
from processors.llm_metrics.series import Book
from processors.ports import Context
from processors.stats import Stats

_SEVERITY_ERROR: Final = 17
"""SeverityNumber ERROR of the log data model."""


class LlmMetrics:
    """See the package. One object serves all pipelines that use its id."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset((Signal.TRACES, Signal.LOGS))

    def __init__(self, config: Config, context: Context) -> None:
        self.stats = Stats()
        self._interval_ns = config.metrics_flush_interval
        self._book = Book(METRICS, config.max_series_per_metric)
        self._labels = LabelValues(config.label_limits)
        self._calls = Calls(self._book, self._labels)
        self._now_ns = 0
        self._due_ns = 0

    def process(self, batch: Batch) -> None:
        """Count what is in the batch; nothing of it goes on."""
        self._now_ns = max(self._now_ns, batch.received_ns)
        for group in batch.groups:
            environment = _environment(group.resource)
            for scope in group.scopes:
                for item in scope.items:
                    if not item.dropped:
                        self._count(item, environment)

    def _count(self, item: Item, environment: str) -> None:
        edits = item.edits
        key = semconv.APP_LLM_COST_STATUS
        attributes = item.view.attributes
        status: Any = edits[key] if key in edits else attributes.get(key)
        if not status:
            return
        seconds, code = _timing(item)
        call = Call(attributes, edits, environment, seconds, code)
        self._calls.count(call, status, self._now_ns)

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Yield what changed, when it is time."""
        self._now_ns = max(self._now_ns, now_ns)
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + self._interval_ns
            yield from self._flush()

    def close(self) -> Iterable[Batch]:
        """Yield what changed since the last flush."""
        yield from self._flush()

    def _flush(self) -> Iterable[Batch]:
        self._calls.queue()
        for label, times in self._labels.take_overflow().items():
            self._book.add(OVERFLOW, (label,), self._now_ns, times)
        request, points = self._book.flush(self._now_ns)
        if points:
            yield Batch(Signal.METRICS, request, received_ns=self._now_ns, items=points)


def _timing(item: Item) -> tuple[float | None, int]:
    """Return duration in seconds and span status code."""
    if isinstance(item, Span):
        view = item.view
        return (view.end_ns - view.start_ns) / 1e9, view.status.code
    assert isinstance(item, LogRecord)  # noqa: S101 - `signals` says so
    return None, 2 if item.view.severity_number >= _SEVERITY_ERROR else 0


def _environment(resource: Resource) -> str:
    return clean(
        resource.get(semconv.DEPLOYMENT_ENVIRONMENT_NAME)
        or resource.get(semconv.DEPLOYMENT_ENVIRONMENT)
    )


def build(settings: Mapping[str, Any], context: Context) -> LlmMetrics:
    """Build the connector."""
    return LlmMetrics(Config.load(settings), context)
