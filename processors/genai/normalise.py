"""Writes today's names on a span or record, whatever dialect it came in.

Only what is missing or different is written, so canonical input stays as it is and a second pass changes nothing.
Source attributes stay. Usage of an aggregate is read but not written: every backend would count it twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from processors import semconv
from processors.allowance import length
from processors.batch import Element, Event, LogRecord, Span
from processors.genai.call import digest
from processors.genai.config import Override
from processors.genai.dimensions import DIMENSIONS, METADATA
from processors.genai.identity import Identity, first_text
from processors.genai.known import CALLS, Attributes, Given, Known
from processors.genai.plan import DimensionSources, Plan, Sources
from processors.genai.table import Hint, Role
from processors.genai.usage import Usage, quick_usage, read_usage
from processors.genai.values import (
    count_of,
    instant_ns,
    mapping,
    mapping_of,
    structure_of,
    text,
    text_of,
    value_of,
)
from processors.wire import Value, delimited

_MAX_KNOWN: Final = 1024
_KNOWN_BYTES: Final = 1024
_FIRST_TOKEN_EVENTS: Final = ("First Token Stream Event", "llm.content.completion.chunk")
_CHOICE: Final = "gen_ai.choice"
_SHORT: Final = 100
"""Values up to here need one byte for each length around them."""
_MIRROR_KEY: Final = delimited(b"\x0a", semconv.APP_LLM_CONVERSATION_ID.encode())
_MIRROR: Final = {
    kind.ATTRIBUTES: tuple(
        kind.ATTRIBUTES + bytes((len(_MIRROR_KEY) + 2 + size,)) + _MIRROR_KEY + bytes((0x12, size))
        for size in range(_SHORT)
    )
    for kind in (Span, LogRecord)
}
"""By tag of the attributes and size of an encoded value: what comes before it when it is the other name of a
conversation."""
Values = Sequence[bytes]
"""Of the plan's columns, encoded."""

Normalised = tuple[Role, Usage | None, int, Known]
"""What became of one span or record: its role; its usage, None on tools and others, since whatever they carry is not
billed; the digest of its response id; and what else is known. A plain tuple, since it is made for every span."""


def resource_dimensions(attributes: Attributes) -> dict[str, str]:
    """Read the dimensions that may stand on a resource."""
    found: dict[str, str] = {}
    for dimension in DIMENSIONS:
        if dimension.on_resource:
            names = (*dimension.names, *dimension.fixed)
            values = (text(attributes[name]) for name in names if name in attributes)
            value = next((v for v in values if v is not None), None)
            if value is not None:
                found[dimension.canonical] = value
    return found


def normalise(
    item: Element,
    plan: Plan,
    attributes: Attributes,
    values: Values,
    name: str,
    given: Given,
    override: Override | None = None,
    told: Hint | None = None,
) -> Normalised:
    """Normalise one span or record. `values` are those of the plan's columns; `name` is the span's; `told` is what the
    name of an event says."""
    columns = plan.columns
    memory = (given.number, told, values[columns.telling])
    known: Known = plan.known.get(memory) or _learnt(memory, plan, attributes, given, told)
    role, usage = known.role, known.uncounted
    semantics, response_id = None, 0
    if name.endswith(_UNBILLED) and (name == _RAW_REQUEST or name.endswith(_COUNT_TOKENS)):
        role, usage = Role.NEVER, None  # only re-reads or measures a call
    elif known.asks_counts:
        if known.quick_counts is not None and override is None:
            usage = item.usage = quick_usage(known.quick_counts, values, known.sureness)
        if usage is None:
            role, usage = _counted(item, plan, attributes, known, override)
    if role is _MODEL_CALL and usage is not None:
        semantics = usage.semantics
    constants = known.quick.get(semantics) if role is known.role else None
    if constants is None:
        constants = known.constants(type(item), attributes, role, semantics)
    fields, written = constants.fields, constants.values.copy()
    for key, value in constants.overwritten:
        item.set(key, value)
    if not plan.plain_values.issuperset(values[columns.plain]):
        for sources in plan.plain_dimensions:
            if attributes[sources.keys[0]] not in plan.plain_values:
                _check_dimension(item, plan.plain_values, attributes, sources, given, role)
    for sources in plan.dimensions:
        _write_dimension(item, attributes, sources, given, role)
    if usage is not None:
        if columns.response_id is not None and _is_plain(raw := values[columns.response_id]):
            response_id = hash(raw[2:])
        elif plan.response_id:
            response_id = _response_id(item, plan, attributes)
        if plan.optional:
            _write_optional(item, plan, attributes)
        if known.asks_events and isinstance(item, Span) and (events := item.encoded_events()):
            _write_from_events(item, events, known)
    if columns.conversation is not None and _is_plain(raw := values[columns.conversation]):
        fields += _MIRROR[item.ATTRIBUTES][len(raw)] + raw
        written[semconv.APP_LLM_CONVERSATION_ID] = raw[2:].decode("utf-8", "replace")
    elif plan.conversation:
        _write_conversation(item, plan, attributes)
    if written:
        item.append(fields, written, constants.fields)
    return role, usage, response_id, known


