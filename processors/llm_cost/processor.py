"""Puts a price on every model call, or says why there is none.

Invariants
- Pricing is a pure function of the span and the price book; whether a call counts was decided before, by `genai`
  (`app.llm.cost.skip_reason`, `app.llm.span.class`).
- Unknown is not zero: a call without a price has no `app.llm.cost_usd`, but a reason, and is counted.
- A call that was priced upstream is left as it is, so a sidecar and a gateway do not price twice.
- Caches hold what a pure function returned, are bounded, and belong to one book: a reload swaps both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar, Final, Literal, TypeAlias

from processors import semconv as s
from processors.allowance import ENTRY_BYTES, Allowance, length
from processors.amend import Body, amend_spans
from processors.base import OnError, Stateless
from processors.batch import Batch, Item, LogRecord, Signal, Span
from processors.llm_cost import money, verdict
from processors.llm_cost.book import Miss, Offer
from processors.llm_cost.catalog import SECOND
from processors.llm_cost.config import Config
from processors.llm_cost.desk import Desk
from processors.llm_cost.offers import KEPT
from processors.llm_cost.quick import Quick, overlaid
from processors.llm_cost.reader import MODEL_CALLS, OPERATIONS, Get, Shape
from processors.llm_cost.tariff import Tariff
from processors.llm_cost.usage import NotACount, Usage, settle
from processors.ports import Context
from processors.wire import Value, encode_value

_MODEL_CALL: Final = "model_call"
_AGGREGATE: Final = "aggregate"
_CLASSED: Final = encode_value(_MODEL_CALL)
_NEVER_PRICED: Final = ("tool", "other")
"""Classes that `genai` gives to what is no model call."""
_Keys: TypeAlias = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""Keys that came, those that were written since, and those that were read before."""
_NO_COLUMNS: Final[tuple[tuple[str, ...], tuple[bytes, ...]]] = ((), ())
_REMEMBERED: Final = 16 << 20
"""Bytes of all shapes and prices that are remembered, estimated."""
ESTIMATED: Final = frozenset({"unknown_provider", "unknown_model", "no_rate"})
"""Reasons for which an estimate is better than nothing; without usage there is nothing to estimate from."""


