"""Normalises GenAI dialects to today's gen_ai.* names and decides which record of a model call counts.

`dialects/` the tables · `names`, `plan`, `shapes` which of their names a span has · `values`, `classes`, `identity`,
`usage` what they mean · `known`, `normalise` what is written · `rules` (`stirred`, `siblings`, `running_totals`,
`pending`), `trace`, `alike`, `ledger` which record counts · `processor`, `records`, `held` the walk over a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from processors.errors import Finding
from processors.genai.config import Config
from processors.genai.processor import Genai
from processors.ports import Context

__all__ = ["Config", "Genai", "build", "check"]

LONGEST_SETTLE_NS: Final = 5_000_000_000


def build(settings: Mapping[str, Any], context: Context) -> Genai:
    """Make the processor from checked settings."""
    return Genai(Config.load(settings), context)


def check(settings: Mapping[str, Any], context: Context) -> Iterator[Finding]:
    """Say what the schema cannot."""
    if settings["settle"] > LONGEST_SETTLE_NS:
        text = "expected at most 5s, since agents' spans wait so long, got more"
        yield Finding("settle", text)
    for number, row in enumerate(settings["token_semantics"]):
        if not row["scope"] and not row["service"]:
            text = "this row fits every emitter; name a scope or a service"
            yield Finding(f"token_semantics[{number}]", text, warning=True)
