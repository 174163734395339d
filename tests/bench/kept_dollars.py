"""What fits into the same storage, with the Go Collector's sampler and with ours.

    python -m tests.bench.kept_dollars [TRACES]

Both get the same spans, already priced as `llm_cost` would (the Go Collector cannot price), in dollars and, because its
`numeric_attribute` reads integers alone, in micro-dollars too. Both keep every error, every trace over five seconds and
one trace in a hundred; what room is left goes to what is expensive, by several rules. Each rule has one knob:

1. turned until what is stored is a quarter of what came in: how many dollars are in it?
2. turned until no trace of ten cents or more is lost: how much must be stored for that?

`Replay` turns the knobs: it decides as both do, so nobody is tuned worse than the other. Then the real collectors run,
over the network, and what they send is measured.

The traffic, per trace (costs as of models at $0.15 to $15 a million tokens; texts cut at 6 kB, an SDK's limit):
74 % one chat call, 12 % retrieval with two, 6 % map-and-reduce over 15 to 60 parallel small calls, 7 % agents of 5 to
25 quick steps, 1 % one long document. 2 % of all hold an error, 2 % stand still for seconds.

The Go Collector's limiters (`rate_limiting`, `bytes_limiting`, `composite`) are not among the rules: they cut off what
comes last in a second, whatever it cost. Nor is `ottl_condition`, which compares the same cost of one span.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any, Final

import grpc
import yaml

from processors.batch import Signal
from processors.encoded import split
from processors.ports import Context
from processors.tail_sampling.config import QUIRKS_GATE, Config
from processors.tail_sampling.replay import Replay
from processors.views import PARSE
from tests.backends import OK, grpc_backend
from tests.e2e.servers import REPOSITORY, free_port, peer, poll, start
from tests.processors.tail_sampling.support import request, settings, span, trace_id

Policy = dict[str, Any]

SHARE: Final = 0.25
"""Of the bytes that come in, so many may be stored."""
DEAR_USD: Final = 0.10
PEER: Final = "otelcol-peer-0.158.0"
QUIET_S: Final = 2.5
"""Longer than a decision takes."""
LEAST, MOST, STEPS = 1e-4, 16.0, 14
"""Between which a knob is turned, and how often it is halved."""
LONGEST_TEXT: Final = 6000
MODELS: Final = ((0.15, 0.60), (0.80, 4.00), (3.00, 15.00))
"""Dollars a million tokens, in and out."""


# -- the traffic


@dataclass(slots=True)
class Trace:
    """One request of a user and the model calls behind it: (begin, end, tokens in, tokens out)."""

    number: int
    calls: list[tuple[float, float, int, int]]
    model: int
    error: bool

    @property
    def name(self) -> str:
        return f"trace {self.number}"

    @property
    def seconds(self) -> float:
        return max(end for _, end, _, _ in self.calls) / 1000

    @property
    def usd(self) -> float:
        return sum(self.cost(call) for call in self.calls)

    def cost(self, call: tuple[float, float, int, int]) -> float:
        price_in, price_out = MODELS[self.model]
        return round((call[2] * price_in + call[3] * price_out) / 1e6, 6)


def traffic(count: int, seed: int = 6) -> list[Trace]:
    """Return invented traces; the same ones every time."""
    random = Random(seed)
    return [_trace(number, random) for number in range(count)]


def _trace(number: int, random: Random) -> Trace:
    kinds = (_chat, _retrieval, _map_and_reduce, _agent, _document)
    calls = random.choices(kinds, (74, 12, 6, 7, 1))[0](random)
    if random.random() < 0.02:
        begin, end, *tokens = calls[-1]
        calls[-1] = (begin, end + random.uniform(6000, 30_000), *tokens)
    model = random.choices((0, 1, 2), (60, 25, 15))[0]
    return Trace(number, calls, model, random.random() < 0.02)


def _tokens(random: Random, middle: float, spread: float = 0.8) -> int:
    return int(middle * random.lognormvariate(0, spread))


def _chat(random: Random) -> list[Any]:
    return [(0.0, random.uniform(300, 3000), _tokens(random, 900), _tokens(random, 350))]


def _retrieval(random: Random) -> list[Any]:
    first = (0.0, 400.0, _tokens(random, 300), _tokens(random, 40))
    return [first, (450.0, random.uniform(900, 4000), _tokens(random, 6000), _tokens(random, 400))]


def _map_and_reduce(random: Random) -> list[Any]:
    parts = random.randrange(15, 61)
    mapped = [
        (0.0, random.uniform(500, 2500), _tokens(random, 2500, 0.3), _tokens(random, 300, 0.3))
        for _ in range(parts)
    ]
    return [*mapped, (2600.0, random.uniform(3000, 4900), parts * 300, _tokens(random, 800))]


def _agent(random: Random) -> list[Any]:
    steps, context = random.randrange(5, 26), _tokens(random, 2000)
    length = random.uniform(80, 190)
    calls = []
    for step in range(steps):
        answer = _tokens(random, 150)
        calls.append((step * length, (step + 1) * length - 1, context, answer))
        context += answer + _tokens(random, 500)
    return calls


def _document(random: Random) -> list[Any]:
    return [(0.0, random.uniform(2000, 4900), _tokens(random, 90_000, 0.3), _tokens(random, 1500))]


def requests(traces: Sequence[Trace]) -> Iterator[bytes]:
    """Encode the traces, some at a time, each a second after the one before."""
    for first in range(0, len(traces), 20):
        yield request(one for trace in traces[first : first + 20] for one in _spans(trace))


def _spans(trace: Trace) -> Iterator[Any]:
    begin = trace.number * 1000.0
    yield span(trace.name, "agent", ms=(begin, begin + trace.seconds * 1000))
    for index, call in enumerate(trace.calls):
        usd = trace.cost(call)
        attributes = {
            "app.llm.span.class": "model_call",
            "app.llm.cost.status": "priced",
            "app.llm.cost_usd": usd,
            "app.llm.cost_micro_usd": round(usd * 1e6),
            "gen_ai.usage.input_tokens": call[2],
            "gen_ai.usage.output_tokens": call[3],
            "gen_ai.input.messages": _text(call[2]),
            "gen_ai.output.messages": _text(call[3]),
        }
        failed = trace.error and index == len(trace.calls) - 1
        yield span(
            trace.name, f"chat {index}", attributes, ms=(begin + call[0], begin + call[1]), parent="agent", kind=3,
            status="error" if failed else "unset",
        )  # fmt: skip


def _text(tokens: int) -> str:
    return ("text " * tokens)[: min(4 * tokens, LONGEST_TEXT)]


# -- the rules


@dataclass(frozen=True, slots=True)
class Rule:
    """One idea of what is expensive. `policies(knob)`: more is kept the smaller the knob."""

    name: str
    policies: Callable[[float], list[Policy]]
    ours: bool = False


def _policy(name: str, kind: str, **block: Any) -> Policy:
    return {"name": name, "type": kind, kind: block}


def _span_cost(usd: float) -> Policy:
    # a bound of 0 means "no bound" there
    least = max(1, round(usd * 1e6))
    return _policy(
        "expensive", "numeric_attribute", key="app.llm.cost_micro_usd", min_value=least, max_value=2**62
    )  # fmt: skip


def _many_spans(least: float) -> Policy:
    return _policy("many", "span_count", min_spans=max(1, round(least)))


def _both(usd: float, spans: int) -> Policy:
    parts = [_many_spans(spans), _span_cost(usd)]
    return _policy("long", "and", and_sub_policy=[{**part, "name": part["type"]} for part in parts])


def _trace_cost(usd: float) -> Policy:
    return _policy("expensive", "trace_cost", min_usd=usd, on_unpriced="keep")


SKELETONS: Final = {
    "name": "skeletons",
    "type": "always_sample",
    "always_sample": {},
    "content_tier": "skeleton",
}
BASELINE_ALONE: Final = Rule("nothing: a larger baseline", lambda knob: [_more_baseline(knob)])
MANY_SPANS: Final = Rule("a trace of ≥ X thousand spans", lambda knob: [_many_spans(1000 * knob)])
SPAN: Final = Rule("one call of ≥ X $", lambda usd: [_span_cost(usd)])
SPANS: Final = Rule(
    "one call of ≥ X $, or of ≥ X/3 $ among ≥ 6 spans",
    lambda usd: [_span_cost(usd), _both(usd / 3, 6)],
)
TRACE: Final = Rule("calls of ≥ X $ together", lambda usd: [_trace_cost(usd)], ours=True)
TRACE_AND_SKELETONS: Final = Rule(
    "calls of ≥ X $ together; skeletons of the rest",
    lambda usd: [_trace_cost(usd), SKELETONS],
    ours=True,
)
SPAN_AND_SKELETONS: Final = Rule(
    "one call of ≥ X $; skeletons of the rest", lambda usd: [_span_cost(usd), SKELETONS], ours=True
)
AT_EQUAL_BYTES: Final = (
    BASELINE_ALONE, MANY_SPANS, SPAN, SPANS, TRACE, TRACE_AND_SKELETONS, SPAN_AND_SKELETONS
)  # fmt: skip
WITH_ALL_THAT_IS_DEAR: Final = (SPAN, SPANS, TRACE)


def _more_baseline(knob: float) -> Policy:
    return _policy("more", "probabilistic", sampling_percentage=max(0.0, 100 * (1 - knob)))


def sampler(rule: Rule, knob: float) -> dict[str, Any]:
    """Return the settings of `tail_sampling`: what everybody keeps, then the rule."""
    baseline: dict[str, Any] = {"sampling_percentage": 1}
    if rule.ours:
        baseline["mode"] = "equalizing"
    policies = [
        _policy("errors", "status_code", status_codes=["ERROR"]),
        _policy("slow", "latency", threshold_ms=5000),
        *rule.policies(knob),
        _policy("baseline", "probabilistic", **baseline),
    ]
    record = {"record": {"attributes": True, "tracestate": True}} if rule.ours else {}
    return {"decision_wait": "1s", "num_traces": 1_000_000, "policies": policies, **record}


def replayed(rule: Rule, knob: float, sent: Sequence[bytes]) -> Replay:
    """Return what a rule would keep."""
    written = sampler(rule, knob)
    resolved = settings(*written.pop("policies"), **written)
    gates = frozenset[str]() if rule.ours else frozenset((QUIRKS_GATE,))
    config = Config.load(resolved, quirks=not rule.ours)
    replay = Replay(config, Context(id="tail_sampling", gates=gates))
    for raw in sent:
        replay.feed(raw)
    replay.finish()
    return replay


def for_equal_bytes(rule: Rule, sent: Sequence[bytes]) -> float:
    """Return the knob that fills the room."""
    room = SHARE * incoming(sent)

    def too_much(knob: float) -> bool:
        fates = replayed(rule, knob, sent).fates.values()
        return sum(fate.stored_bytes for fate in fates) > room

    return _between(too_much)[1]


def for_all_that_is_dear(rule: Rule, sent: Sequence[bytes]) -> float:
    """Return the largest knob that loses no trace of ten cents or more."""

    def loses_none(knob: float) -> bool:
        fates = replayed(rule, knob, sent).fates.values()
        return all(fate.verdict.kept for fate in fates if fate.usd >= DEAR_USD)

    return _between(loses_none)[0]


def _between(small: Callable[[float], bool]) -> tuple[float, float]:
    """Return the largest knob that is small and the smallest that is not."""
    low, high = LEAST, MOST
    for _ in range(STEPS):
        knob = sqrt(low * high)
        low, high = (knob, high) if small(knob) else (low, knob)
    return low, high


# -- the run


@dataclass(slots=True)
class Result:
    """What a collector sent on, by trace."""

    stored: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    whole: set[bytes] = field(default_factory=set)
    """Traces with their content."""


def measured(rule: Rule, knob: float, sent: Sequence[bytes], folder: Path) -> Result:
    """Send the traffic through the real collector and read what comes out."""
    port, result = free_port(), Result()
    command = [sys.executable, "-P", "-m", "collector"] if rule.ours else [peer(PEER)]
    config = folder / "collector.yaml"
    with grpc_backend(lambda received: OK, grpc__max_receive_message_length=-1) as backend:
        written = _configuration(sampler(rule, knob), port, backend.endpoint)
        config.write_text(yaml.safe_dump(written))
        server = start(
            [*command, "--config", str(config)], folder / "collector.log", [port],
            {"PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        try:
            _send(port, sent)
            _until_quiet(lambda: len(backend.received))
        finally:
            server.stop()
        for received in backend.received:
            _read(received.raw, result)
    return result


def _configuration(sampling: dict[str, Any], port: int, backend: str) -> dict[str, Any]:
    """Return the same collector around every sampler."""
    stages = {"receivers": ["otlp"], "processors": ["tail_sampling"], "exporters": ["otlp"]}
    otlp = {"endpoint": backend, "tls": {"insecure": True}, "compression": "none"}
    return {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": {"tail_sampling": sampling},
        "exporters": {"otlp": otlp},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            "pipelines": {"traces": stages},
        },
    }


def _send(port: int, sent: Sequence[bytes]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        export = channel.unary_unary(Signal.TRACES.grpc_method, None, None)
        for raw in sent:
            export(raw, timeout=30, wait_for_ready=True)


def _until_quiet(count: Callable[[], int]) -> None:
    """Wait until nothing comes any more."""
    seen, since = count(), time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        if count() != seen:
            seen, since = count(), time.monotonic()
        return time.monotonic() - since >= QUIET_S

    poll("quiet", is_quiet, limit_s=300)


def _read(raw: bytes, result: Result) -> None:
    for _, _, spans in split(raw):
        for one in spans:
            view = PARSE["Span"](one)
            result.stored[view.trace_id] += len(one)
            if "gen_ai.input.messages" in view.attributes:
                result.whole.add(view.trace_id)


# -- the table


@dataclass(frozen=True, slots=True)
class Line:
    """What a rule kept, in percent of what there was."""

    rule: Rule
    knob: float
    stored: float
    whole_usd: float
    """In traces with their content."""
    any_usd: float
    """In traces with or without it."""
    dear: float
    """Traces of ten cents or more, with or without content."""
    errors: float
    slow: float

    def __str__(self) -> str:
        name = "ours" if self.rule.ours else "Go Collector"
        figures = [self.stored, self.whole_usd, self.any_usd, self.dear, self.errors, self.slow]
        cells = [name, self.rule.name, f"{self.knob:.3f}", *(f"{one:.1f} %" for one in figures)]
        return f"| {' | '.join(cells)} |"


HEAD: Final = (
    "| sampler | expensive is | X | stored bytes | kept $, with content | kept $, at all | of ≥ 0.10 $ "
    "| errors | > 5 s |",
    "|---|---|---|---|---|---|---|---|---|",
)


def line(
    rule: Rule, knob: float, result: Result, traces: Sequence[Trace], sent: Sequence[bytes]
) -> Line:
    """Put the result of a run into figures."""
    by_id = {trace_id(trace.name): trace for trace in traces}

    def share(of: Callable[[Trace], float], kept: set[bytes]) -> float:
        return 100 * sum(of(by_id[one]) for one in kept) / sum(map(of, traces))

    kept = set(result.stored)
    return Line(
        rule=rule,
        knob=knob,
        stored=100 * sum(result.stored.values()) / incoming(sent),
        whole_usd=share(lambda trace: trace.usd, result.whole),
        any_usd=share(lambda trace: trace.usd, kept),
        dear=share(lambda trace: trace.usd >= DEAR_USD, kept),
        errors=share(lambda trace: trace.error, kept),
        slow=share(lambda trace: trace.seconds > 5, kept),
    )


def incoming(sent: Sequence[bytes]) -> int:
    """Return the bytes of all spans."""
    return sum(len(one) for raw in sent for _, _, spans in split(raw) for one in spans)


def lines(
    count: int,
    rules: Sequence[Rule],
    turned: Callable[[Rule, Sequence[bytes]], float],
    folder: Path,
) -> Iterator[Line]:
    """Yield what every rule keeps of so many traces with its knob turned."""
    traces = traffic(count)
    sent = list(requests(traces))
    for rule in rules:
        knob = turned(rule, sent)
        yield line(rule, knob, measured(rule, knob, sent, folder), traces, sent)


def main() -> None:
    """Print both tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    tables = (
        ("At equal bytes", AT_EQUAL_BYTES, for_equal_bytes),
        ("With every trace of 0.10 $ or more", WITH_ALL_THAT_IS_DEAR, for_all_that_is_dear),
    )
    with tempfile.TemporaryDirectory() as folder:
        for title, rules, turned in tables:
            print(f"{title}\n", *HEAD, sep="\n")
            for one in lines(count, rules, turned, Path(folder)):
                print(one, flush=True)
            print()


if __name__ == "__main__":
    main()
