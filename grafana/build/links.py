"""Where a click leads: the next board with filters and time range kept, or the traces behind a value."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import DashboardLink, DashboardLinkType

from grafana.build.model import Board, Panel
from grafana.build.variables import FILTERS, names

_TITLES: Final = {
    "llm-overview": "Overview",
    "llm-cost": "Cost",
    "llm-latency": "Latency",
    "llm-errors": "Errors",
    "llm-tokens": "Tokens",
    "llm-drift": "Drift",
    "llm-slo": "SLOs",
    "llm-investigate": "Investigate",
    "llm-focus-feature": "Focus on this feature",
    "llm-focus-prompt": "Focus on this prompt",
    "llm-focus-tenant": "Focus on this tenant",
    "llm-trace": "Open the trace",
    "llm-collector": "Collector",
}
_ATTRIBUTES: Final = {
    # label: its attribute in TraceQL
    "environment": ".deployment.environment.name",
    "feature": "span.app.llm.feature",
    "provider": "span.gen_ai.provider.name",
    "model": "span.gen_ai.response.model",
    "tenant": "span.app.llm.tenant.id",
    "prompt_version": "span.app.llm.prompt.template.version",
}
_ALWAYS: Final = ("environment", "feature")
"""Filters every trace search carries, chosen or clicked."""

_GROUPED: Final = re.compile(r"\bby \(([^)]*)\)")


def labels_of(panel: Panel) -> tuple[str, ...]:
    """Return the filters that tell the series of a panel apart: their values can be filled in on the next board."""
    shown = " ".join(query.legend for query in panel.queries)
    if panel.viz == "table":
        shown = " ".join(
            "{{" + label.strip() + "}}"
            for query in panel.queries
            for group in _GROUPED.findall(query.expr)
            for label in group.split(",")
        )
    return tuple(name for name in FILTERS if "{{" + name + "}}" in shown)


def _clicked(panel: Panel, label: str) -> str:
    return f"${{__data.fields.{label}}}" if panel.viz == "table" else f"${{__field.labels.{label}}}"


def to_board(uid: str, board: Board, panel: Panel) -> str:
    """Return the URL of another board; a variable is never given twice."""
    labels = labels_of(panel)
    if not labels:
        return f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}"
    kept = [f"${{{name}:queryparam}}" for name in names(board.variables) if name not in labels]
    filled = [f"var-{label}={_clicked(panel, label)}" for label in labels]
    return "&".join((f"/d/{uid}?${{__url_time_range}}", *kept, *filled))


def to_traces(panel: Panel) -> str:
    """Return the URL of a search for the calls behind a value, in Explore."""
    clicked = {name for name in labels_of(panel) if name in _ATTRIBUTES}
    terms = ['span.app.llm.span.class = "model_call"']
    for name, attribute in _ATTRIBUTES.items():
        if name in clicked:
            terms.append(f"{attribute} = `{_clicked(panel, name)}`")
        elif name in _ALWAYS:
            terms.append(f'{attribute} =~ "${{{name}:pipe}}"')
    query = {
        "refId": "A",
        "datasource": {"type": "tempo", "uid": "${ds_tempo}"},
        "queryType": "traceql",
        "query": "{ " + " && ".join(terms) + " }",
        "limit": 200,
        "tableType": "spans",
    }
    panes = {
        "a": {
            "datasource": "${ds_tempo}",
            "queries": [query],
            "range": {"from": "${__from}", "to": "${__to}"},
        }
    }
    return f"/explore?schemaVersion=1&orgId=1&panes={_quoted(json.dumps(panes, separators=(',', ':')))}"


def _quoted(text: str) -> str:
    """Percent-encode everything but Grafana's variables."""
    parts = re.split(r"(\$\{[^}]*\})", text)
    return "".join(part if part.startswith("${") else quote(part, safe="") for part in parts)


def _link(title: str, url: str) -> builders.DashboardLink:
    return builders.DashboardLink(title).type(DashboardLinkType.LINK).url(url).tooltip(title)


def has_traces(panel: Panel) -> bool:
    """Say whether a panel shows calls that the trace store may have: those filtered by feature."""
    return panel.source == "prom" and any("$feature" in query.expr for query in panel.queries)


def of_panel(board: Board, panel: Panel) -> list[tuple[str, str]]:
    """Return (title, URL) of what a click on a value offers."""
    found = [
        (_TITLES[uid], to_board(uid, board, panel)) for uid in panel.links if uid != "llm-trace"
    ]
    if has_traces(panel):
        found.append(("Traces behind it", to_traces(panel)))
    return found


def corner(board: Board, panel: Panel) -> list[builders.DashboardLink]:
    """Return the links in a panel's corner, for those without values to click on: text, alerts, traces."""
    return [_link(title, url) for title, url in of_panel(board, panel)]


def header() -> list[Builder[DashboardLink]]:
    """Return the links above every board."""
    boards = (
        builders.DashboardLink("LLM boards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["llm"])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )
    yesterday = _link("Yesterday", "?from=now-1d/d&to=now-1d/d&${__all_variables}")
    return [boards, yesterday]


TO_TRACE: Final = (
    # (field of a trace table, where the id of its trace stands)
    ("spanID", "${__data.fields.traceIdHidden}"),
    ("traceID", "${__value.raw}"),
)


def trace_url(trace_id: str) -> str:
    """Return the URL of the board that shows one trace, for viewers who have no Explore."""
    return f"/d/llm-trace?var-trace_id={trace_id}&${{__url_time_range}}&${{ds_tempo:queryparam}}"
