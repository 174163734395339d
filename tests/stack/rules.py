"""The shipped rules, read once for all tests of the stack."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from collector import telemetry
from processors.llm_metrics import catalogue
from tests.e2e.servers import REPOSITORY, installed

PROMETHEUS: Final = REPOSITORY / "prometheus"
RULE_FILES: Final = sorted((PROMETHEUS / "rules").glob("*.yml"))
TEST_FILES: Final = sorted((PROMETHEUS / "tests").glob("*.yml"))
BOARDS: Final = frozenset({
    "llm-overview", "llm-cost", "llm-latency", "llm-errors", "llm-tokens", "llm-drift", "llm-slo",
    "llm-investigate", "llm-focus-feature", "llm-focus-prompt", "llm-focus-tenant", "llm-trace", "llm-collector",
})  # fmt: skip
"""The uids of the dashboards: alerts and runbooks link to them."""

ELSEWHERE: Final = frozenset(
    {
        "up",
        "ALERTS",
        "tempo_distributor_attributes_truncated_total",
        "tempo_discarded_spans_total",
        "prometheus_rule_evaluation_failures_total",
        "alertmanager_notifications_failed_total",
        "llm_topic_kl_divergence",
        "llm_inflight_requests",
        "llm_queue_depth",
        "llm_freshness_seconds",
        "llm_freshness_probes_total",
        "llm_freshness_last_success_timestamp_seconds",
    }
)
"""Names that other programs produce: Tempo, Prometheus, Alertmanager, applications, the freshness probe."""

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD: Final = re.compile(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)(?![\w:]|\s*\()")
_GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
_MATCHERS: Final = re.compile(r"\{[^}]*\}")
_RANGE: Final = re.compile(r"\[[^\]]*\]")
_KEYWORDS: Final = frozenset(
    {
        "and",
        "or",
        "unless",
        "offset",
        "by",
        "on",
        "bool",
        "without",
        "ignoring",
        "group_left",
        "inf",
        "nan",
    }
)


def read(file: Path) -> Any:
    """Return a YAML document."""
    return yaml.load(file.read_bytes(), yaml.CSafeLoader)  # as safe as safe_load, and fast


@cache
def groups() -> list[dict[str, Any]]:
    """Return every group of every file."""
    return [group for file in RULE_FILES for group in read(file)["groups"]]


def rules() -> list[dict[str, Any]]:
    """Return every rule."""
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Return the alerting rules."""
    return [rule for rule in rules() if "alert" in rule]


@cache
def known_metrics() -> set[str]:
    """Return every name that a query may ask for."""
    known = set(ELSEWHERE) | {rule["record"] for rule in rules() if "record" in rule}
    for metric in (*catalogue.METRICS, *telemetry.METRICS):
        known.add(metric.name)
        if metric.kind == "histogram":
            known |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return known | {f"llm_freshness_seconds_{part}" for part in ("bucket", "sum", "count")}


def metrics_of(query: str) -> set[str]:
    """Return the metric names in a query."""
    for part in (_STRING, _MATCHERS, _GROUPING, _RANGE):
        query = part.sub(" ", query)
    query = re.sub(r"\boffset\s+\w+", " ", query)
    return {word for word in _WORD.findall(query) if word.lower() not in _KEYWORDS}


def run(program: str, *arguments: str) -> str:
    """Run a tool of Prometheus; its whole output is in the assertion when it fails."""
    done = subprocess.run(
        [installed(program), *arguments], capture_output=True, text=True, cwd=PROMETHEUS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
