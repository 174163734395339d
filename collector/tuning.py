"""Tunes the interpreter's two memory managers to a collector: large requests come and go all day, cycles are rare."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Mapping
from typing import Final

_ALLOCATOR: Final[Mapping[str, tuple[int, int]]] = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 4 << 20),
    "MALLOC_TRIM_THRESHOLD_": (-1, 32 << 20),
    "MALLOC_ARENA_MAX": (-8, 2),
}
"""Environment variable that overrides it → parameter of `mallopt`, value (mallopt(3), malloc.h of glibc).

By default glibc gives the memory of a request back as soon as it is freed and gets it again, page by page and zeroed,
for the next one: a tenth of the CPU time of requests of half a megabyte. Two arenas, because what one keeps another
cannot use; the interpreter lock lets hardly two threads allocate at once.
"""


def keep_freed_memory() -> None:
    """Let the allocator keep up to 32 MiB of freed memory; does nothing where it is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl, macOS
        return
    for variable, (parameter, value) in _ALLOCATOR.items():
        if variable not in os.environ:
            mallopt(parameter, value)


def calm_garbage_collection() -> None:
    """Look for reference cycles rarely: the hot path makes none, and held traces and ledgers are many objects to walk.

    Measured on the whole product, lean spans: 30 % less CPU time in `llm_cost` alone.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
