"""What is told beside the model calls: tools, evaluation results, streamed chunks, versions of services.

Sources: gen_ai.evaluation.result of the GenAI conventions 1.41 (gen-ai-events.md); llm.content.completion.chunk of the
users' instrumentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from processors import semconv
from processors.llm_metrics import catalogue
from processors.llm_metrics.bindings import Binding, Bindings, Read, spellings
from processors.llm_metrics.labels import clean, plain
from processors.llm_metrics.outcomes import outcome
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
_MAX_TOOLS: Final = 256
"""Tools remembered per binding; a bound on memory, not on series."""


class Sides:
    """Counts tools, evaluation results and chunks into a binding's series."""

    def __init__(self, bindings: Bindings, pass_score: float) -> None:
        """`pass_score`: the least score of an evaluation that passed."""
        self._bindings = bindings
        self._pass_score = pass_score

    def tool(self, binding: Binding, attributes: Read, seconds: float, code: int) -> None:
        """Count a tool call."""
        key = (
            attributes[_TOOL_NAME] if _TOOL_NAME in attributes else None,
            attributes[_ERROR] if _ERROR in attributes else None,
            code,
        )
        found = binding.tools.get(key)
        if found is None:
            found = binding.tools[key] = self._open_tool(binding, *key)
        calls, timed = found
        calls.value += 1
        if not calls.queued:
            calls.family.queue(calls)
            timed.family.queue(timed)
        if seconds >= 0:
            timed.observe(seconds)

    def _open_tool(self, binding: Binding, name: Any, error: Any, code: int) -> tuple[Any, Any]:
        if len(binding.tools) >= _MAX_TOOLS:
            binding.tools.clear()
        tool = self._bindings.labels.admit("tool", name)
        status = outcome(None, error, None, code).status
        rare = self._bindings.rare
        return (
            rare(binding, catalogue.TOOL_CALLS, tool=tool, status=status),
            rare(binding, catalogue.TOOL_SECONDS, tool=tool),
        )

    def events(self, binding: Binding, events: Iterable[bytes]) -> None:
        """Count what a span's events say; `events` are encoded."""
        chunks = []
        for body in events:
            event = PARSE["Event"](body)
            if event.name == EVALUATION:
                self.evaluation(binding, event.attributes)
            elif event.name == CHUNK:
                chunks.append(event.time_ns)
        for before, after in pairwise(sorted(chunks)):
            gap = self._bindings.rare(binding, catalogue.CHUNK_GAP)
            gap.observe((after - before) / 1e9)

    def evaluation(self, binding: Binding, attributes: Read) -> None:
        """Count an evaluation result, or a user's vote."""
        score = plain(attributes.get(_SCORE))
        if isinstance(score, bool) or not isinstance(score, int | float):
            return
        rare = self._bindings.rare
        if clean(attributes.get(_NAME)) == USER_FEEDBACK:
            result = "positive" if score > 0 else "negative"
            rare(binding, catalogue.USER_FEEDBACK, result=result).value += 1
            return
        result = "pass" if score >= self._pass_score else "fail"
        rare(binding, catalogue.EVAL_SAMPLES, result=result).value += 1
        rare(binding, catalogue.EVAL_SCORE).observe(float(score))


def event_name(view: Any) -> str:
    """Return the event name of a log record: its field, or the attribute of SDKs older than the field."""
    return str(view.event_name) or clean(view.attributes.get("event.name"))
