"""From label values to series, one binding for each combination.

A *binding* holds the series that calls with the same labels add to. Which calls those are is found by `kinds`; here
attributes become label values. Losing bindings costs time only: label limits and series live elsewhere (`labels`,
`series`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias

from processors import semconv
from processors.llm_metrics import catalogue
from processors.llm_metrics.catalogue import DATA_MODES, LABELS, OTHER, Metric
from processors.llm_metrics.labels import SHA_LENGTH, LabelValues, clean
from processors.llm_metrics.series import Book, Values
from processors.wire import encode_value

Read: TypeAlias = Mapping[str, Any]
"""Attributes for reading: the encoded ones as they came, or those overlaid with what processors wrote."""

(REQUESTS, ANSWERS, INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING, COST, LATENCY, PRICE, INPUT_SIZE,
 OUTPUT_SIZE, CACHE_RATIO, TTFT, TPOT, DECODE) = range(16)  # fmt: skip
SLOTS: Final = (
    catalogue.REQUESTS, catalogue.MODEL_SERVED, catalogue.INPUT_TOKENS, catalogue.OUTPUT_TOKENS,
    catalogue.CACHE_READ_TOKENS, catalogue.CACHE_WRITE_TOKENS, catalogue.REASONING_TOKENS,
    catalogue.COST_USD, catalogue.LATENCY_SECONDS, catalogue.REQUEST_COST, catalogue.REQUEST_INPUT,
    catalogue.REQUEST_OUTPUT, catalogue.CACHE_HIT_RATIO, catalogue.TTFT_SECONDS, catalogue.TPOT_SECONDS,
    catalogue.DECODE_RATE,
)  # fmt: skip
"""The metric of each place in `Binding.series`."""
_GROUPING: Final = tuple(
    dict.fromkeys(label for metric in SLOTS if metric.buckets for label in metric.labels)
)

_PROVIDER: Final = semconv.GEN_AI_PROVIDER_NAME
_SERVED: Final = semconv.GEN_AI_RESPONSE_MODEL
_REQUESTED: Final = semconv.GEN_AI_REQUEST_MODEL
_FEATURE: Final = semconv.APP_LLM_FEATURE
_TENANT: Final = semconv.APP_LLM_TENANT_ID
_VERSION: Final = semconv.APP_LLM_PROMPT_TEMPLATE_VERSION
_SHA: Final = semconv.APP_LLM_PROMPT_TEMPLATE_SHA
_EXPERIMENT: Final = semconv.APP_LLM_EXPERIMENT_ID
_VARIANT: Final = semconv.APP_LLM_EXPERIMENT_VARIANT
MODE: Final = semconv.APP_LLM_DATA_MODE
ENVIRONMENT: Final = semconv.DEPLOYMENT_ENVIRONMENT_NAME

LABEL_KEYS: Final = (
    _PROVIDER, _SERVED, _REQUESTED, _FEATURE, _TENANT, _VERSION, _SHA, _EXPERIMENT, _VARIANT
)  # fmt: skip
"""What labels come from, besides environment and mode, which `genai` often writes: those need no overlay."""

_OPENED: Final = {"status": "success"}


def spellings(*words: str) -> frozenset[Any]:
    """Return words as they stand in edits and as encoded AnyValues."""
    return frozenset(form for word in words for form in (word, encode_value(word)))


class Origin(NamedTuple):
    """What a resource says of all its items that do not say it themselves: the labels of every metric."""

    environment: str
    data_mode: str


class Binding:
    """Label values and series of one combination; a series is opened by the first call that needs it."""

    __slots__ = ("_book", "group", "labels", "rare", "series", "served")

    def __init__(self, book: Book, labels: Mapping[str, str], served: bool, group: int) -> None:
        self._book = book
        self.series: list[Any] = [None] * len(SLOTS)
        self.labels = labels
        self.served = served
        """Whether the calls say which model answered."""
        self.group = group
        """The same for bindings whose labels are the same as far as histograms of `SLOTS` carry them."""
        self.rare: dict[tuple[str, ...], Any] = {}

    def open(self, slot: int) -> Any:
        """Return the series of a slot, which stays at hand."""
        series = self.series[slot]
        if series is None:
            metric = SLOTS[slot]
            values = self.values(metric, _OPENED)
            series = self.series[slot] = self._book[metric].series(values)
        return series

    def values(self, metric: Metric, more: Mapping[str, str]) -> Values:
        """Return a metric's label values; `more` holds those that are not the binding's."""
        labels = self.labels
        return tuple([more[name] if name in more else labels[name] for name in metric.labels])


class Bindings:
    """Makes bindings, and knows their series."""

    def __init__(self, book: Book, labels: LabelValues) -> None:
        self.book = book
        self.labels = labels
        self._bindings: dict[tuple[Any, ...], Binding] = {}
        self._groups: dict[Values, int] = {}
        self._numbers = count()  # none is used twice: calls of forgotten bindings may still wait
        self._served: dict[tuple[str, str], str] = {}
        self._unserved: dict[tuple[str, str], list[Callable[[], object]]] = {}

    def adopt(self, predecessor: Bindings) -> None:
        """Know the models that another one saw serve; its labels MUST be known already."""
        self._served = predecessor._served

    def bind(self, read: Read, edits: Read, origin: Origin) -> Binding:
        """Return the binding of an item; `origin` holds for want of its own."""
        labels, served = self._resolve(read, edits, origin)
        same = (*labels.values(), served)
        if same not in self._bindings:
            group = tuple([labels[name] for name in _GROUPING])
            number = self._groups.setdefault(group, next(self._numbers))
            self._bindings[same] = Binding(self.book, labels, served, number)
        return self._bindings[same]

    def rare(self, binding: Binding, metric: Metric, **more: str) -> Any:
        """Return a series that few calls need, queued for the next flush; `more` are labels the binding lacks."""
        key = (metric.name, *more.values())
        series = binding.rare.get(key)
        if series is None:
            family = self.book[metric]
            series = binding.rare[key] = family.series(binding.values(metric, more))
        if not series.queued:
            series.family.queue(series)
        return series

    def note_served(self, binding: Binding) -> None:
        """Remember which model served last; calls that do not say, because they failed, are taken for calls of it.

        By the requested name alone all errors of an alias would carry one name and all successes another.
        """
        if binding.served:
            self._note_served(_alias(binding.labels), binding.labels["model"])

    def until_served(self, binding: Binding, forget: Callable[[], object]) -> None:
        """Call `forget` when another binding is right for calls that do not say which model answered."""
        self._unserved.setdefault(_alias(binding.labels), []).append(forget)

    def forget(self) -> None:
        """Forget all bindings, after series were dropped."""
        self._bindings.clear()
        self._groups.clear()
        self._unserved.clear()

    def _resolve(self, read: Read, edits: Read, origin: Origin) -> tuple[dict[str, str], bool]:
        """Return the label values, and whether the calls say which model answered."""
        admit, get = self.labels.admit, read.get
        digest = clean(get(_SHA))[:SHA_LENGTH]
        labels = {
            "environment": admit(
                "environment", _either(ENVIRONMENT, read, edits, origin.environment)
            ),
            "data_mode": data_mode(_either(MODE, read, edits, origin.data_mode)),
            "provider": admit("provider", get(_PROVIDER)),
            "request_model": admit("request_model", get(_REQUESTED)),
            "feature": admit("feature", get(_FEATURE)),
            "tenant": admit("tenant", get(_TENANT)),
            "prompt_version": admit("prompt_version", clean(get(_VERSION)) or digest),
            "prompt_sha": admit("prompt_sha", digest),
            "variant": admit("variant", joined(clean(get(_EXPERIMENT)), clean(get(_VARIANT)))),
        }
        alias = _alias(labels)
        served = get(_SERVED)
        if clean(served):
            labels["model"] = admit("model", served)
            self._note_served(alias, labels["model"])
            return labels, True
        known = self._served.get(alias) if labels["request_model"] != OTHER else OTHER
        labels["model"] = known or admit("model", get(_REQUESTED))
        return labels, False

    def _note_served(self, alias: tuple[str, str], model: str) -> None:
        if self._served.get(alias) != model:
            self._served[alias] = model
            for forget in self._unserved.pop(alias, ()):
                forget()


def _alias(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return what a model was asked for by."""
    return labels["provider"], labels["request_model"]


def _either(key: str, read: Read, edits: Read, default: Any) -> Any:
    """Return what was written, else what came."""
    return edits[key] if key in edits else read.get(key, default)


def joined(experiment: str, variant: str) -> str:
    """Return experiment and variant as one value, empty outside experiments."""
    return f"{experiment}:{variant}" if experiment or variant else ""


def data_mode(raw: Any) -> str:
    """Return the mode of the data; a mode nobody knows is `other`, so that it is not taken for real traffic."""
    text = clean(raw).lower() or LABELS["data_mode"].default
    return text if text in DATA_MODES else OTHER
