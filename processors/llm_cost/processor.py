"""Puts a price on every model call, or says why there is none.

Invariants
- Pricing is a pure function of the span and the price book; whether a call counts was decided before, by `genai`
  (`app.llm.cost.skip_reason`, `app.llm.span.class`).
- Unknown is not zero: a call without a price has no `app.llm.cost_usd`, but a reason, and is counted.
- A call that was priced upstream is left as it is, so a sidecar and a gateway do not price twice.
- Caches hold what a pure function returned, are bounded, and belong to one book: a reload swaps both at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal

from processors import semconv as s
from processors.base import OnError, Stateless
from processors.batch import Batch, Item, LogRecord, Signal
from processors.errors import InvalidConfig
from processors.llm_cost import money
from processors.llm_cost.book import Book, Miss, Offer
from processors.llm_cost.config import Config
from processors.llm_cost.conversations import Conversations
from processors.llm_cost.reader import OPERATIONS, Encoded, Shape, value_of
from processors.llm_cost.tariff import Tariff
from processors.llm_cost.usage import NotACount, Usage, settle
from processors.ports import Context
from processors.wire import Value, encode_value

FINAL: Final = frozenset({"priced", "reported"})
"""Statuses that an upstream collector wrote and that stay."""

WRITTEN: Final = (
    s.APP_LLM_COST_USD,
    s.APP_LLM_COST_STATUS,
    s.APP_LLM_COST_REASON,
    s.APP_LLM_COST_PRICE_SOURCE,
    s.APP_LLM_COST_PRICE_VERSION,
    s.APP_LLM_COST_PRICE_MODEL,
    s.APP_LLM_COST_MATCH,
    s.APP_LLM_COST_EFFECTIVE_FROM,
    s.APP_LLM_COST_TIER,
    s.APP_LLM_COST_VARIANT,
    s.APP_LLM_COST_INPUT_USD,
    s.APP_LLM_COST_OUTPUT_USD,
    s.APP_LLM_COST_CACHE_READ_USD,
    s.APP_LLM_COST_CACHE_WRITE_USD,
    s.APP_LLM_COST_FEES_USD,
)
"""Everything this processor says about a cost: what it does not write, it removes."""

PARTS: Final[Mapping[str, str]] = {
    "input": s.APP_LLM_COST_INPUT_USD,
    "output": s.APP_LLM_COST_OUTPUT_USD,
    "cache_read": s.APP_LLM_COST_CACHE_READ_USD,
    "cache_write": s.APP_LLM_COST_CACHE_WRITE_USD,
    "fees": s.APP_LLM_COST_FEES_USD,
}

STATUSES: Final = ("priced", "reported", "unpriced", "cached")
REASONS: Final = (
    "unknown_provider",
    "unknown_model",
    "no_usage",
    "inconsistent_usage",
    "no_rate",
)
ESTIMATED: Final = frozenset({"unknown_provider", "unknown_model", "no_rate"})
"""Reasons for which an estimate is better than nothing; without usage there is nothing to estimate from."""

KEYS_KEPT: Final = 10_000
"""Identities, and shapes, whose resolution is remembered; then the memory starts anew."""
RANGES_KEPT: Final = 8
"""Time ranges per identity: live traffic needs one, a backfill beside it a second."""
NAMES_SAID: Final = 1_000
"""Unknown names that are logged, each once; after that they are only counted."""


class LlmCost(Stateless):
    """The compiled form."""

    on_error: ClassVar[OnError] = OnError.PASS
    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})

    def __init__(self, config: Config, context: Context) -> None:
        """Compile the price book. Raises: `InvalidConfig`."""
        super().__init__()
        self._config = config
        self._book = Book(config.pricing)
        self._say = context.say
        self._said: set[tuple[str, str]] = set()
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._offers: dict[tuple[Any, ...], list[Offer | Miss]] = {}
        self._now_ns = 0
        self._conversations = context.shared("llm_cost.conversations", Conversations)
        self._count_from_zero()

    # -- the contract

    def process(self, batch: Batch) -> Batch:
        """Price every call in place."""
        self._now_ns = batch.received_ns
        for item in batch.items():
            self._item(item)
        return batch

    def tick(self, now_ns: int) -> Iterable[Batch]:
        """Forget conversations that have ended."""
        self._now_ns = now_ns
        if self._config.conversations:
            self._conversations.expire(now_ns, self._config.conversations)
        return ()

    def adopt(self, predecessor: LlmCost) -> None:
        """Go on with the conversations of the instance that a reload replaces.

        Raises: `InvalidConfig` when more than half of its prices are gone, as in a file that was read half-written.
        """
        had, has = len(predecessor._book.overlay.items), len(self._book.overlay.items)
        if self._config.pricing is not None and had >= FEW and 2 * has < had:
            text = f"expected at least half of the {had} models priced until now, got {has}; restart to accept this"
            raise InvalidConfig("pricing.models", text)
        self._conversations = predecessor._conversations

    # -- one call

    def _item(self, item: Item) -> None:
        attributes = item.view.attributes
        encoded: Encoded = attributes.__getitem__
        keys = tuple(attributes)
        if item.edited:
            keys = tuple(item.keys())
            encoded = lambda key: encode_value(item.get(key))  # noqa: E731
        shape = self._shapes.get(keys) or self._new_shape(keys)
        if not _is_call(shape, encoded):
            return
        if s.APP_LLM_COST_SKIP_REASON in shape.keys:
            _set_aside(item, shape)
            return
        status = (
            value_of(encoded(s.APP_LLM_COST_STATUS))
            if s.APP_LLM_COST_STATUS in shape.keys
            else None
        )
        if status not in FINAL:
            self._price(item, shape, encoded, cached=status == "cached")

    def _price(self, item: Item, shape: Shape, encoded: Encoded, *, cached: bool) -> None:
        usage = _usage(shape, encoded)
        reported = _take_reported(item, shape, encoded)
        if cached:
            written: dict[str, Value] = {s.APP_LLM_COST_USD: 0.0, s.APP_LLM_COST_STATUS: "cached"}
        else:
            written = self._verdict(item, shape, encoded, usage, reported)
        self.stats.counters[_CALLS, str(written[s.APP_LLM_COST_STATUS])] += 1
        for name in shape.ours:
            if name not in written:
                item.remove(name)
        for name, value in written.items():
            item.set(name, value)
        if isinstance(usage, Usage):
            self._watch(item, usage.total_input + usage.total_output)

    def _verdict(
        self,
        item: Item,
        shape: Shape,
        encoded: Encoded,
        usage: Usage | str,
        reported: float | None,
    ) -> dict[str, Value]:
        """Return the attributes that say what the call cost."""
        if reported is not None and self._book.reported == "prefer":
            return _reported(reported)
        if isinstance(usage, str):
            return self._without_price(usage, usage, reported)
        offer = self._offer(item, shape, encoded)
        if isinstance(offer, Miss):
            return self._without_price(offer.reason, usage, reported)
        tariff = offer.tariff(usage.total_input)
        atto = tariff.cost(usage)
        if atto is None:
            return self._without_price("no_rate", usage, reported)
        self._count(offer, tariff, usage)
        return _priced(offer, tariff, atto) | self._parts(tariff, usage)

    def _without_price(
        self, reason: str, usage: Usage | str, reported: float | None
    ) -> dict[str, Value]:
        self.stats.counters[_UNPRICED, reason] += 1
        if reported is not None and self._book.reported == "fallback":
            return _reported(reported)
        estimate = self._book.estimate
        if estimate and isinstance(usage, Usage) and reason in ESTIMATED:
            tariff = estimate.tariffs[0]
            atto = tariff.cost(usage)
            if atto is not None:
                written = _priced(estimate, tariff, atto) | self._parts(tariff, usage)
                return written | {s.APP_LLM_COST_REASON: reason}
        return {s.APP_LLM_COST_STATUS: "unpriced", s.APP_LLM_COST_REASON: reason}

    def _parts(self, tariff: Tariff, usage: Usage) -> dict[str, Value]:
        if not self._book.breakdown:
            return {}
        return {PARTS[name]: money.usd(atto) for name, atto in tariff.parts(usage).items()}

    def _offer(self, item: Item, shape: Shape, encoded: Encoded) -> Offer | Miss:
        """Return the terms for the item's identity and time, remembered or resolved."""
        at = _time(item, at_end=self._book.price_at_end) or self._now_ns
        key = (shape.identity, shape.batch, *map(encoded, shape.identity))
        known = self._offers.get(key)
        if known is not None:
            for offer in known:
                if offer.start <= at < offer.end:
                    return offer
        else:
            if len(self._offers) >= KEYS_KEPT:
                self._offers.clear()
            known = self._offers[key] = []
        found = self._book.resolve(shape.read_identity(encoded), at)
        if isinstance(found, Miss):
            self._tell(found)
        known.insert(0, found)
        del known[RANGES_KEPT:]
        return found

    def _new_shape(self, keys: tuple[str, ...]) -> Shape:
        if len(self._shapes) >= KEYS_KEPT:
            self._shapes.clear()
        shape = self._shapes[keys] = Shape(keys, WRITTEN)
        return shape

    # -- what follows from tokens

    def _watch(self, item: Item, tokens: int) -> None:
        """Compare the call with its token budget and add it to its conversation."""
        budget = self._config.token_budgets.get(item.get(s.APP_LLM_FEATURE))  # type: ignore[arg-type] # None: no entry
        if budget is not None and tokens > budget:
            item.set(s.APP_LLM_BUDGET_EXCEEDED, True)
        limits = self._config.conversations
        id = limits and (item.get(s.APP_LLM_CONVERSATION_ID) or item.get(s.GEN_AI_CONVERSATION_ID))
        if limits and isinstance(id, str):
            standing = self._conversations.add(id, tokens, self._now_ns, limits)
            item.set(s.APP_LLM_CONVERSATION_CUMULATIVE_TOKENS, standing.tokens)
            if standing.expensive:
                item.set(s.APP_LLM_CONVERSATION_EXPENSIVE, True)

    # -- counting and telling

    def _count(self, offer: Offer, tariff: Tariff, usage: Usage) -> None:
        counters = self.stats.counters
        counters[_MATCHES, offer.source, offer.match] += 1
        for leaf in tariff.defaults(usage):
            counters[_DEFAULTS, leaf] += 1
        for dimension in offer.unpriced:
            counters[_VARIANTS, dimension] += 1

    def _count_from_zero(self) -> None:
        """Make every series exist: an alert on an absent one cannot fire (open-bank-oss PR #6063)."""
        counters = self.stats.counters
        for status in STATUSES:
            counters[_CALLS, status] = 0
        for reason in REASONS:
            counters[_UNPRICED, reason] = 0
        self.stats.gauges[_CONVERSATIONS,] = lambda: len(self._conversations)
        self.stats.gauges[_UNUSED,] = self._book.overlay.unused

    def _tell(self, miss: Miss) -> None:
        """Log a name without a price, once."""
        name = (miss.provider, miss.model)
        if name not in self._said and len(self._said) < NAMES_SAID:
            self._said.add(name)
            self._say(
                "There is no price for a model; its calls are counted as unpriced.",
                provider=miss.provider,
                model=miss.model,
                reason=miss.reason,
            )


