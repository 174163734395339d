"""Sends requests through `genai` and `llm_cost` as a graph does, with a clock that the test turns."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from collector.config.settings import resolve
from processors.batch import Batch, Item, Signal
from processors.genai import Genai
from processors.genai import build as build_genai
from processors.llm_cost import build as build_cost
from processors.ports import Context
from processors.wire import Value, decode_value
from tests.telemetry import SECOND

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "genai"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))
NOW_NS = 1_795_169_000 * SECOND

USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
}
STATUS = "app.llm.cost.status"
SKIP = "app.llm.cost.skip_reason"


def schema(component: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        (ROOT / "processors" / component / "schema.json").read_text("utf-8")
    )
    return loaded


def genai(context: Context | None = None, **settings: Any) -> Genai:
    return build_genai(resolve(schema("genai"), settings), context or Context(id="genai"))


def sharing() -> Context:
    """Return a context whose components share what they ask for, as those of one graph do."""
    kept: dict[str, Any] = {}

    def shared(key: str, make: Any) -> Any:
        if key not in kept:
            kept[key] = make()
        return kept[key]

    return Context(id="genai", shared=shared)


def golden(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return case


def requests(case: Mapping[str, Any]) -> list[tuple[Signal, Message]]:
    """Return the requests of a golden case in the order in which they are sent."""
    steps = case.get("steps") or [{"signal": case["signal"], "request": case["request"]}]
    return [(Signal[step["signal"].upper()], _parsed(step)) for step in steps]


def _parsed(step: Mapping[str, Any]) -> Message:
    signal = Signal[step["signal"].upper()]
    return json_format.ParseDict(_with_base64_ids(step["request"]), signal.request())


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode()
        if key in ("traceId", "spanId", "parentSpanId")
        else _with_base64_ids(item)
        for key, item in value.items()
    }


@dataclass(frozen=True)
class Left:
    """What left the pipeline: one span or record."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Value]
    body: bytes

    @property
    def counted(self) -> bool:
        """Whether it is in the ledger: it has a cost status, and not for want of usage."""
        return (
            STATUS in self.attributes and self.attributes.get("app.llm.cost.reason") != "no_usage"
        )

    @property
    def identity(self) -> tuple[str, str]:
        return self.trace_id, self.span_id


@dataclass
class Graph:
    """Both processors in a traces and a logs pipeline, which share the ledger."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    now_ns: int = NOW_NS
    left: list[Left] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = sharing()
        self.genai = {s: genai(context, **self.settings) for s in (Signal.TRACES, Signal.LOGS)}
        self.cost = build_cost(
            resolve(schema("llm_cost"), {}), Context(id="llm_cost", shared=context.shared)
        )

    def send(self, signal: Signal, raw: bytes) -> None:
        """Deliver one request, a tenth of a second after what was before."""
        self.wait(0.1)
        batch = Batch(signal, raw, received_ns=self.now_ns)
        self._take(self.genai[signal].process(batch))

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)
        for processor in self.genai.values():
            for batch in processor.tick(self.now_ns):
                self._take(batch)

    def close(self) -> list[Left]:
        """Let everything settle and return all that left."""
        self.wait(6)
        for processor in self.genai.values():
            for batch in processor.close():
                self._take(batch)
        return self.left

    def _take(self, batch: Batch | None) -> None:
        if batch is None:
            return
        priced = Batch(batch.signal, batch.encode(), received_ns=batch.received_ns)
        self.cost.process(priced)
        self.left += map(_left, Batch(priced.signal, priced.encode()).items())


def _left(item: Item) -> Left:
    view = item.view
    attributes = {key: decode_value(raw, 0, len(raw)) for key, raw in view.attributes.items()}
    return Left(view.trace_id.hex(), view.span_id.hex(), attributes, item.body())


def played(case: Mapping[str, Any], **settings: Any) -> list[Left]:
    """Return what leaves after all requests of a golden case."""
    graph = Graph(settings)
    for signal, request in requests(case):
        graph.send(signal, request.SerializeToString())
    return graph.close()


def ledger(left: Iterable[Left]) -> dict[str, int]:
    """Sum over what counts, one copy of each span."""
    counted = {one.identity: one for one in left if one.counted}.values()
    sums = {name: sum(_count(one, key) for one in counted) for name, key in USAGE.items()}
    return {"model_calls": len(counted)} | sums


def _count(one: Left, key: str) -> int:
    value = one.attributes.get(key, 0)
    return value if isinstance(value, int) else 0


def spans(request: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (resource, scope, span) of a traces request."""
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for one in scope.spans:
                yield group.resource, scope.scope, one
