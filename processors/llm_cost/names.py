"""How providers and models are called: the values of `gen_ai.provider.name`, hosts, and the spellings of a model name.

Source: OpenTelemetry semconv 1.40 provider values and what the instrumentations listed in the golden cases write
(2026-11). It is needed: the base data's own rules miss `x_ai` and `gcp.gen_ai`, and put `azure.ai.openai` on openai.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Final

LONGEST: Final = 256
"""Characters of a name; a longer one is no model name."""

_SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai_chat", "openai_responses", "openai.chat", "openai.responses"),
    "azure": (
        *(
            "azure.ai.openai",
            "az.ai.openai",
            "azure.ai.inference",
            "az.ai.inference",
            "azure_openai",
        ),
        *("azure-openai", "azure.chat", "azure_ai", "microsoft.foundry"),
    ),
    "anthropic": ("anthropic.messages",),
    "aws": (
        *("aws.bedrock", "aws_bedrock", "bedrock", "bedrock_converse"),
        *("amazon-bedrock", "amazon_bedrock"),
    ),
    "google": (
        *("gcp.gemini", "gcp.gen_ai", "gcp.vertex_ai", "gemini", "vertex_ai", "vertexai"),
        *("google_genai", "google.generative-ai", "google.vertex.chat"),
    ),
    "x-ai": ("x_ai", "xai"),
    "mistral": ("mistral_ai", "mistralai"),
    "moonshotai": ("moonshot_ai", "moonshot"),
    "together": ("together_ai", "together-ai"),
    "fireworks": ("fireworks_ai", "fireworks-ai"),
    "cohere": (),
    "deepseek": (),
    "groq": (),
    "perplexity": (),
    "openrouter": (),
    "cerebras": (),
}

PROVIDERS: Final[Mapping[str, str]] = {
    spelling: id for id, others in _SPELLINGS.items() for spelling in (id, *others)
}
"""Accepted value → provider id."""

VENDORLESS: Final = frozenset(
    (
        *("", "unknown", "litellm", "langchain", "langgraph", "llama_index", "llamaindex", "dspy"),
        *("strands-agents", "spring_ai", "crewai", "haystack", "autogen", "semantic_kernel"),
        *("microsoft.agent_framework", "az.ai.agents", "gcp.vertex.agent"),
    )
)
"""Frameworks and gateways: they say who routed a call, not who billed it."""

_HOSTS: Final = tuple(
    (re.compile(pattern), provider)
    for pattern, provider in (
        (r"openrouter\.ai", "openrouter"),
        (r"api\.groq\.com", "groq"),
        (r"api\.deepseek\.com", "deepseek"),
        (r".+\.(openai|cognitiveservices|services\.ai)\.azure\.com", "azure"),
        (r"api\.mistral\.ai", "mistral"),
        (r"api\.x\.ai", "x-ai"),
        (r"api\.together\.(xyz|ai)", "together"),
        (r"api\.anthropic\.com", "anthropic"),
        (r"([a-z]{2}\.)?api\.openai\.com", "openai"),
        (r"bedrock-runtime\.[a-z0-9-]+\.amazonaws\.com", "aws"),
        (r".+\.googleapis\.com", "google"),
        (r"api\.perplexity\.ai", "perplexity"),
        (r"api\.cerebras\.ai", "cerebras"),
    )
)

_REGIONAL: Final = re.compile(r"([a-z]{2})\.api\.openai\.com")


def clean(value: object) -> str:
    """Return a name as it is compared: trimmed, lower case; empty for what is no text."""
    return value.strip().lower() if isinstance(value, str) else ""


def host(value: object) -> str:
    """Return the bare host of `server.address`, which some emitters fill with a URL or a host and port."""
    bare = clean(value).partition("://")
    return (bare[2] or bare[0]).partition("/")[0].partition(":")[0]


def provider_of_host(name: str) -> str | None:
    """Return the vendor that answers at a host."""
    return next((provider for pattern, provider in _HOSTS if pattern.fullmatch(name)), None)


def region_of_host(name: str) -> str:
    """Return the region of a regional OpenAI host (`eu.api.openai.com`), else nothing."""
    found = _REGIONAL.fullmatch(name)
    return found[1] if found else ""


# -- the ladder of spellings

_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(\d\d)(\d\d)(?=-|:|$)")
_FINAL_DATE: Final = re.compile(
    r"(?:-(\d{4})(\d\d)(\d\d)|-(\d{4})-(\d\d)-(\d\d)|@(\d{4})(\d\d)(\d\d))$"
)
_DOTTED_DIGITS: Final = re.compile(r"(?<=\d)\.(?=\d)")
_BEDROCK_REGION: Final = re.compile(r"(?:us|eu|apac|au|jp|ca|us-gov|global)\.(?=.)")


def spellings(name: str, own_prefixes: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (rung, name) from the name as it is to its loosest exact spelling; never a prefix of another name.

    `own_prefixes` are provider spellings that may be dropped from `provider/model`. An empty rung means: as it is.
    """
    yield "", name
    for rung, spelling in _unwrapped(name, own_prefixes):
        name = spelling
        yield rung, name
    yield from _respelled(name)


def _unwrapped(name: str, own_prefixes: Collection[str]) -> Iterator[tuple[str, str]]:
    _, resource, tail = name.rpartition("models/")
    if resource and tail:
        name = tail
        yield "resource_prefix", name
    prefix, slash, tail = name.partition("/")
    if slash and tail and prefix in own_prefixes:
        name = tail
        yield "provider_prefix", name
    _, slash, tail = name.rpartition("/")
    if slash and tail and name.startswith("arn:"):
        yield "arn_tail", tail


def _respelled(name: str) -> Iterator[tuple[str, str]]:
    dashed = _dashed_date(name)
    if dashed != name:
        yield "dashed_date", dashed
    undated = _undated(name)
    if undated != name:
        yield "undated", undated
    if "claude" in name and (dash := _DOTTED_DIGITS.sub("-", name)) != name:
        yield "dash", dash
        if (undated := _undated(dash)) != dash:
            yield "dash", undated
    region = _BEDROCK_REGION.match(name)
    if region:
        yield "region_free", name[region.end() :]


def _dashed_date(name: str) -> str:
    def dash(match: re.Match[str]) -> str:
        year, month, day = match.groups()
        return f"-{year}-{month}-{day}" if _is_date(year, month, day) else match[0]

    return _COMPACT_DATE.sub(dash, name)


def _undated(name: str) -> str:
    found = _FINAL_DATE.search(name)
    if not found or not found.start():
        return name
    year, month, day = (part for part in found.groups() if part)
    return name[: found.start()] if _is_date(year, month, day) else name


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True
