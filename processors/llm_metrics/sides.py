"""What is told beside the model calls: tools, evaluation results, streamed chunks, versions of services.

Sources: gen_ai.evaluation.result of the GenAI conventions 1.41 (gen-ai-events.md); llm.content.completion.chunk of the
users' instrumentation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from processors import semconv
from processors.llm_metrics import catalogue
from processors.llm_metrics.bindings import (
    ENVIRONMENT,
    MODE,
    Binding,
    Bindings,
    Origin,
    Read,
    spellings,
)
from processors.llm_metrics.catalogue import TOOL as TOOL_BUCKETS
from processors.llm_metrics.kinds import MAX_KEY, NOTHING, overlaid
from processors.llm_metrics.labels import TOO_LARGE, clean, plain
from processors.llm_metrics.outcomes import outcome
from processors.llm_metrics.series import Counter, Histogram
from processors.recent import RecentIds
from processors.views import PARSE

TOOL: Final = spellings("tool")
"""Spellings of the class of tool spans."""

EVALUATION: Final = "gen_ai.evaluation.result"
CHUNK: Final = "llm.content.completion.chunk"
USER_FEEDBACK: Final = "user_feedback"

_NAME: Final = semconv.GEN_AI_EVALUATION_NAME
_SCORE: Final = semconv.GEN_AI_EVALUATION_SCORE_VALUE
_TOOL_NAME: Final = semconv.GEN_AI_TOOL_NAME
_ERROR: Final = semconv.ERROR_TYPE
_FEATURE: Final = semconv.APP_LLM_FEATURE
_MAX_SEEN: Final = 50_000
"""Spans beside calls that are remembered, to count what was delivered again once; 17 bytes each."""
_MAX_TOOLS: Final = 4096
"""What is remembered of tool spans; a bound on memory, not on series."""


class Sides:
    """Counts tools, evaluation results and chunks into a binding's series."""

    def __init__(self, bindings: Bindings, pass_score: float) -> None:
        """`pass_score`: the least score of an evaluation that passed."""
        self._bindings = bindings
        self._pass_score = pass_score
        self._tools: dict[tuple[Any, ...], tuple[Counter, Histogram]] = {}
        self._seen = RecentIds(_MAX_SEEN)

    def adopt(self, predecessor: Sides) -> None:
        """Know the spans that another one saw."""
        self._seen = predecessor._seen

    def seen(self, view: Any) -> bool:
        """Say whether this very span was here before, as when a sender missed our answer; and remember it."""
        if not view.span_id:
            return False
        name = view.trace_id + view.span_id
        found = name in self._seen
        self._seen.add(name)
        return found

    def tool(
        self, read: Read, edits: Read, origin: Origin, seconds: float | None, code: int
    ) -> None:
        """Count a tool call."""
        get = edits.get
        key = (
            read[_TOOL_NAME] if _TOOL_NAME in read else None,
            read[_ERROR] if _ERROR in read else None,
            read[_FEATURE] if _FEATURE in read else None,
            read[ENVIRONMENT] if ENVIRONMENT in read else None,
            read[MODE] if MODE in read else None,
            get(ENVIRONMENT), get(MODE), origin, code,
        )  # fmt: skip
        try:
            found = self._tools.get(key)
        except TypeError:  # a list was written where a label is: compared encoded
            return self.tool(overlaid(read, edits), NOTHING, origin, seconds, code)
        if found is None:
            found = self._open_tool(key, read, edits, origin)
        calls, timed = found
        calls.value += 1
        if not calls.queued:
            calls.family.queue(calls)
            timed.family.queue(timed)
        if seconds is not None:
            timed.counts[bisect_left(TOOL_BUCKETS, seconds)] += 1
            timed.sum += seconds

    def _open_tool(
        self, key: tuple[Any, ...], read: Read, edits: Read, origin: Origin
    ) -> tuple[Counter, Histogram]:
        name, error, *_, code = key
        binding = self._bindings.bind(read, edits, origin)
        tool = self._bindings.labels.admit("tool", name)
        status = outcome(None, error, None, code).status
        rare = self._bindings.rare
        found = (
            rare(binding, catalogue.TOOL_CALLS, tool=tool, status=status),
            rare(binding, catalogue.TOOL_SECONDS, tool=tool),
        )
        if sum(len(value) for value in key[:5] if isinstance(value, bytes | str)) <= MAX_KEY:
            if len(self._tools) >= _MAX_TOOLS:
                self._tools.clear()
            self._tools[key] = found
        return found

    def forget(self) -> None:
        """Forget all series, after some were dropped."""
        self._tools.clear()

    def events(self, binding: Binding, events: Iterable[bytes]) -> None:
        """Count what a span's events say; `events` are encoded."""
        chunks = []
        for body in events:
            event = PARSE["Event"](body)
            if event.name == EVALUATION:
                self.evaluation(binding, event.attributes)
            elif event.name == CHUNK and event.time_ns:
                chunks.append(event.time_ns)
        for before, after in pairwise(sorted(chunks)):
            gap = self._bindings.rare(binding, catalogue.CHUNK_GAP)
            gap.observe((after - before) / 1e9)

    def evaluation(self, binding: Binding, attributes: Read) -> None:
        """Count an evaluation result, or a user's vote."""
        score = plain(attributes.get(_SCORE))
        if isinstance(score, bool) or not isinstance(score, int | float):
            return
        if not -TOO_LARGE < score < TOO_LARGE:  # nor anything that is no number
            return
        rare = self._bindings.rare
        if clean(attributes.get(_NAME)) == USER_FEEDBACK:
            result = "positive" if score > 0 else "negative"
            rare(binding, catalogue.USER_FEEDBACK, result=result).value += 1
            return
        result = "pass" if score >= self._pass_score else "fail"
        rare(binding, catalogue.EVAL_SAMPLES, result=result).value += 1
        # a histogram's sum that falls would be taken for a restart
        rare(binding, catalogue.EVAL_SCORE).observe(max(0.0, score))


def event_name(view: Any) -> str:
    """Return the event name of a log record: its field, or the attribute of SDKs older than the field."""
    return str(view.event_name) or clean(view.attributes.get("event.name"))
