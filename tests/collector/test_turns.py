"""What takes long under the graph's lock lets requests have their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from collector.clock import Clock
from collector.intake import Gate, InFlight
from collector.turns import in_turns


def gate() -> Gate:
    return Gate(Clock(), InFlight(1))


def test_who_waits_for_the_lock_gets_it_between_two_turns() -> None:
    one, served = gate(), threading.Event()

    def ask() -> None:
        with one.lock:
            served.set()

    def work() -> Iterator[bool]:
        threading.Thread(target=ask).start()
        while not served.is_set():
            yield False

    in_turns(one, work())
    assert served.is_set()


def test_each_step_is_taken_under_the_lock_and_it_is_free_at_the_end() -> None:
    one, seen = gate(), []

    def work() -> Iterator[bool]:
        for number in range(5):
            seen.append((number, one.lock.locked()))
            yield number % 2 == 0

    in_turns(one, work())
    assert seen == [(number, True) for number in range(5)]
    assert not one.lock.locked()


def test_nobody_waits_for_what_a_turn_promised() -> None:
    """Tickets are for the request under way; what is left of a turn is nobody's."""
    one, ticket = gate(), Any

    def work() -> Iterator[bool]:
        one.tickets.append(ticket)  # type: ignore[arg-type] # is never asked
        yield True
        assert one.tickets == []

    in_turns(one, work())


def test_a_failure_frees_the_lock() -> None:
    one = gate()

    def work() -> Iterator[bool]:
        yield False
        raise KeyError("bug")

    with pytest.raises(KeyError):
        in_turns(one, work())
    assert not one.lock.locked()
