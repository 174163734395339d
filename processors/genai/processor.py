"""The `genai` processor: walks a batch, normalises what is GenAI and asks the ledger what counts.

Invariants
- A span or record without a GenAI marker passes byte for byte.
- A second pass changes nothing.
- One verdict per record: without `app.llm.cost.skip_reason` a model call counts.
- An agent's or workflow's span with usage waits until it is known whether anything below it counts; it is kept as
  bytes, and leaves by `tick` or `close`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, NamedTuple

from processors import semconv
from processors.base import OnError
from processors.batch import Batch, LogRecord, ScopeGroup, Signal, Span, assemble
from processors.genai.config import Config, Override
from processors.genai.identity import Identity, first_text, identify
from processors.genai.known import Given
from processors.genai.ledger import Ledger
from processors.genai.normalise import Normalised, normalise, resource_dimensions, write_counts
from processors.genai.plan import Plan, Planner, plan_for, plan_for_record
from processors.genai.records import DETAILS_EVENT, call_record, repeats_usage
from processors.genai.rules import DUPLICATE_DELIVERY, NOT_BILLED, SPAN_COUNTED
from processors.genai.scopes import ScopeProfile
from processors.genai.table import Role
from processors.genai.trace import COUNTED, Call, Trace
from processors.genai.usage import Usage, read_usage
from processors.genai.values import text
from processors.ports import Context
from processors.stats import Stats

_SERVICE_NAME: Final = "service.name"
_BEDROCK: Final = "aws.bedrock"
_AGGREGATE_BASIS: Final = "aggregate"
_CACHED: Final = "cached"
_MAX_GIVEN: Final = 256

SKIPPED: Final = "otelcol_llm_genai_skipped_records_total"
NORMALISED: Final = "otelcol_llm_genai_records_total"
UNCOVERED: Final = "otelcol_llm_genai_uncovered_aggregates_total"
INVALID: Final = "otelcol_llm_genai_invalid_counts_total"
HELD: Final = "otelcol_llm_genai_held_spans"
LEDGER_BYTES: Final = "otelcol_llm_genai_ledger_bytes"
LEDGER_TRACES: Final = "otelcol_llm_genai_ledger_traces"
EVICTED: Final = "otelcol_llm_genai_ledger_evicted_traces_total"


class Held(NamedTuple):
    """A span that waits for its verdict, as bytes."""

    call: Call
    cached: bool
    resource: bytes
    scope: bytes
    frame: bytes


class _Sender(NamedTuple):
    """What holds for all items of one scope group."""

    scope: ScopeProfile
    given: Given
    service: str
    override: Override | None


class _Touched:
    """What one batch brought of one trace."""

    __slots__ = ("calls", "trace")

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.calls: list[tuple[Call, Span, bool]] = []


class Genai:
    """One per pipeline; instances of one id share the ledger."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})

    def __init__(self, config: Config, context: Context) -> None:
        self.stats = Stats()
        self._config = config
        self._planner = Planner()
        self._defaults = dict(config.defaults)
        self._given: dict[tuple[tuple[str, str], ...], Given] = {}
        self._given_number = 0
        self._ledger: Ledger = context.shared("genai.ledger", lambda: Ledger(config))
        self._held: dict[bytes, list[Held]] = {}
        self.stats.gauges[HELD,] = lambda: sum(map(len, self._held.values()))
        if self._ledger.claim():  # shared ones are told about once
            self.stats.gauges[LEDGER_BYTES,] = lambda: self._ledger.size_bytes
            self.stats.gauges[LEDGER_TRACES,] = lambda: self._ledger.traces

    def adopt(self, predecessor: Genai) -> None:
        """Go on with the ledger, and the waiting spans, of the instance that a reload replaces."""
        self._ledger = predecessor._ledger
        self._ledger.configure(self._config)
        self._held, predecessor._held = predecessor._held, {}

    # -- the contract

    def process(self, batch: Batch) -> Batch | None:
        """Normalise in place and take out what must wait."""
        if batch.signal is Signal.LOGS:
            self._process_logs(batch)
            return batch
        touched: dict[bytes, _Touched] = {}
        for group in batch.groups:
            for scope_group in group.scopes:
                sender = self._sender(scope_group)
                for item in scope_group.items:
                    if isinstance(item, Span) and not item.dropped:
                        self._span(item, sender, touched, batch.received_ns)
        for trace_id, some in touched.items():
            self._settle(trace_id, some, batch.received_ns)
        self._trim(batch.received_ns)
        return batch if next(batch.items(), None) is not None else None

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Release the spans whose verdict came."""
        self._ledger.settle(now_ns)
        self._trim(now_ns)
        return self._release(now_ns)

    def close(self) -> Iterable[Batch]:
        """Close every open verdict and release everything."""
        self._ledger.settle_all()
        return self._release(0)

    def _trim(self, now_ns: int) -> None:
        if evicted := self._ledger.trim(now_ns):
            self.stats.counters[EVICTED,] += evicted

    # -- spans

    def _span(
        self, span: Span, sender: _Sender, touched: dict[bytes, _Touched], now_ns: int
    ) -> None:
        if span.edits:
            span.replace(span.body())
        view = span.view
        attributes = view.attributes
        trace_id = span.trace_id
        some = touched.get(trace_id)
        if some is None:
            some = touched[trace_id] = _Touched(self._ledger.open(trace_id, now_ns))
        plan = plan_for(sender.scope, attributes)
        if plan is None:
            some.trace.link(view.span_id, view.parent_span_id, solid=False)
            return
        found = normalise(span, plan, attributes, view.name, sender.given, sender.override)
        role = found.role
        self.stats.counters[NORMALISED, role.label] += 1
        solid = role in (Role.MODEL_CALL, Role.AGGREGATE, Role.TOOL)
        some.trace.link(view.span_id, view.parent_span_id, solid=solid)
        if found.usage is not None:
            self._enter(span, plan, attributes, found, some)
        elif role is Role.TOOL and plan.spring:
            some.trace.tools.append((view.parent_span_id, view.start_ns, view.end_ns))
        elif plan.has_counts and role is not Role.TOOL and not plan.skipped:
            span.set(semconv.APP_LLM_COST_SKIP_REASON, NOT_BILLED)

    def _enter(
        self,
        span: Span,
        plan: Plan,
        attributes: Mapping[str, bytes],
        found: Normalised,
        some: _Touched,
    ) -> None:
        """Enter a record in the ledger, unless another sidecar has set it aside or it was here before."""
        usage = found.usage
        aggregate = found.role is Role.AGGREGATE
        if usage is not None and usage.invalid:
            self.stats.counters[INVALID,] += usage.invalid
        if usage is None or plan.skipped or (aggregate and not usage.known):
            return
        call = _call(span, plan, found, usage)
        call.aggregate = aggregate
        if some.trace.was_delivered(call.span_id):
            self._skip(span, DUPLICATE_DELIVERY)
            return
        if aggregate and semconv.APP_LLM_USAGE_BASIS in plan.keys:
            call.verdict = COUNTED  # another sidecar has settled it
        elif aggregate and plan.scope.task_totals:
            call.agent = text(attributes.get(semconv.GEN_AI_AGENT_NAME, b""))
        some.trace.add(call)
        some.calls.append((call, span, found.cache_hit))

    def _settle(self, trace_id: bytes, some: _Touched, now_ns: int) -> None:
        """Ask for the verdicts on what one batch brought of a trace, and act on them."""
        self._ledger.close(trace_id, some.trace, [call for call, *_ in some.calls], now_ns)
        for call, span, cached in some.calls:
            if call.verdict is None:
                self._hold(trace_id, call, span, cached=cached)
            else:
                self._conclude(call, span, cached=cached)

    def _conclude(self, call: Call, span: Span, *, cached: bool) -> None:
        """Write a verdict."""
        if call.verdict != COUNTED:
            self._skip(span, call.verdict or "")
            if call.uncovered:
                self.stats.counters[UNCOVERED,] += 1
            return
        if call.adds is not None:
            _write_difference(span, call.adds)
        if cached:
            span.set(semconv.APP_LLM_COST_STATUS, _CACHED)

    def _skip(self, item: Span | LogRecord, reason: str) -> None:
        item.set(semconv.APP_LLM_COST_SKIP_REASON, reason)
        self.stats.counters[SKIPPED, reason] += 1

    # -- spans that wait

    def _hold(self, trace_id: bytes, call: Call, span: Span, *, cached: bool) -> None:
        envelopes = span.group.parent.envelope(), span.group.envelope()
        held = Held(call, cached, *envelopes, span.frame())
        self._held.setdefault(trace_id, []).append(held)
        self._ledger.hold(len(held.frame))
        span.dropped = True

    def _release(self, now_ns: int) -> list[Batch]:
        batches: list[Batch] = []
        for trace_id, waiting in list(self._held.items()):
            ready = [held for held in waiting if held.call.verdict is not None]
            if not ready:
                continue
            batches.append(self._released(ready, now_ns))
            if len(ready) == len(waiting):
                del self._held[trace_id]
            else:
                self._held[trace_id] = [h for h in waiting if h.call.verdict is None]
        return batches

    def _released(self, ready: list[Held], now_ns: int) -> Batch:
        frames: dict[tuple[bytes, bytes], list[bytes]] = {}
        order: dict[tuple[bytes, bytes], list[Held]] = {}
        for held in ready:
            frames.setdefault((held.resource, held.scope), []).append(held.frame)
            order.setdefault((held.resource, held.scope), []).append(held)
        batch = Batch(Signal.TRACES, assemble(frames), received_ns=now_ns)
        for held, span in zip(
            (h for some in order.values() for h in some), batch.spans(), strict=True
        ):
            self._ledger.hold(-len(held.frame))
            self._conclude(held.call, span, cached=held.cached)
            if held.call.aggregate and held.call.verdict == COUNTED:
                self._stand_in(held.call, span)
        return batch

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

    def _process_logs(self, batch: Batch) -> None:
        for group in batch.groups:
            for scope_group in group.scopes:
                sender = self._sender(scope_group)
                for item in scope_group.items:
                    if isinstance(item, LogRecord) and not item.dropped:
                        self._record(item, sender, batch.received_ns)

    def _record(self, record: LogRecord, sender: _Sender, now_ns: int) -> None:
        if record.edits:
            record.replace(record.body())
        body = record.body()
        read_as = call_record(record)
        if read_as is None:
            self._set_aside(record)
            return
        plan = plan_for_record(sender.scope, read_as.attributes)
        identity = identify(plan, read_as.attributes)
        usage = read_usage(plan, read_as.attributes, identity, sender.override)
        if not _reports_call(identity, usage, of_emitter=read_as.of_emitter):
            return
        for key, value in read_as.adopted.items():
            record.set(key, value)
        found = normalise(
            record, plan, read_as.attributes, "", sender.given, sender.override, read_as.hint
        )
        self.stats.counters[NORMALISED, found.role.label] += 1
        if not plan.skipped:
            self._judge_record(record, plan, read_as.attributes, found, sender, now_ns, hash(body))

    def _set_aside(self, record: LogRecord) -> None:
        """Keep a record that is no call from being priced for the counts that it repeats."""
        event = repeats_usage(record)
        if event is not None and semconv.APP_LLM_COST_SKIP_REASON not in record:
            self._skip(record, SPAN_COUNTED if event == DETAILS_EVENT else NOT_BILLED)

    def _judge_record(
        self,
        record: LogRecord,
        plan: Plan,
        attributes: Mapping[str, bytes],
        found: Normalised,
        sender: _Sender,
        now_ns: int,
        digest: int,
    ) -> None:
        if not self._ledger.is_new_record(digest):
            self._skip(record, DUPLICATE_DELIVERY)
            return
        verdict = COUNTED
        if record.trace_id.strip(b"\0") and sender.service not in self._config.log_only:
            log = _log_call(record, plan, attributes, found)
            verdict = self._ledger.record(record.trace_id, log, now_ns)
        if verdict != COUNTED:
            self._skip(record, verdict)
        elif found.cache_hit:
            record.set(semconv.APP_LLM_COST_STATUS, _CACHED)

    # -- configuration of emitters

    def _sender(self, group: ScopeGroup) -> _Sender:
        attributes = group.parent.resource.view.attributes
        service = text(attributes.get(_SERVICE_NAME, b"")) or ""
        scope = self._planner.scope(group.scope.name, group.scope.version)
        overrides = self._config.token_semantics
        override = next((row for row in overrides if row.fits(scope.name, service)), None)
        return _Sender(scope, self._given_by(attributes), service, override)

    def _given_by(self, resource: Mapping[str, bytes]) -> Given:
        """Return the dimensions of a resource, the same object for the same ones."""
        shared = resource_dimensions(resource)
        key = tuple(shared.items())
        found = self._given.get(key)
        if found is None:
            if len(self._given) >= _MAX_GIVEN:
                self._given.clear()
            self._given_number += 1  # never used twice: plans remember by it
            found = self._given[key] = Given(self._given_number, shared, self._defaults)
        return found


def _call(span: Span, plan: Plan, found: Normalised, usage: Usage) -> Call:
    view = span.view
    identity = found.identity
    call = Call(
        view.span_id,
        view.parent_span_id,
        plan.scope,
        usage,
        identity.comparable,
        found.response_id,
        view.start_ns,
        view.end_ns,
        view.kind,
    )
    if plan.request_id:
        call.request_id = first_text(plan.request_id, view.attributes)
    call.loop = plan.spring and identity.provider == _BEDROCK
    return call


def _log_call(
    record: LogRecord, plan: Plan, attributes: Mapping[str, bytes], found: Normalised
) -> Call:
    usage = found.usage
    assert usage is not None  # noqa: S101 - a record that reports a call has usage
    at = record.time_ns
    call = Call(
        record.span_id or b"-",
        b"",
        plan.scope,
        usage,
        found.identity.comparable,
        found.response_id,
        at,
        at,
        0,
    )
    call.request_id = first_text(plan.request_id, attributes)
    return call


def _reports_call(identity: Identity, usage: Usage, *, of_emitter: bool) -> bool:
    if of_emitter:
        return usage.input is not None
    return usage.known and bool(identity.comparable)


def _write_difference(span: Span, adds: Usage) -> None:
    """Write what a running total adds to an earlier one, in place of the total."""
    for key, value in (
        (semconv.GEN_AI_USAGE_INPUT_TOKENS, adds.input),
        (semconv.GEN_AI_USAGE_OUTPUT_TOKENS, adds.output),
        (semconv.GEN_AI_USAGE_CACHE_READ, adds.cache_read),
        (semconv.GEN_AI_USAGE_CACHE_CREATION, adds.cache_write),
        (semconv.APP_LLM_USAGE_CACHE_CREATION_1H, adds.cache_write_1h),
        (semconv.GEN_AI_USAGE_REASONING, adds.reasoning),
    ):
        if value is not None:
            span.set(key, value)
