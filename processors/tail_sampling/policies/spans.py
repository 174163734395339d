"""Policies on what every span has: status, times, number, flags, trace state."""

from __future__ import annotations

from typing import Any, Final

from processors.errors import InvalidConfig
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.policies.base import AnySpan, Desk, Policy, Settings, Test
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.tracestate import parse

_CODES: Final = {"UNSET": 1, "OK": 2, "ERROR": 4}
_NS_PER_MS: Final = 1_000_000
_SAMPLED_FLAG: Final = 0x01
_LONGEST_MEMBER: Final = 255
"""Key and value together; the Collector ignores longer members of trace state."""


class Always(Test):
    """`always_sample`."""

    def holds(self, trace: Trace) -> bool:
        return True


def always_sample(settings: Settings, desk: Desk) -> Policy:
    """Keeps everything."""
    return Always("always_sample")


class StatusCode(Test):
    """`status_code`: some span has one of the codes."""

    def __init__(self, mask: int) -> None:
        super().__init__("status_code")
        self._mask = mask

    def holds(self, trace: Trace) -> bool:
        return bool(trace.statuses & self._mask)


def status_code(settings: Settings, desk: Desk) -> Policy:
    """Build `status_code`."""
    codes = settings["status_codes"]
    if not codes:
        raise InvalidConfig("status_codes", "expected at least one status code to filter on")
    for code in codes:
        if code not in _CODES:
            text = f'unknown status code "{code}", supported: OK, ERROR, UNSET'
            raise InvalidConfig("status_codes", text)
    desk.watch.statuses()
    return StatusCode(sum({_CODES[code] for code in codes}))


class Latency(Test):
    """`latency`: `over` < duration, and ≤ `upto` where it is set; whole milliseconds between the first start and the
    last end, whatever order the spans came in."""

    def __init__(self, over: int, upto: int) -> None:
        super().__init__("latency")
        self.stateful = upto > 0  # a later span may make it too long
        self._over = over
        self._upto = upto

    def holds(self, trace: Trace) -> bool:
        if not trace.start_ns or not trace.end_ns:
            return False
        duration = _whole_ms(trace.end_ns - trace.start_ns)
        return self._over < duration and (not self._upto or duration <= self._upto)


def _whole_ms(elapsed_ns: int) -> int:
    """Round towards zero, as the Collector does: a trace may end before it began."""
    return elapsed_ns // _NS_PER_MS if elapsed_ns >= 0 else -(-elapsed_ns // _NS_PER_MS)


def latency(settings: Settings, desk: Desk) -> Policy:
    """Build `latency`."""
    over, upto = int(settings["threshold_ms"]), int(settings["upper_threshold_ms"])
    if not desk.quirks:
        desk.watch.extent()
        return Latency(over, upto)
    policy = AnySpan("latency", _latency_span_by_span(desk.watch, over, upto))
    policy.stateful = upto > 0
    return policy


def _latency_span_by_span(watch: Watch, over: int, upto: int) -> int:
    """Return the bit of the Collector's test: after each span on the extent so far (#43948), where a time of 0 is
    the year 1970 until another span overwrites it."""
    bit = watch.bit()
    watch.head(_note_raw_extent)

    def note(trace: Trace, view: Any) -> None:
        duration = _whole_ms(trace.end_ns - trace.start_ns)
        if over < duration and (not upto or duration <= upto):
            trace.matched |= bit

    watch.head(note)
    return bit


def _note_raw_extent(trace: Trace, view: Any) -> None:
    if not trace.start_ns or view.start_ns < trace.start_ns:
        trace.start_ns = view.start_ns
    if not trace.end_ns or view.end_ns > trace.end_ns:
        trace.end_ns = view.end_ns


class SpanCount(Test):
    """`span_count`: at least, and at most where it is set."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__("span_count")
        self.stateful = most > 0  # the next span may break it
        self._least = least
        self._most = most

    def holds(self, trace: Trace) -> bool:
        return trace.spans >= self._least and (not self._most or trace.spans <= self._most)


def span_count(settings: Settings, desk: Desk) -> Policy:
    """Build `span_count`."""
    return SpanCount(int(settings["min_spans"]), int(settings["max_spans"]))


def trace_flags(settings: Settings, desk: Desk) -> Policy:
    """Build `trace_flags`: some span has the W3C sampled flag."""
    bit = desk.watch.bit()

    def note(trace: Trace, view: Any) -> None:
        if view.flags & _SAMPLED_FLAG:
            trace.matched |= bit

    desk.watch.head(note)
    return AnySpan("trace_flags", bit)


def trace_state(settings: Settings, desk: Desk) -> Policy:
    """Build `trace_state`: some span has the member with one of the values."""
    key, values = settings["key"], frozenset(settings["values"])
    bit = desk.watch.bit()

    def note(trace: Trace, view: Any) -> None:
        if not view.trace_state or trace.matched & bit:
            return
        members = parse(view.trace_state)
        value = members.get(key) if members is not None else None
        if value in values and 0 < len(key) + len(value or "") <= _LONGEST_MEMBER:
            trace.matched |= bit

    desk.watch.head(note)
    return AnySpan("trace_state", bit)
