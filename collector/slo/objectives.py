"""A file of objectives → objectives with their arithmetic, or everything that is wrong with the file.

burn rate = share of bad events / budget, budget = 1 - objective. A burn rate of `factor` over `long` spends `share` of
the budget: factor = share × window / long (Google's SRE workbook, "Alerting on SLOs"; the windows are those of Sloth).
All of it is exact: 14.4 × 0.5 % is 7.2 %, not 7.199999 %.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from collector.config.document import Node, parse, unwrap
from collector.config.parts import tell
from collector.config.places import mark_of
from collector.config.report import Mark, Report, Unreadable
from collector.config.sentences import did_you_mean
from collector.config.settings import examine
from collector.registry import schema_of
from processors.llm_metrics import catalogue

_SCHEMA: Final = "collector/slo/schema.json"
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?", re.DOTALL)
_KINDS: Final = ("ratio", "under", "sli")
_HOURS: Final = {"m": Fraction(1, 60), "h": Fraction(1), "d": Fraction(24)}


def hours(duration: str) -> Fraction:
    """Return how long `30m`, `6h` or `3d` is."""
    return int(duration[:-1]) * _HOURS[duration[-1]]


@dataclass(frozen=True, slots=True)
class Burn:
    """One alert condition: `factor` over the long window spends `share` of the budget; the short one ends it."""

    severity: str
    share: Fraction
    short: str
    long: str
    window: str

    @property
    def factor(self) -> Fraction:
        """The burn rate from which on it holds."""
        return self.share * hours(self.window) / hours(self.long)


_SHARES: Final[Mapping[str, tuple[str, ...]]] = {
    "30d": ("2", "5", "10", "10"),
    "28d": ("2", "5", "10", "10"),
    "7d": ("8", "12.5", "20", "42"),
}
"""Percent of the budget; those of 7 days as in Sloth's example of a week."""
_SPANS: Final = (
    ("page", "5m", "1h"),
    ("page", "30m", "6h"),
    ("ticket", "2h", "1d"),
    ("ticket", "6h", "3d"),
)
BURNS: Final[Mapping[str, tuple[Burn, ...]]] = {
    window: tuple(
        Burn(severity, Fraction(share) / 100, short, long, window)
        for share, (severity, short, long) in zip(shares, _SPANS, strict=True)
    )
    for window, shares in _SHARES.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One objective. `total` and `bad` are PromQL: events per second over [{{.window}}]."""

    name: str
    service: str
    percent: Decimal
    window: str
    total: str
    bad: str
    min_events: int
    category: str
    description: str
    runbook_url: str
    in_time: bool
    labels: Mapping[str, str]

    @property
    def id(self) -> str:
        """What Sloth calls sloth_id."""
        return f"{self.service}-{self.name}"

    @property
    def budget(self) -> Fraction:
        """The share of events that may be bad."""
        return 1 - Fraction(self.percent) / 100

    @property
    def burns(self) -> tuple[Burn, ...]:
        """The conditions of its alerts."""
        return BURNS[self.window]

    def summary(self) -> str:
        """Say the budget in numbers, in one line."""
        minutes = self.budget * hours(self.window) * 60
        clock = f", or {number(minutes)} minutes in {self.window}" if self.in_time else ""
        page = self.burns[0]
        return (
            f"budget {number(self.budget * 100)} %: {number(self.budget * 1_000_000)} of a million events{clock}; "
            f"pages from {number(self.budget * page.factor * 100)} % bad over {page.long}"
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """One latency alert of some features: the percentile above which it fires. `feature` empty: all others."""

    percentile: str
    severity: str
    seconds: Fraction
    feature: str
    others: tuple[str, ...]
    """The features that have a limit of their own and are left out of the common one."""


@dataclass(frozen=True, slots=True)
class Promises:
    """Everything a file of objectives says."""

    file: str
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    min_calls: int
    runbook_base: str


def number(value: Fraction) -> str:
    """Write a number as people do: up to four significant decimals, thousands separated."""
    text = f"{float(value):,.4f}" if value >= 1 else f"{float(value):.4g}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def load(file: Path) -> Promises:
    """Read a file of objectives. Raises: `ConfigError` with all problems, `OSError`."""
    report = Report()
    try:
        root = parse(file.read_text("utf-8"), Mark(str(file), 1, 1), report)
    except Unreadable as error:
        report.unreadable(error)
        report.finish()
        raise
    examined = examine(schema_of(_SCHEMA), unwrap(root), split_texts=False)
    tell(root, (), examined, report)
    report.finish()
    settings = examined.settings
    _check(root, settings["slos"], report)
    objectives = tuple(_objective(settings, slo) for slo in settings["slos"])
    for index, objective in enumerate(objectives):
        _check_reach(root, index, objective, report)
    report.finish()
    latency = settings.get("latency", {})
    return Promises(
        file=str(file),
        objectives=objectives,
        limits=tuple(_limits(latency)),
        min_calls=latency.get("min_calls", 0),
        runbook_base=settings["runbook_base"],
    )


def _check(root: Node, slos: list[dict[str, Any]], report: Report) -> None:
    """Tell what the schema cannot see; stop where an objective could not be made of it."""
    names: dict[str, int] = {}
    for index, slo in enumerate(slos):
        path = ("slos", index)
        first = names.setdefault(slo["name"], index)
        if first != index:
            text = f"expected one objective of this name, got another under slos[{first}]"
            report.wrong(mark_of(root, (*path, "name")), (*path, "name"), text)
        kinds = [kind for kind in _KINDS if kind in slo]
        if len(kinds) != 1:
            got = " and ".join(kinds) or "none of them"
            report.wrong(
                mark_of(root, path), path, f"expected one of ratio, under and sli, got {got}"
            )
            continue
        for key, text in _KIND_CHECKS[kinds[0]](slo[kinds[0]]):
            where = (*path, kinds[0], key)
            report.wrong(mark_of(root, where), where, text)
    report.finish()


def _check_ratio(ratio: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key in ("total", "bad"):
        match = _SELECTOR.fullmatch(ratio[key].strip())
        if match is None:
            yield (
                key,
                f'expected a selector such as llm_requests_total{{status="error"}}, got {ratio[key]!r}',
            )
        elif hint := _misspelt(match[1], "counter"):
            yield key, hint


def _check_under(under: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if hint := _misspelt(under["metric"], "histogram"):
        yield "metric", hint
    known = {metric.name: metric.buckets for metric in catalogue.METRICS}
    bounds = known.get(under["metric"])
    if bounds and under["le"] not in bounds:
        listed = ", ".join(f"{bound:g}" for bound in bounds)
        yield "le", f"expected a bound of the buckets, one of {listed}, got {under['le']:g}"


def _check_sli(sli: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, query in sli["events"].items():
        if "{{.window}}" not in query:
            yield "events", f"expected {{{{.window}}}} in {key}, where the range belongs, got none"


_KIND_CHECKS: Final = {"ratio": _check_ratio, "under": _check_under, "sli": _check_sli}


def _misspelt(name: str, kind: str) -> str:
    """Say that a metric is none of ours though it nearly is: it would never count anything."""
    known = {metric.name: metric.kind for metric in catalogue.METRICS}
    if name in known:
        got = known[name]
        return "" if got == kind else f"expected a {kind}, got {name}, which is a {got}"
    hint = did_you_mean(name, known) if name.startswith("llm_") else ""
    alike = [other for other in known if other.split("_")[:2] == name.split("_")[:2]]
    return f"no such metric {name}{hint}" if hint and alike else ""


def _check_reach(root: Node, index: int, objective: Objective, report: Report) -> None:
    """A condition that needs more bad events than there are events can never hold."""
    page = objective.burns[0]
    if page.factor * objective.budget < 1:
        return
    path = ("slos", index, "objective")
    least = 100 * (1 - 1 / page.factor)
    text = (
        f"expected more than {number(least)} for a window of {objective.window}, got {objective.percent}: "
        f"the page at {number(page.factor)} times the budget would need more bad events than there are events"
    )
    report.wrong(mark_of(root, path), path, text)


def _objective(settings: Mapping[str, Any], slo: Mapping[str, Any]) -> Objective:
    total, bad = _events(slo, slo.get("where", settings["where"]))
    return Objective(
        name=slo["name"],
        service=settings["service"],
        percent=Decimal(str(slo["objective"])),
        window=slo["window"],
        total=total,
        bad=bad,
        min_events=slo.get("min_events", settings["min_events"]),
        category=slo["category"],
        description=slo["description"],
        runbook_url=f"{settings['runbook_base'].rstrip('/')}/{slo['runbook']}.md",
        in_time=slo["time"],
        labels=settings["labels"] | slo["labels"],
    )


def _events(slo: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Return all events and bad ones per second, with [{{.window}}] for the range, as in Sloth's files."""
    if "sli" in slo:
        events = slo["sli"]["events"]
        return events["total_query"], events["error_query"]
    if "ratio" in slo:
        total, bad = (_rate(slo["ratio"][key], where) for key in ("total", "bad"))
        return total, f"({bad} or 0 * {total})"
    under = slo["under"]
    matchers = ",".join(filter(None, (under["selector"], where)))
    total = _rate(f"{under['metric']}_count{{{matchers}}}", "")
    good = _rate(f"{under['metric']}_bucket{{{matchers}}}", _bound(under["le"]))
    return total, f"clamp_min({total} - {good}, 0)"


def _rate(selector: str, where: str) -> str:
    match = _SELECTOR.fullmatch(selector.strip())
    if match is None:
        raise AssertionError(selector)  # _check refuses it
    matchers = ",".join(filter(None, ((match[2] or "").strip(), where)))
    return f"sum(rate({match[1]}{{{matchers}}}[{{{{.window}}}}]))"


def _bound(le: float) -> str:
    """Match a bucket's bound: a scrape spells 1 as 1.0 or 1, depending on the version; OTLP ingestion as 1."""
    text = f"{le:g}"
    return f'le="{text}"' if "." in text else f'le=~"{text}(\\\\.0)?"'


def _limits(latency: Mapping[str, Any]) -> Iterator[Limit]:
    features: Mapping[str, Mapping[str, Mapping[str, int]]] = latency.get("features", {})
    for percentile in ("total_p50", "total_p95", "ttft_p95"):
        for severity in ("warning", "page"):
            own = {
                feature: limits[percentile][severity]
                for feature, limits in features.items()
                if severity in limits.get(percentile, {})
            }
            if severity in latency.get(percentile, {}):
                common = Fraction(latency[percentile][severity], 10**9)
                yield Limit(percentile, severity, common, "", tuple(own))
            for feature, limit in own.items():
                yield Limit(percentile, severity, Fraction(limit, 10**9), feature, ())
