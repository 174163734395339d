"""The `llm_metrics` connector: the users' metrics, from all traffic, before anything is sampled.

Invariants
- What counts is what carries `app.llm.cost.status`: no other rule is applied here.
- Counting never changes a batch, and never waits for anything.
- Series are cumulative integers; `tick` yields one OTLP metrics batch of what changed.
"""

from __future__ import annotations

from processors.llm_metrics.config import Config, check
from processors.llm_metrics.connector import LlmMetrics, build

__all__ = ["Config", "LlmMetrics", "build", "check"]