_MODEL_CALL: Final = Role.MODEL_CALL
_RAW_REQUEST: Final = "raw_gen_ai_request"
_COUNT_TOKENS: Final = "count_tokens"
_UNBILLED: Final = (_RAW_REQUEST, _COUNT_TOKENS)
"""Ends of span names to look at twice."""
_MAX_PLAIN: Final = 256


def _counted(
    item: Element, plan: Plan, attributes: Attributes, known: Known, override: Override | None
) -> tuple[Role, Usage | None]:
    """Read the usage of what may be billed and write what is not there as it should be: its role, and the usage."""
    usage = read_usage(plan, attributes, known.identity, override)
    role = known.role if known.told else _untold_role(plan, known.identity, usage)
    if role is _MODEL_CALL and not plan.normalised:
        write_counts(item, attributes, usage)
    return role, usage if role in CALLS else None


def _learnt(
    key: tuple[object, ...], plan: Plan, attributes: Attributes, given: Given, told: Hint | None
) -> Known:
    if len(plan.known) >= _MAX_KNOWN:
        plan.known.clear()
    plan.scope.allowance.spend(_KNOWN_BYTES + length(key), plan.known)
    found = plan.known[key] = Known(plan, attributes, given, told)
    return found


def _untold_role(plan: Plan, identity: Identity, usage: Usage) -> Role:
    """A model and tokens without an operation are a model call; an agent's name says that they are a sum."""
    if identity.comparable and usage.known and semconv.GEN_AI_AGENT_NAME not in plan.keys:
        return Role.MODEL_CALL
    return Role.OTHER


# ------------------------------------------------------------------ values that differ from call to call


def _put(item: Element, attributes: Attributes, key: str, value: Value) -> None:
    raw = attributes.get(key)
    present = None if raw is None else value_of(raw)
    if type(present) is not type(value) or present != value:
        item.set(key, value)


def _write_conversation(item: Element, plan: Plan, attributes: Attributes) -> None:
    value = first_text(plan.conversation, attributes)
    if value is not None:
        _put(item, attributes, semconv.GEN_AI_CONVERSATION_ID, value)
        _put(item, attributes, semconv.APP_LLM_CONVERSATION_ID, value)


def _is_plain(raw: bytes) -> bool:
    """Whether an AnyValue is a short text that needs no trimming and no unquoting: no decoding to find out."""
    size = len(raw)
    if size > 2 and raw[0] == 0x0A and raw[1] == size - 2 and raw[2] > 0x22 and size < _SHORT:
        return raw[size - 1] > 0x20  # 0.1 µs less than with an index from the end (CPython 3.11)
    return False


def _check_dimension(
    item: Element,
    plain: set[bytes],
    attributes: Attributes,
    sources: DimensionSources,
    given: Given,
    role: Role,
) -> None:
    raw = attributes[sources.keys[0]]
    if not _is_plain(raw):
        _write_dimension(item, attributes, sources, given, role)
        return
    if len(plain) >= _MAX_PLAIN:
        plain.clear()
    plain.add(raw)


def _write_dimension(
    item: Element, attributes: Attributes, sources: DimensionSources, given: Given, role: Role
) -> None:
    canonical = sources.dimension.canonical
    value = _dimension(sources, attributes) or given.shared.get(canonical)
    if value is None and role is Role.MODEL_CALL:
        value = given.defaults.get(canonical)
    if value is not None:
        _put(item, attributes, canonical, value.lower() if sources.dimension.lower else value)


