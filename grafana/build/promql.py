"""Selectors and the few shapes of PromQL and TraceQL that the boards consist of.

`increase` and `rate` only: raw counters ignore the time range and restarts. A ratio divides by `(… > 0)`, so that no
traffic is no point instead of NaN.
"""

from __future__ import annotations

from typing import Final

from grafana.build.model import Query

_COMMON: Final = 'environment=~"$environment",data_mode=~"$data_mode"'
M: Final = f'{_COMMON},provider=~"$provider",model=~"$model"'
"""Metrics of a provider and model."""
S: Final = f'{M},feature=~"$feature",variant=~"$variant"'
"""Histograms of calls."""
F: Final = f'{M},feature=~"$feature"'
"""Metrics of a provider, model and feature."""
C: Final = f'{S},tenant=~"$tenant",prompt_version=~"$prompt_version"'
"""Counters of calls."""
E: Final = f'{_COMMON},feature=~"$feature"'
"""Metrics of a feature."""
P: Final = f'{E},prompt_version=~"$prompt_version"'
"""Metrics of a prompt."""
N: Final = _COMMON
"""Metrics of an environment."""
L: Final = 'sloth_service=~"$slo_service",sloth_slo=~"$slo"'
"""Series of SLO rules."""

OK: Final = ',status="success"'
T: Final = (
    '.deployment.environment.name =~ "${environment:pipe}" && span.app.llm.feature =~ "${feature:pipe}"'
    ' && span.app.llm.span.class = "model_call"'
)
"""TraceQL: the model calls of the chosen features. `:pipe`, because a regex-escaped value in quotes is a parse error.

The environment is an attribute of the resource or of the span, depending on the application: hence without a scope.
"""
CALL_COLUMNS: Final = (
    "span.app.llm.feature, span.gen_ai.response.model, span.app.llm.prompt.template.sha, span.app.llm.cost_usd,"
    " span.gen_ai.usage.input_tokens, span.gen_ai.usage.output_tokens"
)
PROMPT: Final = "feature, prompt_version, prompt_sha"
"""What tells prompts apart: each feature has its own v1, and two texts can have one version."""
BASELINE: Final = " offset $baseline"
_RI: Final = "$__rate_interval"


def _sum(by: str, inner: str) -> str:
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def rate(metric: str, selector: str, by: str = "", window: str = _RI) -> str:
    """Return the summed rate per second."""
    return _sum(
        by, f"rate({metric}{{{selector}}}[{window}])" if selector else f"rate({metric}[{window}])"
    )


def increase(metric: str, selector: str, by: str = "", *, offset: str = "") -> str:
    """Return the summed increase over the chosen time range."""
    braces = f"{{{selector}}}" if selector else ""
    return _sum(by, f"increase({metric}{braces}[$__range]{offset})")


def grown(metric: str, selector: str, by: str) -> str:
    """Return by how much an increase is above that of the baseline; what was not there then grew from 0."""
    now = increase(metric, selector, by)
    return f"{now} - ({increase(metric, selector, by, offset=BASELINE)} or 0 * {now})"


def positive(expression: str) -> str:
    """Return a divisor: nothing where it is 0."""
    return f"({expression} > 0)"


def ratio(part: str, whole: str) -> str:
    """Return part / whole; nothing where the whole is 0."""
    return f"{part} / {positive(whole)}"


def share(part: str, whole: str) -> str:
    """Return part / whole of two sums without labels, 0 where the part was never counted."""
    return ratio(f"({part} or vector(0))", whole)


def share_by(part: str, whole: str) -> str:
    """Return part / whole per label, 0 where the part was never counted for it."""
    return ratio(f"({part} or 0 * {whole})", whole)


def quantile(
    q: float, metric: str, selector: str, by: str = "", *, window: str = _RI, offset: str = ""
) -> str:
    """Return a quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    braces = f"{{{selector}}}" if selector else ""
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{braces}[{window}]{offset})))"


def quantiles(
    metric: str, selector: str, by: str, levels: tuple[int, ...] = (50, 95, 99)
) -> tuple[Query, ...]:
    """Return one query per percentile, split by labels; the 95th is the one to look at."""
    legend = legend_of(by)
    return tuple(
        Query(
            expr=quantile(level / 100, metric, selector, by),
            legend=f"p{level} {legend}".strip(),
            style="bold" if level == 95 else "dotted" if level == 99 else "",
        )
        for level in levels
    )


def legend_of(by: str) -> str:
    """Return the legend that shows these labels."""
    return " ".join("{{" + label.strip() + "}}" for label in by.split(",") if label.strip())


def by_label(expression: str, by: str) -> tuple[Query, ...]:
    """Return the one query of a panel that is split by labels."""
    return (Query(expr=expression, legend=legend_of(by)),)


def one(expression: str, legend: str = "") -> tuple[Query, ...]:
    """Return the one query of a panel."""
    return (Query(expr=expression, legend=legend),)
