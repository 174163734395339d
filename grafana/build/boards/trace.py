"""`llm-trace`: one trace, for those who have no right to use Explore."""

from __future__ import annotations

from typing import Final

from grafana.build.model import Board, Panel, Row
from grafana.build.promql import one

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
            ),
        ),
    ),
    variables=("trace_id",),
)
