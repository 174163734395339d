"""Two weeks of a company's model calls, as counters a scrape every minute would have seen, for a real Prometheus.

The first week is the baseline. In the second one, incidents can be planted. Days have a rhythm, calls come at random
(one seed, the same weeks each time), and 0.4 % of them fail on a good day.
"""

from __future__ import annotations

import math
import random
import subprocess
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.e2e.servers import installed

STEP_S: Final = 60
"""Rates over five minutes see five samples or six; with fewer, chance would look like an incident."""
DAY_S: Final = 86_400
DAYS: Final = 15
START_S: Final = 1_788_220_800  # Tuesday 2026-09-01, 00:00 UTC
END_S: Final = START_S + DAYS * DAY_S
TTFT: Final = (0.3, 0.5, 1.0, 2.0, 5.0)
LATENCY: Final = (1.0, 2.0, 5.0, 8.0, 15.0)
DECODE: Final = (15.0, 30.0, 60.0, 100.0)
INPUT: Final = (1024.0, 2048.0, 4096.0, 8192.0, 16384.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What a feature does in one step of an ordinary day."""

    name: str
    provider: str
    model: str
    calls: float
    """In a step, on average over the day."""
    input_tokens: float
    output_tokens: float
    cached: float = 0.0
    ttft_s: float = 0.4
    failing: float = 0.004
    score: float = 0.85
    prompt: tuple[str, str] = ("v1", "")
    tenants: Mapping[str, float] = field(
        default_factory=lambda: {"acme": 0.5, "beta": 0.3, "gamma": 0.2}
    )
    slow: float = 1.0
    """So many times as long as usual."""
    environment: str = "prod"

    def cost_usd(self) -> float:
        """What a call costs: 2.50 and 10 dollars a million tokens, a tenth for cached ones."""
        fresh = self.input_tokens * (1 - 0.9 * self.cached)
        return (2.5 * fresh + 10 * self.output_tokens) / 1e6


COMPANY: Final = (
    Feature(
        name="chat", provider="openai", model="gpt-4o", calls=30, input_tokens=3000,
        output_tokens=300, cached=0.8, prompt=("v1", "c0ffee000001"),
    ),
    Feature(
        name="summarize", provider="anthropic", model="claude-sonnet", calls=15,
        input_tokens=3500, output_tokens=400, prompt=("v1", "5a0000000001"),
    ),
    Feature(
        name="search", provider="openai", model="gpt-4o-mini", calls=40, input_tokens=900,
        output_tokens=100, prompt=("v3", "5ea000000003"),
    ),
    Feature(
        name="extract", provider="anthropic", model="claude-haiku", calls=10, input_tokens=1800,
        output_tokens=200, prompt=("v2", "e00000000002"),
    ),
)  # fmt: skip


def planted(feature: Feature, day: float) -> Feature:
    """The bad week: one incident a day, each with its own culprit."""
    if feature.name == "summarize" and day >= 9:
        feature = replace(
            feature, prompt=("v2", "5a0000000002"), input_tokens=6300, output_tokens=720
        )
    if feature.provider == "anthropic" and 10.4 <= day < 10.45:
        feature = replace(feature, failing=0.7)
    if feature.name == "chat" and day >= 11:
        feature = replace(feature, cached=0.1)
    if feature.name == "search" and 12.5 <= day < 12.7:
        scale = 25.0
        shares = {tenant: share / scale for tenant, share in feature.tenants.items()}
        shares["mallory"] = 1 - 1 / scale
        feature = replace(feature, calls=feature.calls * scale, tenants=shares)
    if feature.name == "search" and day >= 13:
        feature = replace(feature, ttft_s=0.4 + 1.2 * (day - 13))
    if feature.name == "extract" and day >= 14:
        feature = replace(feature, score=0.42)
    return feature


def clean(feature: Feature, day: float) -> Feature:
    """The good week."""
    return feature


class Counters:
    """Everything that was counted, as text of OpenMetrics with a sample for each step."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], float] = {}
        self._lines: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def add(self, name: str, labels: str, amount: float) -> None:
        """Count; a series begins at 0 one step earlier only if it is told so by an amount of 0."""
        key = (name, labels)
        self._values[key] = self._values.get(key, 0.0) + amount

    def scrape(self, at: int) -> None:
        """Note what everything stands at."""
        for (name, labels), value in self._values.items():
            self._lines[name][labels].append(f"{name}{{{labels}}} {value:.10g} {at}\n")

    def write(self, file: Path) -> None:
        """Write one family after the other, one series after the other."""
        with file.open("w") as out:
            for name, series in self._lines.items():
                out.write(f"# TYPE {name} unknown\n")
                for lines in series.values():
                    out.writelines(lines)
            out.write("# EOF\n")


def _rhythm(at: int) -> float:
    """Nights have a quarter of the mean, afternoons nearly twice as much; the mean is 1."""
    return 1 + 0.75 * math.sin(2 * math.pi * ((at % DAY_S) / DAY_S - 0.35))


def _some(rnd: random.Random, mean: float) -> int:
    """How many of rare or frequent events happened: Poisson, by its normal shape when there are many."""
    if mean > 20:
        return max(0, round(rnd.gauss(mean, math.sqrt(mean))))
    left, count = rnd.expovariate(1.0), 0
    while left < mean:
        left += rnd.expovariate(1.0)
        count += 1
    return count


def _observe(
    counters: Counters, name: str, labels: str, bounds: Sequence[float], values: Sequence[float]
) -> None:
    above = [0] * (len(bounds) + 1)
    for value in values:
        above[bisect_left(bounds, value)] += 1
    total = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), above, strict=True):
        total += count
        counters.add(f"{name}_bucket", f'{labels},le="{bound}"', total)
    counters.add(f"{name}_count", labels, total)


