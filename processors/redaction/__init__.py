"""Removes personal data and secrets before anything is stored, queued or sent.

Two modes, by the keys that are written: with contrib's keys alone a component does exactly what the Collector's
processor of that name does (`contrib`); any other key switches to our engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from processors.base import Processor
from processors.errors import Finding, InvalidConfig
from processors.ports import Context
from processors.redaction import masks
from processors.redaction.contrib import ContribRedaction
from processors.redaction.regexp import Pattern, PatternError
from processors.redaction.rules import Config

_LISTS = {
    "ignored_key_patterns": "ignore keys list",
    "blocked_values": "block list",
    "blocked_key_patterns": "block keys list",
    "allowed_values": "allow list",
}


def check(settings: Mapping[str, Any], context: Context) -> Iterable[Finding]:
    """Say everything that is wrong beyond the schema, in contrib's words where it has some."""
    yield from masks.findings(settings["hash_function"], settings["hmac_key"])
    for name, called in _LISTS.items():
        for place, source in enumerate(settings[name]):
            try:
                Pattern(source)
            except PatternError as error:
                text = f"failed to process {called}: error compiling regex in list: {error}"
                yield Finding(f"{name}[{place}]", text)


def build(settings: Mapping[str, Any], context: Context) -> Processor:
    """Make the processor of a configuration. Raises: `InvalidConfig`."""
    for finding in check(settings, context):
        if not finding.warning:
            raise InvalidConfig(finding.path, finding.text)
    return ContribRedaction(Config.load(settings))
