"""`freshness`: measures the time from ingest to first visibility with calls of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from collector.extensions.freshness.config import Config
from collector.extensions.freshness.extension import Freshness, prober
from processors.errors import Finding
from processors.ports import Context

__all__ = ["Config", "Freshness", "build", "check", "prober"]


def build(settings: Mapping[str, Any], context: Context) -> Freshness:
    """Make the extension."""
    return Freshness(Config.load(settings), context)


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say what the schema cannot."""
    if settings["target"] > settings["timeout"]:
        text = "expected at most timeout: a probe is given up before it could be late"
        yield Finding("target", text)
