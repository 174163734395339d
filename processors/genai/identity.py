"""Who answered a call: provider and models, and what this emitter's counts mean for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from processors.genai.models import comparable, is_claude, provider_of, vendor_of_model
from processors.genai.plan import Plan, Sources
from processors.genai.table import Emitter, Output, Semantics
from processors.genai.values import text

_ANTHROPIC: Final = "anthropic"
_SUMMING_VENDORS: Final = frozenset({"anthropic", "aws.bedrock", None})
"""Vendors whose total is evidence: with others a gap in it is thinking, not cache."""


class Identity(NamedTuple):
    """Provider and models of a span, normalised, and how to read its counts."""

    provider: str | None
    named: bool
    """The emitter named a provider, be it a framework."""
    request_model: str | None
    response_model: str | None
    comparable: int
    """Digests, of 32 bits each, of the models in the form in which they are compared; 0 when there is none."""
    semantics: Semantics | None
    """What the emitter table says about the input count."""
    output: Output
    total_is_evidence: bool
    drops_cache_split: bool


def identify(plan: Plan, attributes: Mapping[str, bytes]) -> Identity:
    """Read provider and models."""
    request = first_text(plan.request, attributes)
    response = first_text(plan.response, attributes)
    named = first_text(plan.provider, attributes)
    provider = (
        (provider_of(named) if named else None)
        or (vendor_of_model(request) if request else None)
        or (vendor_of_model(response) if response else None)
        or _vendor_beside_framework(plan, attributes)
        or plan.scope.provider
    )
    claude = is_claude(request, response)
    row = _emitter(plan, attributes)
    return Identity(
        provider=provider,
        named=named is not None,
        request_model=request,
        response_model=response,
        comparable=_digests({comparable(m) for m in (request, response) if m}),
        semantics=_semantics(row, provider, claude=claude),
        output=row.output,
        total_is_evidence=claude or provider in _SUMMING_VENDORS,
        drops_cache_split=row.drops_cache_split and (claude or provider == _ANTHROPIC),
    )


def _vendor_beside_framework(plan: Plan, attributes: Mapping[str, bytes]) -> str | None:
    """Return the first vendor that any name tells, for calls of a framework whose models tell none."""
    told = (text(attributes[source.key]) for source in plan.provider)
    return next((vendor for name in told if name and (vendor := provider_of(name))), None)


def _digests(models: set[str]) -> int:
    """Return up to two digests as one number."""
    return sum((hash(m) & 0xFFFF_FFFF or 1) << 32 * n for n, m in enumerate(sorted(models)))


_NO_ROW: Final = Emitter()


def _emitter(plan: Plan, attributes: Mapping[str, bytes]) -> Emitter:
    for row in plan.emitters:
        if not row.value or text(attributes.get(row.key, b"")) == row.value:
            return row
    return _NO_ROW


def _semantics(row: Emitter, provider: str | None, *, claude: bool) -> Semantics | None:
    if claude and row.claude is not None:
        return row.claude
    return row.vendors.get(provider or "", row.input)


def first_text(sources: Sources, attributes: Mapping[str, bytes]) -> str | None:
    """Return the most trusted text that is there and not empty."""
    for source in sources:
        if source.needs is not None and text(attributes[source.needs[0]]) != source.needs[1]:
            continue
        value = text(attributes[source.key])
        if value is not None:
            return value
    return None
