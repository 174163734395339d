"""What the committed dashboards promise, as far as it can be read off their JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from jsonschema import Draft7Validator

from collector import telemetry
from grafana.build.panels import metrics_of
from grafana.build.render import FOLDER, files
from processors.llm_metrics import catalogue
from tests.stack import traceql
from tests.stack.boards import REPOSITORY, UIDS, Shown, everything, load, panels

FOREIGN = {
    # metrics that others produce, and their labels
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "severity", "sloth_slo", "sloth_service"},
    "tempo_distributor_attributes_truncated_total": set(),
    "tempo_discarded_spans_total": {"reason"},
    # the applications' own gauges, passed through
    "llm_inflight_requests": {"environment", "data_mode", "provider"},
    "llm_queue_depth": {"environment", "data_mode", "provider"},
    "llm_topic_kl_divergence": {"environment", "data_mode", "feature"},
    # the freshness probe
    "llm_freshness_seconds": {"signal"},
    "llm_freshness_probes_total": {"signal", "result"},
    "llm_freshness_last_success_timestamp_seconds": {"signal"},
}
SCHEMA = json.loads(
    (Path(__file__).parents[1] / "golden" / "grafana" / "schema.json").read_text("utf-8")
)
"""What Grafana 13 says its boards look like; made by grafana_schema.py."""
SCRAPED = {"instance", "job", "le", "__name__"}
SLO_LABELS = {"sloth_service", "sloth_slo", "sloth_id", "environment"}
EVERYTHING = everything()
PROMETHEUS = [one for one in EVERYTHING if one.source == "prometheus"]
TEMPO = [one for one in EVERYTHING if one.source == "tempo"]


def known() -> dict[str, set[str]]:
    """Return every metric with its labels."""
    own = {one.name: {*one.labels, one.owner} for one in telemetry.METRICS}
    return own | {one.name: set(one.labels) for one in catalogue.METRICS} | FOREIGN


def family(series: str) -> str:
    """Return the metric that a series belongs to."""
    histograms = {one.name for one in catalogue.METRICS if one.kind == "histogram"}
    histograms |= {one.name for one in telemetry.METRICS if one.kind == "histogram"}
    histograms.add("llm_freshness_seconds")
    bare = re.sub(r"_(bucket|sum|count)$", "", series)
    return bare if bare in histograms else series


def test_regenerating_the_boards_changes_nothing() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert committed == files()


def test_the_uids_that_alerts_link_to_exist() -> None:
    assert {load(uid)["uid"] for uid in UIDS} == set(UIDS)
    assert len(list(FOLDER.glob("*.json"))) == len(UIDS)


@pytest.mark.parametrize("uid", UIDS)
def test_boards_share_header_variables_and_marks(uid: str) -> None:
    board = load(uid)
    assert (board["tags"], board["editable"], board["refresh"], board["graphTooltip"]) == (
        ["llm"], False, "1m", 1,
    )  # fmt: skip
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names[:11] == [
        "ds_prom", "ds_tempo", "environment", "data_mode", "provider", "model", "feature", "tenant",
        "prompt_version", "variant", "baseline",
    ]  # fmt: skip
    mode = board["templating"]["list"][3]
    assert mode["current"]["value"] == ["real"]
    marks = [mark["name"] for mark in board["annotations"]["list"]]
    assert marks[0] == "Prompt version first seen"
    assert [link["title"] for link in board["links"]] == ["LLM boards", "Yesterday"]


@pytest.mark.parametrize("uid", UIDS)
def test_panels_fill_the_grid_without_overlap(uid: str) -> None:
    board = load(uid)
    taken: Counter[tuple[int, int]] = Counter()
    for one in board["panels"]:
        grid = one["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        taken.update(
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        )
    assert max(taken.values()) == 1
    ids = [one["id"] for one in board["panels"]] + [shown.panel["id"] for shown in panels(uid)]
    inside = [inner["id"] for one in board["panels"] for inner in one.get("panels", ())]
    assert len(set(ids)) == len(board["panels"]) + len(inside)


@pytest.mark.parametrize("shown", EVERYTHING, ids=str)
def test_a_panel_says_why_it_exists_and_what_to_do(shown: Shown) -> None:
    why, act, *rest = shown.panel["description"].split("\n\n")
    assert len(why) > 10
    assert len(act) > 10
    runbook = re.fullmatch(r"\[Runbook: ([\w-]+)\]\(/public/runbooks/\1\.md\)", rest[-1])
    assert runbook is not None
    assert (REPOSITORY / "prometheus" / "runbooks" / f"{runbook[1]}.md").exists()


@pytest.mark.parametrize("shown", [one for one in EVERYTHING if one.source], ids=str)
def test_a_panel_has_a_unit_and_a_chosen_data_source(shown: Shown) -> None:
    if shown.panel["type"] != "traces":
        assert shown.panel["fieldConfig"]["defaults"]["unit"]
        assert shown.panel["fieldConfig"]["defaults"]["noValue"]
    sources = {target["datasource"]["uid"] for target in shown.panel["targets"]}
    assert sources == {shown.panel["datasource"]["uid"]}
    assert sources <= {"${ds_prom}", "${ds_tempo}"}


@pytest.mark.parametrize(
    "shown", [one for one in PROMETHEUS if one.panel["type"] == "timeseries"], ids=str
)
def test_a_ratio_that_stays_at_nothing_has_an_axis_up_to_one_percent(shown: Shown) -> None:
    """Left to itself Grafana ends it at 10,000 %."""
    defaults = shown.panel["fieldConfig"]["defaults"]
    bounded = "axisSoftMax" in defaults["custom"]
    assert bounded == (defaults["unit"] == "percentunit" and "axisSoftMin" in defaults["custom"])


@pytest.mark.parametrize(
    "shown", [one for one in EVERYTHING if one.panel["type"] in ("timeseries", "barchart")], ids=str
)
def test_the_series_of_a_panel_are_named_below_it(shown: Shown) -> None:
    """Left to itself Grafana names the bars of a chart nowhere."""
    assert shown.panel["options"]["legend"]["showLegend"] is True


OF_EVERY_CALL = re.compile(
    r"llm_(?:requests|cost_usd|(?:input|output|cache_read|cache_write|reasoning)_tokens|total_latency|model_served"
    r"|cache_hit_ratio|request_(?:cost|input|output)|cost_(?:reported|estimated))_"
)


@pytest.mark.parametrize("shown", PROMETHEUS, ids=str)
def test_an_empty_panel_blames_the_traffic_only_for_what_every_call_has(shown: Shown) -> None:
    said = shown.panel["fieldConfig"]["defaults"]["noValue"]
    mapped = {
        mapping["options"]["result"]["text"]
        for mapping in shown.panel["fieldConfig"]["defaults"]["mappings"]
    }
    assert mapped == {said}
    (first, *_) = shown.expressions()
    named = metrics_of(first)
    if said == "No traffic" and named and " or " not in first:
        assert OF_EVERY_CALL.match(named[0]), named


@pytest.mark.parametrize(
    "shown",
    [one for one in EVERYTHING if one.panel["type"] in ("stat", "table", "bargauge", "gauge")],
    ids=str,
)
def test_only_a_number_that_is_judged_is_coloured(shown: Shown) -> None:
    """Left to itself Grafana draws numbers from 80 on in red, dollars and calls too."""
    config = shown.panel["fieldConfig"]
    overrides = [
        {change["id"]: change["value"] for change in override["properties"]}
        for override in config["overrides"]
    ]
    parts = [config["defaults"], *overrides]
    for part in parts:
        judged = "thresholds" in part
        assert part.get("color", {}).get("mode", "") == (
            "thresholds" if judged else "fixed" if part is parts[0] else ""
        )
        if judged:
            values = [step["value"] for step in part["thresholds"]["steps"]]
            assert values[0] is None
            assert values[1:] == sorted(values[1:])


@pytest.mark.parametrize("shown", EVERYTHING, ids=str)
def test_a_panel_leads_on_with_filters_and_time_kept(shown: Shown) -> None:
    links = shown.links()
    assert links
    names = {variable["name"] for variable in load(shown.uid)["templating"]["list"]}
    for url in links:
        if url.startswith("/explore?"):
            assert explored(url)
            continue
        uid, _, query = url.removeprefix("/d/").partition("?")
        assert uid in UIDS
        parts = query.split("&")
        assert "${__url_time_range}" in parts
        given = [
            re.sub(r"^\$\{(\w+):queryparam\}$|^var-(\w+)=.*$", r"\1\2", part) for part in parts
        ]
        assert len(given) == len(set(given))
        if uid != "llm-trace" and "${__all_variables}" not in parts:
            assert names <= set(given)


def explored(url: str) -> str:
    """Return the TraceQL of a link to Explore, after reading it the way a browser and Grafana do."""
    sample = re.sub(r"\$\{[^}]*\}", "x", url)
    panes = json.loads(unquote(sample.split("panes=")[1]))
    query: str = panes["a"]["queries"][0]["query"]
    assert traceql.problems(query) == []
    return query


@pytest.mark.parametrize("shown", PROMETHEUS, ids=str)
def test_every_metric_and_label_of_a_panel_exists(shown: Shown) -> None:
    metrics = known()
    for expr in shown.expressions():
        named = metrics_of(expr)
        assert named or "__name__" in expr
        labels: set[str] = set(SCRAPED)
        for series in named:
            if series.startswith("slo:"):
                labels |= SLO_LABELS
                continue
            assert family(series) in metrics, series
            labels |= metrics[family(series)]
        made = set(re.findall(r'label_replace\(.*?, "(\w+)"', expr))
        assert used_labels(expr) <= labels | made


def used_labels(expr: str) -> set[str]:
    """Return the labels that an expression filters or groups by."""
    matched = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expr))
    groups = re.findall(r"\b(?:by|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", expr)
    return matched | {label.strip() for group in groups for label in group.split(",")} - {""}


def test_every_metric_of_the_catalogue_is_on_a_board() -> None:
    shown = {
        family(series)
        for one in PROMETHEUS
        for expr in one.expressions()
        for series in metrics_of(expr)
    }
    marks = {
        family(series)
        for mark in load("llm-overview")["annotations"]["list"]
        for series in metrics_of(mark.get("expr", ""))
    }
    assert {one.name for one in catalogue.METRICS} <= shown | marks


@pytest.mark.parametrize("shown", PROMETHEUS, ids=str)
def test_a_counter_is_never_shown_raw(shown: Shown) -> None:
    for expr in shown.expressions():
        for series in metrics_of(expr):
            if series.endswith(("_total", "_bucket", "_sum", "_count")):
                assert re.search(rf"(?:rate|increase)\({series}\b", expr), expr


_MATCHING = re.compile(r"(?:(?:on|ignoring) ?\([^)]*\) ?)?(?:group_left ?\([^)]*\) ?)?")


def divisors(expr: str) -> list[str]:
    """Return what is divided by: up to the end of the parentheses it opens."""
    found = []
    for divided in re.finditer(" / ", expr):
        begin = _MATCHING.match(expr, divided.end()).end()  # type: ignore[union-attr] # it matches nothing, too
        depth, end = 0, begin
        while end < len(expr) and (depth or expr[end] not in "), "):
            depth += (expr[end] == "(") - (expr[end] == ")")
            end += 1
        found.append(expr[begin:end])
    return found


@pytest.mark.parametrize("shown", PROMETHEUS, ids=str)
def test_nothing_is_divided_by_what_did_not_happen(shown: Shown) -> None:
    """Money over no answered call is infinitely dear. A share of itself is no number then, and no number is no line."""
    for expr in shown.expressions() if shown.uid != "llm-drift" else ():
        for divisor in divisors(expr):
            counted = re.match(r"\(*(?:sum|increase|rate)\b", divisor)
            assert not counted or divisor.endswith("> 0)"), expr


@pytest.mark.parametrize("shown", TEMPO, ids=str)
def test_traceql_avoids_the_known_traps(shown: Shown) -> None:
    for query in shown.expressions():
        assert traceql.problems(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "{ span.app.llm.cost_usd > 1 }",
        "{ span.app.llm.cost_usd != 0 }",
        "{ span.gen_ai.usage.input_tokens > 0.5 }",
        "{ span.gen_ai.usage.input_tokens >= 1.0 }",
        "{ } | sum_over_time(span.app.llm.cost_usd) by (span.user.id)",
        r'{ span.app.llm.feature = "checkout\.summary" }',
        '{ span.app.llm.feature =~ "$feature" }',
        '{ span.app.llm.feature =~ "${feature}" }',
        "{ span.a = 1 ",
    ],
)
def test_the_traceql_lint_finds_each_trap(query: str) -> None:
    assert len(traceql.problems(query)) == 1


@pytest.mark.parametrize(
    "query",
    [
        "{ span.app.llm.cost_usd > 1.0 && span.gen_ai.usage.input_tokens > 100 }",
        "{ span.app.llm.cost_usd != nil } | sum_over_time(span.app.llm.cost_usd) by (span.user.id)",
        '{ span.app.llm.feature =~ "${feature:pipe}" && duration > 5s }',
        "{ span.app.llm.feature = `checkout.summary` }",
    ],
)
def test_the_traceql_lint_accepts_what_works(query: str) -> None:
    assert traceql.problems(query) == []


def test_variables_that_feed_cost_comparisons_offer_doubles_only() -> None:
    for uid in UIDS:
        for variable in load(uid)["templating"]["list"]:
            if variable["name"] == "min_cost":
                assert all("." in option["value"] for option in variable["options"])


def test_provisioning_names_the_data_sources_that_boards_choose() -> None:
    folder = REPOSITORY / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "stack.yaml").read_text("utf-8"))
    uids = {one["uid"]: one["type"] for one in sources["datasources"]}
    assert uids == {"prometheus": "prometheus", "tempo": "tempo", "alertmanager": "alertmanager"}
    variables = {v["name"]: v for v in load("llm-overview")["templating"]["list"]}
    for name, uid in (("ds_prom", "prometheus"), ("ds_tempo", "tempo")):
        assert variables[name]["query"] == uids[uid]
        assert variables[name]["current"]["value"] == uid
    destinations = sources["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"]
    assert {one["name"] for one in destinations} == {"trace_id"}  # the exemplars' label
    provider = yaml.safe_load((folder / "dashboards" / "llm.yaml").read_text("utf-8"))
    assert provider["providers"][0]["allowUiUpdates"] is False


OF_PROMETHEUS = ("expr", "step", "textFormat", "titleFormat")
"""Settings of a mark that its data source reads; Grafana's schema knows no data source's."""


@pytest.mark.parametrize("uid", UIDS)
def test_a_board_has_the_shape_that_grafana_describes(uid: str) -> None:
    board = load(uid)
    for mark in board["annotations"]["list"]:
        for key in OF_PROMETHEUS:
            mark.pop(key, None)
    assert [error.message for error in Draft7Validator(SCHEMA["board"]).iter_errors(board)] == []


@pytest.mark.parametrize("shown", EVERYTHING, ids=str)
def test_a_panel_has_the_options_of_its_type(shown: Shown) -> None:
    kind = shown.panel["type"]
    custom = shown.panel.get("fieldConfig", {}).get("defaults", {}).get("custom")
    for part, settings in (("options", shown.panel.get("options")), ("custom", custom)):
        if settings and kind in SCHEMA[part]:
            errors = Draft7Validator(SCHEMA[part][kind]).iter_errors(settings)
            assert [error.message for error in errors] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("graphTooltip",), 7),
        (("links", 0, "type"), "boards"),
        (("templating", "list", 0, "type"), "source"),
        (("panels", 1, "gridPos", "w"), "wide"),
        (("unheard_of",), True),
    ],
)
def test_the_schema_would_notice(path: tuple[str | int, ...], value: object) -> None:
    board = load("llm-overview")
    for mark in board["annotations"]["list"]:
        for key in OF_PROMETHEUS:
            mark.pop(key, None)
    inner: Any = board
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert not Draft7Validator(SCHEMA["board"]).is_valid(board)