class LlmCost(Stateless):
    """The compiled form."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the price book. Raises: `InvalidConfig`, also when most prices of the running one are gone."""
        super().__init__()
        self._config = config
        self._say = context.say
        self._desk = context.shared("llm_cost", Desk)
        self._offers = self._desk.offers(config.pricing, self._tell)
        self._book = self._offers.book
        self._allowance = Allowance(_REMEMBERED)
        self._quick = Quick(self._offers, self.stats, self._allowance)
        self._shapes: dict[_Keys, Shape] = {}
        self._latest = self._shape(())
        """The shape that an undecoded span had last."""
        self._before: _Keys = ((), (), ())
        self._last = self._latest
        """Keys and shape that another had last."""
        self._price_time = attrgetter("end_ns" if self._book.price_at_end else "start_ns")
        self._now_ns = 0
        self._watches = bool(config.token_budgets or config.conversations)
        self._count_from_zero()

    # -- the contract

    def process(self, batch: Batch) -> Batch:
        """Price every call in place."""
        self._now_ns = batch.received_ns
        if batch.signal is not Signal.TRACES or self._book.breakdown:
            for item in batch.items():
                self._item(item)
        elif batch.decoded or self._watches:
            for span in batch.spans():
                self._span(span)
        else:
            batch.recode(amend_spans(batch.raw, self._amended))
        self._quick.count()
        return batch

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Forget conversations that have ended, and note that this price list is the one in use."""
        self._now_ns = now_ns
        self._desk.use(self._book, self)
        if self._config.conversations:
            self._desk.conversations.expire(now_ns, self._config.conversations)
        return ()

    # -- one call

    def _amended(self, view: Any, raw: bytes, start: int, end: int) -> bytes | None:
        """Price a span that nobody decoded, the short way where that is possible."""
        attributes = view.attributes
        operation = attributes.get(s.GEN_AI_OPERATION_NAME)
        if operation is None or operation in MODEL_CALLS:
            came = tuple(attributes)
            shape = self._latest
            if came != shape.came:  # hashing the keys takes 0.4 µs, and neighbours are often alike
                shape = self._latest = self._shape(came)
            if shape.silent:
                return None
            if shape.quick and (not shape.classed or attributes[s.APP_LLM_SPAN_CLASS] == _CLASSED):
                at = self._price_time(view) or self._now_ns
                priced = self._quick.price(shape, attributes, at)
                if priced is not None:
                    return priced[0].encoded(priced[1])
        elif s.APP_LLM_SPAN_CLASS not in attributes and not _costs(attributes):
            return None
        span = Span.alone(raw[start:end])
        self._item(span)
        return Body(span.body()) if span.edits else None

    def _span(self, span: Span) -> None:
        """Price a span, the short way where that is possible."""
        edits = span.edits
        _, attributes = span.seen or span.see()
        if s.APP_LLM_SPAN_CLASS in edits:
            kind = edits[s.APP_LLM_SPAN_CLASS]
            quick = kind == _MODEL_CALL
            never = kind in _NEVER_PRICED or (
                kind == _AGGREGATE  # its parts are priced; most aggregates are such
                and not (s.APP_LLM_USAGE_BASIS in edits or s.APP_LLM_USAGE_BASIS in attributes)
            )
            if never and not (_costs(attributes) or _costs(edits)):
                return
        else:
            operation = attributes.get(s.GEN_AI_OPERATION_NAME)
            quick = s.GEN_AI_OPERATION_NAME not in edits and (
                operation is None or operation in MODEL_CALLS
            )
            classed = s.APP_LLM_SPAN_CLASS in attributes
            if not (quick or edits or classed or _costs(attributes)):
                return
        if not quick or not self._priced_quickly(span, attributes, edits):
            self._item(span)

    def _priced_quickly(
        self, span: Span, attributes: Mapping[str, bytes], edits: Mapping[str, Any]
    ) -> bool:
        """Price a span the short way; False where the long way must answer."""
        columns, values = span.columns or _NO_COLUMNS
        known = (span.present, tuple(edits), columns)
        if known != self._before:  # neighbours are often alike, and then these are the same objects
            self._before = known
            self._last = self._shape(*known)
        shape = self._last
        if not _is_quick(shape, attributes):
            return shape.silent
        source: Any = values if shape.columnar else attributes
        if shape.rewritten:
            source = overlaid(shape, attributes, edits)
        priced = self._quick.price(shape, source, self._at(span.view)) if source else None
        if priced is None:
            return False
        bill, cost, tokens = priced
        bill.write(span, cost)
        if self._watches:
            self._watch(span, tokens)
        return True

    def _at(self, view: Any) -> int:
        """Return the time whose prices hold for a span."""
        at: int = self._price_time(view)
        return at or self._now_ns

    def _item(self, item: Item) -> None:
        """Price whatever there may be: the long way."""
        shape = self._shape(tuple(item.keys()))
        if not _is_call(shape, item.get) or s.APP_LLM_COST_SKIP_REASON in shape.keys:
            if shape.ours:
                _set_aside(item)
            return
        status = item.get(s.APP_LLM_COST_STATUS)
        if status in verdict.FINAL:
            return
        usage = _usage(shape, item.get)
        theirs = _take_reported(item)
        gateway = status == "cached"
        said = verdict.cached() if gateway else self._verdict(item, shape, usage, theirs)
        self._write(item, shape, said)
        if self._watches and isinstance(usage, Usage):
            self._watch(item, usage.total_input + usage.total_output)

    def _verdict(
        self, item: Item, shape: Shape, usage: Usage | str, theirs: float | None
    ) -> dict[str, Value]:
        """Return the attributes that say what the call cost; `theirs` is the emitter's own figure."""
        if theirs is not None and self._book.reported == "prefer":
            return verdict.reported(theirs)
        if isinstance(usage, str):
            return self._without_price(usage, usage, theirs)
        at = item.time_ns if isinstance(item, LogRecord) else self._at(item.view)
        offer = self._offers.find(shape.read_identity(item.get), at or self._now_ns)
        if isinstance(offer, Miss):
            return self._without_price(offer.reason, usage, theirs)
        tariff = offer.tariff(usage.total_input)
        atto = tariff.cost(usage)
        if atto is None:
            return self._without_price("no_rate", usage, theirs)
        self._count(offer, tariff, usage)
        return verdict.priced(offer, tariff, atto) | self._parts(tariff, usage)

    def _without_price(
        self, reason: str, usage: Usage | str, theirs: float | None
    ) -> dict[str, Value]:
        self.stats.counters[verdict.UNPRICED, reason] += 1
        if theirs is not None and self._book.reported == "fallback":
            return verdict.reported(theirs)
        estimate = self._book.estimate
        if estimate and isinstance(usage, Usage) and reason in ESTIMATED:
            tariff = estimate.tariffs[0]
            atto = tariff.cost(usage)
            if atto is not None:
                said = verdict.priced(estimate, tariff, atto) | self._parts(tariff, usage)
                return said | {s.APP_LLM_COST_REASON: reason}
        return verdict.unpriced(reason)

    def _parts(self, tariff: Tariff, usage: Usage) -> dict[str, Value]:
        if not self._book.breakdown:
            return {}
        return {verdict.PARTS[name]: money.usd(n) for name, n in tariff.parts(usage).items()}

    def _write(self, item: Item, shape: Shape, said: dict[str, Value]) -> None:
        self.stats.counters[verdict.CALLS, str(said[s.APP_LLM_COST_STATUS])] += 1
        for name in shape.ours:
            if name not in said:
                item.remove(name)
        for name, value in said.items():
            item.set(name, value)

    def _shape(
        self, came: tuple[str, ...], edited: tuple[str, ...] = (), columns: tuple[str, ...] = ()
    ) -> Shape:
        """Return what is known of attributes with these keys; `edited`: those written after the span came in,
        `columns`: those of its `columns`."""
        keys = (came, edited, columns)
        shape = self._shapes.get(keys)
        if shape is None:
            if len(self._shapes) >= KEPT:
                self._shapes.clear()
            size = length(keys) + ENTRY_BYTES * sum(map(len, keys))
            self._allowance.spend(size, self._shapes)
            shape = self._shapes[keys] = Shape(came, verdict.WRITTEN, edited, columns)
        return shape

    # -- what follows from tokens

    def _watch(self, item: Item, tokens: int) -> None:
        """Compare the call with its token budget and add it to its conversation."""
        feature = item.get(s.APP_LLM_FEATURE)
        budget = self._config.token_budgets.get(feature) if isinstance(feature, str) else None
        if budget is not None and tokens > budget:
            item.set(s.APP_LLM_BUDGET_EXCEEDED, True)
        limits = self._config.conversations
        if limits is None:
            return
        id = item.get(s.APP_LLM_CONVERSATION_ID) or item.get(s.GEN_AI_CONVERSATION_ID)
        if isinstance(id, str):
            standing = self._desk.conversations.add(id, tokens, self._now_ns, limits)
            item.set(s.APP_LLM_CONVERSATION_CUMULATIVE_TOKENS, standing.tokens)
            if standing.expensive:
                item.set(s.APP_LLM_CONVERSATION_EXPENSIVE, True)

    # -- counting and telling

    def _count(self, offer: Offer, tariff: Tariff, usage: Usage) -> None:
        counters = self.stats.counters
        counters[verdict.MATCHES, offer.source, offer.match] += 1
        for leaf in tariff.defaults(usage):
            counters[verdict.DEFAULTS, leaf] += 1
        for dimension in offer.unpriced:
            counters[verdict.VARIANTS, dimension] += 1

    def _count_from_zero(self) -> None:
        """Make every series exist: an alert on an absent one cannot fire (open-bank-oss PR #6063)."""
        self.stats.from_zero(verdict.CALLS, verdict.STATUSES)
        self.stats.from_zero(verdict.UNPRICED, verdict.REASONS)
        desk, book = self._desk, self._book
        self._report(verdict.CONVERSATIONS, read=lambda: len(desk.conversations))
        self._report(verdict.UNUSED, read=book.overlay.unused)
        for source, version, newest in book.lists():
            self._report(verdict.INFO, source, version, read=lambda: 1)
            if newest:
                self._report(verdict.AGE, source, read=partial(self._age_s, newest))

    def _report(self, *key: str, read: Callable[[], float]) -> None:
        """Make a gauge of something shared, which one instance at a time reports."""
        self.stats.gauges[key] = lambda: read() if self._desk.speaker is self else 0

    def _age_s(self, newest: int) -> float:
        return max(0, self._now_ns - newest) / SECOND

    def _tell(self, miss: Miss) -> None:
        self._say(
            "There is no price for a model; its calls are counted as unpriced.",
            provider=miss.provider,
            model=miss.model,
            reason=miss.reason,
        )


