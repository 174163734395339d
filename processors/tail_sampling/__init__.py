"""`tail_sampling`: keep or drop whole traces, once they are complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.ports import Context
from processors.tail_sampling.config import QUIRKS_GATE, Config
from processors.tail_sampling.processor import TailSampling

__all__ = ["Config", "TailSampling", "build"]


def build(settings: Mapping[str, Any], context: Context) -> TailSampling:
    """Make the sampler. Raises: `InvalidConfig`."""
    return TailSampling(Config.load(settings, quirks=QUIRKS_GATE in context.gates), context)
