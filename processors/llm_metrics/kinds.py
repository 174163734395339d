"""From the attributes of an item to what is known of its kind, remembered at two levels.

Items of one instrumentation carry the same keys: the set of keys, a *shape*, is compiled once to what is to be read of
it. Within a shape the values that tell calls apart, labels and outcome, find the *kind*: so nothing is asked for that
is not there, and nothing is decoded, cleaned or classified again for the next call that looks the same.

Both are data from outside, so what is remembered is bounded; losing it costs time only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from processors import semconv
from processors.allowance import length
from processors.batch import Item
from processors.llm_metrics import bindings
from processors.llm_metrics.bindings import (
    ENVIRONMENT,
    LABEL_KEYS,
    MODE,
    Binding,
    Bindings,
    Origin,
    Read,
    spellings,
)
from processors.llm_metrics.memory import Memory
from processors.llm_metrics.notes import CONVERSATION_KEYS, NOTE_KEYS
from processors.llm_metrics.outcomes import PLAIN, Outcome, outcome
from processors.wire import encode_value

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
_COUNTS: Final = (
    (INPUT, bindings.INPUT, 0), (OUTPUT, bindings.OUTPUT, 1), (CACHE_READ, bindings.CACHE_READ, 2),
    (CACHE_WRITE, bindings.CACHE_WRITE, 3), (REASONING, bindings.REASONING, 5),
)  # fmt: skip
"""Attributes that count tokens, the places of their series in a binding, and their own in an item's `usage`."""
_COUNT_KEYS: Final = frozenset(key for key, *_ in _COUNTS)
_MORE: Final = (TTFT, REPORTED, *NOTE_KEYS)

_IDENTITY: Final = (*LABEL_KEYS, *_OUTCOME_KEYS, STATUS, _SOURCE, ENVIRONMENT, MODE)
"""What tells kinds apart."""
_TOLD: Final = (STATUS, _SOURCE, ENVIRONMENT, MODE)
"""Those of them that `genai` and `llm_cost` often write."""
_MATTERS: Final = frozenset((*LABEL_KEYS, *_OUTCOME_KEYS, *_COUNT_KEYS, *_MORE, LATENCY))
"""Keys by whose edits a call becomes another than it came, beside those that are told of nearly every call."""
OVERLAID: Final = _MATTERS.union((semconv.GEN_AI_TOOL_NAME,))
_READ: Final = OVERLAID.union(_IDENTITY, CONVERSATION_KEYS, (CLASS, COST, REASON))
SIMPLE: Final = frozenset((str, int, float))
"""Types of written values that can be taken as they are."""

_UNPRICED: Final = spellings("unpriced")
_UNBILLED: Final = spellings("unpriced", "cached")
_ESTIMATE: Final = spellings("estimate")

_MAX_SHAPES: Final = 1024
_LONGEST: Final = 16_384
"""Bytes of a shape's keys: most of them stand there twice, as the same objects."""
_MAX_KINDS: Final = 16_384
_MAX_MET: Final = 4096
MAX_KEY: Final = 2048
"""Bytes of values by which a kind is remembered; one that has longer ones is worked out each time."""

NOTHING: Final[Read] = {}

Keys: TypeAlias = "tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]"
Usual: TypeAlias = "tuple[Shape, dict[Any, Kind]]"
"""A usual shape, and those of its kinds that what was written says the same of."""
joined: Final = b"\xff".join
"""Joins encoded values to one that is found by comparing once. No AnyValue begins with this byte (there is no wire type
7), so where each ends is certain."""


