"""What the user wrote about `llm_cost`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from processors.llm_cost.conversations import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Schema-checked. `pricing` is the overlay, None for base prices only."""

    pricing: Mapping[str, Any] | None
    token_budgets: Mapping[str, int]
    """Feature → tokens (input and output) that one call may use."""
    conversations: Limits | None

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        """Read resolved settings."""
        watched = settings.get("conversations")
        return cls(
            pricing=settings.get("pricing"),
            token_budgets=settings.get("token_budgets", {}),
            conversations=Limits(
                expensive_tokens=watched["expensive_tokens"],
                limit=watched["limit"],
                ttl_ns=watched["ttl"],
            )
            if watched is not None
            else None,
        )
