"""The thread that sends a probe every `interval` and looks for it every `poll_interval`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import Final

from collector.extensions.freshness.config import Config
from collector.extensions.freshness.eyes import Unreachable, Web, eyes
from collector.extensions.freshness.probe import Probe, make
from collector.extensions.freshness.prober import Outcome, Prober
from processors.ports import Context

_TAKEN: Final = 200


def prober(config: Config, web: Web) -> Prober:
    """Return a prober that sends and looks over HTTP."""
    return Prober(config, eyes(config, web), partial(_deliver, config, web), time.time)


def _deliver(config: Config, web: Web, probe: Probe) -> None:
    """Send a probe. Raises: `Unreachable`."""
    status, _ = web.ask(config.send, "/v1/traces", probe.request)
    if status != _TAKEN:
        raise Unreachable(f"{config.send.url} answered {status} to a probe")


class Freshness:
    """The extension. Without `metrics` and `traces` it does nothing."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._web = Web()
        self._prober = prober(config, self._web)
        self.stats = self._prober.stats
        self._failing: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._probe_forever, name="freshness", daemon=True)

    def start(self) -> None:
        """Begin to probe as soon as data is taken."""
        if self._config.metrics.url or self._config.traces.url:
            self._thread.start()

    def stop(self, deadline_s: float) -> None:
        """Stop looking; what is under way is not counted."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
        self._web.close()

    def _probe_forever(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(self._config.poll_s):
            if time.monotonic() >= due and not self._context.ready():
                due = time.monotonic() + self._config.interval_s
                probe = make(self._config.tenant, self._config.environment, time.time_ns())
                self._tell(self._prober.send(probe, time.monotonic()))
            self._tell(self._prober.look(time.monotonic()))

    def _tell(self, outcomes: Iterable[Outcome]) -> None:
        """Log when a signal begins to fail and when it is well again."""
        for outcome in outcomes:
            if outcome.result == "ok" and outcome.signal in self._failing:
                self._failing.discard(outcome.signal)
                self._context.say("Probes are seen in time again.", signal=outcome.signal)
            elif outcome.result != "ok" and outcome.signal not in self._failing:
                self._failing.add(outcome.signal)
                self._context.say(
                    "A probe was not seen in time.",
                    level=logging.WARNING,
                    signal=outcome.signal,
                    result=outcome.result,
                    trace_id=outcome.trace_id,
                    why=outcome.why or "it did not appear",
                )
