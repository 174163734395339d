"""What spans with the same keys and the same telling values have in common, worked out once.

Of a span's values only a few tell what it is: kind, provider, models, finish reason, service tier … They repeat, so
what follows from them is kept, encoded: class, operation, provider, models, conditions of the price, dimensions of the
resource. What differs from call to call (counts, ids, times) is `normalise`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from processors import semconv
from processors.batch import Element
from processors.genai.classes import Classified, classify, untold_operation
from processors.genai.identity import Identity, first_text, identify
from processors.genai.names import SERVER_ADDRESS, TIERS
from processors.genai.plan import Plan, is_cache_hit
from processors.genai.table import Hint, Output, Role
from processors.genai.usage import NO_USAGE, sureness
from processors.genai.values import reasons, text
from processors.wire import Value, encode_value

_NO_SPEED: Final = frozenset({"normal", "standard"})
_BATCH: Final = "batch"
_CACHED_KIND: Final = "lmnr.span.type"
_CACHED: Final = "cached"
_RESIDENCY: Final = re.compile(r"([a-z]{2})\.api\.openai\.com\Z")
_REQUESTED: Final = frozenset(key for key in TIERS if ".request." in key)
CALLS: Final = frozenset({Role.MODEL_CALL, Role.AGGREGATE})

Attributes = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Constants:
    """Attributes that all spans with one signature get."""

    fields: bytes
    """Those that are missing, encoded for `Element.append`."""
    values: dict[str, Value]
    """The same as values; to be copied."""
    overwritten: tuple[tuple[str, Value], ...]
    """Those that are there in another form."""


@dataclass(frozen=True, slots=True)
class Given:
    """Dimensions that a span gets when it has none of its own. `number` stands for them in memories."""

    number: int
    shared: Mapping[str, str]
    """From the resource, for all spans."""
    defaults: Mapping[str, str]
    """From the configuration, for model calls."""


class Known:
    """What one combination of keys and telling values means."""

    __slots__ = (
        "_classified", "_constants", "_given", "_plan", "asks_counts", "asks_events", "cache_hit", "identity", "quick",
        "quick_counts", "role", "sureness", "told", "uncounted", "untold_reasons",
    )  # fmt: skip

    def __init__(self, plan: Plan, attributes: Attributes, given: Given, told: Hint | None) -> None:
        """`told` is what the name of an event says."""
        found = classify(plan, attributes)
        if told is not None:
            found = Classified(told.role, found.operation or told.operation)
        self._plan = plan
        self._given = given
        self._classified = found
        self._constants: dict[tuple[Role, str | None], Constants] = {}
        self.quick: dict[str | None, Constants] = {}
        """The constants of spans that have the role of their kinds, by semantics."""
        self.told = found.role is not None
        """Whether the kinds tell the role; else only the counts can."""
        self.role = Role.OTHER if found.role is None else found.role
        self.identity: Identity = identify(plan, attributes)
        billed = self.role in CALLS
        self.uncounted = NO_USAGE if billed and not plan.has_counts else None
        """The usage, where there is none."""
        self.asks_counts = not self.told or (billed and plan.has_counts)
        """Whether counts are to be read: to be billed, or to tell the role."""
        quick = billed and self.identity.output is Output.INCLUDED
        self.quick_counts = plan.columns.counts if quick else None
        """Those of the columns, where they are all that is to be found out."""
        self.sureness = sureness(self.identity)
        """Of these, without and with cached tokens."""
        self.cache_hit = is_cache_hit(plan, attributes) or _is_cached_kind(attributes)
        self.untold_reasons = _finish_reasons(plan, attributes) is None
        """No attribute says why the call ended; an event may."""
        self.asks_events = plan.tells_by_events or self.untold_reasons
        """Whether to look at the events at all: touching the field costs 1.4 µs even when it is empty."""

    def constants(
        self, item: type[Element], attributes: Attributes, role: Role, semantics: str | None
    ) -> Constants:
        """Return what to write on a span that turned out to have this role and these semantics."""
        found = self._constants.get((role, semantics))
        if found is None:
            wanted = dict(self._wanted(attributes, role, semantics))
            missing = {key: value for key, value in wanted.items() if key not in attributes}
            overwritten = tuple(
                (key, value)
                for key, value in wanted.items()
                if key not in missing and attributes[key] != encode_value(value)
            )
            found = Constants(item.fields(missing), missing, overwritten)
            self._constants[role, semantics] = found
            if role is self.role:
                self.quick[semantics] = found
        return found

    def _wanted(
        self, attributes: Attributes, role: Role, semantics: str | None
    ) -> Iterator[tuple[str, Value]]:
        yield semconv.APP_LLM_SPAN_CLASS, role.label
        operation = self._classified.operation
        if not self.told and role is Role.MODEL_CALL:
            operation = untold_operation(self._plan.scope.name)
        if operation is not None:
            yield semconv.GEN_AI_OPERATION_NAME, operation
        if self.identity.provider is not None and (
            role in CALLS or (role is not Role.TOOL and self.identity.named)
        ):
            yield semconv.GEN_AI_PROVIDER_NAME, self.identity.provider
        if role in CALLS:
            yield from self._of_a_call(attributes)
        if semantics is not None:
            yield semconv.APP_LLM_USAGE_INPUT_SEMANTICS, semantics
        yield from self._given_dimensions(attributes, role)

    def _of_a_call(self, attributes: Attributes) -> Iterator[tuple[str, Value]]:
        plan, identity = self._plan, self.identity
        if identity.request_model is not None:
            yield semconv.GEN_AI_REQUEST_MODEL, identity.request_model
        if identity.response_model is not None:
            yield semconv.GEN_AI_RESPONSE_MODEL, identity.response_model
        finish = _finish_reasons(plan, attributes)
        if finish is not None:
            yield semconv.GEN_AI_RESPONSE_FINISH_REASONS, list(finish)
        processing = _processing(plan, attributes)
        if processing is not None:
            yield semconv.APP_LLM_PROCESSING, processing
        speed = (first_text(plan.speed, attributes) or "").lower()
        if speed and speed not in _NO_SPEED:
            yield semconv.APP_LLM_SPEED, speed
        region = first_text(plan.region, attributes) or _residency(attributes)
        if region is not None:
            yield semconv.APP_LLM_REGION, region.lower()

    def _given_dimensions(self, attributes: Attributes, role: Role) -> Iterator[tuple[str, Value]]:
        """Yield dimensions of which the span has nothing; those it has are read span by span."""
        own = {d.dimension.canonical for d in self._plan.dimensions + self._plan.plain_dimensions}
        defaults = self._given.defaults if role is Role.MODEL_CALL else {}
        for key, value in {**defaults, **self._given.shared}.items():
            if key not in own and key not in attributes:
                yield key, value


def _is_cached_kind(attributes: Attributes) -> bool:
    return (text(attributes.get(_CACHED_KIND, b"")) or "").lower() == _CACHED


def _finish_reasons(plan: Plan, attributes: Attributes) -> list[str] | None:
    for source in plan.finish:
        if (found := reasons(attributes[source.key])) is not None:
            return found
    return [r for key in plan.completions for r in reasons(attributes[key]) or ()] or None


def _processing(plan: Plan, attributes: Attributes) -> str | None:
    written = first_text(plan.processing, attributes)
    if written is not None:
        return written.lower()
    return _BATCH if plan.batch_api or _tier(plan, attributes) == _BATCH else None


def _tier(plan: Plan, attributes: Attributes) -> str | None:
    for key in plan.tiers:
        tier = (text(attributes[key]) or "").lower()
        if tier and not (key in _REQUESTED and tier in ("auto", "default")):
            return tier
    return None


def _residency(attributes: Attributes) -> str | None:
    host = _RESIDENCY.match((text(attributes.get(SERVER_ADDRESS, b"")) or "").lower())
    return host[1] if host else None
