"""What the user wrote about storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_NS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Sizes in bytes, times in seconds."""

    directory: Path
    create_directory: bool
    permissions: int
    power: bool
    """Acknowledge only what is on the disk itself."""
    max_bytes: int
    max_age_s: float
    """0 = for ever."""
    drop_oldest: bool
    reserve_bytes: int
    sync_interval_s: float
    """0 = when the system likes."""

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> Config:
        return cls(
            directory=Path(settings["directory"]),
            create_directory=settings["create_directory"],
            permissions=int(settings["directory_permissions"], 8),
            power=settings["fsync"] or settings["durability"] == "power",
            max_bytes=settings["max_bytes"],
            max_age_s=settings["max_age"] / _NS,
            drop_oldest=settings["when_full"] == "drop_oldest",
            reserve_bytes=settings["reserve_bytes"],
            sync_interval_s=settings["sync_interval"] / _NS,
        )
