"""From a `Panel` to what Grafana calls one: options by visualisation, queries, overrides, links."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    dashboard,
    gauge,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    tempo,
    text,
    timeseries,
)
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.tempo import MetricsQueryType, SearchTableType
from grafana_foundation_sdk.models.text import TextMode

from grafana.build import absent, links
from grafana.build.model import Board, Panel, Query
from grafana.build.variables import PROMETHEUS, TEMPO

_METRIC: Final = re.compile(r"\b(?:(?:llm|otelcol|tempo)_[a-z0-9_]+|slo:[a-z0-9_:]+|ALERTS|up)\b")


def metrics_of(expr: str) -> list[str]:
    """Return the names of the metrics in a PromQL expression, in order."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)  # no label values
    bare = re.sub(r"\b(?:by|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)  # no labels
    return list(dict.fromkeys(_METRIC.findall(bare)))


def description(panel: Panel) -> str:
    """Return why a panel exists, what to do about it, from what it is made and where it is written down."""
    named = dict.fromkeys(name for query in panel.queries for name in metrics_of(query.expr))
    lines = [panel.why, panel.act]
    if panel.source == "prom":
        lines.append("From: " + ", ".join(f"`{name}`" for name in named) + ".")
    lines.append(f"[Runbook: {panel.runbook}](/public/runbooks/{panel.runbook}.md)")
    return "\n\n".join(lines)


def _reduce() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _stat(panel: Panel) -> Any:
    mode = (
        options.BigValueTextMode.VALUE if panel.single else options.BigValueTextMode.VALUE_AND_NAME
    )
    sparkline = (
        options.BigValueGraphMode.NONE if _instant(panel) else options.BigValueGraphMode.AREA
    )
    return (
        stat.Panel()
        .reduce_options(_reduce())
        .text_mode(mode)
        .graph_mode(sparkline)
        .color_mode(options.BigValueColorMode.VALUE)
    )


def _timeseries(panel: Panel) -> Any:
    built = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(25 if panel.stacked else 0)
        .show_points(options.VisibilityMode.NEVER)
        .span_nulls(120_000)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(options.LegendDisplayMode.TABLE)
            .placement(options.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
            .sort_by("Max")
            .sort_desc(True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(options.TooltipDisplayMode.MULTI)
            .sort(options.SortOrder.DESCENDING)
        )
    )
    if panel.stacked:
        built.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if panel.from_zero:
        built.axis_soft_min(0)  # a line that moved by little looks so
        if panel.unit == "percentunit":
            built.axis_soft_max(
                0.01
            )  # a line at 0 %, which is the good case, is drawn up to 10,000 % else
    if panel.thresholds:
        dashed = options.GraphThresholdsStyleMode.DASHED
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    return built


def _barchart(panel: Panel) -> Any:
    stacking = options.StackingMode.NORMAL if panel.stacked else options.StackingMode.NONE
    built = (
        barchart.Panel()
        .stacking(stacking)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .calcs([])
        )
    )
    if _instant(panel):
        return built.x_field("le").transformations(_distribution(panel))
    return built


def _distribution(panel: Panel) -> list[models.DataTransformerConfig]:
    """Join the queries by bucket; buckets are text, so they are numbers while they are sorted."""
    renamed = {f"Value #{_ref(i)}": query.legend for i, query in enumerate(panel.queries)}
    hidden = {"Time": True} | {f"Time {i + 1}": True for i in range(len(panel.queries))}

    def retype(kind: str) -> models.DataTransformerConfig:
        change = {"targetField": "le", "destinationType": kind}
        return _transform("convertFieldType", {"conversions": [change], "fields": {}})

    return [
        _transform("joinByField", {"byField": "le", "mode": "outer"}),
        retype("number"),
        _transform("sortBy", {"sort": [{"field": "le"}]}),
        retype("string"),
        _transform("organize", {"excludeByName": hidden, "renameByName": renamed}),
    ]


def _bargauge(_panel: Panel) -> Any:
    return (
        bargauge.Panel()
        .reduce_options(_reduce())
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .name_placement(options.BarGaugeNamePlacement.TOP)  # beside the bar long names are cut
    )


def _table(panel: Panel) -> Any:
    built = table.Panel().show_header(True).transformations(_columns(panel))
    if panel.source == "tempo":
        return built
    for name, query in zip(_values(panel), panel.queries, strict=True):
        judged = panel.thresholds or query.thresholds
        cell = {"type": "color-text"} if judged else {"type": "auto"}
        changes = [models.DynamicConfigValue("custom.cellOptions", cell)]
        if size(panel)[0] < 12:  # names need the room
            width = max(70, 9 * len(name) + 16)
            changes.append(models.DynamicConfigValue("custom.width", width))
        built.override_by_name(name, changes)
    return built


