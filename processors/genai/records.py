"""Which log records report a model call, and the attributes they are read by.

Only usage-bearing records of known emitters count, and the users' own call records: a marker key, or a message
`llm_call_<status>`, with a model and a token count. Records that carry content are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from processors.batch import LogRecord
from processors.genai.config import Override
from processors.genai.identity import Identity
from processors.genai.names import CALL_RECORD_KEYS, EVENTS
from processors.genai.plan import Plan
from processors.genai.table import Hint, Role
from processors.genai.usage import read_usage
from processors.genai.values import encoded, mapping, text, value_of
from processors.semconv import GEN_AI_USAGE_INPUT_TOKENS, GEN_AI_USAGE_OUTPUT_TOKENS
from processors.wire import encode_value

EVENT_NAME: Final = "event.name"
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
"""Repeats, as a log record, the span of the same call (semconv 1.37)."""
_MESSAGE: Final = "message"
_CALL_MESSAGE: Final = "llm_call_"
_CALL_RECORD: Final = Hint(Role.MODEL_CALL, "chat")
_IN_BODY: Final = tuple(key.encode() for key in (*CALL_RECORD_KEYS, _CALL_MESSAGE))
_NAMED_BY_BODY: Final = {encode_value(name): name for name in EVENTS}
"""Claude Code writes the name as the body, and without its prefix as `event.name`."""
_CANONICAL: Final = ("gen_ai.", "app.llm.")


class CallRecord(NamedTuple):
    """A log record that may report a call."""

    attributes: Mapping[str, bytes]
    """Its attributes, with those that its body carries as members of an object."""
    hint: Hint
    of_emitter: bool
    """A known emitter's event, which needs an input count; others need a model and any count."""
    adopted: Mapping[str, str | int] = MappingProxyType({})
    """Canonical attributes that so far stand in the body alone."""

    def reports_call(self, plan: Plan, identity: Identity, override: Override | None) -> bool:
        """Whether the counts are there that make it the report of a call."""
        usage = read_usage(plan, self.attributes, identity, override)
        if self.of_emitter:
            return usage.input is not None
        return usage.known and bool(identity.comparable)


def call_record(record: LogRecord) -> CallRecord | None:
    """Return what a record is read by, or None when it reports no call."""
    view = record.view
    attributes: Mapping[str, bytes] = view.attributes
    name = _NAMED_BY_BODY.get(view.body) or _event_name(record)
    if name in EVENTS:
        named = {**attributes, EVENT_NAME: encode_value(name)}
        return CallRecord(named, EVENTS[name], of_emitter=True)
    if any(key in attributes for key in CALL_RECORD_KEYS) or _is_call_message(attributes):
        return CallRecord(attributes, _CALL_RECORD, of_emitter=False)
    if any(mark in view.body for mark in _IN_BODY):
        return _from_body(record, attributes)
    return None


def repeats_usage(record: LogRecord) -> str | None:
    """Return the event name ("" without one) of a record that is no call but carries counts as a call's span would."""
    attributes: Mapping[str, bytes] = record.view.attributes
    if GEN_AI_USAGE_INPUT_TOKENS not in attributes and GEN_AI_USAGE_OUTPUT_TOKENS not in attributes:
        return None
    return _event_name(record)


def _event_name(record: LogRecord) -> str:
    view = record.view
    return view.event_name or text(view.attributes.get(EVENT_NAME, b"")) or ""


def _is_call_message(attributes: Mapping[str, bytes]) -> bool:
    return _MESSAGE in attributes and _says_call(value_of(attributes[_MESSAGE]))


def _says_call(message: object) -> bool:
    return isinstance(message, str) and message.startswith(_CALL_MESSAGE)


def _from_body(record: LogRecord, attributes: Mapping[str, bytes]) -> CallRecord | None:
    """Read a body that is the message itself, or an object with message and counts."""
    body = record.view.body
    if _says_call(value_of(body)):
        return CallRecord(attributes, _CALL_RECORD, of_emitter=False)
    members: Mapping[str, Any] = mapping(body) or {}
    if not CALL_RECORD_KEYS & members.keys() and not _says_call(members.get(_MESSAGE)):
        return None
    adopted = {
        key: value
        for key, value in members.items()
        if key.startswith(_CANONICAL) and key not in attributes and isinstance(value, str | int)
    }
    read = {**encoded(members), **attributes}
    return CallRecord(read, _CALL_RECORD, of_emitter=False, adopted=adopted)
