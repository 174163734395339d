"""The pricing cases: one span in, its cost attributes out, doubles compared to the last bit.

`working` is the hand calculation behind each figure: tokens times USD per million tokens.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from processors.llm_cost import LlmCost
from tests.processors.llm_cost.calls import GOLDEN, golden, llm_cost, priced

COST = "app.llm.cost_usd"
DETAILS = {
    "status": "app.llm.cost.status",
    "reason": "app.llm.cost.reason",
    "price_source": "app.llm.cost.price_source",
}
FILES = sorted(path.name for path in GOLDEN.glob("*.yaml"))
CASES = [(name, case) for name in FILES for case in golden(name)["cases"]]


@cache
def processor(name: str) -> LlmCost:
    return llm_cost(golden(name).get("overlay"))


def wanted(expect: dict[str, Any]) -> dict[str, Any]:
    """Return key → expected value, None where the attribute must be absent."""
    cost = expect["cost_usd"]
    found = {COST: None if cost is None else float(cost)}
    found |= {key: expect[name] for name, key in DETAILS.items() if name in expect}
    return found | expect.get("attributes", {}) | dict.fromkeys(expect.get("absent", ()))


@pytest.mark.parametrize(("name", "case"), CASES, ids=[case["name"] for _, case in CASES])
def test_the_call_costs_what_it_costs(name: str, case: dict[str, Any]) -> None:
    sent = case["attributes"]
    when = {key: case[key] for key in ("start", "end") if key in case}
    got = priced(processor(name), sent, **when)
    expected = wanted(case["expect"])
    assert {key: got.get(key) for key in expected} == expected
    kept = {k: v for k, v in sent.items() if not k.startswith("app.llm.cost")}
    assert {key: got.get(key) for key in kept} == kept


@pytest.mark.parametrize(
    "case", [case for _, case in CASES if "working" in case], ids=lambda case: case["name"]
)
def test_the_figure_is_plain_arithmetic(case: dict[str, Any]) -> None:
    names = {"Decimal": Decimal}
    text = "".join(
        f"Decimal('{part}')" if part[0].isdigit() else part for part in _tokens(case["working"])
    )
    assert eval(text, names) == Decimal(case["expect"]["cost_usd"])  # noqa: S307 - our own data


def _tokens(text: str) -> list[str]:
    return re.findall(r"[0-9.]+|[-+*/()]", text)