def _values(panel: Panel) -> list[str]:
    """Return what the columns of values are called."""
    if len(panel.queries) > 1:
        return [query.legend for query in panel.queries]
    return [panel.value_name or "value"]


def _columns(panel: Panel) -> list[models.DataTransformerConfig]:
    """Show the worst first, without the time of the answer: the largest, or the smallest where low is bad."""
    if panel.source == "tempo":
        return [_transform("sortBy", {"sort": [{"field": "duration", "desc": True}]})]
    several = len(panel.queries) > 1
    fields = [f"Value #{_ref(i)}" if several else "Value" for i in range(len(panel.queries))]
    renamed = dict(zip(fields, _values(panel), strict=True))
    hidden = {"Time": True, "sloth_id": True}  # the id repeats service and objective
    organize = _transform("organize", {"excludeByName": hidden, "renameByName": renamed})
    largest = next(iter(panel.thresholds), "") != "red"
    by_value = _transform("sortBy", {"sort": [{"field": _values(panel)[0], "desc": largest}]})
    return [*([_transform("merge", {})] if several else []), organize, by_value]


def _transform(kind: str, settings: Mapping[str, object]) -> models.DataTransformerConfig:
    return models.DataTransformerConfig(id_val=kind, options=settings)


def _heatmap(_panel: Panel) -> Any:
    return heatmap.Panel().calculate(False).y_axis(heatmap.YAxisConfig().unit(_panel.unit))


def _text(panel: Panel) -> Any:
    return text.Panel().mode(TextMode.MARKDOWN).content(panel.content)


def _plain(kind: str, settings: Mapping[str, object]) -> Callable[[Panel], Any]:
    """Return a builder for a visualisation that the SDK has none for."""
    return lambda _panel: dashboard.Panel().type(kind).options(dict(settings))


_ALERTS: Final = {
    "viewMode": "list",
    "groupMode": "default",
    "groupBy": [],
    "maxItems": 20,
    "sortOrder": 3,  # most important first
    "dashboardAlerts": False,
    "alertName": "",
    "alertInstanceLabelFilter": "",
    "datasource": "Prometheus",
    "stateFilter": {
        "firing": True,
        "pending": True,
        "error": True,
        "noData": False,
        "normal": False,
    },
}

_BUILDERS: Final[Mapping[str, tuple[Callable[[Panel], Any], int, int]]] = {
    # visualisation: (builder, usual width, height)
    "stat": (_stat, 4, 4),
    "timeseries": (_timeseries, 8, 8),
    "barchart": (_barchart, 8, 8),
    "bargauge": (_bargauge, 8, 8),
    "gauge": (lambda _panel: gauge.Panel().reduce_options(_reduce()), 12, 8),
    "table": (_table, 12, 8),
    "heatmap": (_heatmap, 12, 8),
    "state-timeline": (lambda _panel: statetimeline.Panel(), 12, 8),
    "text": (_text, 24, 9),
    "alertlist": (_plain("alertlist", _ALERTS), 12, 8),
    "traces": (_plain("traces", {}), 24, 24),
}


def size(panel: Panel) -> tuple[int, int]:
    """Return width and height in the grid."""
    _, width, height = _BUILDERS[panel.viz]
    return panel.width or width, height


def _instant(panel: Panel) -> bool:
    """Say whether a panel shows one moment: totals of the range, tables, distributions."""
    one_moment = panel.viz in ("table", "bargauge", "gauge")
    whole_range = all("$__range" in query.expr for query in panel.queries)
    return one_moment or (whole_range and panel.viz in ("stat", "barchart"))


def _ref(number: int) -> str:
    return chr(ord("A") + number)


def _prom(panel: Panel, number: int, query: Query) -> Builder[variants.Dataquery]:
    built = prometheus.Dataquery().datasource(PROMETHEUS).ref_id(_ref(number)).expr(query.expr)
    if query.legend:
        built.legend_format(query.legend)
    if _instant(panel):
        built.instant()
    else:
        built.range().exemplar(panel.exemplars)
    if panel.viz == "table" or (panel.viz == "barchart" and _instant(panel)):
        built.format(PromQueryFormat.TABLE)
    if panel.viz == "heatmap":
        built.format(PromQueryFormat.HEATMAP)
    return built


def _tempo(panel: Panel, number: int, query: Query) -> Builder[variants.Dataquery]:
    built = tempo.Dataquery().datasource(TEMPO).ref_id(_ref(number)).query_type("traceql")
    built.query(query.expr)
    if panel.viz == "table":
        spans = 100 if "trace:id" in query.expr else 10  # of one trace all, of many some
        built.limit(200).spss(spans).table_type(SearchTableType.SPANS)
    if re.search(r"\| *(?:sum_over_time|count_over_time|compare)\(", query.expr):
        one_moment = "topk" in query.expr or "count_over_time" in query.expr
        built.metrics_query_type(MetricsQueryType.INSTANT if one_moment else MetricsQueryType.RANGE)
    return built