class Kind:
    """What holds for all calls that are told apart by nothing but their numbers."""

    __slots__ = (
        "billed", "binding", "counted", "estimated", "noted", "opened", "outcome", "plain", "rare", "shape",
        "success", "unpriced",
    )  # fmt: skip

    def __init__(
        self, shape: Shape, binding: Binding, became: Outcome, status: Any, source: Any
    ) -> None:
        self.shape = shape
        self.binding = binding
        self.outcome = became
        self.counted = bool(status)
        """Otherwise these are no calls, or their status was taken away: they count elsewhere."""
        self.success = became.status == PLAIN.status
        self.unpriced = status in _UNPRICED
        self.estimated = status not in _UNBILLED and source in _ESTIMATE
        self.billed = status not in _UNBILLED and not self.estimated
        self.rare = shape.more or became is not PLAIN or not self.billed
        """Whether there is more to count than what is noted."""
        self.plain = self.counted and not self.rare
        """Whether a call is all noted by its numbers."""
        self.opened = False
        """Whether its counters are, see `settling`."""
        self.noted: list[Any] = []
        """Of each call that waits to be added to the series (see `settling`) as many entries as the shape's `width`:
        the counts as they came, then dollars and seconds, None where they are not known. One list, because a tuple for
        each call is slower to make and to find again."""


class Shape:
    """What of the attributes that matter to a call an item with these keys has, and where it stands."""

    __slots__ = (
        "columnar", "cost_came", "cost_written", "counts", "counts_used", "counts_written", "groups", "identity",
        "identity_written", "latency", "mixed", "more", "sums", "told", "usual", "width", "written",
    )  # fmt: skip

    def __init__(self, keys: Keys) -> None:
        """`keys`: those that came, those of the edits, which go first, and those of its `columns`."""
        edited = frozenset(keys[1])
        came = frozenset(keys[0]) - edited
        here = came | edited
        self.groups: dict[tuple[Any, ...], dict[Any, Kind]] = {}
        """By what holds for nearly all its calls, kinds by what does not."""
        self.mixed = not _MATTERS.isdisjoint(edited)
        """Whether something that matters was written, beside what is written on nearly every call."""
        self.written = _getter([key for key in _MATTERS if key in edited])
        """Returns what that is."""
        self.cost_came = COST in came
        self.cost_written = COST in edited
        self.latency = LATENCY in here
        self.more = not here.isdisjoint(_MORE)
        """Whether there is anything that few calls tell."""
        self.told = _getter([key for key in _TOLD if key in edited])
        identity: list[Any] = [key for key in _IDENTITY if key in came]
        counts = [count for count in _COUNTS if count[0] in came]
        numbers: list[Any] = [key for key, *_ in counts]
        places = {key: place for place, key in enumerate(keys[2])}
        self.columnar = places.keys() >= {*identity, *numbers}
        """Whether these are read from what somebody has read before, by their places in it."""
        if self.columnar:
            identity = [places[key] for key in identity]
            numbers = [places[key] for key in numbers]
        self.identity = _getter(identity)
        """Returns the values that came and tell kinds apart; `identity_written` those that were written."""
        self.identity_written = _getter(
            [key for key in (*LABEL_KEYS, *_OUTCOME_KEYS) if key in edited]
        )
        self.counts = _getter(numbers)
        """Returns the token counts that came; `counts_written` those that were written."""
        counts_written = [count for count in _COUNTS if count[0] in edited]
        self.counts_written = _getter([key for key, *_ in counts_written])
        self.counts_used = _getter([place for *_, place in counts])
        """Returns the token counts that came, of an item's `usage`."""
        self.sums = tuple(
            [(place, slot) for place, (_, slot, _) in enumerate(counts + counts_written)]
        )
        """Where each stands in what both return, and the place of its series in a binding."""
        self.width = len(self.sums) + 2
        self.usual = (
            self.columnar and self.cost_written and not (self.mixed or self.latency or self.more)
        )
        """Whether its calls are as most are that passed `genai` and `llm_cost` in this process."""


