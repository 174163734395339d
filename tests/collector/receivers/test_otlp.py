"""What the `otlp` receiver promises of both protocols together."""

from __future__ import annotations

import threading

from tests.collector.receivers.recorder import receiver


class Hanging:
    """A server that needs all the time it gets to stop."""

    given_s = -1.0

    def stop(self, deadline_s: float) -> None:
        self.given_s = deadline_s
        threading.Event().wait(deadline_s)


def test_both_protocols_stop_within_one_deadline() -> None:
    running = receiver({"protocols": {"grpc": None, "http": None}})
    first, second = Hanging(), Hanging()
    running._servers = [first, second]  # type: ignore[list-item] # what stops is enough
    running.stop(0.2)
    assert first.given_s > 0.1
    assert second.given_s < 0.1
