"""From the attributes of an item to what is known of its kind, remembered at two levels.

Items of one instrumentation carry the same keys: the set of keys, a *shape*, is compiled once to what is to be read of
it. Within a shape the values that tell calls apart, labels and outcome, find the *kind*: so nothing is asked for that
is not there, and nothing is decoded, cleaned or classified again for the next call that looks the same.

Both are data from outside, so what is remembered is bounded; losing it costs time only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from processors import semconv
from processors.llm_metrics.bindings import (
    ENVIRONMENT,
    LABEL_KEYS,
    MODE,
    Binding,
    Bindings,
    Read,
    spellings,
)
from processors.llm_metrics.memory import Memory
from processors.llm_metrics.notes import CONVERSATION_KEYS, NOTE_KEYS
from processors.llm_metrics.outcomes import PLAIN, Outcome, outcome

CLASS: Final = semconv.APP_LLM_SPAN_CLASS
COST: Final = semconv.APP_LLM_COST_USD
REASON: Final = semconv.APP_LLM_COST_REASON
INPUT: Final = semconv.GEN_AI_USAGE_INPUT_TOKENS
OUTPUT: Final = semconv.GEN_AI_USAGE_OUTPUT_TOKENS
CACHE_READ: Final = semconv.GEN_AI_USAGE_CACHE_READ
CACHE_WRITE: Final = semconv.GEN_AI_USAGE_CACHE_CREATION
REASONING: Final = semconv.GEN_AI_USAGE_REASONING
TTFT: Final = semconv.APP_LLM_TTFT_S
LATENCY: Final = semconv.APP_LLM_TOTAL_LATENCY_S
REPORTED: Final = semconv.APP_LLM_USAGE_REPORTED_COST_USD
STATUS: Final = semconv.APP_LLM_COST_STATUS
_SOURCE: Final = semconv.APP_LLM_COST_PRICE_SOURCE
_OUTCOME_KEYS: Final = (
    semconv.HTTP_RESPONSE_STATUS_CODE, semconv.ERROR_TYPE, semconv.GEN_AI_RESPONSE_FINISH_REASONS
)  # fmt: skip
_COUNTS: Final = (INPUT, OUTPUT, CACHE_READ)
_MORE: Final = (CACHE_WRITE, REASONING, TTFT, REPORTED, *NOTE_KEYS)

_IDENTITY: Final = (*LABEL_KEYS, *_OUTCOME_KEYS, STATUS, _SOURCE, ENVIRONMENT, MODE)
"""What tells kinds apart; the last four are often written by `genai` and `llm_cost`, so edits are asked as well."""
_TOLD: Final = (STATUS, _SOURCE, ENVIRONMENT)
"""What `genai` and `llm_cost` write on nearly every call."""
_told: Final = itemgetter(*_TOLD)
OVERLAID: Final = frozenset(
    (*LABEL_KEYS, semconv.GEN_AI_TOOL_NAME, *_OUTCOME_KEYS, *_COUNTS, *_MORE, LATENCY)
)
"""Keys whose edits need an overlay."""
_READ: Final = OVERLAID.union(_IDENTITY, CONVERSATION_KEYS, (CLASS, COST, REASON))

_UNPRICED: Final = spellings("unpriced")
_UNBILLED: Final = spellings("unpriced", "cached")
_ESTIMATE: Final = spellings("estimate")

_MAX_SHAPES: Final = 1024
_MAX_KINDS: Final = 16_384
MAX_KEY: Final = 2048
"""Bytes of values by which a kind is remembered; one that has longer ones is worked out each time."""

Size: TypeAlias = "tuple[int, int] | None"
"""Tokens, and the bucket they belong in; None: not told."""
Noted: TypeAlias = "tuple[Size, Size, Size, float | None, float | None]"
"""A call that is counted with others of its kind: input, output, cache reads, dollars, seconds."""


class Kind:
    """What holds for all calls that are told apart by nothing but their numbers."""

    __slots__ = (
        "billed", "binding", "estimated", "noted", "outcome", "rare", "shape", "success", "unpriced"
    )  # fmt: skip

    def __init__(
        self, shape: Shape, binding: Binding, became: Outcome, status: Any, source: Any
    ) -> None:
        self.shape = shape
        self.binding = binding
        self.outcome = became
        self.success = became.status == PLAIN.status
        self.unpriced = status in _UNPRICED
        self.estimated = status not in _UNBILLED and source in _ESTIMATE
        self.billed = status not in _UNBILLED and not self.estimated
        self.rare = shape.more or became is not PLAIN or not self.billed
        """Whether there is more to count than what is noted."""
        self.noted: list[Noted] = []
        """Calls that wait to be added to the series, see `settling`."""


class Shape:
    """What of the attributes that matter to a call an item with these keys has."""

    __slots__ = (
        "counts", "identity", "kinds", "latency", "more", "places", "priced"
    )  # fmt: skip

    def __init__(self, keys: Sequence[str]) -> None:
        here = frozenset(keys)
        self.kinds: dict[tuple[Any, ...], Kind] = {}
        self.priced = COST in here
        self.latency = LATENCY in here
        self.more = not here.isdisjoint(_MORE)
        """Whether there is anything that few calls tell."""
        identity = [key for key in _IDENTITY if key in here]
        counts = [key for key in _COUNTS if key in here]
        self.identity = _getter(identity)
        """Returns the values that tell kinds apart."""
        self.counts = _getter(counts)
        """Returns the counts that nearly all calls tell."""
        at = {key: place for place, key in enumerate(counts)}
        self.places = tuple([at.get(key, -1) for key in _COUNTS])
        """Where those of input, output and cache reads stand in what `counts` returns; -1 = not there."""


class Kinds:
    """Remembers shapes and kinds."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings
        self._shapes: Memory[tuple[str, ...], Shape] = Memory(_MAX_SHAPES, Shape)
        self._known = 0

    def find(
        self, present: tuple[str, ...], read: Read, edits: Read, environment: str, code: int
    ) -> Kind:
        """Return the kind of an item. `present`: the keys of `read`."""
        shape = self._shapes[present]
        identity = shape.identity(read)
        try:
            told = _told(edits)
        except KeyError:
            told = tuple([edits[key] if key in edits else None for key in _TOLD])
        mode = edits[MODE] if MODE in edits else None
        key = (identity, told, mode, environment, code)
        kind = shape.kinds.get(key)
        if kind is None:
            kind = self._learn(shape, key, read, edits, environment, code)
        return kind

    def _learn(
        self,
        shape: Shape,
        key: tuple[Any, ...],
        read: Read,
        edits: Read,
        environment: str,
        code: int,
    ) -> Kind:
        """Work out the kind of an item, and remember it by its key in the shape."""
        binding = self._bindings.bind(read, edits, environment)
        status, source = (edits[k] if k in edits else read.get(k) for k in (STATUS, _SOURCE))
        kind = Kind(shape, binding, _outcome(read, code), status, source)
        if sum(len(value) for value in key[0] if isinstance(value, bytes | str)) > MAX_KEY:
            return kind
        if self._known >= _MAX_KINDS:
            self.forget()
        self._known += 1
        kinds = shape.kinds
        kinds[key] = kind
        if not binding.served:
            self._bindings.until_served(binding, lambda: kinds.pop(key, None))
        return kind

    def forget(self) -> None:
        """Forget everything, also the bindings."""
        self._known = 0
        for shape in self._shapes.values():
            shape.kinds.clear()  # they point at each other: nothing is left to the garbage collector
        self._shapes.clear()
        self._bindings.forget()


def _outcome(read: Read, code: int) -> Outcome:
    http, error, finish = map(read.get, _OUTCOME_KEYS)
    return outcome(http, error, finish, code)


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return what reads the values of these names, all of which are there."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda attributes: tuple(attributes[name] for name in names)


def overlaid(attributes: Read, edits: Read) -> Read:
    """Return what counts of attributes and edits, edits first, as a mapping of hashable values."""
    read = {key: attributes[key] for key in _READ if key in attributes}
    for key, value in edits.items():
        if key not in _READ:
            continue
        if value or isinstance(value, int | float | str):
            read[key] = value if value.__hash__ is not None else tuple(value)
        else:
            read.pop(key, None)  # removed, or empty
    return read
