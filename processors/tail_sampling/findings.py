"""What is wrong with settings that the schema allows, and where they mean something else than in the Collector.

Errors are the Collector's sentences, so that a search for one finds the answer. Warnings name each place where a
configuration made for it is decided differently here; under the gate that reproduces it there are none of those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from processors import semconv
from processors.errors import Finding, InvalidConfig
from processors.tail_sampling.config import Config, PolicyConfig
from processors.tail_sampling.panel import build_policy
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.policies import new_desk
from processors.tail_sampling.policies.base import Policy

_STRATEGIES: Final = ("trace-complete", "span-ingest")
_SECOND: Final = 1_000_000_000
_DOUBLES: Final = frozenset(
    (semconv.APP_LLM_COST_USD, semconv.APP_LLM_TTFT_S, "gen_ai.usage.cost_usd", "llm.cost_usd")
)


def findings(config: Config, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield errors and warnings."""
    yield from _errors(config, settings)
    yield from _own_warnings(config, settings)
    if not config.quirks:
        yield from _differences(config, settings)


def _path(policy: PolicyConfig) -> str:
    return f"policies[{policy.position}]"


def _errors(config: Config, settings: Mapping[str, Any]) -> Iterator[Finding]:
    strategy = settings["sampling_strategy"]
    if strategy not in _STRATEGIES:
        text = f'invalid sampling_strategy "{strategy}", expected one of "trace-complete" or "span-ingest"'
        yield Finding("sampling_strategy", text)
    seen: Counter[str] = Counter()
    desk = new_desk(Watch(lambda name: None), config)
    for policy in sorted(config.policies, key=lambda p: p.position):
        seen[policy.name] += 1
        if seen[policy.name] > 1:
            yield Finding(f"{_path(policy)}.name", f'duplicate policy name "{policy.name}"')
        try:
            built = build_policy(policy, desk)
        except InvalidConfig as wrong:
            yield Finding(f"{_path(policy)}.{wrong.path}", wrong.text)
        else:
            yield from _ingest_error(config, policy, built)


def _ingest_error(config: Config, policy: PolicyConfig, built: Policy) -> Iterator[Finding]:
    if config.on_arrival and built.stateful:
        text = (
            'sampling_strategy "span-ingest" requires all policies to be stateless, '
            f'but policy "{policy.name}" is stateful'
        )
        yield Finding(_path(policy), text)


def _own_warnings(config: Config, settings: Mapping[str, Any]) -> Iterator[Finding]:
    if not config.policies:
        yield _warn("policies", "There is no policy, so no trace is kept.")
    elif not any(_keeps_errors(policy) for policy in config.policies):
        yield _warn(
            "policies", "No policy keeps traces with errors: expected one of type status_code."
        )
    if settings["num_shards"] > 1:
        yield _warn(
            "num_shards", "Ignored: one pipeline is one thread here; run more processes instead."
        )
    if settings["expected_new_traces_per_sec"]:
        yield _warn("expected_new_traces_per_sec", "Ignored: nothing is preallocated.")
    if settings["decision_wait"] < _SECOND:
        yield _warn(
            "decision_wait",
            "Counts as 1s, the shortest wait; a number without unit is nanoseconds.",
        )
    if config.record_tracestate:
        yield from _unknown_probabilities(config)
    for policy in config.policies:
        for path, kind, block in _blocks(policy.settings, _path(policy)):
            if kind == "numeric_attribute" and _is_empty_range(block):
                text = "No number lies between min_value and max_value, so nothing matches."
                yield _warn(f"{path}.{kind}", text)


def _is_empty_range(block: Mapping[str, Any]) -> bool:
    least, most = block["min_value"], block["max_value"]
    return least is not None and most is not None and least > most


def _keeps_errors(policy: PolicyConfig) -> bool:
    if policy.type in ("always_sample", "ottl_condition"):
        return True
    return (
        policy.type == "status_code" and "ERROR" in policy.settings["status_code"]["status_codes"]
    )


def _unknown_probabilities(config: Config) -> Iterator[Finding]:
    for policy in config.policies:
        if (
            policy.type == "probabilistic"
            and policy.settings["probabilistic"]["mode"] == "hash_seed"
        ):
            text = (
                "Traces kept by mode: hash_seed leave without a threshold in trace state, because its choice is not "
                "the one other samplers make; mode: equalizing records it."
            )
            yield _warn(f"{_path(policy)}.probabilistic.mode", text)