FEW: Final = 4
"""A shorter price list may shrink as it likes."""

_CALLS: Final = "otelcol_llm_cost_calls_total"
_UNPRICED: Final = "otelcol_llm_cost_unpriced_total"
_MATCHES: Final = "otelcol_llm_cost_matches_total"
_DEFAULTS: Final = "otelcol_llm_cost_rate_defaults_total"
_VARIANTS: Final = "otelcol_llm_cost_unpriced_variants_total"
_CONVERSATIONS: Final = "otelcol_llm_cost_conversations"
_UNUSED: Final = "otelcol_llm_cost_unused_prices"


def _is_call(shape: Shape, encoded: Encoded) -> bool:
    """Say whether the span is priced: the class that `genai` gave decides, else the operation."""
    keys = shape.keys
    if s.APP_LLM_SPAN_CLASS in keys:
        kind = value_of(encoded(s.APP_LLM_SPAN_CLASS))
        if kind != "aggregate":
            return bool(kind == "model_call")
        basis = s.APP_LLM_USAGE_BASIS
        return basis in keys and value_of(encoded(basis)) == "aggregate"
    if s.GEN_AI_OPERATION_NAME in keys:
        return value_of(encoded(s.GEN_AI_OPERATION_NAME)) in OPERATIONS
    return shape.implied


