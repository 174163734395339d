"""What came out of the collector: read from its metrics endpoints and from the file of kept traces."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Series:
    """One time series of a scrape."""

    labels: Mapping[str, str]
    value: float


def scrape(url: str, copy: Path | None = None) -> dict[str, list[Series]]:
    """Return every series of a `/metrics` page by sample name; `copy` keeps the page. Raises: `httpx.HTTPError`."""
    page = httpx.get(url, timeout=_TIMEOUT_S, trust_env=False)
    page.raise_for_status()
    if copy is not None:
        copy.write_text(page.text, "utf-8")
    found: dict[str, list[Series]] = {}
    for family in text_string_to_metric_families(page.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(Series(sample.labels, sample.value))
    return found


def total(series: Mapping[str, list[Series]], name: str, by: str) -> Counter[str]:
    """Add up a metric by one label."""
    sums: Counter[str] = Counter()
    for one in series.get(name, ()):
        sums[one.labels.get(by, "")] += one.value  # type: ignore[assignment] # money is no int
    return sums


@dataclass(slots=True)
class Kept:
    """The traces that were kept."""

    policies: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(policy, reason) → traces."""
    spans: int = 0
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    """(trace id, span id) → the question as it left."""


def read_kept(file: Path) -> Kept:
    """Read the file of kept traces, OTLP/JSON lines."""
    kept = Kept()
    for span in _spans(file):
        kept.spans += 1
        attributes = {a["key"]: a["value"] for a in span.get("attributes", ())}
        if "sampling.policy" in attributes:
            policy = attributes["sampling.policy"]["stringValue"]
            reason = attributes.get("sampling.reason", {}).get("stringValue", "")
            kept.policies[policy, reason] += 1
        for key in ("gen_ai.input.messages", "input.value", "gen_ai.prompt.0.content"):
            if key in attributes:
                kept.texts[span["traceId"], span["spanId"]] = _question(
                    attributes[key].get("stringValue", "")
                )
    return kept


def _spans(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            for resource in json.loads(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    yield from scope["spans"]


def _question(text: str) -> str:
    """Take the text out of a message list."""
    try:
        return str(json.loads(text)[0]["parts"][0]["content"])
    except (ValueError, LookupError, TypeError):
        return text
