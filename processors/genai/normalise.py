"""Writes today's names on a span or record, whatever dialect it came in.

Only what is missing or different is written, so canonical input stays as it is and a second pass changes nothing.
Source attributes stay. Usage of an aggregate is read but not written: every backend would count it twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from processors import semconv
from processors.batch import Element, Span
from processors.genai.classes import classify, untold_operation
from processors.genai.config import Override
from processors.genai.dimensions import DIMENSIONS, METADATA
from processors.genai.identity import Identity, first_text, identify
from processors.genai.plan import TIERS, DimensionSources, Plan, Source
from processors.genai.table import Hint, Role
from processors.genai.usage import Usage, read_usage
from processors.genai.values import (
    count_of,
    instant_ns,
    mapping,
    mapping_of,
    reasons,
    structure_of,
    text,
    text_of,
    value_of,
)

_ARRAY: Final = 0x2A
_NO_SPEED: Final = frozenset({"normal", "standard"})
_BATCH: Final = "batch"
_RESIDENCY: Final = re.compile(r"([a-z]{2})\.api\.openai\.com\Z")
_FIRST_TOKEN_EVENTS: Final = ("First Token Stream Event", "llm.content.completion.chunk")
_CHOICE: Final = "gen_ai.choice"

Attributes = Mapping[str, bytes]
Shared = Mapping[str, str]
"""Dimensions that the resource gives, by canonical name."""


class Normalised(NamedTuple):
    """What became of one span or record."""

    role: Role
    identity: Identity
    usage: Usage | None
    """None on tools and others: whatever they carry is not billed."""
    response_id: str | None


def resource_dimensions(resource: Element) -> Shared:
    """Read the dimensions that may stand on a resource."""
    found: dict[str, str] = {}
    attributes: Attributes = resource.view.attributes
    for dimension in DIMENSIONS:
        if dimension.on_resource:
            values = (text(attributes[name]) for name in dimension.names if name in attributes)
            value = next((v for v in values if v is not None), None)
            if value is not None:
                found[dimension.canonical] = value
    return found


class Normaliser:
    """Applies the tables. `defaults` are dimensions of model calls that nobody gave."""

    def __init__(self, defaults: Mapping[str, str]) -> None:
        self._defaults = defaults

    def apply(
        self,
        item: Element,
        plan: Plan,
        attributes: Attributes,
        name: str,
        shared: Shared,
        override: Override | None,
        told: Hint | None = None,
    ) -> Normalised:
        """Normalise one span or record. `name` is the span's; `shared` comes from its resource.

        `told` is what the name of an event says, which then needs no other hint.
        """
        role, operation, is_written = classify(plan, attributes, name)
        if told is not None:
            role = told.role
            operation = operation or told.operation
        usage: Usage | None = None
        identity = identify(plan, attributes)
        if role is None or role in (Role.MODEL_CALL, Role.AGGREGATE):
            usage = read_usage(plan, attributes, identity, override)
            if role is None:
                role = _untold_role(plan, identity, usage)
                operation = untold_operation(plan.scope.name) if role is Role.MODEL_CALL else None
        if operation is not None and not is_written:
            item.set(semconv.GEN_AI_OPERATION_NAME, operation)
        _put_text(item, attributes, semconv.APP_LLM_SPAN_CLASS, role.label)
        _write_conversation(item, plan, attributes)
        _write_dimensions(item, plan, attributes, shared)
        if role not in (Role.MODEL_CALL, Role.AGGREGATE):
            _write_named_provider(item, identity, role)
            return Normalised(role, identity, None, None)
        for key, value in identity.edits:
            item.set(key, value)
        response_id = self._write_call(item, plan, attributes)
        if role is Role.MODEL_CALL:
            if usage is not None and usage.known and not plan.normalised:
                write_usage(item, attributes, usage)
            if self._defaults:
                self.write_defaults(item)
        return Normalised(role, identity, usage, response_id)

    def write_defaults(self, item: Element) -> None:
        """Fill the dimensions of a model call that are still missing."""
        for key, value in self._defaults.items():
            if key not in item:
                item.set(key, value)

    def _write_call(self, item: Element, plan: Plan, attributes: Attributes) -> str | None:
        response_id = None
        if plan.response_id:
            response_id = first_text(plan.response_id, attributes)
            if response_id is not None:
                _put_text(item, attributes, semconv.GEN_AI_RESPONSE_ID, response_id)
        _write_finish(item, plan, attributes)
        _write_ttft(item, plan, attributes)
        if plan.cost:
            _write_number(item, attributes, semconv.APP_LLM_USAGE_REPORTED_COST_USD, plan.cost)
        if plan.extras:
            _write_extras(item, plan, attributes)
        _write_conditions(item, plan, attributes)
        return response_id


def _untold_role(plan: Plan, identity: Identity, usage: Usage) -> Role:
    has_model = identity.request_model is not None or identity.response_model is not None
    if has_model and usage.known and semconv.GEN_AI_AGENT_NAME not in plan.keys:
        return Role.MODEL_CALL
    return Role.OTHER


def _put_text(item: Element, attributes: Attributes, key: str, value: str) -> None:
    raw = attributes.get(key)
    if raw is None or raw[0:1] != b"\x0a" or value_of(raw) != value:
        item.set(key, value)


def _write_conversation(item: Element, plan: Plan, attributes: Attributes) -> None:
    if plan.conversation and (value := first_text(plan.conversation, attributes)) is not None:
        _put_text(item, attributes, semconv.GEN_AI_CONVERSATION_ID, value)
        _put_text(item, attributes, semconv.APP_LLM_CONVERSATION_ID, value)


def _write_named_provider(item: Element, identity: Identity, role: Role) -> None:
    """A tool gets no provider; other spans only where the emitter names one."""
    if role is not Role.TOOL and identity.named:
        for key, value in identity.edits:
            if key == semconv.GEN_AI_PROVIDER_NAME:
                item.set(key, value)


def _write_dimensions(item: Element, plan: Plan, attributes: Attributes, shared: Shared) -> None:
    members: Mapping[str, object] | None = None
    for sources in plan.dimensions:
        canonical = sources.dimension.canonical
        raw = attributes.get(canonical)
        if raw is not None and _is_plain(raw) and not sources.dimension.lower:
            continue
        if sources.in_metadata and members is None:
            members = mapping(attributes[METADATA]) or {}
        value = _dimension(sources, attributes, members or {}) or shared.get(canonical)
        if value is not None:
            if sources.dimension.lower:
                value = value.lower()
            _put_text(item, attributes, canonical, value)


def _is_plain(raw: bytes) -> bool:
    """Whether an AnyValue is a short text that needs no trimming: no decoding to find out."""
    size = len(raw)
    return size > 2 and raw[0] == 0x0A and raw[1] == size - 2 and raw[2] > 0x22 and raw[-1] > 0x20


def _dimension(
    sources: DimensionSources, attributes: Attributes, members: Mapping[str, object]
) -> str | None:
    for key in sources.keys:
        if (value := text(attributes[key])) is not None:
            return value
    for name in sources.dimension.names if members else ():
        if (value := text_of(members.get(name))) is not None:
            return value
    for key in sources.fixed:
        if (value := text(attributes[key])) is not None:
            return value
    if sources.list_key is not None:
        listed = structure_of(value_of(attributes[sources.list_key]))
        if isinstance(listed, list) and listed:
            return text_of((mapping_of(listed[0]) or {}).get("name"))
    return None


def _write_finish(item: Element, plan: Plan, attributes: Attributes) -> None:
    raw = attributes.get(semconv.GEN_AI_RESPONSE_FINISH_REASONS)
    if raw is not None and len(raw) > 2 and raw[0] == _ARRAY:
        return
    found = _finish_reasons(item, plan, attributes)
    if found:
        item.set(semconv.GEN_AI_RESPONSE_FINISH_REASONS, list(found))


def _finish_reasons(item: Element, plan: Plan, attributes: Attributes) -> list[str] | None:
    for source in plan.finish:
        if (found := reasons(attributes[source.key])) is not None:
            return found
    found = [r for key in plan.completions for r in reasons(attributes[key]) or ()]
    if found or not isinstance(item, Span) or not item.view.events:
        return found
    return [
        reason
        for event in item.events()
        if event.name == _CHOICE and (reason := text_of(event.get("finish_reason")))
    ]


def _write_ttft(item: Element, plan: Plan, attributes: Attributes) -> None:
    if plan.ttft and _write_number(item, attributes, semconv.APP_LLM_TTFT_S, plan.ttft):
        return
    if not isinstance(item, Span) or not (plan.start_times or item.view.events):
        return
    start = item.start_ns
    moments = [instant_ns(attributes[key]) for key in plan.start_times]
    if item.view.events:
        moments += [_event_time(item, wanted) for wanted in _FIRST_TOKEN_EVENTS]
    for moment in moments:
        if moment is not None and start and moment >= start:
            item.set(semconv.APP_LLM_TTFT_S, (moment - start) / 1_000_000_000)
            return


def _event_time(span: Span, name: str) -> int | None:
    return next((event.time_ns for event in span.events() if event.name == name), None)


def _write_number(
    item: Element, attributes: Attributes, key: str, sources: Iterable[Source]
) -> bool:
    for source in sources:
        value = source.read(attributes[source.key])
        if isinstance(value, float):
            _put_double(item, attributes, key, value)
            return True
    return False


def _put_double(item: Element, attributes: Attributes, key: str, value: float) -> None:
    raw = attributes.get(key)
    present = None if raw is None else value_of(raw)
    if not isinstance(present, float) or present != value:
        item.set(key, value)


def _write_extras(item: Element, plan: Plan, attributes: Attributes) -> None:
    for key, sources in plan.extras:
        for source in sources:
            value = source.read(attributes[source.key])
            if isinstance(value, int):
                _put_count(item, attributes, key, value)
                break
            if isinstance(value, float):
                _put_double(item, attributes, key, value)
                break


def _put_count(item: Element, attributes: Attributes, key: str, value: int) -> None:
    raw = attributes.get(key)
    if raw is None or raw[0:1] != b"\x18" or value_of(raw) != value:
        item.set(key, value)


def _write_conditions(item: Element, plan: Plan, attributes: Attributes) -> None:
    """Write what changes the price beside the tokens: batch processing, speed, region."""
    if plan.batch_api or plan.tiers or plan.processing:
        processing = first_text(plan.processing, attributes)
        if processing is None and (plan.batch_api or _tier(plan, attributes) == _BATCH):
            processing = _BATCH
        if processing is not None:
            _put_text(item, attributes, semconv.APP_LLM_PROCESSING, processing.lower())
    if plan.speed:
        speed = (first_text(plan.speed, attributes) or "").lower()
        if speed and speed not in _NO_SPEED:
            _put_text(item, attributes, semconv.APP_LLM_SPEED, speed)
    region = first_text(plan.region, attributes)
    if region is None and _SERVER_ADDRESS in attributes:
        region = _residency(attributes[_SERVER_ADDRESS])
    if region is not None:
        _put_text(item, attributes, semconv.APP_LLM_REGION, region.lower())


_SERVER_ADDRESS: Final = "server.address"


@lru_cache(maxsize=1024)
def _residency(raw: bytes) -> str | None:
    host = _RESIDENCY.match((text(raw) or "").lower())
    return host[1] if host else None


def _tier(plan: Plan, attributes: Attributes) -> str | None:
    for key in plan.tiers:
        tier = text(attributes[key])
        if tier is not None and not (key in _REQUESTED and tier.lower() in ("auto", "default")):
            return tier.lower()
    return None


_REQUESTED: Final = frozenset(key for key in TIERS if ".request." in key)


def write_usage(item: Element, attributes: Attributes, usage: Usage) -> None:
    """Write the canonical counts, and the emitter's own where the value of a canonical key changes."""
    for key, value, source_key in (
        (semconv.GEN_AI_USAGE_INPUT_TOKENS, usage.input, semconv.APP_LLM_USAGE_SOURCE_INPUT),
        (semconv.GEN_AI_USAGE_OUTPUT_TOKENS, usage.output, semconv.APP_LLM_USAGE_SOURCE_OUTPUT),
    ):
        if value is not None:
            _put_total(item, attributes, key, value, source_key)
    for key, value in (
        (semconv.GEN_AI_USAGE_CACHE_READ, usage.cache_read),
        (semconv.GEN_AI_USAGE_CACHE_CREATION, usage.cache_write),
        (semconv.APP_LLM_USAGE_CACHE_CREATION_1H, usage.cache_write_1h),
        (semconv.GEN_AI_USAGE_REASONING, usage.reasoning),
        (semconv.APP_LLM_USAGE_WEB_SEARCHES, usage.web_searches),
    ):
        if value is not None:
            _put_count(item, attributes, key, value)
    if usage.semantics is not None:
        item.set(semconv.APP_LLM_USAGE_INPUT_SEMANTICS, usage.semantics)
    if usage.quality is not None:
        item.set(semconv.APP_LLM_USAGE_QUALITY, usage.quality)


def _put_total(
    item: Element, attributes: Attributes, key: str, value: int, source_key: str
) -> None:
    raw = attributes.get(key)
    present = None if raw is None else value_of(raw)
    if type(present) is int and present == value:
        return
    item.set(key, value)
    given = count_of(present)
    if given is not None and given != value:
        item.set(source_key, given)