def _usage(shape: Shape, encoded: Encoded) -> Usage | Literal["no_usage", "inconsistent_usage"]:
    try:
        return settle(shape.read_usage(encoded))
    except NotACount:
        return "inconsistent_usage"


def _take_reported(item: Item, shape: Shape, encoded: Encoded) -> float | None:
    """Return what somebody else says the call cost; an incoming `app.llm.cost_usd` is kept under that name."""
    figure = None
    if s.APP_LLM_USAGE_REPORTED_COST_USD in shape.keys:
        figure = money.reported(value_of(encoded(s.APP_LLM_USAGE_REPORTED_COST_USD)))
    if s.APP_LLM_COST_USD in shape.keys and figure is None:
        figure = money.reported(value_of(encoded(s.APP_LLM_COST_USD)))
        if figure is not None:
            item.set(s.APP_LLM_USAGE_REPORTED_COST_USD, figure)
    return figure


def _set_aside(item: Item, shape: Shape) -> None:
    """Leave a call that counts elsewhere without cost and status."""
    for name in (s.APP_LLM_COST_USD, s.APP_LLM_COST_STATUS):
        if name in shape.keys:
            item.remove(name)


def _time(item: Item, *, at_end: bool) -> int:
    if isinstance(item, LogRecord):
        return item.time_ns
    view = item.view
    return int(view.end_ns if at_end else view.start_ns)


def _reported(figure: float) -> dict[str, Value]:
    return {
        s.APP_LLM_COST_USD: figure,
        s.APP_LLM_COST_STATUS: "reported",
        s.APP_LLM_COST_PRICE_SOURCE: "reported",
    }


def _priced(offer: Offer, tariff: Tariff, atto: int) -> dict[str, Value]:
    written: dict[str, Value] = {
        s.APP_LLM_COST_USD: money.usd(atto),
        s.APP_LLM_COST_STATUS: "priced",
        s.APP_LLM_COST_PRICE_SOURCE: offer.source,
        s.APP_LLM_COST_PRICE_VERSION: offer.version,
        s.APP_LLM_COST_MATCH: offer.match,
    }
    optional: dict[str, Value] = {
        s.APP_LLM_COST_PRICE_MODEL: offer.entry,
        s.APP_LLM_COST_EFFECTIVE_FROM: offer.effective_from,
        s.APP_LLM_COST_VARIANT: offer.variant,
        s.APP_LLM_COST_TIER: tariff.above if tariff.above >= 0 else None,
    }
    return written | {name: value for name, value in optional.items() if value not in (None, "")}
