"""Measures what code costs without a clock, so that the answer is the same on every machine."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Self

from processors.items import ResourceGroup


class Calls:
    """Counts the calls of functions, in Python and in C, while it is entered."""

    def __init__(self) -> None:
        self.made = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *failure: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        self.made += event in ("call", "c_call")


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Give this process so many bytes of new address space; who asks for more is refused, the protobuf parser too."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    usual = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, usual)


@contextmanager
def nothing_decoded_is_left() -> Iterator[None]:
    """Fail where batches were not released: they keep their request until the garbage collector happens to look."""

    def groups() -> int:
        return sum(type(one) is ResourceGroup for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = groups()
        yield
        assert groups() <= before
    finally:
        gc.enable()
