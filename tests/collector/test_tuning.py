"""What the collector runs on is told, where it can be told."""

from __future__ import annotations

import subprocess
import sys

import pytest

RESIDENT = """
import sys
from collector.tuning import give_back_freed_memory, keep_freed_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
keep_freed_memory()
before = resident()
block = bytes(range(256)) * (8 << 12)
held = [bytes(bytearray(3 << 20)) for _ in range(4)]
del held, block
if "back" in sys.argv:
    give_back_freed_memory()
print(resident() - before)
"""
"""Allocates 12 MiB in blocks of 3 MiB and frees them; with the word `back` it gives them back."""


def kept(*words: str, **environment: str) -> int:
    """Return how many bytes a process still has after it freed its large blocks."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, *words],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return int(done.stdout)


def test_freed_memory_stays_for_the_next_request() -> None:
    assert kept() > 6 << 20


def test_freed_memory_is_given_back_when_asked_for() -> None:
    assert kept("back") < 6 << 20


def test_who_sets_the_environment_decides() -> None:
    assert kept(MALLOC_MMAP_THRESHOLD_="131072") < 6 << 20


POLLING = """
import os, sys
from collector.tuning import poll_where_calls_are_served
poll_where_calls_are_served(*sys.argv[1:])
import grpc
from concurrent.futures import ThreadPoolExecutor
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port("127.0.0.1:0")
server.start()
server.stop(None).wait()
print(os.environ.get("GRPC_EXPERIMENTS", ""))
"""


def experiments(*version: str, **environment: str) -> str:
    """Return what gRPC is told, having seen that it does not complain."""
    done = subprocess.run(
        [sys.executable, "-c", POLLING, *version],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_grpc_knows_what_it_is_told() -> None:
    experiments()


@pytest.mark.parametrize("version", ["1.66.2", "1.79.0", "1.86.0", "2.0.1"])
def test_other_versions_of_grpc_are_told_nothing(version: str) -> None:
    assert experiments(version) == ""


def test_what_the_environment_says_of_grpc_stays() -> None:
    assert experiments("1.85.1", GRPC_EXPERIMENTS="-pick_first_ignore_empty_updates") == (
        "-pick_first_ignore_empty_updates"
    )


COLLECTING = """
import gc
from collector.tuning import calm_garbage_collection, put_off_garbage_collection
put_off_garbage_collection()
told = [gc.isenabled()]
calm_garbage_collection()
print(*told, gc.isenabled(), gc.get_freeze_count() > 1_000)
"""


def test_cycles_are_looked_for_again_once_everything_has_started() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLLECTING], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True", "True"]
