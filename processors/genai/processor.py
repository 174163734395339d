"""The `genai` processor: walks a batch, normalises what is GenAI and asks the ledger what counts.

Invariants
- A span or record without a GenAI marker passes byte for byte.
- A second pass changes nothing.
- One verdict per record: without `app.llm.cost.skip_reason` a model call counts.
- An agent's or workflow's span with usage waits until it is known whether anything below it counts, and so does a
  call that may turn out to repeat another one (`pending`). They are kept as bytes and leave by `tick` or `close`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final

from processors import semconv
from processors.base import OnError
from processors.batch import Batch, Item, LogRecord, Signal, Span
from processors.genai.call import COUNTED, NO_PARENT, Call, Report, digest
from processors.genai.config import Config
from processors.genai.held import HeldSpans
from processors.genai.identity import first_text
from processors.genai.known import Known
from processors.genai.ledger import Ledger, Visit
from processors.genai.normalise import (
    Normalised,
    Values,
    normalise,
    write_counts,
)
from processors.genai.plan import Plan
from processors.genai.reasons import DUPLICATE_DELIVERY, NOT_BILLED, REASONS, SPAN_COUNTED
from processors.genai.records import DETAILS_EVENT, CallRecord, call_record, repeats_usage
from processors.genai.senders import Sender, Senders
from processors.genai.shapes import read_record, read_span, review
from processors.genai.table import Role
from processors.genai.trace import SOLID, TRANSPARENT, tool_link
from processors.genai.usage import NO_USAGE, Usage
from processors.genai.values import text
from processors.ports import Context
from processors.stats import Stats

_BEDROCK: Final = "aws.bedrock"
_MODEL_CALL: Final = Role.MODEL_CALL
_AGGREGATE: Final = Role.AGGREGATE
_TOOL: Final = Role.TOOL
_AGGREGATE_BASIS: Final = "aggregate"
_CACHED: Final = "cached"
_NO_SPAN: Final = b"\xffno span"
"""In place of the id of a log record's span."""

NORMALISED: Final = "otelcol_llm_genai_records_total"
SKIPPED: Final = "otelcol_llm_genai_skipped_records_total"
INVALID: Final = "otelcol_llm_genai_invalid_counts_total"
UNCOVERED: Final = "otelcol_llm_genai_uncovered_aggregates_total"
EVICTED: Final = "otelcol_llm_genai_ledger_evicted_traces_total"
HELD: Final = "otelcol_llm_genai_held_spans"
LEDGER_BYTES: Final = "otelcol_llm_genai_ledger_bytes"
LEDGER_TRACES: Final = "otelcol_llm_genai_ledger_traces"


