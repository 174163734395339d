"""`llm_cost`: usage → money, on canonical spans and log records.

Reading order: `processor` (what is written, and when) → `book` (how a price is found) → `catalog`, `tariff` (how it is
stated and added up) → `usage`, `names` (what is counted, how things are called) → `overlay`, `base` (whose prices).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from processors.errors import Finding, InvalidConfig
from processors.llm_cost.config import Config
from processors.llm_cost.overlay_checks import dead_ends, findings
from processors.llm_cost.processor import LlmCost
from processors.ports import Context

__all__ = ["LlmCost", "build", "check"]


def build(settings: Mapping[str, Any], context: Context) -> LlmCost:
    """Make the processor. Raises: `InvalidConfig` at the first thing that is wrong with the price list."""
    for finding in check(settings, context):
        if not finding.warning:
            raise InvalidConfig(finding.path, finding.text)
    return LlmCost(Config.load(settings), context)


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what is wrong or odd about the price list."""
    pricing = settings.get("pricing")
    if pricing is None:
        return []
    found = list(findings(pricing))
    return found if any(not one.warning for one in found) else [*found, *dead_ends(pricing)]
