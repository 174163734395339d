"""What is written on kept traces: `sampling.*` and `app.llm.trace.*` on the local root, `ot=th` on every span.

The threshold on a span is the stricter of ours and the one it came with, so that a chain of samplers tells the right
adjusted count. Where our probability is not known, none is left behind. Sources: OpenTelemetry specification,
trace/tracestate-probability-sampling and tracestate-handling (1.50); W3C Trace Context 2, 3.3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from processors import semconv
from processors.batch import Span
from processors.tail_sampling.calls import Calls, add_up
from processors.tail_sampling.probability import adjusted_count, decode, encode
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.tracestate import explicit_randomness, ot_values, parse, write
from processors.tail_sampling.verdict import Trigger, Verdict
from processors.views import PARSE
from processors.wire import Value

_EXPECTED_TRIGGERS: Final = ("wait", "root")
_LONGEST_OT: Final = 256
_TOTAL_ROWS: Final = (0, 1)
"""Input and output: the rows of TOKEN_KEYS that add up to the total."""


def root_attributes(trace: Trace, verdict: Verdict, trigger: Trigger) -> dict[str, Value]:
    """Return what the local root says about the decision. None takes an attribute away."""
    attributes: dict[str, Value] = {}
    if verdict.kept:
        attributes[semconv.SAMPLING_POLICY] = verdict.policy
        attributes[semconv.SAMPLING_REASON] = verdict.reason
        attributes[semconv.SAMPLING_CONTENT_TIER] = verdict.tier
    if trigger not in _EXPECTED_TRIGGERS:
        attributes[semconv.SAMPLING_TRIGGER] = trigger
    if trace.calls is not None:
        attributes.update(_call_attributes(trace.calls))
    return attributes


def _call_attributes(calls: Calls) -> dict[str, Value]:
    attributes: dict[str, Value] = {}
    priced = calls.priced
    if priced:
        attributes[semconv.APP_LLM_TRACE_COST_USD] = add_up(priced)
    known = [
        count
        for tokens in calls.tokens.values()
        for row in _TOTAL_ROWS
        if (count := tokens[row]) is not None
    ]
    if known:
        attributes[semconv.APP_LLM_TRACE_TOKENS] = sum(known)
    if calls.counted:
        attributes[semconv.APP_LLM_TRACE_MODEL_CALLS] = calls.counted
    if calls.unpriced:
        attributes[semconv.APP_LLM_TRACE_UNPRICED_CALLS] = calls.unpriced
    return attributes


@dataclass(frozen=True, slots=True)
class Mark:
    """A span's trace state after the decision, and the threshold it tells; None where it tells none."""

    text: str
    threshold: int | None


def mark(
    trace_id: bytes, text: str, threshold: int | None, rv: int | None, count: Callable[[str], None]
) -> Mark:
    """Bring a trace state up to date with a threshold (None: unknown). `rv`: randomness to write beside it."""
    members = parse(text)
    ot = (members or {}).get("ot", "")
    if members is None or len(ot) > _LONGEST_OT:
        count("unparseable")
        return Mark(text, None)
    values = ot_values(ot)
    incoming = decode(values["th"]) if "th" in values else None
    explicit = explicit_randomness(text)
    randomness = int.from_bytes(trace_id[-7:], "big") if explicit is None else explicit
    if incoming is not None and randomness < incoming:
        count("invalid_threshold")
        threshold = None
    told = None if threshold is None else max(threshold, incoming or 0)
    if told is None:
        values.pop("th", None)
    else:
        values["th"] = encode(told)
        if rv is not None and explicit is None:
            values["rv"] = f"{rv:014x}"
    changed = ";".join(f"{key}:{value}" for key, value in values.items())
    if changed == ot:
        return Mark(text, told)
    if len(changed) > _LONGEST_OT:
        count("unparseable")
        return Mark(text, None)
    return Mark(write({**({"ot": changed} if changed else {}), **_others(members)}), told)


def _others(members: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in members.items() if key != "ot"}


def marked(
    span: bytes, threshold: int | None, rv: int | None, count: Callable[[str], None]
) -> tuple[bytes, int | None]:
    """Return the span with its trace state brought up to date, and the threshold it tells."""
    view = PARSE["SpanHead"](span)
    new = mark(view.trace_id, view.trace_state, threshold, rv, count)
    if new.text == view.trace_state:
        return span, new.threshold
    view = PARSE["TraceState"](span)  # its other fields keep their bytes
    view.trace_state = new.text
    return view.SerializeToString(), new.threshold


def with_root_attributes(span: bytes, attributes: dict[str, Value], threshold: int | None) -> bytes:
    """Write attributes on the local root; the adjusted count follows the threshold the span tells."""
    element = Span.alone(span)
    count = None if threshold is None else adjusted_count(threshold)
    for key, value in {**attributes, semconv.SAMPLING_ADJUSTED_COUNT: count}.items():
        if value is None:
            element.remove(key)
        else:
            element.set(key, value)
    return element.body()
