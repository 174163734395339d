"""Removes personal data and secrets before anything is stored, queued or sent.

Two modes, by the keys that are written: with contrib's keys alone a component does exactly what the Collector's
processor of that name does (`contrib`); any key of ours switches to our engine (`entities`), which honours contrib's
keys as a first pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from processors.base import Processor
from processors.errors import Finding, InvalidConfig
from processors.ports import Context
from processors.redaction import masks, policy, rules
from processors.redaction.contrib import ContribRedaction
from processors.redaction.entities import EntityRedaction
from processors.redaction.regexp import Pattern, PatternError

_LISTS: Final = {
    "ignored_key_patterns": "ignore keys list",
    "blocked_values": "block list",
    "blocked_key_patterns": "block keys list",
    "allowed_values": "allow list",
}


def ours(settings: Mapping[str, Any]) -> bool:
    """Say whether the configuration is for our engine: the schema fills its keys in where one of them is written."""
    return "entities" in settings


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
    if ours(settings):
        yield from policy.findings(policy.Config.load(settings), context.secret)


def build(settings: Mapping[str, Any], context: Context) -> Processor:
    """Make the processor of a configuration. Raises: `InvalidConfig`."""
    for finding in check(settings, context):
        if not finding.warning:
            raise InvalidConfig(finding.path, finding.text)
    contrib = rules.Config.load(settings)
    if not ours(settings):
        return ContribRedaction(contrib)
    config = policy.Config.load(settings)
    first = ContribRedaction(contrib) if contrib.does_anything() else None
    return EntityRedaction(config, policy.pseudonyms_of(config, context.secret), first)
