"""Long work under the graph's lock, in turns with requests.

Releasing a lock is not enough to let others have it: who asks again at once gets it back before they are awake. So
between two turns the worker sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

from collector.intake import Gate
from collector.portions import PAUSE_S

_TURN_S: Final = 0.01
"""How long requests may have to wait, and the step more that goes beyond it."""


def in_turns(gate: Gate, steps: Iterable[bool]) -> None:
    """Run steps under the gate's lock, which others get in between. A step that yields True ends the turn: there is
    nothing to do just now."""
    rest = iter(steps)
    while _take_turn(gate, rest):
        time.sleep(PAUSE_S)


def _take_turn(gate: Gate, steps: Iterator[bool]) -> bool:
    """Run as many steps as fit into a turn; say whether there may be more."""
    with gate.lock:
        until = time.monotonic() + _TURN_S
        try:
            for idle in steps:
                if idle or time.monotonic() >= until:
                    return True
        finally:
            gate.tickets.clear()
    return False
