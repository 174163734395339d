"""Names of vendors and models: normalisation of providers, and the form in which models are compared.

Source of the well-known values: OpenTelemetry semantic conventions, `gen_ai.provider.name` (1.41).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_EXACT: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "azure_ai": "azure.ai.inference",
    "gemini": "gcp.gemini",
    "google.generative-ai": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google-vertex": "gcp.vertex_ai",
    "google": "gcp.gen_ai",
    "google_genai": "gcp.gen_ai",
    "xai": "x_ai",
    "x-ai": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "watsonx": "ibm.watsonx.ai",
    "moonshot": "moonshot_ai",
}
_KEPT: Final = frozenset({"azure.ai.inference", "azure.ai.openai"})
_PREFIXES: Final = (
    ("openai.", "openai"),
    ("anthropic.", "anthropic"),
    ("azure.", "azure.ai.openai"),
    ("google.generative-ai.", "gcp.gemini"),
    ("google.vertex", "gcp.vertex_ai"),
    ("google-vertex.", "gcp.vertex_ai"),
    ("amazon-bedrock.", "aws.bedrock"),
    ("xai.", "x_ai"),
    ("mistral.", "mistral_ai"),
)
_FRAMEWORKS: Final = frozenset(
    {
        "strands-agents", "langchain", "langgraph", "llama_index", "crewai", "spring_ai", "litellm", "gcp.vertex.agent",
        "microsoft.agent_framework", "az.ai.agents", "haystack", "semantic_kernel", "autogen", "dspy", "unknown",
    }
)  # fmt: skip

_BEDROCK: Final = re.compile(
    r"(?:(?:us|eu|apac|global|jp|au|ca|us-gov)\.)?"
    r"(?:anthropic|amazon|meta|cohere|ai21|mistral|stability|deepseek|openai|qwen|writer)\.(?!.*/)"
)
_BEDROCK_ARN: Final = re.compile(r"arn:aws[a-z-]*:bedrock:")
_OTHERS: Final = ("cohere", "deepseek", "groq", "perplexity")
_VENDOR_PREFIXES: Final = (
    _EXACT
    | {vendor: vendor for vendor in (*_EXACT.values(), *_OTHERS)}
    | {"vertex": "gcp.vertex_ai", "moonshotai": "moonshot_ai"}
)
_FAMILIES: Final = tuple(
    (re.compile(pattern), vendor)
    for pattern, vendor in (
        (r"claude-", "anthropic"),
        (r"gpt-|chatgpt-|o[1-9](?:$|[-.:])|text-embedding-|dall-e|whisper", "openai"),
        (r"gemini-", "gcp.gen_ai"),
        (r"grok-", "x_ai"),
        (r"mistral-|ministral-|codestral|magistral|pixtral", "mistral_ai"),
        (r"command|embed-", "cohere"),
        (r"deepseek-", "deepseek"),
        (r"sonar", "perplexity"),
        (r"kimi|moonshot", "moonshot_ai"),
    )
)


_LONGEST: Final = 512
"""Characters of a name that is looked at and remembered: four times as long as an ARN of Bedrock."""


def provider_of(named: str) -> str | None:
    """Return the well-known name of a provider as an emitter spells it; None for frameworks, which are no vendor."""
    return _provider_of(named) if len(named) <= _LONGEST else named.lower()


@lru_cache(maxsize=1024)
def _provider_of(named: str) -> str | None:
    low = named.lower()
    if low in _FRAMEWORKS:
        return None
    if low in _EXACT:
        return _EXACT[low]
    if low in _KEPT:
        return low
    return next((vendor for prefix, vendor in _PREFIXES if low.startswith(prefix)), low)


def vendor_of_model(model: str) -> str | None:
    """Return the vendor that a model name tells, or None."""
    return _vendor_of_model(model) if len(model) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _vendor_of_model(model: str) -> str | None:
    low = model.lower()
    if _BEDROCK.match(low) or _BEDROCK_ARN.match(low):
        return "aws.bedrock"
    prefix, slash, rest = low.partition("/")
    if slash:
        return _VENDOR_PREFIXES.get(prefix) or (
            _vendor_of_model(rest) if prefix == "models" else None
        )
    return next((vendor for family, vendor in _FAMILIES if family.match(low)), None)


def is_claude(*models: str | None) -> bool:
    """Whether any of the names is a model of the Claude family."""
    return any(model and "claude" in model.lower() for model in models)


_PATHS: Final = re.compile(r"(?:.*/)?(?:publishers/[^/]+/)?models/")
_BEDROCK_PREFIX: Final = re.compile(
    r"(?:(?:us|eu|apac|global|jp|au|ca|us-gov)\.)?"
    r"(?:anthropic|amazon|meta|cohere|ai21|mistral|stability|deepseek|openai|qwen|writer)\."
)
_REVISION: Final = re.compile(r"(?:-v\d+)?:\d+$|-v\d+:\d+$")
_DATE: Final = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")


def comparable(model: str) -> str:
    """Return the form in which spellings of one model are equal; only for finding duplicates, never written."""
    return _comparable(model) if len(model) <= _LONGEST else model


@lru_cache(maxsize=4096)
def _comparable(model: str) -> str:
    name = model.lower()
    if name.startswith("arn:"):
        name = name.rpartition("/")[2] or name
    name = _PATHS.sub("", name)
    prefix, slash, rest = name.partition("/")
    if slash and prefix in _VENDOR_PREFIXES:
        name = rest
    name = _BEDROCK_PREFIX.sub("", name)
    name = _REVISION.sub("", name)
    name = name.partition("@")[0]
    return _DATE.sub("", name)
