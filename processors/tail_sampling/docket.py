"""When traces are due: `decision_wait` after the first span, or the wait after the root where that ends earlier.

Times are those of arrival, which never go back, so two queues hold everything in order, whatever the waits are: a
reload that changes them moves nothing. Entries of traces that were decided otherwise stay until they come up.

A span that only may be the root (its parent is remote, or it serves) brings a trace forward only if then no other span
misses a parent that belongs here: agents run for minutes above the services they call.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from processors.tail_sampling.config import Config
from processors.tail_sampling.root import comes_from_outside
from processors.tail_sampling.traces import Table, Trace
from processors.tail_sampling.verdict import Trigger

_ENTRIES_A_CALL: Final = 4_096
"""Of decided traces, passed over at once."""


class Docket:
    """The undecided traces of a table by their time."""

    def __init__(self, config: Config, table: Table) -> None:
        self._wait_ns = config.decision_wait_ns
        self.root_wait_ns = config.root_wait_ns
        """None: a root changes nothing."""
        self._local_root = config.local_root
        self._table = table
        self._opened: deque[tuple[int, bytes]] = deque()
        self._rooted: deque[tuple[int, bytes]] = deque()

    @property
    def has_older(self) -> bool:
        """Whether `oldest` may find another trace: each stands among the opened, also where its root has come."""
        return bool(self._opened)

    def open(self, trace: Trace) -> None:
        """Enter a trace that begins now."""
        self._opened.append((trace.first_ns, trace.id))

    def look_for_root(self, trace: Trace, view: Any, now_ns: int) -> None:
        """Bring the decision forward when the root has come, or what may be it."""
        if not view.parent_span_id:
            trace.root_seen = True
        elif not self._local_root or not comes_from_outside(view):
            return
        self.bring_forward(trace, now_ns)

    def bring_forward(self, trace: Trace, now_ns: int) -> None:
        """Let the wait after the root begin, if it ends before the other one does."""
        if trace.root_ns or self.root_wait_ns is None:
            return
        if now_ns + self.root_wait_ns < trace.first_ns + self._wait_ns:
            trace.root_ns = now_ns
            self._rooted.append((now_ns, trace.id))

    def again(self, trace: Trace, trigger: Trigger) -> None:
        """Enter a trace that came up and was not decided after all."""
        if trigger == "root":
            self._rooted.appendleft((trace.root_ns, trace.id))
        else:
            self._opened.appendleft((trace.first_ns, trace.id))

    def has_due(self, now_ns: int) -> bool:
        """Say whether an entry is up; its trace may have been decided before."""
        return _is_up(self._rooted, self.root_wait_ns, now_ns) or _is_up(
            self._opened, self._wait_ns, now_ns
        )

    def next_due(self, now_ns: int) -> tuple[Trace, Trigger] | None:
        """Take out the next trace whose time has come. None is found yet when too many entries of
        decided ones come first: `has_due` tells."""
        rooted, opened, wait_ns = self._rooted, self._opened, self.root_wait_ns
        for _ in range(_ENTRIES_A_CALL):
            if wait_ns is not None and rooted and rooted[0][0] + wait_ns <= now_ns:
                trace = self._undecided(rooted.popleft()[1])
                if trace is not None and trace.root_ns and trace.root_ns + wait_ns <= now_ns:
                    return trace, "root"
            elif opened and opened[0][0] + self._wait_ns <= now_ns:
                trace = self._undecided(opened.popleft()[1])
                if trace is not None and self.has_waited(trace, now_ns):
                    return trace, "wait"
            else:
                return None
        return None

    def has_waited(self, trace: Trace, now_ns: int) -> bool:
        """Say whether a trace has waited as long as any trace may."""
        return trace.first_ns + self._wait_ns <= now_ns

    def oldest(self) -> Trace | None:
        """Take out the undecided trace whose first span came first. None is found yet when too many entries
        of decided ones come first."""
        for _ in range(min(_ENTRIES_A_CALL, len(self._opened))):
            trace = self._undecided(self._opened.popleft()[1])
            if trace is not None:
                return trace
        return None

    def _undecided(self, trace_id: bytes) -> Trace | None:
        trace = self._table.traces.get(trace_id)
        return trace if trace is not None and trace.verdict is None else None

    def inherit(self, predecessor: Docket) -> None:
        """Go on with another's traces, by these waits."""
        self._opened, self._rooted = predecessor._opened, predecessor._rooted


def _is_up(entries: deque[tuple[int, bytes]], wait_ns: int | None, now_ns: int) -> bool:
    return bool(entries) and wait_ns is not None and entries[0][0] + wait_ns <= now_ns
