"""How many tokens a call used: what the emitter reported, made inclusive, and how sure that is.

The specification says that the input count includes cached tokens; many emitters put a vendor's cache-exclusive count
into the same key. Evidence goes before arithmetic, arithmetic before what is known about the emitter, and that before
the specification: `exact`, `proved`, `table`, `assumed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from processors import semconv
from processors.genai.config import Override
from processors.genai.identity import Identity
from processors.genai.names import COUNTS
from processors.genai.plan import Plan, Sources
from processors.genai.table import TOTAL, Output, Semantics
from processors.genai.values import mapping, mapping_of

EXACT: Final = "exact"
PROVED: Final = "proved"
TABLE: Final = "table"
ASSUMED: Final = "assumed"
SURENESS: Final = (EXACT, PROVED, TABLE, ASSUMED)

REASONING_MISSING: Final = "reasoning_missing"
CACHE_SPLIT_UNKNOWN: Final = "cache_split_unknown"


class Usage(NamedTuple):
    """Normalised counts; None is unknown, which is not 0. Input includes the cache, output the reasoning."""

    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    reasoning: int | None
    semantics: str | None
    """How inclusive or exclusive was decided; known iff input is."""
    quality: str | None = None
    web_searches: int | None = None
    invalid: int = 0
    """Values that stood where a count should and were none."""

    @property
    def known(self) -> bool:
        """Whether there is anything to count."""
        return self.input is not None or self.output is not None


_new: Final[Callable[[type[Usage], Iterable[object]], Usage]] = tuple.__new__
"""Makes one in a third of the time that the class takes to fill in what is left out."""

NO_USAGE: Final = Usage(None, None, None, None, None, None, None)


@dataclass(slots=True)
class Reading:
    """The counts as an emitter reported them."""

    input: int | None
    output: int | None
    total: int | None
    uncached: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    reasoning: int | None
    semantics: Semantics | None = field(default=None, init=False)
    """What an object tells of the input, where it does."""


_FIELDS: Final = {
    semconv.GEN_AI_USAGE_INPUT_TOKENS: "input",
    semconv.GEN_AI_USAGE_OUTPUT_TOKENS: "output",
    TOTAL: "total",
    semconv.GEN_AI_USAGE_CACHE_READ: "cache_read",
    semconv.GEN_AI_USAGE_CACHE_CREATION: "cache_write",
    semconv.APP_LLM_USAGE_CACHE_CREATION_1H: "cache_write_1h",
    semconv.GEN_AI_USAGE_REASONING: "reasoning",
}


def first_count(sources: Sources, attributes: Mapping[str, bytes]) -> int | None:
    """Return the most trusted count that is one."""
    for source in sources:
        value = source.read(attributes[source.key])
        if isinstance(value, int):
            return value
    return None


def _invalid_counts(plan: Plan, attributes: Mapping[str, bytes]) -> int:
    return sum(
        source.read(attributes[source.key]) is None for sources in plan.counts for source in sources
    )


def quick_usage(
    places: tuple[int | None, ...], values: Sequence[bytes], sure: tuple[str | None, str | None]
) -> Usage | None:
    """Read counts that are canonical as they stand; None when they are not, and `read_usage` must decide.

    `places`: see `Columns.counts`; `sure`: see `sureness`. The emitter MUST include reasoning in the output.
    """
    input_at, output_at, read_at, write_at, reasoning_at = places
    try:
        counted = None if input_at is None else _whole(values[input_at])
        output = None if output_at is None else _whole(values[output_at])
        read = None if read_at is None else _whole(values[read_at])
        write = None if write_at is None else _whole(values[write_at])
        reasoning = None if reasoning_at is None else _whole(values[reasoning_at])
    except _Unusual:
        return None
    if reasoning and reasoning > (output or 0):
        return None
    semantics = None
    if counted is not None:
        cached = (read or 0) + (write or 0)
        semantics = sure[1] if cached else sure[0]
        if semantics is None or counted < cached:
            return None
    return _new(Usage, (counted, output, read, write, None, reasoning, semantics, None, None, 0))


def sureness(identity: Identity) -> tuple[str | None, str | None]:
    """Return how sure an input count is that stands as it should: without cached tokens and with them.

    None: it does not stand so, or other values decide.
    """
    without = None if identity.drops_cache_split else EXACT
    if identity.semantics is Semantics.EXCLUSIVE:
        return without, None
    return without, TABLE if identity.semantics else ASSUMED


_INT: Final = 0x18
"""Tag of an AnyValue that is an int."""


class _Unusual(Exception):
    """A count is not encoded as most are: no error, but the end of the short way."""


def _whole(raw: bytes) -> int:
    """Decode an int as emitters encode counts, in up to three bytes. Raises `_Unusual` for everything else."""
    size = len(raw)
    if size == 3:
        if raw[0] == _INT and raw[2] < 128:
            return raw[1] & 127 | raw[2] << 7
    elif size == 4:
        if raw[0] == _INT and raw[1] > 127 and raw[2] > 127 and raw[3] < 128:
            return raw[1] & 127 | (raw[2] & 127) << 7 | raw[3] << 14
    elif size == 2 and raw[0] == _INT and raw[1] < 128:
        return raw[1]
    raise _Unusual


def read_usage(
    plan: Plan,
    attributes: Mapping[str, bytes],
    identity: Identity,
    override: Override | None = None,
) -> Usage:
    """Read and decide. `override` is what the configuration says about this emitter, in place of the table."""
    if plan.objects and (exact := _exact_usage(plan, attributes)) is not None:
        return exact
    reading = Reading(
        *[first_count(sources, attributes) if sources else None for sources in plan.counts]
    )
    if plan.objects:
        _fill(reading, plan, attributes)
    if plan.normalised or _output_is_ours(plan, reading):
        return _as_it_is(reading)
    usage = decide(reading, identity, override)
    invalid = _invalid_counts(plan, attributes)
    return usage._replace(invalid=invalid) if invalid else usage


def _output_is_ours(plan: Plan, reading: Reading) -> bool:
    """Whether an earlier pass wrote the output: without an input it left no semantics, but always the class."""
    no_input = reading.input is None and reading.uncached is None
    return no_input and semconv.APP_LLM_SPAN_CLASS in plan.keys


def _as_it_is(reading: Reading) -> Usage:
    return Usage(
        reading.input,
        reading.output,
        reading.cache_read,
        reading.cache_write,
        reading.cache_write_1h,
        reading.reasoning,
        None,
    )


def _exact_usage(plan: Plan, attributes: Mapping[str, bytes]) -> Usage | None:
    """Read the vendor's own usage object, if there is one; what it lacks is taken from the other names."""
    if plan.normalised:
        return None
    for item in plan.objects:
        members = _descend(attributes[item.key], item.path) if item.exact else None
        counts = item.read(members) if members else None
        if counts and semconv.GEN_AI_USAGE_INPUT_TOKENS in counts:
            return _from_object(counts, plan, attributes)
    return None


