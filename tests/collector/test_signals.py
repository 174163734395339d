"""No signal is lost, whatever it interrupts."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Iterator

import pytest

from collector.signals import Signals

USER = signal.SIGUSR1


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = signal.getsignal(USER)
    yield Signals(USER)
    signal.signal(USER, before)


def test_what_came_is_told_once(signals: Signals) -> None:
    for _ in range(3):
        signal.raise_signal(USER)
    assert signals.wait(60) == {USER}
    assert signals.wait(0) == set()


@pytest.mark.parametrize("moment", range(10))
def test_a_signal_interrupts_waiting_at_any_moment(signals: Signals, moment: int) -> None:
    """Before or after any call that is made to wait."""
    moments = itertools.count()

    def interrupt(*event: object) -> None:
        if next(moments) == moment:
            signal.raise_signal(USER)

    sys.setprofile(interrupt)
    try:
        came = signals.wait(0)
    finally:
        sys.setprofile(None)
    assert next(moments) > moment
    assert came | signals.wait(0) == {USER}