class Genai:
    """One per pipeline; instances of one id share the ledger."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})

    def __init__(self, config: Config, context: Context) -> None:
        self.stats = Stats()
        self.stats.from_zero(SKIPPED, REASONS)
        self._config = config
        self._defaults = dict(config.defaults)
        self._senders = Senders(config)
        self._roles = [0] * len(Role)
        self._turn = 0
        """Which span of a scope group is reviewed: another one each time."""
        self._now_ns = 0
        self._held = HeldSpans()
        self._ledger: Ledger = context.shared("genai.ledger", lambda: Ledger(config))
        self.stats.gauges[HELD,] = lambda: len(self._held)
        if self._ledger.claim():  # what is shared is told about once
            self._tell_of_ledger()

    def _tell_of_ledger(self) -> None:
        self.stats.gauges[LEDGER_BYTES,] = lambda: self._ledger.size_bytes
        self.stats.gauges[LEDGER_TRACES,] = lambda: self._ledger.traces

    def adopt(self, predecessor: Genai) -> None:
        """Go on with the ledger, and the waiting spans, of the instance that a reload replaces."""
        self._ledger = predecessor._ledger
        self._ledger.configure(self._config)
        self._held, predecessor._held = predecessor._held, HeldSpans()
        if (LEDGER_BYTES,) in predecessor.stats.gauges:
            self._tell_of_ledger()

    # -- the contract

    def process(self, batch: Batch) -> Batch | None:
        """Normalise in place and take out what must wait."""
        self._now_ns = batch.received_ns
        some_wait = False
        if batch.signal is Signal.LOGS:
            for items, sender in self._groups(batch):
                for item in items:
                    self._record(item, sender)  # type: ignore[arg-type] # a logs batch holds records only
        else:
            some_wait = self._spans(batch)
        self._trim()
        self._count_roles()
        return None if some_wait and next(batch.items(), None) is None else batch

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Release the spans whose verdict came."""
        self._now_ns = now_ns
        self._ledger.settle(now_ns)
        self._trim()
        return self._release()

    def close(self) -> Iterable[Batch]:
        """Close every open verdict and release everything."""
        self._ledger.settle_all()
        return self._release()

    def _trim(self) -> None:
        if evicted := self._ledger.trim(self._now_ns):
            self.stats.counters[EVICTED,] += evicted

    def _count_roles(self) -> None:
        """Hand the roles of a batch to the counters: a list entry is cheaper than a dict's with a composed key."""
        for role in Role:
            if self._roles[role]:
                self.stats.counters[NORMALISED, role.label] += self._roles[role]
                self._roles[role] = 0

    def _groups(self, batch: Batch) -> Iterable[tuple[Sequence[Item], Sender]]:
        for group in batch.groups:
            for scope_group in group.scopes:
                items = scope_group.items
                if scope_group.dropped:
                    items = [item for item in items if not item.dropped]
                yield items, self._senders.of(scope_group)

    # -- spans

    def _spans(self, batch: Batch) -> bool:
        """Normalise the spans of a batch; says whether some wait."""
        if batch.decoded:
            for span in batch.spans():
                if span.edits:
                    span.replace(span.body())
        batch.view_all()
        touched: dict[bytes, Visit] = {}
        for items, sender in self._groups(batch):
            self._normalise(items, sender, touched)  # type: ignore[arg-type] # a traces batch holds spans only
            if items:
                self._turn += 1
                review(sender.scope, items[self._turn % len(items)])  # type: ignore[arg-type]
        waiting = [self._settle(trace_id, visit) for trace_id, visit in touched.items()]
        return any(waiting)

    def _normalise(
        self,
        spans: Iterable[Span],
        sender: Sender,
        touched: dict[bytes, Visit],
    ) -> None:
        """Normalise the spans of one scope group and enter in `touched` what the ledger is to know of them."""
        scope, given, _, override = sender
        visit_of, roles = self._ledger.visit, self._roles
        for span in spans:
            view, attributes = span.seen or span.see()
            trace_id = view.trace_id
            visit = touched.get(trace_id)
            if visit is None:
                visit = touched[trace_id] = visit_of(trace_id)
            plan, values = read_span(scope, span, attributes)
            sort = TRANSPARENT
            if plan is not None:
                found = normalise(span, plan, attributes, values, view.name, given, override)
                role, usage, _, _ = found
                roles[role] += 1
                if usage is not None and not plan.skipped and (role is _MODEL_CALL or usage.known):
                    self._enter(trace_id, span, plan, found, usage, visit)
                    continue  # a record is a link as well
                if role is _TOOL:
                    ids = view.span_id, view.parent_span_id
                    visit.links.append(tool_link(*ids, view.start_ns, view.end_ns))
                    visit.tools += 1
                    continue
                if usage is not None:
                    sort = SOLID
                elif plan.has_counts and not plan.skipped:
                    self._skip(span, NOT_BILLED)
            visit.links.append(view.span_id + (view.parent_span_id or NO_PARENT) + sort)

    def _enter(
        self,
        trace_id: bytes,
        span: Span,
        plan: Plan,
        found: Normalised,
        usage: Usage,
        visit: Visit,
    ) -> None:
        """Enter a record in the ledger, unless it was here before."""
        view = span.view
        role, _, response_id, known = found
        span_id = view.span_id
        if usage.invalid:
            self.stats.counters[INVALID,] += usage.invalid
        if span_id in visit.reports or (
            visit.entry is not None and self._ledger.was_delivered(trace_id, visit.entry, span_id)
        ):
            self._skip(span, DUPLICATE_DELIVERY)
            return
        report = visit.reports[span_id] = (
            span_id,
            view.parent_span_id,
            plan.scope.mark,
            usage,
            known.identity.comparable,
            response_id,
            digest(first_text(plan.request_id, view.attributes)) if plan.request_id else 0,
            view.start_ns,
            view.end_ns,
            view.kind,
            known.cache_hit,
        )
        visit.spans.append(span)
        if known.cache_hit:
            visit.cached.append(span)
        if role is _AGGREGATE:
            visit.add(_aggregate(report, plan, view.attributes))
        elif plan.spring and known.identity.provider == _BEDROCK:
            visit.add(_loop(report))

    def _settle(self, trace_id: bytes, visit: Visit) -> bool:
        """Ask for the verdicts on what one batch brought of a trace and act on them; says whether anything waits."""
        calls = self._ledger.close(trace_id, visit, self._now_ns)
        if not calls:
            for span in visit.cached:
                span.set(semconv.APP_LLM_COST_STATUS, _CACHED)
            return False
        waits = False
        for call, span in zip(calls, visit.spans, strict=True):
            if call.verdict is None:
                self._ledger.hold(self._held.take(trace_id, call, span))
                waits = True
            elif call.verdict or call.cached or call.adds is not None:
                self._conclude(call, span)
        return waits

    def _conclude(self, call: Call, span: Span) -> None:
        """Write a verdict."""
        if call.verdict != COUNTED:
            self._skip(span, call.verdict or "")
            if call.uncovered:
                self.stats.counters[UNCOVERED,] += 1
            return
        if call.adds is not None:
            write_counts(span, {}, call.adds)
        if call.cached:
            span.set(semconv.APP_LLM_COST_STATUS, _CACHED)

    def _skip(self, item: Span | LogRecord, reason: str) -> None:
        item.set(semconv.APP_LLM_COST_SKIP_REASON, reason)
        self.stats.counters[SKIPPED, reason] += 1

    def _release(self) -> list[Batch]:
        batches: list[Batch] = []
        for batch, waited in self._held.release(self._now_ns):
            for held, span in zip(waited, batch.spans(), strict=True):
                self._ledger.hold(-len(held.frame))
                self._conclude(held.call, span)
                if held.call.aggregate and held.call.verdict == COUNTED:
                    self._stand_in(held.call, span)
            batches.append(batch)
        return batches

    def _stand_in(self, call: Call, span: Span) -> None:
        """Write the totals of an aggregate that stands for calls nobody reported."""
        write_counts(span, span.view.attributes, call.usage)
        if call.usage.semantics is not None:
            span.set(semconv.APP_LLM_USAGE_INPUT_SEMANTICS, call.usage.semantics)
        span.set(semconv.APP_LLM_USAGE_BASIS, _AGGREGATE_BASIS)
        for key, value in self._defaults.items():
            if key not in span:
                span.set(key, value)

    # -- log records

    def _record(self, record: LogRecord, sender: Sender) -> None:
        if record.edits:
            record.replace(record.body())
        body = record.body()
        read_as = call_record(record)
        if read_as is None:
            self._set_aside(record)
            return
        plan, values = read_record(sender.scope, read_as.attributes)
        found = self._normalised_record(record, read_as, plan, values, sender)
        if found is None or plan.skipped:
            return
        if not self._ledger.is_new_record(body):
            self._skip(record, DUPLICATE_DELIVERY)
            return
        verdict = COUNTED
        if sender.service not in self._config.log_only:
            report = _log_report(record, plan, read_as.attributes, found)
            verdict = self._ledger.record(record.trace_id, report, self._now_ns)
        if verdict != COUNTED:
            self._skip(record, verdict)
        elif found[3].cache_hit:
            record.set(semconv.APP_LLM_COST_STATUS, _CACHED)

    def _normalised_record(
        self,
        record: LogRecord,
        read_as: CallRecord,
        plan: Plan,
        values: Values,
        sender: Sender,
    ) -> Normalised | None:
        """Normalise a record if it reports a call after all; nothing is written when it does not."""
        known = Known(plan, read_as.attributes, sender.given, read_as.hint)
        if not read_as.reports_call(plan, known.identity, sender.override):
            return None
        for key, value in read_as.adopted.items():
            record.set(key, value)
        found = normalise(
            record,
            plan,
            read_as.attributes,
            values,
            "",
            sender.given,
            sender.override,
            read_as.hint,
        )
        self._roles[found[0]] += 1
        return found

    def _set_aside(self, record: LogRecord) -> None:
        """Keep a record that is no call from being priced for the counts that it repeats."""
        event = repeats_usage(record)
        if event is not None and semconv.APP_LLM_COST_SKIP_REASON not in record:
            self._skip(record, SPAN_COUNTED if event == DETAILS_EVENT else NOT_BILLED)


def _aggregate(report: Report, plan: Plan, attributes: Mapping[str, bytes]) -> Call:
    call = Call(*report)
    call.aggregate = True
    if semconv.APP_LLM_USAGE_BASIS in plan.keys:
        call.verdict = COUNTED  # another sidecar has settled it
    elif plan.scope.task_totals:
        call.agent = text(attributes.get(semconv.GEN_AI_AGENT_NAME, b""))
    return call


def _loop(report: Report) -> Call:
    call = Call(*report)
    call.loop = True
    return call


def _log_report(
    record: LogRecord, plan: Plan, attributes: Mapping[str, bytes], found: Normalised
) -> Report:
    """Describe a record as a call: a moment, and whichever ids it has."""
    _, usage, response_id, known = found
    at = record.time_ns
    return (
        record.span_id or _NO_SPAN,
        NO_PARENT,
        plan.scope.mark,
        usage or NO_USAGE,
        known.identity.comparable,
        response_id,
        digest(first_text(plan.request_id, attributes)),
        at,
        at,
        0,
        known.cache_hit,
    )
