"""`ottl_condition`: some span, or some event of a span, for which one of the conditions holds.

A condition that fails counts as false. With `error_mode: propagate` it is the policy that fails, and it votes nothing:
whichever comes first in the order of arrival, a match or a failure, decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from processors.errors import InvalidConfig
from processors.tail_sampling.ottl import Condition, ConditionFailed, Context, Subject, condition
from processors.tail_sampling.policies.base import AnySpan, Desk, Policy, Settings
from processors.tail_sampling.traces import Envelope, Trace
from processors.tail_sampling.verdict import ERROR, Vote
from processors.views import PARSE


class OttlCondition(AnySpan):
    """Votes by the bit that the conditions set while spans came."""

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        return ERROR if trace.failed & self._bit else super().vote(trace, now_ns)


def ottl_condition(settings: Settings, desk: Desk) -> Policy:
    """Build `ottl_condition`."""
    on_span = _compile(settings, "span", "span")
    on_event = _compile(settings, "spanevent", "spanevent")
    if not on_span and not on_event:
        raise InvalidConfig("", "expected at least one OTTL condition to filter on")
    test = _propagating if settings["error_mode"] == "propagate" else _forgiving
    bit = desk.watch.bit()

    def note(trace: Trace, view: Any, envelope: Envelope) -> None:
        if (trace.matched | trace.failed) & bit:
            return
        try:
            if _holds(view, envelope):
                trace.matched |= bit
        except ConditionFailed:
            trace.failed |= bit

    def _holds(view: Any, envelope: Envelope) -> bool:
        if on_span and test(on_span, Subject(view, envelope)):
            return True
        return bool(on_event) and any(test(on_event, event) for event in _events(view, envelope))

    desk.watch.whole(note)
    return OttlCondition("ottl_condition", bit)


def _compile(settings: Settings, key: str, context: Context) -> list[Condition]:
    compiled = []
    for position, text in enumerate(settings[key]):
        try:
            compiled.append(condition(text, context))
        except InvalidConfig as wrong:
            raise InvalidConfig(f"{key}[{position}]", wrong.text) from None
    return compiled


def _events(view: Any, envelope: Envelope) -> Iterator[Subject]:
    for position, raw in enumerate(view.events):
        yield Subject(view, envelope, PARSE["Event"](raw), position)


def _propagating(conditions: Sequence[Condition], subject: Subject) -> bool:
    return any(test(subject) for test in conditions)


def _forgiving(conditions: Sequence[Condition], subject: Subject) -> bool:
    for test in conditions:
        try:
            if test(subject):
                return True
        except ConditionFailed:
            continue
    return False
