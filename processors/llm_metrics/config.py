"""What the user writes under `llm_metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from processors.errors import Finding
from processors.ports import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Money that may be spent in a period, for `llm_budget_usd`."""

    environment: str
    scope: str
    name: str
    period: str
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Who owns a feature and how much it matters, for `llm_feature_info`."""

    name: str
    team: str
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserCosts:
    """What is told about single users."""

    sample: float
    """Share of the users, from 0 to 1."""
    top: int
    window: int
    """Nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Schema-checked settings."""

    metrics_flush_interval: int
    """Nanoseconds."""
    max_series_per_metric: int
    label_limits: Mapping[str, int]
    evaluation_pass_score: float
    budgets: tuple[Budget, ...]
    features: tuple[Feature, ...]
    users: UserCosts

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(
            metrics_flush_interval=settings["metrics_flush_interval"],
            max_series_per_metric=settings["max_series_per_metric"],
            label_limits=settings["label_limits"],
            evaluation_pass_score=settings["evaluation_pass_score"],
            budgets=tuple(Budget(**budget) for budget in settings["budgets"]),
            features=tuple(
                Feature(name=name, **about) for name, about in settings["features"].items()
            ),
            users=UserCosts(**settings["users"]),
        )


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say which budgets say the same thing twice or name something where nothing is named."""
    seen: dict[tuple[str, ...], int] = {}
    for place, budget in enumerate(settings["budgets"]):
        path = f"budgets[{place}]"
        key = tuple(budget[part] for part in ("environment", "scope", "name", "period"))
        if key in seen:
            yield Finding(
                path, f"expected one budget for each environment, scope, name and period, but "
                f"budgets[{seen[key]}] is for the same"
            )  # fmt: skip
        seen.setdefault(key, place)
        if budget["scope"] == "global" and budget["name"] != "all":
            yield Finding(
                f"{path}.name", f"expected 'all' for the scope global, got {budget['name']!r}"
            )