def _dimension(sources: DimensionSources, attributes: Attributes) -> str | None:
    for key in sources.keys:
        if (value := text(attributes[key])) is not None:
            return value
    if sources.in_metadata:
        members: Mapping[str, object] = mapping(attributes[METADATA]) or {}
        for name in sources.dimension.names:
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


def _response_id(item: Element, plan: Plan, attributes: Attributes) -> int:
    response_id = first_text(plan.response_id, attributes)
    if response_id is not None:
        _put(item, attributes, semconv.GEN_AI_RESPONSE_ID, response_id)
    return digest(response_id)


def _write_optional(item: Element, plan: Plan, attributes: Attributes) -> None:
    """Write what few calls have."""
    if plan.ttft:
        _write_first(item, attributes, semconv.APP_LLM_TTFT_S, plan.ttft)
    if plan.start_times and isinstance(item, Span) and semconv.APP_LLM_TTFT_S not in item:
        for key in plan.start_times:
            _write_ttft(item, instant_ns(attributes[key]))
    if plan.cost:
        _write_first(item, attributes, semconv.APP_LLM_USAGE_REPORTED_COST_USD, plan.cost)
    if plan.error and semconv.ERROR_TYPE not in item:
        error = first_text(plan.error, attributes)
        if error is not None:
            item.set(semconv.ERROR_TYPE, error)
    for key, sources in plan.extras:
        _write_first(item, attributes, key, sources)


def _write_first(item: Element, attributes: Attributes, key: str, sources: Sources) -> None:
    for source in sources:
        value = source.read(attributes[source.key])
        if isinstance(value, int | float):
            _put(item, attributes, key, value)
            return


def _write_from_events(span: Span, events: Sequence[bytes], known: Known) -> None:
    """Write what some emitters tell by span events: finish reasons and the first token."""
    if known.untold_reasons:
        told = (text_of(event.get("finish_reason")) for event in _named(_CHOICE, events))
        found: list[Value] = [reason for reason in told if reason]
        if found:
            span.set(semconv.GEN_AI_RESPONSE_FINISH_REASONS, found)
    for wanted in _FIRST_TOKEN_EVENTS if semconv.APP_LLM_TTFT_S not in span else ():
        first = next(_named(wanted, events), None)
        _write_ttft(span, None if first is None else first.time_ns)


def _named(name: str, events: Sequence[bytes]) -> Iterator[Event]:
    """Yield the events of this name. Others are not decoded: a stream may leave one for every chunk."""
    written = name.encode()
    for body in events:
        if written in body:
            event = Event(body, -1, 0, len(body))
            if event.name == name:
                yield event


def _write_ttft(span: Span, moment_ns: int | None) -> None:
    """Write the time from the start to a moment, unless an earlier source gave it or the clocks disagree."""
    start = span.start_ns
    if (
        moment_ns is not None
        and start
        and moment_ns >= start
        and semconv.APP_LLM_TTFT_S not in span
    ):
        span.set(semconv.APP_LLM_TTFT_S, (moment_ns - start) / 1_000_000_000)


# ------------------------------------------------------------------ counts


def write_counts(item: Element, attributes: Attributes, usage: Usage) -> None:
    """Write the canonical counts, and the emitter's own where the value of a canonical key changes."""
    for key, value, source_key in (
        (semconv.GEN_AI_USAGE_INPUT_TOKENS, usage.input, semconv.APP_LLM_USAGE_SOURCE_INPUT),
        (semconv.GEN_AI_USAGE_OUTPUT_TOKENS, usage.output, semconv.APP_LLM_USAGE_SOURCE_OUTPUT),
    ):
        if value is not None:
            _put(item, attributes, key, value)
            given = count_of(value_of(attributes[key])) if key in attributes else None
            if given is not None and given != value:
                item.set(source_key, given)
    for key, part in (
        (semconv.GEN_AI_USAGE_CACHE_READ, usage.cache_read),
        (semconv.GEN_AI_USAGE_CACHE_CREATION, usage.cache_write),
        (semconv.APP_LLM_USAGE_CACHE_CREATION_1H, usage.cache_write_1h),
        (semconv.GEN_AI_USAGE_REASONING, usage.reasoning),
        (semconv.APP_LLM_USAGE_WEB_SEARCHES, usage.web_searches),
        (semconv.APP_LLM_USAGE_QUALITY, usage.quality),
    ):
        if part is not None:
            _put(item, attributes, key, part)
