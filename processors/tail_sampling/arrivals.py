"""How spans come in: what of a batch is held, and what the plan is told about it, read no more than once.

Of a batch that somebody decoded before, views and edits are at hand, so it is neither encoded nor parsed again. Any
other is parsed in one go: 1 µs a span of 2 kB, against 3 µs for a search of its bytes and a parse of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

from processors.batch import Batch, Item
from processors.encoded import outline, span_views
from processors.tail_sampling.plan import Plan
from processors.tail_sampling.slabs import Held, spans_from
from processors.tail_sampling.traces import Envelope, Table

Arrival: TypeAlias = "tuple[Held, Any, Mapping[str, bytes]]"
"""An encoded span, a view of it, and those of its attributes that the plan wants (or more of them)."""
_attributes_of: Final = attrgetter("attributes")


class Group(NamedTuple):
    """The spans of one scope group."""

    resource: bytes
    """The encoded resource group without scopes: the same object for scopes that came in one."""
    envelope: Envelope
    number: int
    """How many spans there are."""
    spans: Iterable[Arrival]
    raw: bytes | None = None
    """The request, where the spans are views of it."""


def arrivals(batch: Batch, table: Table, plan: Plan) -> Iterator[Group]:
    """Yield what a batch brings, one scope group after the other."""
    if batch.decoded and not plan.everything:
        return _decoded(batch, table, plan)
    reading = batch.reading if not plan.everything else None
    if reading is None:
        return encoded_arrivals(batch.encode(), table, plan, len(batch))
    table.unproved = True
    wanted = partial(_wanted, plan.keys)
    return _encoded(batch.peek(), reading.groups, wanted, table, len(batch))


def encoded_arrivals(raw: bytes, table: Table, plan: Plan, number: int = 0) -> Iterator[Group]:
    """Yield what an encoded request brings. `number`: how many spans, where that is known."""
    views = span_views(raw, whole=plan.everything)
    groups = ((*group, list(seen)) for group, seen in zip(outline(raw), views, strict=True))
    return _encoded(raw, groups, _attributes_of, table, number)


def _encoded(
    raw: bytes,
    groups: Iterable[tuple[bytes, bytes, Sequence[tuple[int, int, int]], Sequence[Any]]],
    attributes_of: Callable[[Any], Mapping[str, bytes]],
    table: Table,
    number: int,
) -> Iterator[Group]:
    """Yield the spans of scope groups: resource, scope, places and views."""
    came = spans_from(raw, number)
    viewed = raw if came is not raw else None
    for resource, scope, places, views in groups:
        spans = [came[body:behind] for _, body, behind in places]
        arrived = zip(spans, views, map(attributes_of, views), strict=True)
        yield Group(resource, table.envelope(resource, scope), len(spans), arrived, viewed)


def _wanted(keys: tuple[str, ...], view: Any) -> Mapping[str, bytes]:
    """Return of a span that was read (`reading`) the attributes that are wanted, encoded."""
    attributes, wanted = view.attributes, {}
    for key in keys:
        value = attributes.get(key)
        if value is not None:
            wanted[key] = value.SerializeToString()
    return wanted


def _decoded(batch: Batch, table: Table, plan: Plan) -> Iterator[Group]:
    keys = plan.keys
    for group in batch.groups:
        resource = group.envelope()
        for scope in group.scopes:
            items = scope.items
            if scope.dropped:
                items = [item for item in items if not item.dropped]
            envelope = table.envelope(resource, scope.envelope())
            yield Group(resource, envelope, len(items), (_arrival(item, keys) for item in items))


def _arrival(item: Item, keys: tuple[str, ...]) -> Arrival:
    (view, present), edits, wanted = item.seen or item.see(), item.edits, {}
    for key in keys:
        value = item.encoded(key) if key in edits else present.get(key)
        if value is not None:
            wanted[key] = value
    return item.body(), view, wanted
