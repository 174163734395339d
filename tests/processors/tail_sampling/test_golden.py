"""Whole sets of policies on whole stories, as data: `tests/golden/tail_sampling/verdicts.yaml`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .support import BEGIN, SECOND, Run, attributes_of, span, trace_id

ROOT = Path(__file__).parents[3]
CASES = yaml.safe_load((ROOT / "tests/golden/tail_sampling/verdicts.yaml").read_text("utf-8"))
CONTENT = "gen_ai.input.messages"
MONEY = {"unpriced": {"app.llm.cost.status": "unpriced"}, None: {}}


def spans(trace: str, part: dict[str, Any], called: str) -> list[Span]:
    """Return the spans of a part of a trace; the first span of all is the root."""
    return [
        span(
            trace, f"{called} {index}", attributes(one), ms=tuple(one.get("ms", (0, 1))),
            status=one.get("status", "unset"), parent="" if (called, index) == ("s", 0) else "s 0",
        )
        for index, one in enumerate(part["spans"])
    ]  # fmt: skip


def attributes(one: dict[str, Any]) -> dict[str, Any]:
    usd = one.get("usd")
    money = MONEY.get(usd, {"app.llm.cost.status": "priced", "app.llm.cost_usd": usd})
    written = {"app.llm.span.class": "model_call", CONTENT: "Where is it?"}
    return {**written, **money, **one.get("attributes", {})}


def requests(case: dict[str, Any]) -> list[tuple[float, list[Span]]]:
    """Return (seconds, spans) of every request, in the order they come."""
    sent = []
    for name, trace in case["traces"].items():
        sent.append((trace.get("at", 0.0), spans(name, trace, "s")))
        if "later" in trace:
            sent.append((trace["later"]["at"], spans(name, trace["later"], "late")))
    return sorted(sent, key=lambda entry: entry[0])


def policies(case: dict[str, Any]) -> list[dict[str, Any]]:
    if case["policies"] != "shipped":
        return list(case["policies"])
    shipped = yaml.safe_load((ROOT / "configs" / "sampling.yaml").read_text("utf-8"))
    return [one for one in shipped if one["name"] != "baseline"]  # luck is no case


def verdicts(run: Run, case: dict[str, Any]) -> dict[str, str | None]:
    """Return what became of each trace, checking that all or nothing of it came out."""
    out: dict[bytes, list[Span]] = defaultdict(list)
    for one in run.spans:
        out[bytes(one.trace_id)].append(one)
    return {
        name: verdict(out[trace_id(name)], trace) if trace_id(name) in out else None
        for name, trace in case["traces"].items()
    }


def verdict(found: list[Span], trace: dict[str, Any]) -> str:
    assert len(found) == len(trace["spans"]) + len(trace.get("later", {}).get("spans", ()))
    said = next(attributes_of(one) for one in found if one.name == "s 0")
    tier = said["sampling.content_tier"]
    assert {CONTENT in attributes_of(one) for one in found} == {tier == "full"}
    return str(said["sampling.policy"]) + ("" if tier == "full" else f" ({tier})")


@pytest.mark.parametrize("quirks", [False, True], ids=["ours", "contrib"])
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden(case: dict[str, Any], quirks: bool) -> None:
    run = Run(*policies(case), quirks=quirks, record={"attributes": True})
    for seconds, sent in requests(case):
        run.wait(seconds - (run.now - BEGIN) / SECOND)
        run.send(*sent)
    run.wait(12)
    expected = {
        name: trace.get("contrib", trace["kept"]) if quirks else trace["kept"]
        for name, trace in case["traces"].items()
    }
    assert verdicts(run, case) == expected
    assert run.closes
