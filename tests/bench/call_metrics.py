"""What the metrics of model calls cost, in CPU time.

    python -m tests.bench.call_metrics [ROUNDS]

Invented calls pass `genai` and `llm_cost` first, as in the shipped configuration: 20 models, 8 tenants, 5 features, so
some hundred label sets; `chat` carries messages beside what `lean` has. For each size, the best of the rounds:

- *counted*: in the connector, as the calls come, 50 in a request;
- *again*: the same, but the calls are in the processor's caches already;
- *settled*: what the connector does about them when metrics are due, 8,000 calls after the last time: added to the
  series, with exemplars;
- *encoded*: the points of all these series as OTLP. Per call and per point;
- *taken*: what the `prometheus` exporter does to keep what it is told. How often metrics are told depends on the number
  of points, not of calls (about 0.1 % of a core for telling, and as much for taking), so per call this is an example.

And *scrape*: the exposition of 20,000 series.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from random import Random
from typing import Any, Final

from collector.config.settings import resolve
from collector.tuning import calm_garbage_collection
from processors import genai, llm_cost, llm_metrics
from processors.batch import Batch, Signal
from processors.ports import Context
from tests import telemetry
from tests.collector.exporters.prometheus.support import exporter

MODELS: Final = (
    ("openai", "gpt-4o", "gpt-4o-2024-08-06"), ("openai", "gpt-4.1", "gpt-4.1-2025-04-14"),
    ("openai", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"), ("openai", "o3", "o3-2025-04-16"),
    ("openai", "gpt-5", "gpt-5-2025-08-07"), ("openai", "gpt-5-mini", "gpt-5-mini-2025-08-07"),
    ("anthropic", "claude-opus-4-1", "claude-opus-4-1-20250805"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("gcp.gemini", "gemini-2.5-pro", "gemini-2.5-pro"), ("gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash"),
)  # fmt: skip
TENANTS: Final = 8
FEATURES: Final = 5
CONTENT: Final = {"lean": 0, "chat": 1500}
"""Characters of each of the two messages."""
PER_REQUEST: Final = 50
REQUESTS: Final = 160
BEGIN_NS: Final = 1_800_000_000 * 10**9
SERIES: Final = 20_000


def build(package: Any, settings: Mapping[str, Any], id: str) -> Any:
    """Build a component of the core from what a user would write."""
    schema = json.loads(files(package).joinpath("schema.json").read_text("utf-8"))
    return package.build(resolve(schema, dict(settings)), Context(id=id))


def request(size: str, random: Random, first: int) -> bytes:
    """Encode a request of model calls, each of a trace of its own."""
    return telemetry.traces(
        *(call(size, random, first + number) for number in range(PER_REQUEST)),
        resource={"service.name": "agent", "deployment.environment.name": "production"},
        scope="opentelemetry.util.genai.handler",
    )


def call(size: str, random: Random, number: int) -> dict[str, Any]:
    """Describe one call, with the attributes that the OpenTelemetry instrumentations write."""
    provider, model, version = random.choice(MODELS)
    tokens = random.randint(200, 9000)
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.response.model": version,
        "gen_ai.response.id": f"resp-{number}",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.output_tokens": random.randint(20, 900),
        "gen_ai.usage.cache_read.input_tokens": random.choice((0, 0, tokens // 2)),
        "gen_ai.conversation.id": f"conversation-{number}",
        "app.llm.tenant.id": f"tenant-{random.randrange(TENANTS)}",
        "app.llm.feature": f"feature-{random.randrange(FEATURES)}",
        "server.address": f"api.{provider}.example",
        "server.port": 443,
    }
    if CONTENT[size]:
        attributes["gen_ai.input.messages"] = "i" * CONTENT[size]
        attributes["gen_ai.output.messages"] = "o" * CONTENT[size]
    ms = (0, random.randint(300, 900))
    return telemetry.span(number, number, kind=3, ms=ms, attributes=attributes)


class Bench:
    """The connector behind the processors that it stands behind in the shipped configuration."""

    def __init__(self) -> None:
        self._genai = build(genai, {}, "genai")
        self._llm_cost = build(llm_cost, {}, "llm_cost")
        self.metrics = build(llm_metrics, {}, "llm_metrics")
        self._prometheus = exporter(enable_open_metrics=True)
        self._now_ns = BEGIN_NS
        self._calls = 0

    def batch(self, size: str, random: Random) -> Batch:
        """Return a request that was normalised and priced."""
        self._now_ns += 10**7
        raw = request(size, random, self._calls + 1)
        self._calls += PER_REQUEST
        batch = Batch(Signal.TRACES, raw, received_ns=self._now_ns)
        found: Batch = self._llm_cost.process(self._genai.process(batch))
        return found

    def counted(self, size: str, requests: int) -> float:
        """Return µs to count a call, as calls come."""
        random, spent = Random(7), 0.0
        for _ in range(requests):
            batch = self.batch(size, random)
            spent += cpu_s(partial(self.metrics.process, batch))
            batch.release()
        return spent / requests / PER_REQUEST * 1e6

    def again(self, size: str) -> float:
        """Return µs to count a call that has just been counted."""
        batch = self.batch(size, Random(7))
        return (
            min(cpu_s(partial(self.metrics.process, batch)) for _ in range(40)) / PER_REQUEST * 1e6
        )

    def told(self) -> tuple[float, float, int]:
        """Return µs to tell what was counted and to take it in, and the number of points."""
        self._now_ns += 60 * 10**9
        batches: list[Batch] = []
        spent = cpu_s(lambda: batches.extend(self.metrics.tick(self._now_ns)))
        taken = cpu_s(lambda: [self._prometheus.export(batch) for batch in batches])
        return spent * 1e6, taken * 1e6, sum(map(len, batches))


def cpu_s(do: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes."""
    begin = time.process_time()
    do()
    return time.process_time() - begin


