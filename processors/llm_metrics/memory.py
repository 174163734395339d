"""What follows from a value, worked out once for each. Keys are data from outside, so memories are bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from processors.allowance import length

_Key = TypeVar("_Key")
_Found = TypeVar("_Found")
_LONGEST: Final = 8192
"""Bytes of a key that is remembered; what follows from a longer one is worked out each time."""


class Memory(dict[_Key, _Found]):
    """`memory[key]` is what `work_out` says of the key: one look-up when it is known. Forgets everything when full."""

    __slots__ = ("_limit", "_longest", "_work_out")

    def __init__(
        self, limit: int, work_out: Callable[[_Key], _Found], longest: int = _LONGEST
    ) -> None:
        super().__init__()
        self._limit = limit
        self._longest = longest
        self._work_out = work_out

    def __missing__(self, key: _Key) -> _Found:
        found = self._work_out(key)
        if length(key) > self._longest:
            return found
        if len(self) >= self._limit:
            self.clear()
        self[key] = found
        return found
