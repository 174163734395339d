"""A day of questions nobody had in mind when the boards were made, and the same day of the week before, in order.

Each incident lasts two hours, but for the budget. What `week` does not count is counted here: cache writes, reasoning,
guardrails, retries, throttling, and who is affected.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.stack.week import COMPANY, DAY_S, START_S, STEP_S, Counters, Feature, step, store

DAY: Final = 7
"""The day of the incidents, in days after the start; day 0 is the ordinary one."""
BUDGETS: Final = {"chat": 400, "summarize": 500, "search": 250, "extract": 200}


TOOLS: Final = {"search_docs": 1.5, "send_mail": 0.02}
"""Tool → how often a model call of any feature leads to it."""
MISSED: Final = 0.2
"""The share of the calls of chat that the rollback at 18 h missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a feature does beside what `week` counts, as shares of calls or tokens."""

    written: Mapping[str, float] = field(default_factory=dict)
    """Tenant → the share of its input that is written to the cache, where not the usual twentieth."""
    reasoning: float = 0.2
    rejected: float = 0.004
    retried: float = 0.01
    throttled: float = 0.001
    failing: Mapping[str, float] = field(default_factory=dict)
    """Tenant → the share of its calls that fail for its own reasons."""
    broken: str = ""
    """The tool of which nine calls of ten fail."""


def today(feature: Feature, hour: float) -> tuple[Feature, Beside]:
    """Return what a feature does in an hour of the bad day."""
    beside = Beside()
    name = feature.name
    if name == "extract" and 2 <= hour < 4:
        beside = replace(beside, written={"gamma": 0.9})
    if name == "extract" and 4 <= hour < 6:
        beside = replace(beside, throttled=0.12)
    if name == "summarize" and 6 <= hour < 8:
        beside = replace(beside, reasoning=0.42)
    if name == "chat" and hour >= 8:
        feature = replace(feature, prompt=("v1", "c0ffee000002"))
        beside = replace(beside, rejected=0.05)
    if feature.provider == "anthropic" and 10 <= hour < 12:
        feature = replace(feature, slow=4.0)
        beside = replace(beside, retried=0.6)
    if name == "search" and 12 <= hour < 14:
        beside = replace(beside, failing={"gamma": 0.5})
    if name == "extract" and 20 <= hour < 22:
        beside = replace(beside, broken="send_mail")
    if name == "search" and hour >= 14:
        feature = replace(feature, calls=feature.calls * 5)
    return feature, beside


def happening(feature: Feature, hour: float) -> Iterator[tuple[Feature, Beside]]:
    """Yield what else there is of a feature: a load test in staging, a rollback that a fifth of the calls missed."""
    bad, beside = today(feature, hour)
    if feature.name == "chat" and hour >= 18:
        yield replace(feature, calls=feature.calls * (1 - MISSED)), Beside()
        bad = replace(bad, calls=bad.calls * MISSED)
    if feature.name == "search" and 16 <= hour < 18:
        yield replace(feature, environment="staging", failing=0.6), Beside()
    yield bad, beside


def _beside(counters: Counters, feature: Feature, beside: Beside, calls: float) -> None:
    common = f'environment="{feature.environment}",data_mode="real"'
    prompt = f'prompt_version="{feature.prompt[0]}",prompt_sha="{feature.prompt[1]}"'
    where = (
        f'{common},provider="{feature.provider}",model="{feature.model}",feature="{feature.name}"'
    )
    for tenant, share in feature.tenants.items():
        mine = f'{where},tenant="{tenant}",{prompt}'
        written = beside.written.get(tenant, 0.05) * calls * share * feature.input_tokens
        counters.add("llm_cache_write_tokens_total", mine, written)
        reasoning = beside.reasoning * calls * share * feature.output_tokens
        counters.add("llm_reasoning_tokens_total", mine, reasoning)
        throttled = beside.throttled * calls * share
        counters.add("llm_requests_total", f'{mine},status="rate_limited"', throttled)
        failed = beside.failing.get(tenant, 0.0) * calls * share
        counters.add("llm_requests_total", f'{mine},status="error"', failed)
    for tool, share in TOOLS.items():
        failing = 0.9 if tool == beside.broken else 0.01
        for status, part in (("success", 1 - failing), ("timeout", failing)):
            labels = f'{common},feature="{feature.name}",tool="{tool}",status="{status}"'
            counters.add("llm_tool_calls_total", labels, part * share * calls)
    counters.add("llm_retries_total", where, beside.retried * calls)
    quality = f'{common},feature="{feature.name}",{prompt},source="policy"'
    counters.add("llm_guardrail_rejections_total", quality, beside.rejected * calls)


def backfill(folder: Path) -> None:
    """Make a database of Prometheus with both days in `folder`."""
    counters, rnd = Counters(), random.Random(20260908)
    for name, usd in BUDGETS.items():
        labels = f'environment="prod",scope="feature",name="{name}",period="day"'
        counters.add("llm_budget_usd", labels, usd)
    for day in (0, DAY):
        for second in range(0, DAY_S, STEP_S):
            at = START_S + day * DAY_S + second
            for ordinary in COMPANY:
                usual = [(ordinary, Beside())]
                for feature, beside in happening(ordinary, second / 3600) if day else usual:
                    answered = step(counters, rnd, feature, at)
                    _beside(counters, feature, beside, answered)
            counters.scrape(at)
    store(counters, folder)
