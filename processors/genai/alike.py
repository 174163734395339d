"""The latest records of a trace, found by what two reports of one call have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from processors.genai.call import Call

_REMEMBERED: Final = 1000
"""So many of the latest records of a trace are compared with those of its logs: a session may be one trace."""


class Alike:
    """Records in the order in which they came; the first of too many is forgotten."""

    __slots__ = ("_marked", "_places", "added")

    def __init__(self) -> None:
        self.added = 0
        """How many were, the forgotten ones included."""
        self._places: dict[Call, int] = {}
        self._marked: dict[object, list[Call]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._places)

    def add(self, record: Call) -> None:
        """Remember a record."""
        self._places[record] = self.added
        self.added += 1
        for mark in _marks(record, record.cached):
            self._marked.setdefault(mark, []).append(record)
        if len(self) > _REMEMBERED:
            self.remove(next(iter(self)))

    def remove(self, record: Call) -> None:
        """Forget a record."""
        del self._places[record]
        for mark in _marks(record, record.cached):
            marked = self._marked[mark]
            marked.remove(record)
            if not marked:
                del self._marked[mark]

    def like(self, report: Call, *, by_id: bool = False) -> Iterator[Call]:
        """Yield the records that report the same call, some twice; `by_id`: those with the same response or request."""
        for mark in _ids(report, report.cached) if by_id else _marks(report, report.cached):
            yield from self._marked.get(mark, ())

    def otherwise_like(self, report: Call) -> Iterator[Call]:
        """Yield those that would, did they agree on whether a cache answered."""
        for mark in _marks(report, not report.cached):
            yield from self._marked.get(mark, ())

    def first_like(self, report: Call, *, by_id: bool = False) -> Call | None:
        """Return the one of them that came first."""
        marks = _ids(report, report.cached) if by_id else _marks(report, report.cached)
        firsts = (marked[0] for mark in marks if (marked := self._marked.get(mark)))
        return min(firsts, key=self._places.__getitem__, default=None)


def _marks(report: Call, cached: bool) -> Iterator[object]:
    """Yield what another report of the same call has at least one of: the span, an id, or a model with the counts."""
    yield report.span_id
    yield from _ids(report, cached)
    for model in report.models:
        yield model, report.counts, cached


def _ids(report: Call, cached: bool) -> Iterator[object]:
    if report.response_id:
        yield "response", report.response_id, cached
    if report.request_id:
        yield "request", report.request_id, cached
