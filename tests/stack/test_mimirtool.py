"""Grafana's own tool reads every board and every rule, and names no metric that nobody produces."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import peer
from tests.stack.boards import FOLDER, UIDS
from tests.stack.rules import RULE_FILES, known_metrics

pytestmark = pytest.mark.peer

WITHOUT_QUERIES = {f'unsupported panel type: "{kind}"' for kind in ("row", "text", "alertlist", "traces")}  # fmt: skip
"""What it says of these kinds of panels, which have no PromQL."""


def analyze(what: str, files: list[Path], report: Path) -> dict[str, Any]:
    """Return the report of `mimirtool analyze`."""
    command = [peer("mimirtool-20260423"), "analyze", what, *map(str, files), f"--output={report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return found


def with_a_baseline(uid: str, folder: Path) -> Path:
    """Return a copy of a board: the tool fills in Grafana's own variables, but not ours."""
    copy = folder / f"{uid}.json"
    text = (FOLDER / copy.name).read_text("utf-8")
    copy.write_text(text.replace("offset $baseline", "offset 7d"), "utf-8")
    return copy


@pytest.mark.parametrize("uid", UIDS)
def test_a_board_names_known_metrics(uid: str, tmp_path: Path) -> None:
    report = analyze("dashboard", [with_a_baseline(uid, tmp_path)], tmp_path / "report.json")
    (board,) = report["dashboards"]
    assert set(board.get("parse_errors") or ()) <= WITHOUT_QUERIES
    assert report["metricsUsed"]
    assert set(report["metricsUsed"]) <= known_metrics()


def test_the_rules_name_known_metrics(tmp_path: Path) -> None:
    report = analyze("rule-file", RULE_FILES, tmp_path / "report.json")
    assert not [group for group in report["ruleGroups"] if group.get("parse_errors")]
    assert set(report["metricsUsed"]) <= known_metrics()
    assert len(report["ruleGroups"]) > 20


def test_an_unknown_metric_is_found(tmp_path: Path) -> None:
    copy = with_a_baseline("llm-cost", tmp_path)
    text = copy.read_text("utf-8")
    copy.write_text(text.replace("llm_cost_usd_total", "llm_cost_total"), "utf-8")
    report = analyze("dashboard", [copy], tmp_path / "report.json")
    assert set(report["metricsUsed"]) - known_metrics() == {"llm_cost_total"}