def figures(size: str, rounds: int, requests: int = REQUESTS) -> dict[str, float]:
    """Return the best of the rounds, in µs, and the points of the last one."""
    bench = Bench()
    best: dict[str, float] = {}
    for _ in range(rounds + 1):  # the first fills the caches
        counted = bench.counted(size, requests)
        told, taken, _ = bench.told()
        encoded, _, points = bench.told()  # once more, though nothing has changed
        again = bench.again(size)
        bench.told()
        found = {
            "counted": counted,
            "again": again,
            "told": told / requests / PER_REQUEST,
            "encoded": encoded / requests / PER_REQUEST,
            "taken": taken / requests / PER_REQUEST,
            "point": encoded / points,
            "points": points,
        }
        best = {name: min(best.get(name, value), value) for name, value in found.items()}
    return best


def scraped(rounds: int, series: int = SERIES) -> tuple[float, int]:
    """Return µs of a scrape, the best of the rounds, and the number of series."""
    metrics = build(llm_metrics, {"metrics_flush_interval": "1s"}, "llm_metrics")
    server = exporter(enable_open_metrics=True)
    for number in range(series // 8):  # a call has eleven series, and shares some
        one = call("lean", Random(number), number + 1)
        one["attributes"] |= {
            "app.llm.cost.status": "priced",
            "app.llm.cost_usd": 0.01,
            "app.llm.tenant.id": f"tenant-{number % 900}",
            "app.llm.feature": f"feature-{number % 190}",
        }
        metrics.process(telemetry.batch(one, received_s=BEGIN_NS / 1e9))
    for batch in metrics.tick(BEGIN_NS + 1):
        server.export(batch)
    scrape = partial(server.scrape, "application/openmetrics-text; version=1.0.0")
    for _ in range(3):  # the first ones show where counters begin
        scrape()
    return min(cpu_s(scrape) for _ in range(rounds)) * 1e6, server.stats.gauges[
        "otelcol_llm_prometheus_series",
    ]()


def main() -> None:
    calm_garbage_collection()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print("CPU µs per model call, the best of the rounds")
    for size in CONTENT:
        best = figures(size, rounds)
        print(
            f"{size}: {best['counted'] + best['told']:.2f} = counted {best['counted']:.2f} "
            f"(again {best['again']:.2f}) + settled {best['told'] - best['encoded']:.2f} + encoded "
            f"{best['encoded']:.2f} ({best['point']:.2f} for each of {best['points']:.0f} points); "
            f"taken {best['taken']:.2f}"
        )
    spent, series = scraped(rounds)
    print(f"scrape: {spent / 1e3:.0f} ms of CPU for {series} series")


if __name__ == "__main__":
    main()
