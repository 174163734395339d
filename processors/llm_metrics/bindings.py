"""From the attributes of a span or log record to its label values and series, remembered.

A *binding* holds the label values and the series of one combination of attributes. It is found by a tuple of the
attributes as they came; the tuple is data from outside, so the number of remembered ones is bounded, and losing them
costs time only: label limits and series live elsewhere (`labels`, `series`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from processors import semconv
from processors.llm_metrics import catalogue
from processors.llm_metrics.catalogue import DATA_MODES, LABELS, OTHER, Metric
from processors.llm_metrics.labels import SHA_LENGTH, LabelValues, clean
from processors.llm_metrics.memory import Memory
from processors.llm_metrics.series import Book, Values
from processors.wire import encode_value

Read: TypeAlias = Mapping[str, Any]
"""Attributes for reading: the encoded ones as they came, or those overlaid with what processors wrote."""

(SUCCESS, SERVED, INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, REASONING, COST, LATENCY, PRICE, INPUT_SIZE,
 OUTPUT_SIZE, CACHE_RATIO, TTFT, TPOT, DECODE) = range(16)  # fmt: skip
SLOTS: Final = (
    catalogue.REQUESTS, catalogue.MODEL_SERVED, catalogue.INPUT_TOKENS, catalogue.OUTPUT_TOKENS,
    catalogue.CACHE_READ_TOKENS, catalogue.CACHE_WRITE_TOKENS, catalogue.REASONING_TOKENS,
    catalogue.COST_USD, catalogue.LATENCY_SECONDS, catalogue.REQUEST_COST, catalogue.REQUEST_INPUT,
    catalogue.REQUEST_OUTPUT, catalogue.CACHE_HIT_RATIO, catalogue.TTFT_SECONDS, catalogue.TPOT_SECONDS,
    catalogue.DECODE_RATE,
)  # fmt: skip
"""The metric of each place in `Binding.series`."""

_PROVIDER: Final = semconv.GEN_AI_PROVIDER_NAME
_SERVED: Final = semconv.GEN_AI_RESPONSE_MODEL
_REQUESTED: Final = semconv.GEN_AI_REQUEST_MODEL
_FEATURE: Final = semconv.APP_LLM_FEATURE
_TENANT: Final = semconv.APP_LLM_TENANT_ID
_VERSION: Final = semconv.APP_LLM_PROMPT_TEMPLATE_VERSION
_SHA: Final = semconv.APP_LLM_PROMPT_TEMPLATE_SHA
_EXPERIMENT: Final = semconv.APP_LLM_EXPERIMENT_ID
_VARIANT: Final = semconv.APP_LLM_EXPERIMENT_VARIANT
_MODE: Final = semconv.APP_LLM_DATA_MODE
_ENVIRONMENT: Final = semconv.DEPLOYMENT_ENVIRONMENT_NAME

_Tokens: TypeAlias = "int | None"
_Figure: TypeAlias = "float | None"
Noted: TypeAlias = (
    "tuple[bool, _Tokens, _Tokens, _Tokens, _Tokens, _Tokens, _Figure, _Figure, _Figure]"
)
"""A call that is counted with others of its binding: success; tokens of input, output, cache read, cache write and
reasoning; dollars; seconds in all and to the first token. None: not told."""

LABEL_KEYS: Final = frozenset(
    (_PROVIDER, _SERVED, _REQUESTED, _FEATURE, _TENANT, _VERSION, _SHA, _EXPERIMENT, _VARIANT)
)
"""Keys whose edits need an overlay; environment and mode, which `genai` often writes, are looked up in both places."""

_PLAIN: Final = (None, None, None, None)
_MAX_BINDINGS: Final = 16_384


def spellings(*words: str) -> frozenset[Any]:
    """Return words as they stand in edits and as encoded AnyValues."""
    return frozenset(form for word in words for form in (word, encode_value(word)))


class Binding:
    """Label values and series of one combination; a series is opened by the first call that needs it."""

    __slots__ = ("_book", "labels", "noted", "rare", "series", "served", "tools")

    def __init__(self, book: Book, labels: Mapping[str, str], served: bool) -> None:
        self._book = book
        self.labels = labels
        self.served = served
        """Whether the calls say which model answered."""
        self.series: list[Any] = [None] * len(SLOTS)
        self.rare: dict[tuple[str, ...], Any] = {}
        self.tools: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self.noted: list[Noted] = []
        """Calls that wait to be added to the series, see `settling`."""

    def open(self, slot: int) -> Any:
        """Return the series of a slot, which stays at hand."""
        metric = SLOTS[slot]
        if self.series[slot] is None:
            self.series[slot] = self._book[metric].series(self.values(metric, _OPENED))
        return self.series[slot]

    def values(self, metric: Metric, more: Mapping[str, str]) -> Values:
        """Return a metric's label values; `more` holds those that are not the binding's."""
        labels = self.labels
        return tuple([more[name] if name in more else labels[name] for name in metric.labels])


class Bindings:
    """Finds and remembers bindings."""

    def __init__(self, book: Book, labels: LabelValues) -> None:
        self.book = book
        self.labels = labels
        self._known: Memory[tuple[Any, ...], Binding] = Memory(_MAX_BINDINGS, self._bind)
        self._bindings: dict[tuple[Any, ...], Binding] = {}
        self._served: dict[tuple[str, str], str] = {}
        self._unserved: dict[tuple[str, str], list[tuple[Any, ...]]] = {}

    def find(self, read: Read, edits: Mapping[str, Any], environment: str) -> Binding:
        """Return the binding of an item. `environment` is what its resource says, for want of its own."""
        tail: Any = _PLAIN
        if _VERSION in read or _SHA in read or _EXPERIMENT in read or _VARIANT in read:
            tail = tuple([read[key] if key in read else None for key in _TAIL])
        return self._known[
            read[_PROVIDER] if _PROVIDER in read else None,
            read[_SERVED] if _SERVED in read else None,
            read[_REQUESTED] if _REQUESTED in read else None,
            read[_FEATURE] if _FEATURE in read else None,
            read[_TENANT] if _TENANT in read else None,
            edits[_ENVIRONMENT] if _ENVIRONMENT in edits
            else read[_ENVIRONMENT] if _ENVIRONMENT in read else environment,
            edits[_MODE] if _MODE in edits else read[_MODE] if _MODE in read else None,
            tail,
        ]  # fmt: skip

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

    def queue(self, binding: Binding) -> None:
        """Have the book tell what changed in the series of a binding."""
        if binding.served:
            self._note_served(_alias(binding.labels), binding.labels["model"])
        for series in binding.series:
            if series is not None and not series.queued and series.changed:
                series.family.queue(series)

    def forget(self) -> None:
        """Forget all bindings, after series were dropped."""
        self._known.clear()
        self._bindings.clear()
        self._unserved.clear()

    def _bind(self, key: tuple[Any, ...]) -> Binding:
        if len(self._known) >= _MAX_BINDINGS:
            self.forget()
        labels, served = self._resolve(key)
        if not served:
            self._unserved.setdefault(_alias(labels), []).append(key)
        same = (*labels.values(), served)
        if same not in self._bindings:
            self._bindings[same] = Binding(self.book, labels, served)
        return self._bindings[same]

    def _resolve(self, key: tuple[Any, ...]) -> tuple[dict[str, str], bool]:
        """Return the label values, and whether the calls say which model answered."""
        provider, served, requested, feature, tenant, environment, mode, tail = key
        version, sha, experiment, variant = tail
        admit = self.labels.admit
        digest = clean(sha)[:SHA_LENGTH]
        labels = {
            "environment": admit("environment", environment),
            "data_mode": data_mode(mode),
            "provider": admit("provider", provider),
            "request_model": admit("request_model", requested),
            "feature": admit("feature", feature),
            "tenant": admit("tenant", tenant),
            "prompt_version": admit("prompt_version", clean(version) or digest),
            "prompt_sha": admit("prompt_sha", digest),
            "variant": admit("variant", joined(clean(experiment), clean(variant))),
        }
        alias = _alias(labels)
        if clean(served):
            labels["model"] = admit("model", served)
            self._note_served(alias, labels["model"])
            return labels, True
        known = self._served.get(alias) if labels["request_model"] != OTHER else OTHER
        labels["model"] = known or admit("model", requested)
        return labels, False

    def _note_served(self, alias: tuple[str, str], model: str) -> None:
        """Remember which model served last; calls that do not say, because they failed, are taken for calls of it.

        By the requested name alone all errors of an alias would carry one name and all successes another.
        """
        if self._served.get(alias) != model:
            self._served[alias] = model
            for key in self._unserved.pop(alias, ()):
                self._known.pop(key, None)


def _alias(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return what a model was asked for by."""
    return labels["provider"], labels["request_model"]


_TAIL: Final = (_VERSION, _SHA, _EXPERIMENT, _VARIANT)
_OPENED: Final = {"status": "success"}


def overlaid(attributes: Mapping[str, Any], edits: Mapping[str, Any], keys: frozenset[str]) -> Read:
    """Return what `keys` say, edits first, as a mapping of hashable values."""
    read = {key: attributes[key] for key in keys if key in attributes}
    for key, value in edits.items():
        if key not in keys:
            continue
        if value or isinstance(value, int | float | str):
            read[key] = value if value.__hash__ is not None else tuple(value)
        else:
            read.pop(key, None)  # removed, or empty
    return read


def joined(experiment: str, variant: str) -> str:
    """Return experiment and variant as one value, empty outside experiments."""
    return f"{experiment}:{variant}" if experiment or variant else ""


def data_mode(raw: Any) -> str:
    """Return the mode of the data; a mode nobody knows is `other`, so that it is not taken for real traffic."""
    text = clean(raw).lower() or LABELS["data_mode"].default
    return text if text in DATA_MODES else OTHER
