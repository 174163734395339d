"""Variables and annotations: the same on every board, so that links can carry all of them."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${ds_prom}")
TEMPO: Final = DataSourceRef(type_val="tempo", uid="${ds_tempo}")

_REQUESTS: Final = "llm_requests_total"
_ENVIRONMENT: Final = '{environment=~"$environment"}'
_OF_FEATURE: Final = '{environment=~"$environment",feature=~"$feature"}'

FILTERS: Final = {
    # variable: (selector of llm_requests_total, description)
    "environment": ("", "Where: production, staging, …"),
    "data_mode": ("", "Real traffic, or test, demo and synthetic"),
    "provider": (_ENVIRONMENT, "Who serves the model"),
    "model": ('{environment=~"$environment",provider=~"$provider"}', "The model that answered"),
    "feature": (_ENVIRONMENT, "The part of the product that calls"),
    "tenant": (_OF_FEATURE, "The customer"),
    "prompt_version": (_OF_FEATURE, "Version of the prompt template"),
    "variant": (_OF_FEATURE, "Experiment and variant"),
}
"""Filters that every board has; their names are labels."""

_EXTRA: Final = {
    "slo_service": ("label_values(slo:objective:ratio, sloth_service)", "Service of the objective"),
    "slo": (
        'label_values(slo:objective:ratio{sloth_service=~"$slo_service"}, sloth_slo)',
        "Objective",
    ),
}
_TEXT: Final = {
    "min_duration": ("5s", "Shortest duration of a slow call"),
    "alert": ("", "The alert that led here"),
    "trace_id": ("", "Trace to show"),
}
_CHOICES: Final = {
    "baseline": (("1h", "1d", "7d", "28d"), "7d", "How long ago is normal?"),
    # always with a decimal point: TraceQL compares a double with an integer literal as never greater
    "min_cost": (
        ("0.01", "0.1", "1.0", "10.0"),
        "0.1",
        "Smallest cost of an expensive call, in USD",
    ),
}


def of_board(extra: tuple[str, ...]) -> list[Builder[VariableModel]]:
    """Return the variables of a board: data sources, filters, the baseline and its own."""
    found: list[Builder[VariableModel]] = [
        _datasource("ds_prom", "prometheus"),
        _datasource("ds_tempo", "tempo"),
    ]
    for name, (selector, description) in FILTERS.items():
        found.append(_query(name, f"label_values({_REQUESTS}{selector}, {name})", description))
    return found + [_named(name) for name in ("baseline", *extra)]


def names(extra: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a board's variables."""
    return ("ds_prom", "ds_tempo", *FILTERS, "baseline", *extra)


def _named(name: str) -> Builder[VariableModel]:
    if name in _EXTRA:
        return _query(name, *_EXTRA[name])
    if name in _TEXT:
        value, description = _TEXT[name]
        option = VariableOption(selected=True, text=value, value=value)
        box = builders.TextBoxVariable(name).default_value(value).current(option)
        return box.description(description)
    values, default, description = _CHOICES[name]
    options = [VariableOption(selected=v == default, text=v, value=v) for v in values]
    chosen = next(option for option in options if option.selected)
    custom = builders.CustomVariable(name).values(",".join(values)).options(options)
    return custom.current(chosen).description(description)


def _datasource(name: str, kind: str) -> Builder[VariableModel]:
    hidden = builders.DatasourceVariable(name).type(kind).hide(VariableHide.HIDE_VARIABLE)
    return hidden.current(VariableOption(selected=True, text=kind.capitalize(), value=kind))


def _query(name: str, query: str, description: str) -> Builder[VariableModel]:
    """Return a variable whose values come from Prometheus; `data_mode` begins with real traffic."""
    chosen = ["real"] if name == "data_mode" else ["$__all"]
    text = ["real"] if name == "data_mode" else ["All"]
    return (
        builders.QueryVariable(name)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": f"Prometheus-{name}", "qryType": 1})
        .description(description)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .current(VariableOption(selected=True, text=text, value=chosen))
    )


def _first_seen(metric: str, labels: str, selector: str) -> str:
    """Return a query that is true for the first minutes of a label set and needs no state: restarts do not matter."""
    series = f"{metric}{{{selector}}}"
    return (
        f"count by ({labels}) ({series})"
        f" unless count by ({labels}) (count_over_time({series}[1d] offset 5m))"
    )


_IN: Final = 'environment=~"$environment"'
_MARKS: Final = (
    # each: name, colour, query, text of the mark
    (
        "Prompt version first seen", "purple",
        _first_seen(_REQUESTS, "feature, prompt_version, environment", _IN + ',feature=~"$feature"'),
        "{{feature}} to {{prompt_version}}",
    ),
    (
        "Deploy first seen", "blue",
        _first_seen("llm_service_info", "service, version, environment", _IN),
        "{{service}} {{version}}",
    ),
    (
        "Served model first seen", "orange",
        _first_seen("llm_model_served_total", "provider, request_model, model", _IN),
        "{{request_model}} now served by {{model}}",
    ),
    (
        "Alerts firing", "red",
        'ALERTS{alertstate="firing",alertname=~"LLM.*"}',
        "{{alertname}}",
    ),
)  # fmt: skip


def marks() -> list[Builder[AnnotationQuery]]:
    """Return the marks on the time axis: changes, alerts, and what a delivery pipeline posts to Grafana by tag."""
    found: list[Builder[AnnotationQuery]] = [
        builders.AnnotationQuery()
        .name(name)
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
        .title_format(name)
        .text_format(text)
        .step("1m")
        for name, colour, expr, text in _MARKS
    ]
    own = (
        builders.AnnotationQuery()
        .name("Posted: deploy, prompt")
        .datasource(DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(True)
        .icon_color("blue")
        .target(_ByTag())  # type: ignore[arg-type] # declared as a data query, but these go by tag
    )
    return [*found, own]


class _ByTag(builders.AnnotationTarget):
    """Grafana's own annotations that carry one of the tags."""

    def __init__(self) -> None:
        super().__init__()
        self.limit(100).match_any(True).tags(["deploy", "prompt"]).type("tags")
