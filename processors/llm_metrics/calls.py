"""Counted model calls → series. This is the hot path: a few look-ups, then integers added in place.

The attributes that become labels are read as they came (encoded, or as a processor before us wrote them) and looked up
as a tuple: a *binding* holds the series of one such tuple, so nothing is decoded, cleaned or folded again for the next
call that looks the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from processors import semconv
from processors.llm_metrics import catalogue
from processors.llm_metrics.catalogue import DATA_MODES, LABELS, OTHER, Metric
from processors.llm_metrics.labels import SHA_LENGTH, LabelValues, clean, plain
from processors.llm_metrics.money import atto_usd
from processors.llm_metrics.outcomes import Outcome, outcome
from processors.llm_metrics.series import Book, Values
from processors.wire import Value, encode_value

Raw: TypeAlias = "Value | bytes"
"""An attribute's value, or its encoded AnyValue."""

LABEL_KEYS: Final = (
    semconv.GEN_AI_PROVIDER_NAME,
    semconv.GEN_AI_RESPONSE_MODEL,
    semconv.GEN_AI_REQUEST_MODEL,
    semconv.APP_LLM_FEATURE,
    semconv.APP_LLM_TENANT_ID,
    semconv.APP_LLM_PROMPT_TEMPLATE_VERSION,
    semconv.APP_LLM_PROMPT_TEMPLATE_SHA,
    semconv.APP_LLM_EXPERIMENT_ID,
    semconv.APP_LLM_EXPERIMENT_VARIANT,
    semconv.APP_LLM_DATA_MODE,
    semconv.DEPLOYMENT_ENVIRONMENT_NAME,
)
FIGURE_KEYS: Final = (
    semconv.GEN_AI_USAGE_INPUT_TOKENS,
    semconv.GEN_AI_USAGE_OUTPUT_TOKENS,
    semconv.GEN_AI_USAGE_CACHE_READ,
    semconv.GEN_AI_USAGE_CACHE_CREATION,
    semconv.GEN_AI_USAGE_REASONING,
    semconv.APP_LLM_COST_USD,
    semconv.APP_LLM_TTFT_S,
    semconv.APP_LLM_TOTAL_LATENCY_S,
)
OUTCOME_KEYS: Final = (
    semconv.HTTP_RESPONSE_STATUS_CODE,
    semconv.ERROR_TYPE,
    semconv.GEN_AI_RESPONSE_FINISH_REASONS,
)

_MAX_BINDINGS: Final = 32_768
"""Distinct attribute tuples remembered; beyond it all are found again: a bound on memory, not on series."""
_MAX_SERVED: Final = 4096
_MAX_FIGURES: Final = 16_384
_MAX_OUTCOMES: Final = 1024

(SUCCESS, INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING, COST, SERVED, LATENCY, PRICE, INPUT_SIZE,
 OUTPUT_SIZE, CACHE_RATIO, TTFT, TPOT, DECODE) = range(16)  # fmt: skip
_SLOTS: Final = (
    catalogue.REQUESTS, catalogue.INPUT_TOKENS, catalogue.OUTPUT_TOKENS, catalogue.CACHE_READ_TOKENS,
    catalogue.CACHE_WRITE_TOKENS, catalogue.REASONING_TOKENS, catalogue.COST_USD, catalogue.MODEL_SERVED,
    catalogue.LATENCY_SECONDS, catalogue.REQUEST_COST, catalogue.REQUEST_INPUT, catalogue.REQUEST_OUTPUT,
    catalogue.CACHE_HIT_RATIO, catalogue.TTFT_SECONDS, catalogue.TPOT_SECONDS, catalogue.DECODE_RATE,
)  # fmt: skip
"""The metric of each slot of a binding."""


def _spellings(*words: str) -> dict[Any, str]:
    """Return words by themselves and by their encoded AnyValue."""
    return {form: word for word in words for form in (word, encode_value(word))}


_STATUSES: Final = _spellings("priced", "reported", "unpriced", "cached")
_REASONS: Final = _spellings(
    "unknown_provider", "unknown_model", "no_usage", "inconsistent_usage", "no_rate"
)
_SOURCES: Final = _spellings("estimate")


