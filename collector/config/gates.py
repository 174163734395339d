"""Feature gates: behaviour that `--feature-gates` turns on (`id`, `+id`) or off (`-id`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from collector.config.report import Mark, Report
from collector.config.sentences import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGate:
    """What a gate does, and whether it is on when nothing is said."""

    description: str
    default: bool = False


GATES: Final[Mapping[str, FeatureGate]] = {
    "otelcol_llm.tail_sampling.contrib_quirks": FeatureGate(
        description="tail_sampling behaves like the Go Collector's also where that loses data."
    ),
}


def gates_on(asked: Iterable[str], report: Report) -> frozenset[str]:
    """Return the gates that are on; unknown ones are told."""
    on = {name for name, gate in GATES.items() if gate.default}
    for word in (part for group in asked for part in group.split(",") if part):
        name = word.lstrip("+-")
        if name not in GATES:
            text = f"no such feature gate{did_you_mean(name, GATES) or '.'} There are {', '.join(GATES)}"
            report.wrong(Mark("--feature-gates"), (name,), text)
        (on.discard if word.startswith("-") else on.add)(name)
    return frozenset(on)
