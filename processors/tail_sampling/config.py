"""What the user wrote, as the processor reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from processors.tail_sampling.verdict import Tier

QUIRKS_GATE: Final = "otelcol_llm.tail_sampling.contrib_quirks"
"""Feature gate: reproduce the known defects of the Collector's processor (v0.158)."""
_SECOND: Final = 1_000_000_000
_KEPT_IDS: Final = 100_000
_DROPPED_IDS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """One entry of `policies`; `settings` is the whole mapping, for the policy's builder."""

    position: int
    """In the list as it was written."""
    name: str
    type: str
    tier: Tier
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Equal configs build processors that decide the same. Times in nanoseconds, sizes in bytes."""

    policies: tuple[PolicyConfig, ...]
    """In order of asking: drop policies first."""
    quirks: bool
    decision_wait_ns: int
    root_wait_ns: int | None
    """None: the root does not bring the decision forward."""
    local_root: bool
    """Whether the local root counts as root, or only a span without parent."""
    num_traces: int
    max_bytes: int
    refuse: bool
    """What a full buffer does: refuse new data, or decide the oldest trace."""
    first_match: bool
    on_arrival: bool
    """`sampling_strategy: span-ingest`."""
    on_shutdown: str
    """What becomes of undecided traces: `decide`, `drop`, or `keep` on disk."""
    storage: str
    """Id of the storage extension that what is held is kept by; empty: in memory alone."""
    max_trace_size: int
    """0: no limit."""
    on_oversize: str
    kept_ids: int
    dropped_ids: int
    record_attributes: bool
    record_tracestate: bool
    skeleton_max_value_bytes: int
    dry_run: bool

    @classmethod
    def load(cls, settings: Mapping[str, Any], *, quirks: bool) -> Config:
        """Read resolved settings."""
        policies = [_policy(i, row) for i, row in enumerate(settings["policies"] or ())]
        root_wait = settings["decision_wait_after_root_received"]
        wait = max(_SECOND, settings["decision_wait"])
        record, buffer = settings["record"], settings["buffer"]
        kept_ids, dropped_ids = _memories(settings["decision_cache"], quirks)
        return cls(
            policies=tuple(sorted(policies, key=lambda policy: policy.type != "drop")),
            quirks=quirks,
            decision_wait_ns=wait,
            root_wait_ns=root_wait if 0 < root_wait < wait else None,
            local_root=_root(record) == "local",
            num_traces=max(1, int(settings["num_traces"])),
            max_bytes=buffer["max_bytes"],
            refuse=settings["block_on_overflow"] or buffer["on_full"] == "refuse",
            first_match=settings["sample_on_first_match"],
            on_arrival=settings["sampling_strategy"] == "span-ingest",
            on_shutdown=_on_shutdown(settings),
            storage=buffer["storage"] or "",
            max_trace_size=settings["maximum_trace_size_bytes"],
            on_oversize=settings["on_oversize"],
            kept_ids=kept_ids,
            dropped_ids=dropped_ids,
            record_attributes=record["attributes"],
            record_tracestate=record["tracestate"],
            skeleton_max_value_bytes=settings["skeleton_max_value_bytes"],
            dry_run=settings["dry_run"],
        )


def _on_shutdown(settings: Mapping[str, Any]) -> str:
    if settings["drop_pending_traces_on_shutdown"]:
        return "drop"
    decide = settings["decide_on_shutdown"]
    if decide is None:
        decide = not settings["buffer"]["storage"]
    return "decide" if decide else "keep"


def _policy(position: int, row: Mapping[str, Any]) -> PolicyConfig:
    return PolicyConfig(
        position=position,
        name=row["name"],
        type=row["type"],
        tier=row["content_tier"],
        settings=row,
    )


def _memories(cache: Mapping[str, Any], quirks: bool) -> tuple[int, int]:
    """Return the sizes of the memories of kept and of dropped ids: what is written, else ours."""
    kept, dropped = cache["sampled_cache_size"], cache["non_sampled_cache_size"]
    return (
        kept if kept is not None else 0 if quirks else _KEPT_IDS,
        dropped if dropped is not None else 0 if quirks else _DROPPED_IDS,
    )


def _root(record: Mapping[str, Any]) -> str:
    root: str | None = record["root"]
    return root or ("local" if record["attributes"] or record["tracestate"] else "empty_parent")
