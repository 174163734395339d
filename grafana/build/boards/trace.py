"""`llm-trace`: one trace, for those who have no right to use Explore."""

from __future__ import annotations

from typing import Final

from grafana.build.model import Board, Panel, Row
from grafana.build.promql import CALL_COLUMNS, one

BOARD: Final = Board(
    uid="llm-trace",
    title="LLM trace",
    about="One trace, for viewers who have no Explore; exemplars and trace tables link here.",
    rows=(
        Row(
            title="Trace",
            panels=(
                Panel(
                    title="Trace ${trace_id}",
                    viz="traces",
                    unit="none",
                    source="tempo",
                    why="What happened in this request, span by span, with its prompts and its price?",
                    act="Nothing here: the trace was not kept, or is older than the store keeps traces.",
                    queries=one("${trace_id}"),
                    links=("llm-investigate",),
                    runbook="telemetry-loss",
                    width=24,
                ),
                Panel(
                    title="Its model calls",
                    viz="table",
                    unit="none",
                    source="tempo",
                    why="Which of its calls was slow, dear or failed? No need to open each span for it.",
                    act="Many alike are a loop, one dear one is a pasted document. Empty: the trace lies outside the"
                    " time range of this board.",
                    queries=one(
                        '{ trace:id = "${trace_id:pipe}" && span.app.llm.span.class = "model_call" }'
                        f" | select({CALL_COLUMNS}, span.app.llm.prompt.template.version, span.error.type)"
                    ),
                    links=("llm-investigate",),
                    runbook="cost-spike",
                    width=24,
                ),
            ),
        ),
    ),
    variables=("trace_id",),
)