_DECIMALS: Final = {"percentunit": 1, "suffix:x": 2, "locale": 0}
"""In columns beside others; a lone share has two."""
_STYLES: Final[Mapping[str, Mapping[str, object]]] = {
    "": {},
    "bold": {"custom.lineWidth": 2},
    "dotted": {"custom.lineStyle": {"fill": "dot", "dash": [0, 6]}},
}


def _overrides(built: Any, panel: Panel) -> None:
    """Give single queries their own unit, axis or line."""
    for number, query in enumerate(panel.queries):
        changes: dict[str, object] = {}
        if query.thresholds:
            steps = [{"color": c, "value": value} for c, value in query.thresholds.items()]
            changes["thresholds"] = {"mode": "absolute", "steps": steps}
            changes["color"] = {"mode": "thresholds"}
        if query.unit:
            changes["unit"] = query.unit
        if panel.viz == "table" and query.unit in _DECIMALS:
            changes["decimals"] = _DECIMALS[query.unit]
        if query.right:
            changes["custom.axisPlacement"] = "right"
        if query.dashed:
            changes["custom.lineStyle"] = {"fill": "dash", "dash": [10, 10]}
            changes["custom.fillOpacity"] = 0
        changes |= _STYLES[query.style]
        if changes:
            values = [models.DynamicConfigValue(key, value) for key, value in changes.items()]
            if panel.viz == "table":  # one frame after the merge: its columns have names alone
                built.override_by_name(query.legend, values)
            else:
                built.override_by_query(_ref(number), values)
    for field, trace_id in links.TO_TRACE if "llm-trace" in panel.links else ():
        link = {"title": "Open the trace", "url": links.trace_url(trace_id), "targetBlank": False}
        built.override_by_name(field, [models.DynamicConfigValue("links", [link])])


def _thresholds(steps: Mapping[str, float | None]) -> dashboard.ThresholdsConfig:
    found = [models.Threshold(value=value, color=colour) for colour, value in steps.items()]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def _colour(panel: Panel) -> dashboard.FieldColor:
    """By thresholds where a number is judged, else the same for all: Grafana's own choice is red from 80 on."""
    if panel.thresholds:
        return dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)
    plain = "text" if panel.viz in ("stat", "table") else "blue"
    return dashboard.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(plain)


def empty(panel: Panel) -> str:
    """Return what a panel says when it shows nothing; a query with a stand-in (`or`) is empty without traffic only."""
    first = panel.queries[0].expr
    named = metrics_of(first)
    if panel.empty or " or " in first or not named:
        return panel.empty or absent.NO_TRAFFIC
    return absent.reason(named[0])


def _mappings(panel: Panel) -> list[Any]:
    """NaN and null are nothing to show, whatever a ratio made of them."""
    result = models.ValueMappingResult(text=empty(panel), color="text", index=0)
    null = models.SpecialValueMatch.NULL_AND_NAN
    match = models.DashboardSpecialValueMapOptions(match=null, result=result)
    return [models.SpecialValueMap(options=match)]


def build(board: Board, panel: Panel, number: int, grid: models.GridPos) -> Any:
    """Return the SDK's builder of a panel at its place."""
    make, _, _ = _BUILDERS[panel.viz]
    built = make(panel).id(number).title(panel.title).description(description(panel)).grid_pos(grid)
    if panel.source == "none":
        return built.links(links.corner(board, panel))
    encode = _prom if panel.source == "prom" else _tempo
    built.datasource(PROMETHEUS if panel.source == "prom" else TEMPO)
    for position, query in enumerate(panel.queries):
        built.with_target(encode(panel, position, query))
    if panel.viz == "traces":
        return built.links(links.corner(board, panel))
    built.unit(panel.unit).no_value(empty(panel)).mappings(_mappings(panel))
    built.data_links([_data_link(*link) for link in links.of_panel(board, panel)])
    if panel.unit == "percentunit" and panel.viz in ("stat", "table", "bargauge", "gauge"):
        built.decimals(2)
    if panel.thresholds:
        built.thresholds(_thresholds(panel.thresholds))
    if panel.viz in ("stat", "bargauge", "gauge", "table"):
        built.color_scheme(_colour(panel))
    _overrides(built, panel)
    _times(built, panel)
    return built


def _data_link(title: str, url: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(title).url(url).target_blank(url.startswith("/explore"))


def _times(built: Any, panel: Panel) -> None:
    if panel.time_from:
        built.time_from(panel.time_from)
    if panel.min_step:
        built.interval(panel.min_step)
