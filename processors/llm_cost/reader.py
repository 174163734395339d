"""Reads from a span what its price depends on: whether it is a model call, its identity and its usage.

Spans of one instrumentation carry the same keys, so the set of keys (the *shape*) is compiled once to the names that
are there: of the 60 attributes that can matter a usual call has eight.
Names: pricing attributes of semconv 1.41 and of the emitters named beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from processors import semconv as s
from processors.llm_cost.book import Identity
from processors.llm_cost.names import clean, host
from processors.llm_cost.usage import Usage, count, quantity
from processors.wire import Value, encode_value

Get: TypeAlias = Callable[[str], Value]
"""Returns the value of an attribute; None when it is absent or empty (`Element.get`)."""

OPERATIONS: Final = frozenset(
    (
        *("chat", "generate_content", "text_completion", "completion", "embeddings", "embedding"),
        *("rerank", "response", "responses"),
    )
)
"""Values of `gen_ai.operation.name` that are model calls."""
MODEL_CALLS: Final = frozenset(map(encode_value, OPERATIONS))
"""The same, encoded."""

PROVIDER: Final = (s.GEN_AI_PROVIDER_NAME, "gen_ai.system")
RESPONSE_MODEL: Final = (s.GEN_AI_RESPONSE_MODEL,)
REQUEST_MODEL: Final = (s.GEN_AI_REQUEST_MODEL,)
HOST: Final = ("server.address",)
SERVED_TIER: Final = (
    "openai.response.service_tier",
    "anthropic.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
)
REQUESTED_TIER: Final = (
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
    "gen_ai.request.service_tier",
)
PROCESSING: Final = (s.APP_LLM_PROCESSING,)
SPEED: Final = (s.APP_LLM_SPEED, "speed")  # the second: Claude Code
REGION: Final = (s.APP_LLM_REGION,)
BATCH_PREFIX: Final = "anthropic.message.batch."
"""Any attribute of this kind means that the call was part of a message batch."""

_IDENTITY: Final = (
    PROVIDER,
    RESPONSE_MODEL,
    REQUEST_MODEL,
    HOST,
    SERVED_TIER,
    REQUESTED_TIER,
    PROCESSING,
    SPEED,
    REGION,
)

COUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "input": (s.GEN_AI_USAGE_INPUT_TOKENS,),
    "output": (s.GEN_AI_USAGE_OUTPUT_TOKENS,),
    "cache_read": (s.GEN_AI_USAGE_CACHE_READ,),
    "cache_write": ("gen_ai.usage.cache_write.input_tokens", s.GEN_AI_USAGE_CACHE_CREATION),
    "cache_write_1h": (
        s.APP_LLM_USAGE_CACHE_CREATION_1H,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
    ),
    "reasoning": (s.GEN_AI_USAGE_REASONING,),
    "audio_in": (
        "gen_ai.usage.audio.input_tokens",
        "llm.token_count.prompt_details.audio",  # OpenInference
        "gen_ai.usage.details.input_audio_tokens",  # Pydantic AI
    ),
    "audio_out": (
        "gen_ai.usage.audio.output_tokens",
        "llm.token_count.completion_details.audio",
        "gen_ai.usage.details.output_audio_tokens",
        "gen_ai.usage.completion_tokens_details.audio_tokens",  # LiteLLM
    ),
    "cache_audio_read": ("gen_ai.usage.audio.cache_read.input_tokens",),
    "image_in": ("gen_ai.usage.image.input_tokens",),
    "image_out": ("gen_ai.usage.image.output_tokens",),
    "compaction_in": (s.APP_LLM_USAGE_COMPACTION_INPUT, "anthropic.usage.compaction.input_tokens"),
    "compaction_out": (
        s.APP_LLM_USAGE_COMPACTION_OUTPUT,
        "anthropic.usage.compaction.output_tokens",
    ),
    "web_searches": (s.APP_LLM_USAGE_WEB_SEARCHES,),
    "images": (s.APP_LLM_USAGE_IMAGES,),
}
"""Count → attributes, the first that is there and not empty wins."""

_TELLING: Final = (s.GEN_AI_OPERATION_NAME, s.APP_LLM_SPAN_CLASS)
_PLAIN: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
COUNTED: Final = frozenset({"web_searches", "images"})
"""Counts that are usage even where no tokens are."""


class Shape:
    """Which of the attributes that matter a span with these keys has."""

    __slots__ = (
        *("_fields", "batch", "came", "classed", "columnar", "counts", "fields", "identify"),
        *("identity", "implied", "input", "keys", "ours", "output", "plain", "prices", "quick"),
        *("reads", "reported", "rewritten", "seconds", "silent", "thought", "used", "where"),
        "writes",
    )

    def __init__(
        self,
        keys: Collection[str],
        ours: Collection[str],
        edited: Collection[str] = (),
        columns: Sequence[str] = (),
    ) -> None:
        """`ours`: attributes that the caller writes, to know the stale ones. `edited`: keys that were written after the
        span came in; a class among them was seen to be that of a model call before `quick` is asked. `columns`: keys of
        its `columns`."""
        self.came = tuple(keys)
        keys = (*keys, *edited)
        present = frozenset(keys)
        self.keys = present
        self.ours = tuple(name for name in ours if name in present)
        self._fields = [[name for name in names if name in present] for names in _IDENTITY]
        self.identity = tuple(name for names in self._fields for name in names)
        """The attributes whose values decide about the price: the caller's cache key."""
        self.batch = any(key.startswith(BATCH_PREFIX) for key in present)
        self.counts = [
            (field, here)
            for field, names in COUNTS.items()
            if (here := [name for name in names if name in present])
        ]
        self.seconds = s.APP_LLM_USAGE_AUDIO_SECONDS in present
        self.implied = bool((self.counts or self.seconds) and (self._fields[1] or self._fields[2]))
        """Whether there are a model and usage, which make a span without operation a model call."""
        self.silent = not (self.implied or self.ours) and present.isdisjoint(_TELLING)
        """Whether nothing says that the span is a model call, or what it costs."""
        found = dict(self.counts)
        self.quick = (
            (s.GEN_AI_OPERATION_NAME in present or self.implied)
            and bool(self.identity and self.counts)
            and s.APP_LLM_COST_SKIP_REASON not in present
            and not (self.seconds or self.ours or self.batch)
            and all(len(names) == 1 for names in found.values())
        )
        """Whether nothing but a price and whole numbers of tokens matters, and what `classed` and `reported` say."""
        self.plain = "input" in found and found.keys() <= {*_PLAIN}
        """Whether the usage is of the usual kind."""
        self.classed = s.APP_LLM_SPAN_CLASS in present and s.APP_LLM_SPAN_CLASS not in edited
        """Whether the span came with a class, which must then be that of a model call."""
        self.reported = s.APP_LLM_USAGE_REPORTED_COST_USD in present
        """Whether there is a figure of the emitter's."""
        self.fields = tuple(found)
        """The counts, in the order of `used`."""
        self.used = (*self.identity, *(name for _, names in self.counts for name in names))
        self.rewritten = not frozenset(edited).isdisjoint(self.used)
        """Whether some of what is used was written after the span came in."""
        places = {key: place for place, key in enumerate(columns)}
        self.columnar = not self.rewritten and places.keys() >= {*self.used}
        """Whether all that is used can be read from its `columns`."""
        self.where: dict[str, Any] = places if self.columnar else {key: key for key in self.used}
        """Where the value of an attribute that is used is found: in the columns or among the attributes."""
        self.identify = _reader([self.where[name] for name in self.identity])
        """Returns the values of `identity`, encoded."""
        self.input, self.output, self.reads, self.writes, self.thought = (
            self.where[found[field][0]] if field in found else None for field in _PLAIN
        )
        """Where the counts of a plain shape are found; None where there is none."""
        self.prices: dict[tuple[Any, ...], Any] = {}
        """What the reader's caller knows of prices, by identity."""

    def read_identity(self, get: Get) -> Identity:
        """Return who was called and how."""
        texts = [_first(names, get) for names in self._fields]
        provider, response, request, address, served, requested, processing, speed, region = texts
        tier = served or (requested if requested not in {"auto", "default"} else "")
        if tier == "batch" or self.batch:
            processing = processing or "batch"
        return Identity(
            provider=provider,
            response_model=response,
            request_model=request,
            host=host(address),
            service_tier=tier,
            processing=processing,
            speed="" if speed in {"normal", "standard"} else speed,
            region=region,
        )

    def read_usage(self, get: Get) -> Usage:
        """Return the counts as reported. Raises: `NotACount`."""
        found: dict[str, Any] = {}
        for field, names in self.counts:
            for name in names:
                value = count(get(name))
                if value is not None:
                    found[field] = value
                    break
        if self.seconds:
            seconds = quantity(get(s.APP_LLM_USAGE_AUDIO_SECONDS))
            if seconds is not None:
                found |= {"audio_seconds": seconds, "counted": True}
        if not COUNTED.isdisjoint(found):
            found["counted"] = True
        return Usage(**found)


def _first(names: Collection[str], get: Get) -> str:
    for name in names:
        text = clean(get(name))
        if text:
            return text
    return ""


def _reader(places: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda source: tuple(source[place] for place in places)
