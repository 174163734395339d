"""Objectives → rules for Prometheus: what they record and when they alert.

Names of metrics and labels are Sloth's (`slo:sli_error:ratio_rate5m`, `sloth_id` …), so that its dashboards work.
Unlike Sloth's, the ratio of the whole window weighs events, not five-minute slices: a bad quiet night costs what it
really cost. An alert also needs `min_events`: one failed call of one is no burn rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, TypeAlias

import yaml

from collector.slo.objectives import Burn, Limit, Objective, Promises, hours, number

Rule: TypeAlias = dict[str, Any]
Group: TypeAlias = dict[str, Any]

_FAST: Final = ("5m", "30m", "1h")
_SLOW: Final = ("2h", "6h", "1d", "3d")
_SLOW_INTERVAL: Final = "2m"
"""A query sees a sample for 5 minutes: rules that run less often leave gaps."""
_HEAD: Final = """\
# Written by `otelcol-llm slo --write` from {file}: edit that file, not this one.
"""


def write(promises: Promises, name: str) -> str:
    """Return the rule file. `name`: how the file of objectives is called in its first line."""
    groups = [group for objective in promises.objectives for group in _groups(objective)]
    if promises.limits:
        limits = [_limit_rule(promises, limit) for limit in promises.limits]
        groups.append({"name": "llm-latency-limits", "rules": limits})
    text: str = yaml.dump(
        {"groups": groups},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
    )
    return _HEAD.format(file=name) + text


class _Dumper(yaml.SafeDumper):
    """Writes queries of several lines as such, and every label set as often as it is there."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _groups(objective: Objective) -> Iterator[Group]:
    yield {"name": f"slo-{objective.id}-now", "rules": list(_now(objective))}
    yield {
        "name": f"slo-{objective.id}-long",
        "interval": _SLOW_INTERVAL,
        "rules": list(_long(objective)),
    }
    yield {"name": f"slo-{objective.id}-budget", "rules": list(_meta(objective))}
    alerts = [_alert(objective, severity) for severity in ("page", "ticket")]
    yield {"name": f"slo-{objective.id}-alerts", "rules": alerts}


def _labels(objective: Objective) -> dict[str, str]:
    return {
        "sloth_id": objective.id,
        "sloth_service": objective.service,
        "sloth_slo": objective.name,
    }


def _over(query: str, window: str) -> str:
    return query.replace("{{.window}}", window)


def _ratio(objective: Objective, window: str) -> Rule:
    bad, total = _over(objective.bad, window), _over(objective.total, window)
    return {
        "record": f"slo:sli_error:ratio_rate{window}",
        "expr": f"{bad}\n/ ({total} > 0)",
        "labels": _labels(objective) | {"sloth_window": window},
    }


def _now(objective: Objective) -> Iterator[Rule]:
    for window in _FAST:
        yield _ratio(objective, window)
    for what, query in (("error", objective.bad), ("total", objective.total)):
        yield {
            "record": f"slo:sli_{what}:increase5m",
            "expr": f"{_over(query, '5m')} * 300",
            "labels": _labels(objective),
        }


def _long(objective: Objective) -> Iterator[Rule]:
    for window in _SLOW:
        yield _ratio(objective, window)
    window, mine = objective.window, f'{{sloth_id="{objective.id}"}}'
    yield {
        "record": f"slo:sli_error:ratio_rate{window}",
        "expr": f"sum_over_time(slo:sli_error:increase5m{mine}[{window}:5m])\n"
        f"/ (sum_over_time(slo:sli_total:increase5m{mine}[{window}:5m]) > 0)",
        "labels": _labels(objective) | {"sloth_window": window},
    }


def _meta(objective: Objective) -> Iterator[Rule]:
    mine = f'{{sloth_id="{objective.id}"}}'
    budget = "on (sloth_id, sloth_slo, sloth_service) group_left ()"
    share = 1 - objective.budget
    days = hours(objective.window) / 24
    for record, expression in (
        ("slo:objective:ratio", f"vector({_plain(share)})"),
        ("slo:error_budget:ratio", f"vector({_plain(objective.budget)})"),
        ("slo:time_period:days", f"vector({_plain(days)})"),
        (
            "slo:current_burn_rate:ratio",
            f"max without (sloth_window) (slo:sli_error:ratio_rate5m{mine})\n/ {budget} slo:error_budget:ratio{mine}",
        ),
        (
            "slo:period_burn_rate:ratio",
            f"max without (sloth_window) (slo:sli_error:ratio_rate{objective.window}{mine})\n"
            f"/ {budget} slo:error_budget:ratio{mine}",
        ),
        (
            "slo:period_error_budget_remaining:ratio",
            f"1 - slo:period_burn_rate:ratio{mine}",
        ),
    ):
        yield {"record": record, "expr": expression, "labels": _labels(objective)}


