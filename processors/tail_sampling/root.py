"""Which span is the local root: the topmost one of a trace that is seen here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

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


def is_whole(spans: Iterable[bytes]) -> bool:
    """Say whether no span still waits for a parent that belongs here."""
    views = [PARSE["SpanHead"](span) for span in spans]
    ids = {view.span_id for view in views}
    return all(comes_from_outside(view) or view.parent_span_id in ids for view in views)


def local_root(spans: Iterable[bytes]) -> int:
    """Return the position of the root among a trace's encoded spans, which MUST not be empty.

    Spans without parent, with a remote parent, or whose parent is not here; the earliest of them, then the one with
    the smallest id. Where there is none (parents in a circle) the earliest of all.
    """
    views = [PARSE["SpanHead"](span) for span in spans]
    ids = {view.span_id for view in views}
    order = [(view.start_ns, view.span_id, position) for position, view in enumerate(views)]
    tops = [order[i] for i, view in enumerate(views) if _is_top(view, ids)]
    return min(tops or order)[2]


def _is_top(view: Any, ids: set[bytes]) -> bool:
    return (
        not view.parent_span_id or view.flags & _REMOTE == _REMOTE or view.parent_span_id not in ids
    )