class Kinds:
    """Remembers shapes and kinds."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings
        self.shapes: Memory[Keys, Shape] = Memory(_MAX_SHAPES, Shape, _LONGEST)
        """By the keys that came, those of the edits, and those of its `columns`."""
        self._usual: dict[
            tuple[tuple[str, ...], Origin], dict[tuple[bytes, ...], Usual | None]
        ] = {}
        self._met = 0
        self._known = 0

    def adopt(self, predecessor: Kinds) -> None:
        """Know of models what another one knew; what is remembered of calls is found out again."""
        self._bindings.adopt(predecessor._bindings)

    def find(
        self, shape: Shape, source: Any, read: Read, edits: Read, origin: Origin, code: int
    ) -> Kind:
        """Return the kind of an item of a shape. `source`: what its labels and counts that came are read from.

        A kind is in no cache when the next of its calls comes: what is compared then should be one string of bytes.
        """
        key: Any = shape.identity(source)
        if shape.mixed:
            key += shape.identity_written(edits)
        else:
            key = joined(key)
        group = (shape.told(edits), origin, code)
        kinds = shape.groups.get(group)
        kind = kinds.get(key) if kinds is not None else None
        return self._learn(shape, group, key, read, edits) if kind is None else kind

    def usual(
        self, columns: tuple[str, ...], origin: Origin
    ) -> dict[tuple[bytes, ...], Usual | None]:
        """Return what is known of items with these columns, by the `constants` that were written on them."""
        return self._usual.setdefault((columns, origin), {})

    def meet(
        self, item: Item, origin: Origin, usual: dict[tuple[bytes, ...], Usual | None]
    ) -> Usual | None:
        """Find the shape and the kinds of an item without a status, and remember them; None where it is not usual."""
        edits: Any = item.edits
        constants, (columns, _) = item.constants or (), item.columns or ((), ())
        shape = self.shapes[item.present, tuple(edits), columns]
        found = None
        if shape.usual:
            try:
                found = shape, shape.groups.setdefault((shape.told(edits), origin, 0), {})
            except TypeError:  # a list stands where labels do not change from call to call
                found = None
        if length(constants) <= _LONGEST:
            if self._met >= _MAX_MET:
                self.forget()
            self._met += 1
            usual[constants] = found
        return found

    def find_overlaid(self, read: Read, origin: Origin, code: int) -> Kind:
        """Return the kind of an item by what `overlaid` returned."""
        return self.find(self.shapes[(), tuple(read), ()], NOTHING, NOTHING, read, origin, code)

    def _learn(
        self, shape: Shape, group: tuple[Any, Origin, int], key: Any, read: Read, edits: Read
    ) -> Kind:
        """Work out the kind of an item, and remember it by its key in the group."""
        _, origin, code = group
        if shape.mixed:
            read = overlaid(read, edits)
        binding = self._bindings.bind(read, edits, origin)
        status, source = (edits[k] if k in edits else read.get(k) for k in (STATUS, _SOURCE))
        kind = Kind(shape, binding, _outcome(read, code), status, source)
        if length(key) > MAX_KEY:
            return kind
        if self._known >= _MAX_KINDS:
            self.forget()
        self._known += 1
        kinds = shape.groups.setdefault(group, {})
        kinds[key] = kind
        if not binding.served:
            self._bindings.until_served(binding, lambda: kinds.pop(key, None))
        return kind

    def forget(self) -> None:
        """Forget everything, also the bindings."""
        self._known = self._met = 0
        self._usual.clear()
        for shape in self.shapes.values():
            shape.groups.clear()  # they point at each other: nothing is left to the garbage collector
        self.shapes.clear()
        self._bindings.forget()


def _outcome(read: Read, code: int) -> Outcome:
    http, error, finish = map(read.get, _OUTCOME_KEYS)
    return outcome(http, error, finish, code)


def _getter(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what reads the values of these keys, or at these places, all of which are there."""
    if len(keys) > 1:
        return itemgetter(*keys)
    if keys:
        (key,) = keys
        return lambda source: (source[key],)
    return lambda source: ()


def overlaid(attributes: Read, edits: Read) -> Read:
    """Return what counts of attributes and edits, edits first, as a mapping of hashable values."""
    read = {key: attributes[key] for key in _READ if key in attributes}
    for key, value in edits.items():
        if key not in _READ:
            continue
        if value or isinstance(value, int | float | str):
            known = isinstance(value, int | float | str | bytes)
            read[key] = value if known else encode_value(value)
        else:
            read.pop(key, None)  # removed, or empty
    return read
