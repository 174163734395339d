"""Which span is the local root: the topmost one of a trace that is seen here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from processors.views import PARSE

_SERVER, _CONSUMER = 2, 5
_REMOTE: Final = 0x300
"""Flag bits: it is known whether the parent is remote, and it is. opentelemetry/proto/trace/v1/trace.proto 1.3."""


def comes_from_outside(view: Any) -> bool:
    """Say whether a span alone tells that its parent, if any, is not here."""
    return (
        not view.parent_span_id
        or view.flags & _REMOTE == _REMOTE
        or view.kind in (_SERVER, _CONSUMER)
    )


def has_root(spans: Iterable[bytes]) -> bool:
    """Say whether one of the spans has no parent."""
    return any(not PARSE["SpanHead"](span).parent_span_id for span in spans)


def local_root(spans: Iterable[bytes]) -> int:
    """Return the position of the root among a trace's encoded spans, which MUST not be empty. See `Roots`."""
    roots = Roots()
    roots.look(spans)
    return roots.local


_Rank: TypeAlias = tuple[int, bytes, int]
"""Start, id and position of a span: the smallest is the root."""


class Roots:
    """Looks at the spans of a trace, any number at a time, for its local root.

    That is the earliest of the spans without parent, with a remote parent, or whose parent is not here; then the one
    with the smallest id. Where there is none (parents in a circle) it is the earliest of all.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._ids: set[bytes] = set()
        self._first: _Rank | None = None
        self._top: _Rank | None = None
        self._below: dict[bytes, _Rank] = {}
        """The first span below each parent that is not remote."""
        self._awaited: set[bytes] = set()
        """Parents that belong here."""

    def look(self, spans: Iterable[bytes]) -> None:
        """Look at the next spans."""
        below, ids = self._below, self._ids
        for position, span in enumerate(spans, self._seen):
            view = PARSE["SpanHead"](span)
            parent, rank = view.parent_span_id, (view.start_ns, view.span_id, position)
            ids.add(rank[1])
            if not parent or view.flags & _REMOTE == _REMOTE:
                self._top = _earlier(self._top, rank)
            else:
                below[parent] = _earlier(below.get(parent), rank)
                if view.kind not in (_SERVER, _CONSUMER):
                    self._awaited.add(parent)
            self._first = _earlier(self._first, rank)
            self._seen = position + 1

    @property
    def whole(self) -> bool:
        """Whether no span still waits for a parent that belongs here."""
        return self._awaited <= self._ids

    @property
    def local(self) -> int:
        """The position of the local root among all that was seen."""
        tops = [rank for parent, rank in self._below.items() if parent not in self._ids]
        if self._top is not None:
            tops.append(self._top)
        root = min(tops, default=self._first)
        if root is None:
            raise ValueError("expected at least one span, got none")
        return root[2]


def _earlier(one: _Rank | None, other: _Rank) -> _Rank:
    return other if one is None or other < one else one
