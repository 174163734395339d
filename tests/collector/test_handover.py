"""How the time to stop is shared."""

from __future__ import annotations

from collector.handover import RECEIVERS_SHARE, stop_receivers


class Receiver:
    """Keeps for how long it may finish what is in flight."""

    given_s = -1.0

    def stop(self, deadline_s: float) -> None:
        self.given_s = deadline_s


def test_all_receivers_together_have_their_share_of_the_time() -> None:
    receivers = [Receiver(), Receiver()]
    stop_receivers(receivers, 20.0)  # type: ignore[arg-type] # they are never started
    first, second = (receiver.given_s for receiver in receivers)
    assert 0 <= second <= first <= 20.0 * RECEIVERS_SHARE < 20.0
