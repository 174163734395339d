"""`llm-drift`: which signal moved, within fifteen seconds."""

from __future__ import annotations

from typing import Final

from grafana.build.model import Board, Panel, Query, Row
from grafana.build.promql import (
    BASELINE,
    OK,
    C,
    E,
    M,
    P,
    S,
    by_label,
    increase,
    one,
    positive,
    quantile,
    rate,
    ratio,
    share,
)

_ANSWERED: Final = rate("llm_requests_total", C + OK)


def _length(side: str) -> tuple[Panel, Panel]:
    metric = f"llm_request_{side}_tokens"

    def old(q: float) -> Query:
        expr = quantile(q, metric, S, window="$__range", offset=BASELINE)
        return Query(expr=expr, legend=f"baseline p{q * 100:.0f}", dashed=True)

    def shares(offset: str) -> str:
        count = increase(f"{metric}_count", S, offset=offset)
        return f"{increase(f'{metric}_bucket', S, 'le', offset=offset)} / scalar({count})"

    what = "Bigger inputs?" if side == "input" else "Longer answers: does it talk more?"
    over = Panel(
        title=f"{side.capitalize()} length p50 / p95 / p99 over baseline",
        viz="timeseries",
        unit="short",
        why=f"{what} Dashed lines are the baseline.",
        act="Median: a prompt or retrieval change. Only p99: pasted documents.",
        queries=(
            *(
                Query(expr=quantile(q, metric, S), legend=f"p{q * 100:.0f}")
                for q in (0.5, 0.95, 0.99)
            ),
            old(0.5),
            old(0.95),
        ),
        links=("llm-investigate",),
        runbook="drift",
    )
    shape = Panel(
        title=f"{side.capitalize()} length distribution, now and baseline",
        viz="barchart",
        unit="percentunit",
        why="What is the shape of the shift? Share of calls up to each length.",
        act="A second step is a second kind of traffic; the same curve further right is all of it.",
        queries=(
            Query(expr=shares(""), legend="now"),
            Query(expr=shares(BASELINE), legend="baseline"),
        ),
        links=("llm-investigate",),
        runbook="drift",
        value_name="le",
    )
    return over, shape


def _language(offset: str = "") -> str:
    part = increase("llm_prompt_language_total", E, "feature, language", offset=offset)
    whole = increase("llm_prompt_language_total", E, "feature", offset=offset)
    return f"({part} / ignoring (language) group_left() {whole})"


_EVAL: Final = "feature, prompt_version, prompt_sha, model"

_LENGTH: Final = Row(title="Length", panels=(*_length("input"), *_length("output")))
_MIX: Final = Row(
    title="Language and topics",
    panels=(
        Panel(
            title="Language share (stacked)",
            viz="timeseries",
            unit="percentunit",
            why="A new market or an attack?",
            act="A language nobody sells to, rising within minutes, is not a market.",
            queries=by_label(
                f"{rate('llm_prompt_language_total', E, 'language')}"
                f" / ignoring (language) group_left() {rate('llm_prompt_language_total', E)}",
                "language",
            ),
            links=("llm-errors",),
            runbook="drift",
            stacked=True,
        ),
        Panel(
            title="Topic KL divergence",
            viz="timeseries",
            unit="none",
            why="Did the topics move away from what the prompts were written for?",
            act="Written by a job of yours as a gauge. Above 0.5 read samples and extend the evaluation set.",
            queries=by_label(f"max by (feature) (llm_topic_kl_divergence{{{E}}})", "feature"),
            links=("llm-investigate",),
            thresholds={"green": None, "yellow": 0.2, "red": 0.5},
            runbook="drift",
        ),
        Panel(
            title="Language KL divergence (view)",
            viz="timeseries",
            unit="none",
            why="The same idea for languages, in plain PromQL.",
            act="It drops languages that the baseline does not have: alert on the gauge, not on this.",
            queries=by_label(
                f"sum by (feature) ({_language()} * ln({_language()} / {_language(BASELINE)}))",
                "feature",
            ),
            links=("llm-investigate",),
            runbook="drift",
            empty="No baseline",
        ),
    ),
)
_QUALITY: Final = Row(
    title="Quality",
    panels=(
        Panel(
            title="Refusal, failed JSON, eval score",
            viz="timeseries",
            unit="percentunit",
            why="Three lines, fifteen seconds: is the answer still good?",
            act="HTTP 200 is not success. Score down with the others flat: read samples.",
            queries=(
                Query(expr=share(rate("llm_refusals_total", P), _ANSWERED), legend="refusal"),
                Query(
                    expr=share(
                        rate("llm_validation_errors_total", P + ',error_class="json_parse"'),
                        _ANSWERED,
                    ),
                    legend="failed JSON",
                ),
                Query(
                    expr=ratio(rate("llm_eval_score_sum", P), rate("llm_eval_score_count", P)),
                    legend="eval score mean",
                ),
            ),
            links=("llm-investigate",),
            runbook="quality-drop",
        ),
        Panel(
            title="User feedback, share of good votes",
            viz="timeseries",
            unit="percentunit",
            why="Do users agree with the evaluations?",
            act="Votes fall and scores do not: the evaluation measures the wrong thing.",
            queries=by_label(
                ratio(
                    rate("llm_user_feedback_total", P + ',result="positive"', "feature"),
                    rate("llm_user_feedback_total", P, "feature"),
                ),
                "feature",
            ),
            links=("llm-focus-feature",),
            runbook="quality-drop",
        ),
        Panel(
            title="Eval score mean by prompt and model",
            viz="table",
            unit="percentunit",
            why="Is the new prompt version, or the new model, worse?",
            act="Below 0.7 with 100 samples: roll back. Differences below 0.05 are noise.",
            queries=one(
                f"{increase('llm_eval_score_sum', P, _EVAL)}"
                f" / {positive(increase('llm_eval_score_count', P, _EVAL))}"
            ),
            links=("llm-focus-prompt",),
            thresholds={"red": None, "yellow": 0.5, "green": 0.7},
            runbook="quality-drop",
            value_name="mean score",
        ),
        Panel(
            title="Eval pass ratio by variant",
            viz="table",
            unit="percentunit",
            why="Control against treatment: which passes more often?",
            act="Decide on 100 samples of each, not on the first ten.",
            queries=one(
                ratio(
                    increase("llm_eval_samples_total", P + ',result="pass"', "feature, variant"),
                    increase("llm_eval_samples_total", P, "feature, variant"),
                )
            ),
            links=("llm-focus-feature",),
            thresholds={"red": None, "yellow": 0.5, "green": 0.7},
            runbook="quality-drop",
            value_name="passed",
        ),
        Panel(
            title="Models served per requested model",
            viz="table",
            unit="short",
            why="Did the provider change the model silently?",
            act="Two served models for one requested: pin the version you tested.",
            queries=one(increase("llm_model_served_total", M, "provider, request_model, model")),
            links=("llm-latency",),
            runbook="quality-drop",
            value_name="calls",
        ),
    ),
)

BOARD: Final = Board(
    uid="llm-drift",
    title="LLM drift and quality",
    about="Inputs, outputs, languages, topics and scores against a baseline: which signal moved?",
    rows=(_LENGTH, _MIX, _QUALITY),
)