def _from_object(counts: Mapping[str, int], plan: Plan, attributes: Mapping[str, bytes]) -> Usage:
    def told(name: str) -> int | None:
        count = counts.get(name)
        return first_count(plan.counts[COUNTS.index(name)], attributes) if count is None else count

    output = told(semconv.GEN_AI_USAGE_OUTPUT_TOKENS)
    reasoning = told(semconv.GEN_AI_USAGE_REASONING)
    if output is not None and reasoning is not None and reasoning > output:
        output += reasoning  # it can only be outside
    return Usage(
        input=counts[semconv.GEN_AI_USAGE_INPUT_TOKENS],
        output=output,
        cache_read=counts.get(semconv.GEN_AI_USAGE_CACHE_READ),
        cache_write=counts.get(semconv.GEN_AI_USAGE_CACHE_CREATION),
        cache_write_1h=told(semconv.APP_LLM_USAGE_CACHE_CREATION_1H),
        reasoning=reasoning,
        semantics=PROVED if TOTAL in counts else EXACT,
        web_searches=counts.get(semconv.APP_LLM_USAGE_WEB_SEARCHES),
    )


def _fill(reading: Reading, plan: Plan, attributes: Mapping[str, bytes]) -> None:
    """Take from objects what no attribute of its own told."""
    for item in plan.objects:
        members = None if item.exact else _descend(attributes[item.key], item.path)
        counts = (item.read(members) if members else None) or {}
        if counts and item.semantics:
            reading.semantics = item.semantics
        for name, n in counts.items():
            if getattr(reading, _FIELDS[name]) is None:
                setattr(reading, _FIELDS[name], n)


def _descend(raw: bytes, path: tuple[str, ...]) -> Mapping[str, object] | None:
    members = mapping(raw)
    for step in path:
        members = mapping_of((members or {}).get(step))
    return members


def decide(reading: Reading, identity: Identity, override: Override | None) -> Usage:
    """Make the counts inclusive."""
    cached = (reading.cache_read or 0) + (reading.cache_write or 0)
    counted, semantics = _input(reading, cached, identity, override)
    quality = None
    if (
        identity.drops_cache_split
        and reading.uncached is None
        and reading.cache_read is None
        and reading.cache_write is None
        and semantics is not None
    ):
        semantics, quality = ASSUMED, CACHE_SPLIT_UNKNOWN
    output, reasoning = _output(reading, counted or 0, identity.output)
    if identity.output is Output.MISSING and output is not None and output == reading.output:
        quality = REASONING_MISSING
    return Usage(
        counted,
        output,
        reading.cache_read,
        reading.cache_write,
        reading.cache_write_1h,
        reasoning,
        semantics,
        quality,
    )


def _input(
    reading: Reading, cached: int, identity: Identity, override: Override | None
) -> tuple[int | None, str | None]:
    if reading.uncached is not None:
        return reading.uncached + cached, EXACT
    given = reading.input
    if given is None:
        return None, None
    if not cached:
        return given, EXACT
    if given < cached:
        return given + cached, PROVED
    told = override.semantics if override else None
    if told is None and identity.total_is_evidence and _total_adds_up(reading, cached):
        return given + cached, PROVED
    says = override.semantics if override else identity.semantics or reading.semantics
    if says is None:
        return given, ASSUMED
    return (given + cached if says is Semantics.EXCLUSIVE else given), TABLE


def _total_adds_up(reading: Reading, cached: int) -> bool:
    return reading.total == (reading.input or 0) + (reading.output or 0) + cached


def _output(reading: Reading, counted: int, where: Output) -> tuple[int | None, int | None]:
    """Return output and reasoning. The order matters: a total is better evidence than what the emitter is known for."""
    output, reasoning, total = reading.output, reading.reasoning, reading.total
    if output is None:
        return None, reasoning
    if where is Output.EXCLUDED and total is not None:
        whole = max(output, total - counted)
        if reasoning is None and whole > output:
            return whole, whole - output
        more = reasoning if reasoning and reasoning > whole else 0  # it can only be outside
        return whole + more, reasoning
    if not reasoning:
        return output, reasoning
    outside = (
        where is Output.EXCLUDED or total == counted + output + reasoning or reasoning > output
    )
    return (output + reasoning if outside else output), reasoning
