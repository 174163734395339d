"""`tail_sampling`: keep or drop whole traces, once they are complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from processors.errors import Finding, InvalidConfig
from processors.ports import Context
from processors.tail_sampling.config import QUIRKS_GATE, Config
from processors.tail_sampling.findings import findings
from processors.tail_sampling.processor import TailSampling

__all__ = ["Config", "TailSampling", "build", "check"]


def build(settings: Mapping[str, Any], context: Context) -> TailSampling:
    """Make the sampler. Raises: `InvalidConfig`."""
    config = _load(settings, context)
    for finding in findings(config, settings):
        if not finding.warning:
            raise InvalidConfig(finding.path, finding.text)
    return TailSampling(config, context)


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say everything that is wrong about the settings, and what means something else than in the Collector."""
    return findings(_load(settings, context), settings)


def _load(settings: Mapping[str, Any], context: Context) -> Config:
    return Config.load(settings, quirks=QUIRKS_GATE in context.gates)
