"""Objectives: their arithmetic, their file, the command."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from collector.cli import cli
from collector.defaults import CONFIGS
from collector.errors import ConfigError
from collector.slo.objectives import BURNS, Objective, load
from collector.slo.rules import write

SHIPPED = CONFIGS / "slo.yaml"
ONE: dict[str, Any] = {
    "name": "api_success",
    "objective": 99.5,
    "window": "30d",
    "ratio": {"total": "llm_requests_total", "bad": 'llm_requests_total{status!="success"}'},
}


def file_with(folder: Path, *slos: dict[str, Any], **rest: Any) -> Path:
    """Write a file of objectives."""
    file = folder / "slo.yaml"
    file.write_text(yaml.safe_dump({"service": "llm", "slos": list(slos), **rest}))
    return file


def problems(file: Path) -> list[tuple[str, str]]:
    """Return the paths and sentences of everything that is wrong with a file."""
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert all(problem.line for problem in caught.value.problems)
    return [(problem.path, problem.text) for problem in caught.value.problems]


def shipped(name: str) -> Objective:
    """Return one of the shipped objectives."""
    return next(o for o in load(SHIPPED).objectives if o.name == name)


@pytest.mark.parametrize(
    ("window", "factors"),
    [
        ("30d", ("14.4", "6", "3", "1")),
        ("28d", ("13.44", "5.6", "2.8", "14/15")),
        ("7d", ("13.44", "3.5", "1.4", "0.98")),
    ],
)
def test_burn_rates_follow_from_shares_of_the_budget(window: str, factors: tuple[str, ...]) -> None:
    assert tuple(burn.factor for burn in BURNS[window]) == tuple(map(Fraction, factors))


@pytest.mark.parametrize(
    ("name", "budget", "bad_share"),
    [
        ("api_success", "0.005", ("0.072", "0.03", "0.015", "0.005")),
        ("ttft_under_1s", "0.05", ("0.72", "0.3", "0.15", "0.05")),
        ("total_under_5s", "0.01", ("0.144", "0.06", "0.03", "0.01")),
        ("cost_under_threshold", "0.01", ("0.144", "0.06", "0.03", "0.01")),
        ("quality_above_threshold", "0.05", ("0.672", "0.175", "0.07", "0.049")),
        ("output_validity", "0.01", ("0.144", "0.06", "0.03", "0.01")),
        ("freshness_p95_5m", "0.05", ("0.72", "0.3", "0.15", "0.05")),
    ],
)
def test_shipped_objectives_alert_from_these_shares(
    name: str, budget: str, bad_share: tuple[str, ...]
) -> None:
    objective = shipped(name)
    assert objective.budget == Fraction(budget)
    held = tuple(burn.factor * objective.budget for burn in objective.burns)
    assert held == tuple(map(Fraction, bad_share))


def test_the_shipped_file_says_its_budgets_in_numbers() -> None:
    text = SHIPPED.read_text("utf-8")
    for objective in load(SHIPPED).objectives:
        assert f"  # {objective.summary()}\n  - name: {objective.name}\n" in text.replace(
            "freshness_p95_5m #", "freshness_p95_5m\n#"
        )


def test_the_budget_of_99_5_percent_is_216_minutes() -> None:
    assert "5,000 of a million events, or 216 minutes in 30d" in shipped("api_success").summary()


@pytest.mark.parametrize(("objective", "refused"), [(93, True), (93.05, True), (93.06, False)])
def test_an_objective_whose_page_could_never_fire_is_refused(
    tmp_path: Path, objective: float, refused: bool
) -> None:
    file = file_with(tmp_path, ONE | {"objective": objective})
    if refused:
        ((path, text),) = problems(file)
        assert path == "slos[0].objective"
        assert "more bad events than there are events" in text
    else:
        load(file)


@pytest.mark.parametrize("objective", [0, 100])
def test_an_objective_leaves_a_budget_and_is_one(tmp_path: Path, objective: int) -> None:
    ((path, _),) = problems(file_with(tmp_path, ONE | {"objective": objective}))
    assert path == "slos[0].objective"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    under = {key: ONE[key] for key in ("objective", "window")}
    told = dict(
        problems(
            file_with(
                tmp_path,
                ONE,
                ONE,
                under | {"name": "none"},
                under | {"name": "bound", "under": {"metric": "llm_ttft_seconds", "le": 1.2}},
                under | {"name": "kind", "under": {"metric": "llm_requests_total", "le": 1}},
                under | {"name": "typo", "ratio": ONE["ratio"] | {"bad": "llm_request_total"}},
                under | {"name": "text", "ratio": ONE["ratio"] | {"bad": "sum(x)"}},
                under
                | {"name": "sloth", "sli": {"events": {"error_query": "a", "total_query": "b"}}},
            )
        )
    )
    assert "another under slos[0]" in told["slos[1].name"]
    assert "expected one of ratio, under and sli, got none" in told["slos[2]"]
    assert "a bound of the buckets" in told["slos[3].under.le"]
    assert "expected a histogram" in told["slos[4].under.metric"]
    assert "did you mean" in told["slos[5].ratio.bad"]
    assert "expected a selector" in told["slos[6].ratio.bad"]
    assert "{{.window}}" in told["slos[7].sli.events"]


def test_a_file_that_is_no_yaml_is_a_problem_with_a_place(tmp_path: Path) -> None:
    file = tmp_path / "slo.yaml"
    file.write_text("service: [")
    assert problems(file)


def test_events_of_sloth_are_taken_as_they_are(tmp_path: Path) -> None:
    events = {
        "error_query": "sum(rate(errors_total[{{.window}}]))",
        "total_query": "sum(rate(calls_total[{{.window}}]))",
    }
    slo = {"name": "mine", "objective": 99.9, "window": "28d", "sli": {"events": events}}
    rules = yaml.safe_load(write(load(file_with(tmp_path, slo)), "slo.yaml"))["groups"][0]["rules"]
    assert rules[0]["expr"] == "sum(rate(errors_total[5m]))\n/ (sum(rate(calls_total[5m])) > 0)"


def test_where_goes_into_every_selector(tmp_path: Path) -> None:
    file = file_with(tmp_path, ONE, ONE | {"name": "own", "where": ""}, where='data_mode="real"')
    first, second = load(file).objectives
    assert first.total == 'sum(rate(llm_requests_total{data_mode="real"}[{{.window}}]))'
    assert 'llm_requests_total{status!="success",data_mode="real"}' in first.bad
    assert second.total == "sum(rate(llm_requests_total{}[{{.window}}]))"


def test_a_feature_with_limits_of_its_own_leaves_the_common_rule(tmp_path: Path) -> None:
    latency = {
        "total_p95": {"warning": "8s", "page": "15s"},
        "features": {"code_review": {"total_p95": {"warning": "40s"}}},
    }
    groups = yaml.safe_load(write(load(file_with(tmp_path, ONE, latency=latency)), "x"))["groups"]
    expressions = [(rule["alert"], rule["expr"]) for rule in groups[-1]["rules"]]
    common, own, page = expressions
    assert [name for name, _ in expressions] == [
        "LLMLatencyP95High",
        "LLMLatencyP95High",
        "LLMLatencyP95Critical",
    ]
    assert 'feature!="code_review"' in common[1]
    assert "> 8\n" in common[1]
    assert 'feature="code_review"' in own[1]
    assert "> 40\n" in own[1]
    assert "code_review" not in page[1]


def test_the_command_prints_budgets_and_writes_rules(tmp_path: Path) -> None:
    shown = CliRunner().invoke(cli, ["slo"])
    assert shown.exit_code == 0
    assert "budget 0.5 %: 5,000 of a million events, or 216 minutes in 30d" in shown.output
    target = tmp_path / "slo.yml"
    assert CliRunner().invoke(cli, ["slo", "--write", str(target)]).exit_code == 0
    printed = CliRunner().invoke(cli, ["slo", "--write", "-"])
    assert printed.output == target.read_text("utf-8")