def step(counters: Counters, rnd: random.Random, feature: Feature, at: int) -> int:
    """Count what a feature does in a step. Returns the calls that were answered."""
    calls = _some(rnd, feature.calls * _rhythm(at))
    failed = _some(rnd, calls * feature.failing) if calls else 0
    failed = min(failed, calls)
    common = f'environment="{feature.environment}",data_mode="real"'
    where = (
        f'{common},provider="{feature.provider}",model="{feature.model}",feature="{feature.name}"'
    )
    prompt = f'prompt_version="{feature.prompt[0]}",prompt_sha="{feature.prompt[1]}"'
    for tenant, share in feature.tenants.items():
        mine = f'{where},tenant="{tenant}",{prompt}'
        good = (calls - failed) * share
        noise = 1 + rnd.gauss(0, 0.05)
        counters.add("llm_requests_total", f'{mine},status="success"', good)
        counters.add("llm_requests_total", f'{mine},status="error"', failed * share)
        counters.add("llm_cost_usd_total", mine, good * feature.cost_usd() * noise)
        tokens = good * feature.input_tokens * noise
        counters.add("llm_input_tokens_total", mine, tokens)
        counters.add("llm_cache_read_tokens_total", mine, tokens * feature.cached)
        counters.add("llm_output_tokens_total", mine, good * feature.output_tokens * noise)
    counters.add("llm_api_errors_total", f'{where},error_class="server_error"', failed)
    _timings(counters, rnd, feature, where, min(calls - failed, 30))
    quality = f'{common},feature="{feature.name}",{prompt}'
    samples = _some(rnd, (calls - failed) * 0.05)
    counters.add("llm_eval_score_count", quality, samples)
    counters.add("llm_eval_score_sum", quality, samples * min(1, rnd.gauss(feature.score, 0.03)))
    for name, share in (("llm_validation_errors_total", 0.005), ("llm_refusals_total", 0.005)):
        counters.add(name, quality, _some(rnd, calls * share))
    return calls - failed


def _timings(
    counters: Counters, rnd: random.Random, feature: Feature, where: str, calls: int
) -> None:
    """Observe up to 30 calls of a step: enough for a percentile."""
    first = [feature.ttft_s * rnd.lognormvariate(0, 0.35) for _ in range(calls)]
    pace = [rnd.gauss(55, 8) for _ in range(calls)]
    total = [
        feature.slow * (f + feature.output_tokens / max(p, 5) / 6)
        for f, p in zip(first, pace, strict=True)
    ]
    sizes = [feature.input_tokens * rnd.lognormvariate(0, 0.3) for _ in range(calls)]
    _observe(counters, "llm_ttft_seconds", where, TTFT, first)
    _observe(counters, "llm_total_latency_seconds", where, LATENCY, total)
    _observe(
        counters, "llm_decode_tokens_per_second", where.rpartition(",feature")[0], DECODE, pace
    )
    _observe(counters, "llm_request_input_tokens", where, INPUT, sizes)


def _still(counters: Counters) -> None:
    """What stands still in both weeks."""
    for name, labels, value in (
        ("up", 'job="otelcol-llm",instance="sidecar:9464"', 1.0),
        ("llm_budget_usd", 'environment="prod",scope="global",name="all",period="day"', 2000.0),
        ("llm_budget_usd", 'environment="prod",scope="global",name="all",period="month"', 60000.0),
        ("otelcol_llm_config_last_reload_successful", 'instance="sidecar:8888"', 1.0),
    ):
        counters.add(name, labels, value)


def backfill(folder: Path, plant: bool) -> None:
    """Make a database of Prometheus with both weeks in `folder`."""
    counters, rnd = Counters(), random.Random(20260901)
    _still(counters)
    for at in range(START_S, END_S, STEP_S):
        day = (at - START_S) / DAY_S
        for feature in COMPANY:
            today = planted(feature, day) if plant else clean(feature, day)
            step(counters, rnd, today, at)
        counters.scrape(at)
    store(counters, folder)


def store(counters: Counters, folder: Path) -> None:
    """Make a database of Prometheus in `folder`."""
    text = folder / "weeks.om"
    counters.write(text)
    _blocks("openmetrics", "--quiet", str(text), str(folder / "prometheus"))
    text.unlink()


def record(folder: Path, port: int, rules: Path, start_s: int) -> None:
    """Add what recording rules would have recorded since then; a Prometheus must serve `folder` on this port."""
    times = [f"--start={start_s}", f"--end={END_S}", "--eval-interval=4m"]
    where = [f"--url=http://127.0.0.1:{port}", f"--output-dir={folder / 'prometheus'}"]
    # Prometheus shifts the evaluations of a group by a hash of the name of its file as given: give no path.
    _blocks("rules", *times, *where, rules.name, cwd=rules.parent)


def _blocks(*arguments: str, cwd: Path | None = None) -> None:
    """One block for all: promtool reads its whole input again for each."""
    command = [installed("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=720h"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
