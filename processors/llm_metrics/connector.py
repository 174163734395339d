"""The connector: reads spans and log records, tells metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from processors import semconv
from processors.base import OnError
from processors.batch import Batch, Resource, ScopeGroup, Signal
from processors.llm_metrics.bindings import Bindings, Origin, spellings
from processors.llm_metrics.calls import SLOW_S, Calls
from processors.llm_metrics.catalogue import BUDGET, FEATURE_INFO, METRICS, SERVICE_INFO
from processors.llm_metrics.config import Config
from processors.llm_metrics.exemplars import Exemplars
from processors.llm_metrics.kinds import (
    CLASS,
    COST,
    NOTHING,
    OVERLAID,
    SIMPLE,
    STATUS,
    Keys,
    Kinds,
    Shape,
    Usual,
    joined,
    overlaid,
)
from processors.llm_metrics.labels import LabelValues
from processors.llm_metrics.money import SURE_USD
from processors.llm_metrics.notes import ABOVE_KEYS
from processors.llm_metrics.passing import labelled, origin_of
from processors.llm_metrics.series import Book
from processors.llm_metrics.sides import EVALUATION, TOOL, Sides, event_name
from processors.llm_metrics.users import Users
from processors.ports import Context
from processors.stats import Stats
from processors.views import status_code

_VALIDATION, _REJECTED = ABOVE_KEYS
_SKIPPED: Final = semconv.APP_LLM_COST_SKIP_REASON
_AGAIN: Final = spellings("duplicate_delivery")
_ERROR: Final = 2
_SEVERITY_ERROR: Final = 17
"""SeverityNumber ERROR of the log data model."""
_PER_POINT_NS: Final = 3 * 10**6
"""How much longer the next flush waits for each point of this one. To encode a point and to take it in costs more than
a call does otherwise, and many active series all change in a second: so telling them costs about 0.1 % of a core."""
_LONGEST_NS: Final = 10 * 10**9
_MAX_RESOURCES: Final = 1024
_NO_KEYS: Final[Keys] = ((), (), ())
_UNMET: Final[Any] = ()
_NO_COLUMNS: Final[tuple[tuple[str, ...], tuple[bytes, ...]]] = ((), ())


class LlmMetrics:
    """See the package. One object serves all pipelines that use its id."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset(Signal)

    def __init__(self, config: Config, context: Context) -> None:
        self.stats = Stats()
        self._interval_ns = config.metrics_flush_interval
        self._book = Book(METRICS, config.max_series_per_metric, self.stats)
        self._labels = LabelValues(config.label_limits, self.stats)
        bindings = Bindings(self._book, self._labels)
        self._kinds = Kinds(bindings)
        self._exemplars = Exemplars(context.decisions)
        self._users = Users(config.users, self._book, self._labels, self.stats)
        self._calls = Calls(bindings, self._exemplars, self._users)
        self._sides = Sides(bindings, config.evaluation_pass_score)
        self._origins: dict[bytes, Origin] = {}
        self._due_ns = 0
        self._tell_config(config)
        self._measure()

    def adopt(self, predecessor: LlmMetrics) -> None:
        """Go on counting where the predecessor stopped: a counter that restarts loses what was not scraped yet."""
        predecessor._calls.settle()
        self._book.adopt(predecessor._book, (BUDGET, FEATURE_INFO))
        self._labels.adopt(predecessor._labels)
        self._kinds.adopt(predecessor._kinds)
        self._calls.notes.adopt(predecessor._calls.notes)
        self._sides.adopt(predecessor._sides)
        self._exemplars.adopt(predecessor._exemplars)
        self._users.adopt(predecessor._users)

    def process(self, batch: Batch) -> Batch | None:
        """Count spans and log records; hand on metrics, with the labels that ours carry."""
        if batch.signal is Signal.METRICS:
            return labelled(batch)
        self._book.now_ns = max(self._book.now_ns, batch.received_ns)
        count = self._count_spans if batch.signal is Signal.TRACES else self._count_records
        for group in batch.groups:
            origin = self._origin(group.resource)
            for scope in group.scopes:
                count(scope, origin)
        return None

    def _count_spans(self, scope: ScopeGroup, origin: Origin) -> None:
        """Count the spans of a scope group.

        Most are shaped as their neighbours, of a kind that is known, and have nothing to them but the usual numbers:
        these are noted right here, because to call others for it costs half as much again.
        """
        kinds, watched = self._kinds, self._users.wanted
        before: Keys = _NO_KEYS
        shape = kinds.shapes[before]
        met: tuple[str, ...] | None = None
        usual: dict[tuple[bytes, ...], Usual | None] = {}
        self._calls.expect(len(scope.items))
        for item in scope.items:
            if scope.dropped and item.dropped:
                continue
            read: Any
            edits: Any
            (view, read), edits = item.seen or item.see(), item.edits
            columns, source = item.columns or _NO_COLUMNS
            usage, constants = item.usage, item.constants
            if usage and constants and columns and not (watched or view.status):
                if columns is not met:
                    met, usual = columns, kinds.usual(columns, origin)
                found = usual.get(constants, _UNMET)
                if found is _UNMET:
                    found = kinds.meet(item, origin, usual)
                if found is not None:
                    like, known = found
                    kind = known.get(joined(like.identity(source)))
                    if kind is not None and kind.plain:
                        usd, seconds = edits[COST], (view.end_ns - view.start_ns) / 1e9
                        if 0.0 <= usd < SURE_USD and 0.0 <= seconds < SLOW_S:
                            noted = kind.noted
                            if not noted:
                                self._calls.begin(kind, item, usd, seconds)
                            noted += like.counts_used(usage)
                            noted += (usd, seconds)
                            if view.HasField("last_event"):
                                self._sides.events(kind.binding, item.encoded_events())  # type: ignore[attr-defined] # of a span
                            continue
            if STATUS not in edits and STATUS not in read:
                if CLASS in edits or CLASS in read:
                    self._beside(item, read, edits, origin)
                continue
            keys = (item.present, tuple(edits), columns)
            if keys != before:  # else it is like its neighbour: spares hashes
                before, shape = keys, kinds.shapes[keys]
            self._count_span(item, shape, origin)

    def _count_span(self, item: Any, shape: Shape, origin: Origin) -> None:
        """Count a span of a shape that says that it is a call."""
        (view, read), edits = item.seen, item.edits
        source = (item.columns or _NO_COLUMNS)[1] if shape.columnar else read
        code = status_code(view)
        odd = shape.mixed and not SIMPLE.issuperset(map(type, shape.written(edits)))
        try:
            kind = None if odd else self._kinds.find(shape, source, read, edits, origin, code)
        except TypeError:  # a list stands where labels do not change from call to call
            kind = None
        if kind is None:  # lists and mappings are compared encoded
            read, edits = NOTHING, overlaid(read, edits)
            shape, source = self._kinds.shapes[(), tuple(edits), ()], read
            kind = self._kinds.find(shape, source, read, edits, origin, code)
        if not kind.counted:
            if CLASS in edits or CLASS in read:
                self._beside(item, view.attributes, item.edits, origin)
            return
        end_ns = view.end_ns
        self._calls.count(shape, kind, source, read, edits, _seconds(view), end_ns, item)
        if view.HasField("last_event"):
            self._sides.events(kind.binding, item.encoded_events())

    def _beside(self, item: Any, read: Any, edits: Any, origin: Origin) -> None:
        """Count what a span that is no counted call says."""
        view = item.view
        tool = (edits[CLASS] if CLASS in edits else read[CLASS]) in TOOL
        noted = _VALIDATION in read or _REJECTED in read
        happened = view.HasField("last_event")
        if not (tool or noted or happened) or self._delivered(item, read, edits):
            return
        code = status_code(view)
        if not OVERLAID.isdisjoint(edits):
            read = overlaid(read, edits)
        if tool:
            self._sides.tool(read, edits, origin, _seconds(view), code)
        if noted or happened:
            kind = self._kinds.find_overlaid(overlaid(read, edits), origin, code)
            self._calls.notes.above(kind.binding, read)
            self._sides.events(kind.binding, item.encoded_events())

    def _delivered(self, item: Any, read: Any, edits: Any) -> bool:
        """Say whether a span was counted before: `genai` says so of calls, of others nobody does."""
        skipped = edits[_SKIPPED] if _SKIPPED in edits else read.get(_SKIPPED)
        return skipped in _AGAIN or self._sides.seen(item.view)

    def _count_records(self, scope: ScopeGroup, origin: Origin) -> None:
        for item in scope.items:
            if item.dropped:
                continue
            view = item.view
            read = overlaid(view.attributes, item.edits)
            evaluation = event_name(view) == EVALUATION
            if not evaluation and STATUS not in read:
                continue
            code = _ERROR if view.severity_number >= _SEVERITY_ERROR else 0
            kind = self._kinds.find_overlaid(read, origin, code)
            if evaluation:
                self._sides.evaluation(kind.binding, view.attributes)
            if kind.counted:
                self._calls.expect(1)
                when_ns = view.time_ns or view.observed_ns
                self._calls.count(kind.shape, kind, NOTHING, NOTHING, read, None, when_ns, item)

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Yield what changed, when it is time."""
        self._book.now_ns = max(self._book.now_ns, now_ns)
        if now_ns >= self._due_ns:
            points = 0
            for batch in self._flush():
                points += len(batch)
                yield batch
            pause_ns = min(_LONGEST_NS, points * _PER_POINT_NS)
            self._due_ns = now_ns + max(self._interval_ns, pause_ns)

    def close(self) -> Iterable[Batch]:
        """Yield what changed since the last flush."""
        yield from self._flush()
        self._exemplars.leave()

    def _flush(self) -> Iterable[Batch]:
        self._calls.settle()
        self._users.tell()
        self._exemplars.release()
        self._forget_idle()
        request, points = self._book.flush()
        if points:
            yield Batch(Signal.METRICS, request, received_ns=self._book.now_ns, items=points)

    def _forget_idle(self) -> None:
        """Give back series that nothing counted in for long, and the label values only they carried."""
        if self._book.sweep():
            for label in self._labels.names:
                self._labels.forget(label, self._book.live(label))
            self._kinds.forget()
            self._sides.forget()
            self._origins.clear()

    def _origin(self, resource: Resource) -> Origin:
        frame = resource.frame()
        known = self._origins
        if frame not in known:
            if len(known) >= _MAX_RESOURCES:
                known.clear()
            known[frame] = self._describe(resource)
        return known[frame]

    def _describe(self, resource: Resource) -> Origin:
        """Note the version of the service, and return what the resource says of its items."""
        origin = origin_of(resource)
        if resource.get(semconv.SERVICE_NAME) is not None:
            values = (
                self._labels.admit("environment", origin.environment),
                origin.data_mode,
                self._labels.admit("service", resource.get(semconv.SERVICE_NAME)),
                self._labels.admit("version", resource.get(semconv.SERVICE_VERSION)),
            )
            self._book.one(SERVICE_INFO, *values).set(1.0)
        return origin

    def _measure(self) -> None:
        """Let the shell read how full everything is."""
        gauges, book, exemplars = self.stats.gauges, self._book, self._exemplars
        gauges["otelcol_llm_metrics_waiting_exemplars",] = lambda: len(exemplars)
        gauges["otelcol_llm_metrics_series",] = lambda: sum(map(len, book))

    def _tell_config(self, config: Config) -> None:
        """Set what the configuration alone tells; it is never idle."""
        for budget in config.budgets:
            values = (budget.environment, budget.scope, budget.name, budget.period)
            self._book.one(BUDGET, *values).keep(budget.usd)
        for feature in config.features:
            self._book.one(FEATURE_INFO, feature.name, feature.team, feature.tier).keep(1.0)


def _seconds(view: Any) -> float | None:
    """Return how long a span took; None where it does not say when it began, or says that it ended before."""
    began_ns, ended_ns = view.start_ns, view.end_ns
    return (ended_ns - began_ns) / 1e9 if 0 < began_ns <= ended_ns else None


def build(settings: Mapping[str, Any], context: Context) -> LlmMetrics:
    """Build the connector."""
    return LlmMetrics(Config.load(settings), context)