def _differences(config: Config, settings: Mapping[str, Any]) -> Iterator[Finding]:
    for policy in config.policies:
        for path, kind, block in _blocks(policy.settings, _path(policy)):
            for text, key in _DIFFERENCES.get(kind, _none)(block):
                yield _warn(f"{path}.{kind}.{key}".removesuffix("."), text)
    if config.on_arrival and any(policy.type == "drop" for policy in config.policies):
        yield _warn(
            "sampling_strategy",
            "With a drop policy, traces that others keep are released at the end of decision_wait; the Collector keeps "
            "none of them.",
        )


def _blocks(row: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield path, type and settings of a policy and of those inside it."""
    kind = row["type"]
    block = row[kind]
    yield path, kind, block
    for key in ("and_sub_policy", "drop_sub_policy", "composite_sub_policy"):
        for position, part in enumerate(block.get(key, ())):
            yield from _blocks(part, f"{path}.{kind}.{key}[{position}]")
    if block.get("not_sub_policy"):
        yield from _blocks(block["not_sub_policy"], f"{path}.{kind}.not_sub_policy")


_Differences: TypeAlias = Iterator[tuple[str, str]]
"""Sentences, each with the key it is about (empty: the block)."""


def _none(block: Mapping[str, Any]) -> _Differences:
    yield from ()


def _numeric(block: Mapping[str, Any]) -> _Differences:
    for key in ("min_value", "max_value"):
        bound = block[key]
        if isinstance(bound, float):
            yield f"The Collector cuts this bound to {int(bound)}; here it is {bound}.", key
        elif bound == 0:
            yield "A bound of 0 is a bound here; the Collector takes it for none.", key
        elif bound is not None and block["key"] in _DOUBLES:
            text = "This attribute is a double, which the Collector reads as 0; here it is compared as a number."
            yield text, key


def _latency(block: Mapping[str, Any]) -> _Differences:
    if block["upper_threshold_ms"]:
        text = (
            "Tested once on the whole trace; the Collector tests it after each span, so that a long trace passes when "
            "its first spans are short."
        )
        yield text, "upper_threshold_ms"


def _boolean(block: Mapping[str, Any]) -> _Differences:
    if not block["value"]:
        yield "Only booleans match; in the Collector texts and numbers count as false.", "value"


def _and(block: Mapping[str, Any]) -> _Differences:
    kinds = [part["type"] for part in block["and_sub_policy"]]
    limits = [i for i, kind in enumerate(kinds) if kind in ("rate_limiting", "bytes_limiting")]
    if limits and limits[0] < len(kinds) - 1:
        text = (
            "A limit spends only for traces that are kept, wherever it stands; in the Collector one that stands before "
            "others also spends for what they refuse."
        )
        yield text, f"and_sub_policy[{limits[0]}]"


def _composite(block: Mapping[str, Any]) -> _Differences:
    names = [part["name"] for part in block["composite_sub_policy"]]
    allocated = {row["policy"]: row["percent"] for row in block["rate_allocation"]}
    order = [name for name in block["policy_order"] if name in names]
    if order and order != names[: len(order)]:
        text = "The policies are asked in this order; the Collector asks them in the order of composite_sub_policy."
        yield text, "policy_order"
    for name in names:
        if name not in allocated:
            text = f"{name} gets an equal share of the total; the Collector 0.158 gives it nothing."
            yield text, "rate_allocation"
    if sum(allocated.values()) > 100:
        text = "The shares add up to more than 100 percent, so max_total_spans_per_second can be exceeded."
        yield text, "rate_allocation"
    if len(names) > 1:
        text = "A trace whose first matching policy has no room is offered to the next one; the Collector drops it."
        yield text, "composite_sub_policy"


_DIFFERENCES: Final[Mapping[str, Callable[[Mapping[str, Any]], _Differences]]] = {
    "and": _and,
    "boolean_attribute": _boolean,
    "composite": _composite,
    "latency": _latency,
    "numeric_attribute": _numeric,
}


def _warn(path: str, text: str) -> Finding:
    return Finding(path, text, warning=True)
