"""Prices change in a running collector under load, for calls that arrive later, and never to something broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import grpc
import pytest

from processors.batch import Signal
from tests.e2e.servers import REPOSITORY, Collector, poll
from tests.telemetry import span, traces

pytestmark = pytest.mark.e2e

LOADED = "otelcol_llm_config_last_reload_success_timestamp_seconds"
GOOD = "otelcol_llm_config_last_reload_successful"
PRICES = """schema: 1
catalog: {{id: own, base: none}}
models:
  - provider: openai
    match: gpt-4o
    prices: [{{{rates}: {{input: {usd}}}}}]
  - {{provider: acme, match: [a, b, c], prices: [{{rates: {{input: 1}}}}]}}
"""


def called(model: str, tokens: int) -> dict[str, object]:
    """Return the attributes of a call."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": tokens,
    }


class Load:
    """Sends one call after the other until it is stopped; every call is a trace of its own."""

    def __init__(self, port: int) -> None:
        self.sent = 0
        """Calls that were acknowledged, numbered from 1."""
        self.failures: list[str] = []
        self._port = port
        self._enough = Event()
        self._thread = Thread(target=self._send)

    def _send(self) -> None:
        attributes = called("gpt-4o", 1_000_000)
        with grpc.insecure_channel(f"127.0.0.1:{self._port}") as channel:
            export = channel.unary_unary(Signal.TRACES.grpc_method)
            while not self._enough.wait(0.002):
                number = self.sent + 1
                try:
                    export(traces(span(number, number, attributes=attributes)), timeout=30)
                except grpc.RpcError as error:
                    self.failures.append(str(error))
                self.sent = number

    @contextmanager
    def running(self) -> Iterator[Load]:
        self._thread.start()
        try:
            yield self
        finally:
            self._enough.set()
            self._thread.join()

    def more(self, calls: int = 20) -> int:
        """Wait for more calls; returns how many were sent when they began."""
        begun = self.sent
        poll("more calls", lambda: self.sent >= begun + calls)
        return begun


def test_prices_change_under_load_and_a_broken_list_changes_nothing(
    collector: Callable[..., Collector], tmp_path: Path
) -> None:
    prices, overrides = tmp_path / "pricing.yaml", tmp_path / "overrides.yaml"
    prices.write_text(PRICES.format(rates="rates", usd=1))
    overrides.write_text(
        f'processors:\n  llm_cost: {{pricing: "${{file:{prices}}}"}}\n'
        "  tail_sampling: {policies: [{name: all, type: always_sample}]}\n"
    )
    ours = collector(configs=[REPOSITORY / "configs" / "embedded.yaml", overrides])
    with Load(ours.grpc).running() as load:
        load.more()
        last_old = load.sent
        before = ours.sum(ours.own, LOADED)
        prices.write_text(PRICES.format(rates="rates", usd=3))
        poll("the reload", lambda: ours.sum(ours.own, LOADED) > before)
        first_new = load.sent + 2  # one call may be on its way
        load.more()
        prices.write_text(PRICES.format(rates="rats", usd=5))
        poll("the refusal", lambda: ours.sum(ours.own, GOOD) == 0)
        load.more()
    log = ours.server.text() if ours.server else ""
    assert f"{prices}:6:" in log
    assert "did you mean 'rates'" in log
    assert ours.stop() == 0
    assert load.failures == []
    costs = {
        int(one["spanId"], 16): one["attributes"]["app.llm.cost_usd"] for one in ours.kept_spans()
    }
    assert sorted(costs) == list(range(1, load.sent + 1))
    assert {costs[n] for n in range(1, last_old + 1)} == {1.0}
    assert {costs[n] for n in range(first_new, load.sent + 1)} == {3.0}
    assert set(costs.values()) == {1.0, 3.0}


def test_what_is_kept_for_its_cost_follows_the_users_prices(
    collector: Callable[..., Collector], tmp_path: Path
) -> None:
    """The catalogue knows no such model. Two calls of a trace make ten cents, or one token less."""
    (tmp_path / "pricing.yaml").write_text(
        """schema: 1
models:
  - provider: openai
    match: of-our-own
    prices: [{rates: {input: 10}}]
"""
    )
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(
        f'processors:\n  llm_cost: {{pricing: "${{file:{tmp_path / "pricing.yaml"}}}"}}\n'
        "  tail_sampling: {policies: "
        "[{name: expensive, type: trace_cost, trace_cost: {min_usd: 0.10, on_unpriced: ignore}}]}\n"
    )
    ours = collector(configs=[REPOSITORY / "configs" / "embedded.yaml", overrides])
    with grpc.insecure_channel(f"127.0.0.1:{ours.grpc}") as channel:
        export = channel.unary_unary(Signal.TRACES.grpc_method)
        for trace, second in ((1, 5_000), (2, 4_999)):
            spans = [
                span(number, trace, parent=9, attributes=called("of-our-own", tokens))
                for number, tokens in ((1, 5_000), (2, second))
            ]
            export(traces(*spans), timeout=10)
    assert ours.stop() == 0
    kept = [
        (int(one["traceId"], 16), one["attributes"]["app.llm.cost_usd"])
        for one in ours.kept_spans()
    ]
    assert kept == [(1, 0.05), (1, 0.05)]
