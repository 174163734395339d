"""What tables say of a feature, a prompt or a provider, a column each: now, or now against before."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from grafana.build.model import Query, Thresholds
from grafana.build.promql import (
    BASELINE,
    OK,
    C,
    P,
    S,
    increase,
    quantile,
    rate,
    ratio,
    share_by,
)

FAILED: Final[Thresholds] = {"green": None, "yellow": 0.02, "red": 0.05}
BAD: Final[Thresholds] = {"green": None, "yellow": 0.05, "red": 0.1}
SCORE: Final[Thresholds] = {"red": None, "yellow": 0.5, "green": 0.7}
MORE: Final[Thresholds] = {"green": None, "yellow": 1.2, "red": 1.5}
FELL: Final[Thresholds] = {"red": None, "yellow": -0.2, "green": -0.05}
BAD_KINDS: Final = {
    "validation": "llm_validation_errors_total",
    "guardrail": "llm_guardrail_rejections_total",
    "refusal": "llm_refusals_total",
}
"""Why nobody can use an answer, and what counts it."""
_BOTH: Final = ("", BASELINE)
"""The offsets of now and of before."""


def times(name: str, now: str, before: str, on: str = "") -> Query:
    """Return a column of now / before; empty where one of them is not there. `on`: the labels that both have."""
    match = f" on ({on}) group_left()" if on else ""
    return Query(
        expr=f"({now} > 0) /{match} ({before} > 0)",
        legend=name,
        unit="suffix:x",
        thresholds=MORE,
    )


def among(most: Query, by: str, *columns: Query) -> tuple[Query, ...]:
    """Return the columns of those alone that the first one names: there can be a thousand."""
    few = (replace(one, expr=f"({one.expr}) and on ({by}) {most.expr}") for one in columns)
    return (most, *few)


def calls(by: str) -> Query:
    """Return how many calls there are of those there were."""
    return times("calls", *(increase("llm_requests_total", C, by, offset=o) for o in _BOTH))


def per_call(metric: str, by: str, offset: str = "", selector: str = C) -> str:
    """Return how much of a counter an answered call has."""
    answered = increase("llm_requests_total", selector + OK, by, offset=offset)
    return f"({ratio(increase(metric, selector, by, offset=offset), answered)})"


def usd_a_call(by: str) -> Query:
    """Return what a call costs of what it cost."""
    return times("USD a call", *(per_call("llm_cost_usd_total", by, o) for o in _BOTH))


def tokens(by: str, offset: str = "", selector: str = C) -> str:
    """Return how many tokens an answered call has."""
    both = " + ".join(
        increase(f"llm_{kind}_tokens_total", selector, by, offset=offset)
        for kind in ("input", "output")
    )
    answered = increase("llm_requests_total", selector + OK, by, offset=offset)
    return f"({ratio(f'({both})', answered)})"


def tokens_a_call(by: str) -> Query:
    """Return how long a call is of how long it was."""
    return times("tokens a call", *(tokens(by, o) for o in _BOTH))


def hits(by: str, offset: str = "", selector: str = C) -> str:
    """Return the share of the input that came from the prompt cache."""
    read = increase("llm_cache_read_tokens_total", selector, by, offset=offset)
    return f"({ratio(read, increase('llm_input_tokens_total', selector, by, offset=offset))})"


def hits_fell(by: str) -> Query:
    """Return by how much of itself the hit rate changed."""
    return Query(
        expr=f"{ratio(hits(by), hits(by, BASELINE))} - 1",
        legend="cache hits",
        unit="percentunit",
        thresholds=FELL,
    )


def p95(name: str, metric: str, by: str) -> Query:
    """Return how long something takes of how long it took."""
    both = (quantile(0.95, metric, S, by, window="$__range", offset=o) for o in _BOTH)
    return times(name, *both)


def share(
    name: str, matcher: str, by: str, thresholds: Thresholds = FAILED, selector: str = C
) -> Query:
    """Return the share of calls with some statuses."""
    part = rate("llm_requests_total", f"{selector},status{matcher}", by, window="$__range")
    whole = rate("llm_requests_total", selector, by, window="$__range")
    return Query(expr=share_by(part, whole), legend=name, unit="percentunit", thresholds=thresholds)


def bad_answers(by: str, window: str = "$__range", of_calls: str = C, of_answers: str = P) -> str:
    """Return the share of calls that were answered with what nobody can use."""
    whole = rate("llm_requests_total", of_calls, by, window=window)
    parts = (rate(metric, of_answers, by, window=window) for metric in BAD_KINDS.values())
    bad = " + ".join(f"({part} or 0 * {whole})" for part in parts)
    return f"({bad}) / ({whole} > 0)"


def bad_answers_now(by: str, of_calls: str = C, of_answers: str = P) -> Query:
    """Return it as a column."""
    expr = bad_answers(by, of_calls=of_calls, of_answers=of_answers)
    return Query(expr=expr, legend="bad answers", unit="percentunit", thresholds=BAD)


def score(by: str, of_answers: str = P) -> Query:
    """Return the mean of the evaluations."""
    both = (increase(f"llm_eval_score_{part}", of_answers, by) for part in ("sum", "count"))
    return Query(expr=ratio(*both), legend="eval score", unit="percentunit", thresholds=SCORE)
