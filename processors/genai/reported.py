"""Ids of calls that were reported, across traces: a log record may be in no trace, or in another one than its span.

An id of a response or of a request is a digest, 0 for none; those of requests are kept apart from those of responses,
and those of answers from a gateway's cache from those of the calls that filled it.
Sources of such records: Codex and Claude Code log outside of any span (dialects, rule 8 of the ledger).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Final

from processors.genai.call import Report

_SPANS: Final = 32_768
"""At least so many of the latest ids of spans are remembered: 4 MB, half a minute of a thousand calls a second."""
_LOGS: Final = 4_096
"""So many of the latest log records wait for their spans."""
_OF_REQUEST: Final = 0x5EED_1D5
_FROM_CACHE: Final = 0xCAC4_ED1D


class Reported:
    """The latest ids of calls whose spans counted, and of those whose log record did."""

    __slots__ = ("_before", "_latest", "_logged", "_logs", "_old", "_turned_ns", "_waiting")

    def __init__(self) -> None:
        self._latest: set[int] = set()
        self._before: set[int] = set()
        self._logs: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        """Number of a log record that counted → its ids."""
        self._logged = 0
        self._old = 0
        """The last of them when a generation began."""
        self._turned_ns = 0
        self._waiting: dict[int, deque[int]] = {}
        """Id → the numbers of those that have it, in their order."""

    def by_spans(self, reports: Iterable[Report]) -> None:
        """Remember the ids of calls whose spans are in the ledger: every call passes here, 0.15 µs."""
        if len(self._latest) >= _SPANS:
            self._before, self._latest = self._latest, set()
        add = self._latest.add
        for report in reports:
            if report[3].known:
                apart = _FROM_CACHE if report[10] else 0
                if report[5]:
                    add(report[5] ^ apart)
                if report[6]:
                    add(report[6] ^ _OF_REQUEST ^ apart)

    def forget(self, now_ns: int, ttl_ns: int) -> None:
        """Begin a new generation every `ttl_ns`, and forget the one before the last: ids may be used again. To be asked
        often: what comes after a pause is of the generation before it."""
        if now_ns - self._turned_ns < ttl_ns:
            return
        self._turned_ns = now_ns
        self._before, self._latest = self._latest, set()
        while self._logs and (oldest := next(iter(self._logs))) <= self._old:
            self._forget(oldest)
        self._old = self._logged

    def has_span(self, response_id: int, request_id: int, cached: bool) -> bool:
        """Whether a span of this call is in the ledger."""
        return any(
            one in self._latest or one in self._before
            for one in _ids(response_id, request_id, cached)
        )

    def by_log(self, response_id: int, request_id: int, cached: bool) -> None:
        """Remember a log record that counted, for a span that may follow."""
        ids = tuple(_ids(response_id, request_id, cached))
        if not ids:
            return
        if len(self._logs) >= _LOGS:
            self._forget(next(iter(self._logs)))
        self._logged += 1
        self._logs[self._logged] = ids
        for one in ids:
            self._waiting.setdefault(one, deque()).append(self._logged)

    @property
    def awaits(self) -> bool:
        """Whether any log record counted that no span has followed."""
        return bool(self._waiting)

    def has_log(self, response_id: int, request_id: int, cached: bool) -> bool:
        """Whether one of this call did."""
        return any(one in self._waiting for one in _ids(response_id, request_id, cached))

    def take_log(self, response_id: int, request_id: int, cached: bool) -> bool:
        """Whether the same, which is over now: one record stands for one span."""
        for one in _ids(response_id, request_id, cached):
            if one in self._waiting:
                self._forget(self._waiting[one][0])
                return True
        return False

    def _forget(self, number: int) -> None:
        for one in self._logs.pop(number):
            waiting = self._waiting[one]
            waiting.remove(number)
            if not waiting:
                del self._waiting[one]


def _ids(response_id: int, request_id: int, cached: bool) -> Iterator[int]:
    """Yield what a call is known by, the surer first."""
    apart = _FROM_CACHE if cached else 0
    if response_id:
        yield response_id ^ apart
    if request_id:
        yield request_id ^ _OF_REQUEST ^ apart