@dataclass(frozen=True, slots=True)
class Call:
    """One counted call, beside its attributes."""

    attributes: Mapping[str, bytes]
    """As they came, encoded."""
    edits: Mapping[str, Any]
    """What processors before us wrote; goes first."""
    environment: str
    """What the resource says, for want of the call's own."""
    seconds: float | None
    """Its duration; None for a log record, which has none."""
    code: int
    """Span status code."""

    def get(self, key: str) -> Any:
        return self.edits[key] if key in self.edits else self.attributes.get(key)


class Binding:
    """The series of one combination of label values; each is opened by the first call that needs it."""

    __slots__ = ("labels", "series", "touched")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = labels
        self.series: list[Any] = [None] * len(_SLOTS)
        self.touched = False

    def values(self, metric: Metric, **more: str) -> Values:
        """Return a metric's label values."""
        labels = self.labels
        return tuple([more[name] if name in more else labels[name] for name in metric.labels])


class Calls:
    """Counts model calls into a book."""

    def __init__(self, book: Book, labels: LabelValues) -> None:
        self._book = book
        self._labels = labels
        self._bindings: dict[tuple[Any, ...], Binding] = {}
        self._touched: list[Binding] = []
        self._served: dict[tuple[str, str], str] = {}
        self._figures: dict[bytes, int | float | None] = {}
        self._outcomes: dict[tuple[Any, ...], Outcome] = {}

    def count(self, call: Call, status: Raw, now_ns: int) -> None:
        """Count one call. `status` is its app.llm.cost.status."""
        binding = self._binding(call, now_ns)
        if not binding.touched:
            binding.touched = True
            self._touched.append(binding)
        self._outcome(call, binding, now_ns)
        tokens_in, tokens_out, cache_read, cache_write, reasoning, cost, ttft, latency = (
            self._read_figures(call)
        )
        seconds = call.seconds if latency is None else latency
        if seconds is not None:
            self._observe(binding, LATENCY, seconds, now_ns)
        if tokens_in is not None:
            self._add(binding, INPUT, int(tokens_in), now_ns)
            self._observe(binding, INPUT_SIZE, tokens_in, now_ns)
        if tokens_out is not None:
            self._add(binding, OUTPUT, int(tokens_out), now_ns)
            self._observe(binding, OUTPUT_SIZE, tokens_out, now_ns)
        if cache_read is not None:
            self._add(binding, CACHE_READ, int(cache_read), now_ns)
            self._observe(binding, CACHE_RATIO, cache_read / max(tokens_in or 0, 1), now_ns)
        if cache_write is not None:
            self._add(binding, CACHE_WRITE, int(cache_write), now_ns)
        if reasoning is not None:
            self._add(binding, REASONING, int(reasoning), now_ns)
        self._money(call, binding, _STATUSES.get(status, ""), cost, now_ns)

    def _money(
        self, call: Call, binding: Binding, status: str, cost: float | None, now_ns: int
    ) -> None:
        if status == "unpriced":
            reason = _REASONS.get(call.get(semconv.APP_LLM_COST_REASON), "unknown_model")
            metric = catalogue.UNPRICED_REQUESTS
            self._book.add(metric, binding.values(metric, reason=reason), now_ns)
        elif cost is not None and status != "cached":
            self._add(binding, COST, atto_usd(cost), now_ns)
            self._observe(binding, PRICE, cost, now_ns)

    def _outcome(self, call: Call, binding: Binding, now_ns: int) -> None:
        facts = (*map(call.get, OUTCOME_KEYS), call.code)
        became = outcome(*facts)
        if became.status == "success":
            self._add(binding, SUCCESS, 1, now_ns)
        else:
            metric = catalogue.REQUESTS
            self._book.add(metric, binding.values(metric, status=became.status), now_ns)

    def _add(self, binding: Binding, slot: int, amount: int, now_ns: int) -> None:
        (binding.series[slot] or self._open(binding, slot, now_ns)).value += amount

    def _observe(self, binding: Binding, slot: int, value: float, now_ns: int) -> None:
        series = binding.series[slot] or self._open(binding, slot, now_ns)
        series.counts[bisect_left(series.bounds, value)] += 1
        series.sum += value

    def _open(self, binding: Binding, slot: int, now_ns: int) -> Any:
        metric = _SLOTS[slot]
        series = self._book[metric].series(binding.values(metric, status="success"), now_ns)
        binding.series[slot] = series
        return series

    def queue(self) -> None:
        """Have the book tell what the calls since the last time changed."""
        touched, self._touched = self._touched, []
        for binding in touched:
            binding.touched = False
            for series in binding.series:
                if series is not None and not series.queued and series.changed:
                    series.family.queue(series)

    # -- figures

    def _read_figures(self, call: Call) -> list[Any]:
        figures = self._figures
        if len(figures) > _MAX_FIGURES:
            figures.clear()
        read = []
        for key in FIGURE_KEYS:
            raw = call.get(key)
            if raw.__class__ is bytes:
                if raw not in figures:
                    figures[raw] = figure(raw)
                raw = figures[raw]
            elif raw is not None:
                raw = figure(raw)
            read.append(raw)
        return read

    # -- labels

    def _binding(self, call: Call, now_ns: int) -> Binding:
        key = (*map(call.get, LABEL_KEYS), call.environment)
        found = self._bindings.get(key)
        if found is None:
            if len(self._bindings) >= _MAX_BINDINGS:
                self._bindings.clear()
            found = self._bindings[key] = Binding(self._resolve(call))
        return found

    def _resolve(self, call: Call) -> dict[str, str]:
        admit = self._labels.admit
        labels = {
            "environment": admit(
                "environment", call.get(semconv.DEPLOYMENT_ENVIRONMENT_NAME) or call.environment
            ),
            "data_mode": data_mode(call.get(semconv.APP_LLM_DATA_MODE)),
            "provider": admit("provider", call.get(semconv.GEN_AI_PROVIDER_NAME)),
            "request_model": admit("request_model", call.get(semconv.GEN_AI_REQUEST_MODEL)),
            "feature": admit("feature", call.get(semconv.APP_LLM_FEATURE)),
            "tenant": admit("tenant", call.get(semconv.APP_LLM_TENANT_ID)),
            "variant": admit("variant", variant(call)),
        }
        sha = clean(call.get(semconv.APP_LLM_PROMPT_TEMPLATE_SHA))[:SHA_LENGTH]
        version = clean(call.get(semconv.APP_LLM_PROMPT_TEMPLATE_VERSION)) or sha
        labels["prompt_sha"] = admit("prompt_sha", sha)
        labels["prompt_version"] = admit("prompt_version", version)
        labels["model"] = admit("model", self._model(call))
        return labels

    def _model(self, call: Call) -> str:
        """Return the model that served the call; for one that failed, the one that served such calls last.

        By the requested name alone all errors of an alias would carry one name and all successes another.
        """
        provider = clean(call.get(semconv.GEN_AI_PROVIDER_NAME))
        requested = clean(call.get(semconv.GEN_AI_REQUEST_MODEL))
        served = clean(call.get(semconv.GEN_AI_RESPONSE_MODEL))
        if not served:
            return self._served.get((provider, requested), requested)
        if len(self._served) >= _MAX_SERVED:
            self._served.clear()
        self._served[provider, requested] = served
        return served


def figure(raw: Raw) -> int | float | None:
    """Return a number that is none too large and not negative; None for anything else."""
    value = plain(raw)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < 1e18 else None


def variant(call: Call) -> str:
    """Return experiment and variant joined, or "" outside experiments."""
    parts = (
        clean(call.get(semconv.APP_LLM_EXPERIMENT_ID)),
        clean(call.get(semconv.APP_LLM_EXPERIMENT_VARIANT)),
    )
    return ":".join(parts) if any(parts) else ""


def data_mode(raw: Raw) -> str:
    """Return the mode of the data; what is no known mode is `other`, so that it is not taken for real traffic."""
    text = clean(raw).lower() or LABELS["data_mode"].default
    return text if text in DATA_MODES else OTHER
