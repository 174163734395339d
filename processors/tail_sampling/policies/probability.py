"""`probabilistic`: a share of the traces, chosen by their id alone, so that every process chooses the same.

`hash_seed` is the Collector's way: FNV-1a of salt and id against a share of 2⁶⁴. `equalizing` is OpenTelemetry's
(specification, trace/tracestate-probability-sampling): the last 56 bits of the id, or the trace's `rv`, against a
threshold that is recorded in trace state. Only the second is a known probability to other samplers.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from processors import semconv
from processors.errors import InvalidConfig
from processors.tail_sampling.policies.base import Desk, Free, Policy, Settings
from processors.tail_sampling.probability import hash_limit, threshold
from processors.tail_sampling.traces import Trace
from processors.tail_sampling.verdict import ABSTAIN, Ballot, Vote

_DEFAULT_SALT: Final = "default-hash-seed"
_OFFSET: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3
_MASK64: Final = (1 << 64) - 1


class HashSeed(Free):
    """FNV-1a-64(salt ‖ id) <= limit."""

    certain = False

    def __init__(self, percentage: float, salt: str) -> None:
        self._start = fnv1a(salt.encode(), _OFFSET)
        self._limit = hash_limit(percentage)
        self._keep = Vote(Ballot.KEEP, "probability", None)

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        return self._keep if fnv1a(trace.id, self._start) <= self._limit else ABSTAIN


def fnv1a(data: bytes, state: int) -> int:
    """Go on with a 64-bit FNV-1a hash."""
    for byte in data:
        state = (state ^ byte) * _PRIME & _MASK64
    return state


class Equalizing(Free):
    """Randomness of the trace >= threshold."""

    certain = False

    def __init__(self, percentage: float, precision: int, by_session: bool) -> None:
        """`by_session`: traces of one conversation share their randomness."""
        self._by_session = by_session
        self._threshold = threshold(percentage, precision)
        self._keep = Vote(Ballot.KEEP, "probability", self._threshold)

    def vote(self, trace: Trace, now_ns: int) -> Vote:
        if self._by_session and trace.rv is None:
            trace.session_rv = session_randomness(trace)
        if self._threshold is None or trace.randomness < self._threshold:
            return ABSTAIN
        return self._keep


def session_randomness(trace: Trace) -> int | None:
    """Return 56 bits that all traces of a conversation share; None for a trace without one."""
    sessions = trace.values_of(semconv.GEN_AI_CONVERSATION_ID)
    if not sessions:
        return None
    return int.from_bytes(blake2b(sessions[0].encode(), digest_size=7).digest(), "big")


def probabilistic(settings: Settings, desk: Desk) -> Policy:
    """Build `probabilistic`."""
    percentage, salt = settings["sampling_percentage"], settings["hash_salt"]
    if settings["mode"] == "hash_seed":
        return HashSeed(percentage, salt or _DEFAULT_SALT)
    if salt:
        raise InvalidConfig(
            "hash_salt",
            "expected no hash_salt with mode: equalizing, which takes its randomness from the trace id",
        )
    desk.watch.randomness()
    by_session = settings["randomness"] == "session"
    if by_session:
        desk.watch.text(semconv.GEN_AI_CONVERSATION_ID)
    return Equalizing(percentage, settings["sampling_precision"], by_session)
