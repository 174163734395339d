"""Usage objects as the vendors' APIs return them, recognised by their keys: the vendor's own definition applies.

Sources: API references of OpenAI (chat completions, responses), Anthropic (messages), Amazon Bedrock (Converse), Google
Gemini (generateContent) and Langfuse (usage details), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from processors import semconv
from processors.genai.table import TOTAL
from processors.genai.values import count_of, mapping_of

Counts = dict[str, int]

_INPUT: Final = semconv.GEN_AI_USAGE_INPUT_TOKENS
_OUTPUT: Final = semconv.GEN_AI_USAGE_OUTPUT_TOKENS
_READ: Final = semconv.GEN_AI_USAGE_CACHE_READ
_WRITE: Final = semconv.GEN_AI_USAGE_CACHE_CREATION
_HOUR: Final = semconv.APP_LLM_USAGE_CACHE_CREATION_1H
_REASONING: Final = semconv.GEN_AI_USAGE_REASONING
_SEARCHES: Final = semconv.APP_LLM_USAGE_WEB_SEARCHES

_CACHE_BUCKETS: Final = {
    "cache_read_input_tokens": ("input_cache_read", "input_cached"),
    "cache_creation_input_tokens": ("input_cache_creation", "input_cache_write"),
}
"""Anthropic's names, which applications also give to Langfuse's buckets, and how those buckets' own names begin."""


def exact_counts(usage: Mapping[str, Any]) -> Counts | None:
    """Read any vendor's usage object; input and output are totals that include cache and reasoning."""
    for recognises, read in _VENDORS:
        if recognises(usage):
            return read(usage)
    return None


def counts_of(members: Mapping[str, str]) -> Callable[[Mapping[str, Any]], Counts | None]:
    """Return a reader that takes members of an object as they are: member → field. Dots descend."""

    def read(usage: Mapping[str, Any]) -> Counts | None:
        return _present({field: _at(usage, path) for path, field in members.items()}) or None

    return read


def _at(usage: Mapping[str, Any], path: str) -> int | None:
    value: object = usage
    for step in path.split("."):
        value = (mapping_of(value) or {}).get(step)
    return count_of(value)


def _present(counts: Mapping[str, int | None]) -> Counts:
    return {field: n for field, n in counts.items() if n is not None}


def _first(usage: Mapping[str, Any], *paths: str) -> int | None:
    return next((n for path in paths if (n := _at(usage, path)) is not None), None)


def _gemini(usage: Mapping[str, Any]) -> Counts:
    prompt = _first(usage, "promptTokenCount", "prompt_token_count") or 0
    tools = _first(usage, "toolUsePromptTokenCount", "tool_use_prompt_token_count") or 0
    thoughts = _first(usage, "thoughtsTokenCount", "thoughts_token_count")
    said = _first(usage, "candidatesTokenCount", "candidates_token_count")
    output = None if said is None and thoughts is None else (said or 0) + (thoughts or 0)
    cached = _first(usage, "cachedContentTokenCount", "cached_content_token_count")
    return _present({_INPUT: prompt + tools, _OUTPUT: output, _READ: cached, _REASONING: thoughts})


def _bedrock(usage: Mapping[str, Any]) -> Counts:
    read, write = _at(usage, "cacheReadInputTokens"), _at(usage, "cacheWriteInputTokens")
    total = (_at(usage, "inputTokens") or 0) + (read or 0) + (write or 0)
    output = _at(usage, "outputTokens")
    return _present({_INPUT: total, _OUTPUT: output, _READ: read, _WRITE: write})


def _openai(usage: Mapping[str, Any]) -> Counts:
    given = _first(usage, "prompt_tokens", "input_tokens")
    output = _first(usage, "completion_tokens", "output_tokens")
    reasoning = _first(
        usage,
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
    )
    if output is not None and reasoning:
        outside = (given or 0) + output + reasoning
        if _at(usage, "total_tokens") == outside or reasoning > output:  # xAI's API
            output += reasoning
    return _present(
        {
            _INPUT: given,
            _OUTPUT: output,
            _READ: _first(
                usage, "prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens"
            ),
            _WRITE: _first(
                usage,
                "prompt_tokens_details.cache_write_tokens",
                "input_tokens_details.cache_write_tokens",
            ),
            _REASONING: reasoning,
        }
    )


def _anthropic(usage: Mapping[str, Any]) -> Counts:
    read, write = _at(usage, "cache_read_input_tokens"), _at(usage, "cache_creation_input_tokens")
    return _present(
        {
            _INPUT: (_at(usage, "input_tokens") or 0) + (read or 0) + (write or 0),
            _OUTPUT: _at(usage, "output_tokens"),
            _READ: read,
            _WRITE: write,
            _HOUR: _at(usage, "cache_creation.ephemeral_1h_input_tokens"),
            _SEARCHES: _at(usage, "server_tool_use.web_search_requests"),
        }
    )


def _langfuse(usage: Mapping[str, Any]) -> Counts:
    """Disjoint buckets; but when the total is input + output although there are buckets, these are subsets."""
    counted = {key: n for key, value in usage.items() if (n := count_of(value)) is not None}
    buckets = _by_own_names(counted)
    plain_in, plain_out = buckets.get("input", 0), buckets.get("output", 0)
    largest = max((n for key, n in buckets.items() if key.startswith("input_")), default=0)
    subsets = (
        buckets.get("total") == plain_in + plain_out
        and bool(largest or _sum(buckets, "output_"))
        and largest <= plain_in
    )
    counts = {
        _INPUT: plain_in if subsets else _sum(buckets, "input"),
        _OUTPUT: plain_out if subsets else _sum(buckets, "output"),
        _READ: _sum(buckets, *_CACHE_BUCKETS["cache_read_input_tokens"]),
        _WRITE: _sum(buckets, *_CACHE_BUCKETS["cache_creation_input_tokens"]),
        _REASONING: _sum(buckets, "output_reasoning"),
        TOTAL: buckets["total"] if subsets else None,  # kept as the mark of a proof
    }
    return _present(counts)


def _by_own_names(buckets: Mapping[str, int]) -> Counts:
    """Return buckets of which none has Anthropic's name; what has both names is one."""
    renamed = {key: n for key, n in buckets.items() if key not in _CACHE_BUCKETS}
    for key, own in _CACHE_BUCKETS.items():
        if key in buckets and _sum(buckets, *own) is None:
            renamed[own[0]] = buckets[key]
    return renamed


def _sum(buckets: Mapping[str, int], *prefixes: str) -> int | None:
    found = [n for key, n in buckets.items() if key.startswith(prefixes)]
    return sum(found) if found else None


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda usage: any(key in usage for key in keys)


def _is_bedrock(usage: Mapping[str, Any]) -> bool:
    return "inputTokens" in usage and bool({"cacheReadInputTokens", "totalTokens"} & usage.keys())


def _is_anthropic(usage: Mapping[str, Any]) -> bool:
    return "input_tokens" in usage and any(key in usage for key in _CACHE_BUCKETS)


_VENDORS: Final[
    tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Counts]], ...]
] = (
    (_has("promptTokenCount", "prompt_token_count"), _gemini),
    (_is_bedrock, _bedrock),
    (_has("prompt_tokens", "input_tokens_details"), _openai),
    (_is_anthropic, _anthropic),
    (_has("input", "output"), _langfuse),
)

PLAIN_COUNTS: Final = counts_of(
    {"input_tokens": _INPUT, "output_tokens": _OUTPUT, "total_tokens": TOTAL}
)
"""Reads an object that no vendor's definition fits, for want of cache counts: whose it is makes no difference then."""
