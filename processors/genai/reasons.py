"""The verdicts on records of model calls: values of `app.llm.cost.skip_reason`, and what they say about the call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from processors.genai.call import COUNTED, Call

AGGREGATE: Final = "aggregate"
DUPLICATE_OF_DESCENDANT: Final = "duplicate_of_descendant"
DUPLICATE_OF_ANCESTOR: Final = "duplicate_of_ancestor"
SUM_OF_DESCENDANTS: Final = "sum_of_descendants"
SERVER_OF_CLIENT: Final = "server_of_client"
DUPLICATE_SIBLING: Final = "duplicate_sibling"
CUMULATIVE_LOOP: Final = "cumulative_loop"
DUPLICATE_DELIVERY: Final = "duplicate_delivery"
SPAN_COUNTED: Final = "span_counted"
LOG_COUNTED: Final = "log_counted"
NOT_BILLED: Final = "not_billed"

REASONS: Final = (
    AGGREGATE, DUPLICATE_OF_DESCENDANT, DUPLICATE_OF_ANCESTOR, SUM_OF_DESCENDANTS, SERVER_OF_CLIENT, DUPLICATE_SIBLING,
    CUMULATIVE_LOOP, DUPLICATE_DELIVERY, SPAN_COUNTED, LOG_COUNTED, NOT_BILLED,
)  # fmt: skip
"""Values of `app.llm.cost.skip_reason`."""

REPRESENTED: Final = frozenset(
    {
        COUNTED,
        DUPLICATE_OF_DESCENDANT,
        DUPLICATE_OF_ANCESTOR,
        SUM_OF_DESCENDANTS,
        SERVER_OF_CLIENT,
        DUPLICATE_SIBLING,
        LOG_COUNTED,
    }
)
"""Verdicts of records whose call is in the ledger, by themselves or by other records."""

STANDING: Final = frozenset({COUNTED, LOG_COUNTED})
"""Verdicts of records that others repeat: they count, or a log record does in their place."""


def undecided(calls: Iterable[Call]) -> list[Call]:
    """Return those without a verdict."""
    return [call for call in calls if call.verdict is None]


def is_reported(call: Call) -> bool:
    """Whether the call is in the ledger, by this record or by others of it."""
    return call.verdict in REPRESENTED and call.has_usage
