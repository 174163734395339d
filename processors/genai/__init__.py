"""Normalises GenAI dialects to today's gen_ai.* names and decides which record of a model call counts.

`dialects/` the tables · `plan` which names a span has · `values`, `classes`, `identity`, `usage` what they mean ·
`normalise` what is written · `processor` the walk over a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.genai.config import Config
from processors.genai.processor import Genai
from processors.ports import Context

__all__ = ["Config", "Genai", "build"]


def build(settings: Mapping[str, Any], context: Context) -> Genai:
    """Make the processor from checked settings."""
    return Genai(Config.load(settings), context)
