"""What the user writes under `llm_metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Schema-checked settings."""

    metrics_flush_interval: int
    """Nanoseconds."""
    max_series_per_metric: int
    label_limits: Mapping[str, int]

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(**{name: settings[name] for name in cls.__slots__})
