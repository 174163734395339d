"""The policies by their configured type. A new one is a module with a builder, a row here and a block in the schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from processors.tail_sampling.config import Config
from processors.tail_sampling.plan import Watch
from processors.tail_sampling.policies.attributes import (
    boolean_attribute,
    numeric_attribute,
    string_attribute,
)
from processors.tail_sampling.policies.base import Desk, Policy, Settings
from processors.tail_sampling.policies.budget import tenant_budget
from processors.tail_sampling.policies.combine import and_, composite, drop, not_
from processors.tail_sampling.policies.cost import trace_cost, trace_tokens
from processors.tail_sampling.policies.limits import bytes_limiting, rate_limiting
from processors.tail_sampling.policies.ottl_condition import ottl_condition
from processors.tail_sampling.policies.probability import probabilistic
from processors.tail_sampling.policies.session import session_keep
from processors.tail_sampling.policies.spans import (
    always_sample,
    latency,
    span_count,
    status_code,
    trace_flags,
    trace_state,
)

POLICIES: Final[Mapping[str, Callable[[Settings, Desk], Policy]]] = {
    "always_sample": always_sample,
    "and": and_,
    "boolean_attribute": boolean_attribute,
    "bytes_limiting": bytes_limiting,
    "composite": composite,
    "drop": drop,
    "latency": latency,
    "not": not_,
    "numeric_attribute": numeric_attribute,
    "ottl_condition": ottl_condition,
    "probabilistic": probabilistic,
    "rate_limiting": rate_limiting,
    "session_keep": session_keep,
    "span_count": span_count,
    "status_code": status_code,
    "string_attribute": string_attribute,
    "tenant_budget": tenant_budget,
    "trace_cost": trace_cost,
    "trace_flags": trace_flags,
    "trace_state": trace_state,
    "trace_tokens": trace_tokens,
}


def build(settings: Settings, desk: Desk) -> Policy:
    """Build the policy that `{name, type, <type>: {…}}` describes. Raises: `InvalidConfig`."""
    kind = settings["type"]
    return POLICIES[kind](settings[kind], desk)


def new_desk(watch: Watch, config: Config) -> Desk:
    """Return the desk of a processor."""
    return Desk(
        watch=watch,
        quirks=config.quirks,
        names=frozenset(policy.name for policy in config.policies),
        largest_value=config.skeleton_max_value_bytes,
        build=build,
    )