def _is_quick(shape: Shape, attributes: Mapping[str, bytes]) -> bool:
    """Say whether a span may go the short way, as it came; what was written on it since is the caller's matter."""
    return shape.quick and (not shape.classed or attributes[s.APP_LLM_SPAN_CLASS] == _CLASSED)


def _is_call(shape: Shape, get: Get) -> bool:
    """Say whether the span is priced: the class that `genai` gave decides, else the operation."""
    keys = shape.keys
    if s.APP_LLM_SPAN_CLASS in keys:
        kind = get(s.APP_LLM_SPAN_CLASS)
        if kind != _AGGREGATE:
            return bool(kind == _MODEL_CALL)
        return get(s.APP_LLM_USAGE_BASIS) == _AGGREGATE
    if s.GEN_AI_OPERATION_NAME in keys:
        operation = get(s.GEN_AI_OPERATION_NAME)
        return isinstance(operation, str) and operation in OPERATIONS
    return shape.implied


def _usage(shape: Shape, get: Get) -> Usage | Literal["no_usage", "inconsistent_usage"]:
    try:
        return settle(shape.read_usage(get))
    except NotACount:
        return "inconsistent_usage"


def _take_reported(item: Item) -> float | None:
    """Return what somebody else says the call cost; an incoming `app.llm.cost_usd` is kept under that name."""
    figure = money.reported(item.get(s.APP_LLM_USAGE_REPORTED_COST_USD))
    if figure is not None or s.APP_LLM_COST_USD not in item:
        return figure
    figure = money.reported(item.get(s.APP_LLM_COST_USD))
    if figure is not None:
        item.set(s.APP_LLM_USAGE_REPORTED_COST_USD, figure)
    return figure


def _costs(attributes: Mapping[str, Any]) -> bool:
    """Say whether there is a cost or its status."""
    return s.APP_LLM_COST_USD in attributes or s.APP_LLM_COST_STATUS in attributes


def _set_aside(item: Item) -> None:
    """Leave what is no call, or counts elsewhere, without cost and status: its parts have them, and sums are made of
    these attributes. A figure that the application computed is kept as reported."""
    if s.APP_LLM_COST_STATUS not in item:
        _take_reported(item)
    item.remove(s.APP_LLM_COST_USD)
    item.remove(s.APP_LLM_COST_STATUS)