def _alert(objective: Objective, severity: str) -> Rule:
    burns = [burn for burn in objective.burns if burn.severity == severity]
    counted = "1h" if severity == "page" else "1d"
    conditions = "\nor\n".join(_condition(objective, burn) for burn in burns)
    enough = (
        f'sum_over_time(slo:sli_total:increase5m{{sloth_id="{objective.id}"}}[{counted}:5m])'
        f" >= {objective.min_events}"
    )
    name = "".join(word.capitalize() for word in objective.name.split("_"))
    return {
        "alert": f"LLMSLO{name}",
        "expr": f"(\n{_indented(conditions)}\n)\nand on (sloth_id)\n{enough}",
        "labels": _labels(objective)
        | {"severity": severity, "category": objective.category}
        | dict(objective.labels),
        "annotations": _annotations(objective, burns),
    }


def _annotations(objective: Objective, burns: list[Burn]) -> dict[str, str]:
    told = " or ".join(
        f"{number(burn.factor * objective.budget * 100)} % bad over {burn.long} and {burn.short}"
        for burn in burns
    )
    text = (
        f"{objective.percent} % in {objective.window} are promised. This fires from {told}: "
        f"a burn rate of {' or '.join(number(burn.factor) for burn in burns)}."
    )
    return {
        "summary": f"{objective.service}/{objective.name} spends its error budget too fast",
        "description": f"{objective.description} {text}".strip(),
        "threshold": " or ".join(f"{number(burn.factor)} x over {burn.long}" for burn in burns),
        "runbook_url": objective.runbook_url,
        "dashboard_path": "/d/llm-slo",
    }


def _condition(objective: Objective, burn: Burn) -> str:
    limit = f"{_plain(burn.factor)} * {_plain(objective.budget)}"
    parts = (
        "max without (sloth_window) "
        f'(slo:sli_error:ratio_rate{window}{{sloth_id="{objective.id}"}} > {limit})'
        for window in (burn.short, burn.long)
    )
    return "(\n" + _indented("\nand\n".join(parts)) + "\n)"


_PERCENTILES: Final = {
    "total_p50": ("0.5", "llm_total_latency_seconds", "Median latency"),
    "total_p95": ("0.95", "llm_total_latency_seconds", "p95 latency"),
    "ttft_p95": ("0.95", "llm_ttft_seconds", "p95 time to the first token"),
}
_ALERTS: Final = {
    ("total_p50", "warning"): "LLMLatencyP50High",
    ("total_p50", "page"): "LLMLatencyP50Critical",
    ("total_p95", "warning"): "LLMLatencyP95High",
    ("total_p95", "page"): "LLMLatencyP95Critical",
    ("ttft_p95", "warning"): "LLMTTFTSlow",
    ("ttft_p95", "page"): "LLMTTFTCritical",
}


def _limit_rule(promises: Promises, limit: Limit) -> Rule:
    quantile, metric, what = _PERCENTILES[limit.percentile]
    features = [f'feature="{limit.feature}"'] if limit.feature else []
    features += [f'feature!="{feature}"' for feature in limit.others]
    matchers = ",".join(['data_mode="real"', *features])
    seconds = number(limit.seconds)
    return {
        "alert": _ALERTS[limit.percentile, limit.severity],
        "expr": f"histogram_quantile({quantile}, sum by (le, environment, feature) (\n"
        f"  rate({metric}_bucket{{{matchers}}}[5m])\n)) > {_plain(limit.seconds)}\n"
        "and on (environment, feature)\n"
        f"sum by (environment, feature) (increase({metric}_count{{{matchers}}}[5m])) > {promises.min_calls}",
        "for": "5m",
        "labels": {"severity": limit.severity, "category": "latency"},
        "annotations": {
            "summary": f"{what} of {{{{ $labels.feature }}}} above {seconds} s",
            "description": f"{what} of the last 5 minutes in {{{{ $labels.environment }}}} is "
            "{{ $value | humanizeDuration }}. One feature (prompt, input) or one model (provider)?",
            "threshold": f"> {seconds} s",
            "runbook_url": f"{promises.runbook_base.rstrip('/')}/latency-spike.md",
            "dashboard_path": "/d/llm-latency",
        },
    }


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _plain(value: Fraction) -> str:
    """Write a number for PromQL: as many digits as a double tells apart at this size."""
    return f"{float(value):.12g}"
