"""Probes through a running collector of the stack's configuration, seen by a real Prometheus and a real trace store.

Where Tempo is absent Jaeger stands for it; it answers a trace by its id on a path of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from collector.cli import cli
from tests.e2e.servers import REPOSITORY, Collector, Jaeger, Prometheus, free_port, poll
from tests.stack.test_runbooks import BOOKS, blocks

pytestmark = pytest.mark.e2e

CONFIGS: Final = [REPOSITORY / "configs" / name for name in ("collector.yaml", "stack.yaml")]
PATH_OF_JAEGER: Final = "/api/v3/traces/{trace_id}"
SMALL: Final = (
    "receivers: {otlp: {protocols: {http: {}}}}\nexporters: {debug: {}}\n"
    "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}"
)
NOBODY: Final = "http://127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Stack:
    """What is running, and how it was configured."""

    collector: Collector
    prometheus: Prometheus
    jaeger: Jaeger

    def by_hand(self, *arguments: str) -> Result:
        """Call the command where the collector runs, with its settings beside the arguments."""
        sets = [word for one in self.collector.settings for word in ("--set", one)]
        return by_hand(*arguments, *sets, env=self.collector.environment)

    def places(self, **other: str) -> list[str]:
        """Return who is who as options."""
        urls = {
            "send": f"http://127.0.0.1:{self.collector.http}",
            "metrics": f"http://127.0.0.1:{self.prometheus.port}",
            "traces": f"http://127.0.0.1:{self.jaeger.query}",
            "trace-path": PATH_OF_JAEGER,
            **other,
        }
        return [word for name, value in urls.items() for word in (f"--{name}", value)]

    def probes(self, signal: str, result: str) -> float:
        """Return how many probes of the extension ended so."""
        own = self.collector.own
        return self.collector.sum(own, "llm_freshness_probes_total", signal=signal, result=result)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack without Grafana; the extension sends a probe a second."""
    folder = tmp_path_factory.mktemp("freshness")
    (folder / "key").write_text("5eed" * 16)
    running: list[Any] = []
    try:
        jaeger = Jaeger(folder).start()
        running.append(jaeger)
        http, port = free_port(), free_port()
        collector = Collector(
            folder,
            configs=CONFIGS,
            http=http,
            settings=[
                f"exporters.otlp.endpoint=127.0.0.1:{jaeger.grpc}",
                f"extensions.file_storage.directory={folder / 'storage'}",
                "extensions.freshness.interval=1s",
                "extensions.freshness.poll_interval=100ms",
                f"extensions.freshness.send.endpoint=http://127.0.0.1:{http}",
                f"extensions.freshness.metrics.endpoint=http://127.0.0.1:{port}",
                f"extensions.freshness.traces.endpoint=http://127.0.0.1:{jaeger.query}",
                f"extensions.freshness.traces.path={PATH_OF_JAEGER}",
            ],
            environment={"OTELCOL_LLM_REDACTION_KEY_FILE": str(folder / "key")},
        ).start()
        running.append(collector)
        prometheus = Prometheus(folder, [collector.metrics, collector.own], port=port).start()
        running.append(prometheus)
        yield Stack(collector, prometheus, jaeger)
    finally:
        for one in reversed(running):
            one.server.stop(limit_s=5)  # a Jaeger that was asked over HTTP takes half a minute


def by_hand(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Call the command."""
    return CliRunner().invoke(cli, ["freshness", *arguments], env=env)


def told(result: Result) -> dict[str, tuple[str, float]]:
    """Return what became of the probe, by signal: the result and the seconds."""
    words = [line.split() for line in result.output.splitlines()]
    return {signal: (outcome, float(seconds)) for signal, outcome, seconds, *_ in words}


def test_the_extension_sees_its_probes_in_both_stores(stack: Stack) -> None:
    for signal in ("metrics", "traces"):
        poll(f"a probe in {signal}", lambda signal=signal: stack.probes(signal, "ok"))
        assert stack.probes(signal, "lost") == 0


def test_the_alerts_find_the_series_of_the_extension(stack: Stack) -> None:
    """A second counts: they are scraped from the collector's own page."""
    expr = "time() - max by (signal) (llm_freshness_last_success_timestamp_seconds)"
    found = poll("both signals", lambda: len(stack.prometheus.query(expr)) == 2)
    assert found
    assert all(float(one["value"][1]) < 60 for one in stack.prometheus.query(expr))


def test_a_probe_by_hand_goes_where_the_collector_is_configured_to_look(stack: Stack) -> None:
    """By the line of the runbook, with the folder of this checkout for the container's."""
    (book,) = (book for book in BOOKS if book.stem == "freshness")
    (line,) = (text for text in blocks(book, "sh") if "otelcol-llm freshness" in text)
    words = line.replace("/etc/otelcol-llm", str(REPOSITORY / "configs")).split()
    result = stack.by_hand(*words[words.index("freshness") + 1 :])
    assert result.exit_code == 0, result.output
    seen = told(result)
    assert seen.keys() == {"metrics", "traces"}
    assert {outcome for outcome, _ in seen.values()} == {"ok"}
    assert all(0 < seconds < 30 for _, seconds in seen.values())


def test_a_probe_by_hand_needs_no_configuration(stack: Stack) -> None:
    result = by_hand(*stack.places())
    assert result.exit_code == 0, result.output
    assert told(result).keys() == {"metrics", "traces"}
    trace_id = result.output.split()[5]
    assert "synthetic" in stack.jaeger.trace(trace_id)


def test_probes_by_hand_are_counted_apart_from_those_of_the_collector(stack: Stack) -> None:
    """Else a probe by hand would be taken for one that the collector waits for."""
    configs = [word for path in CONFIGS for word in ("--config", str(path))]
    assert stack.by_hand(*configs).exit_code == 0
    found = stack.prometheus.query('count by (tenant) (llm_requests_total{data_mode="synthetic"})')
    assert {"probe-sidecar", "probe-sidecar-by-hand"} <= {one["metric"]["tenant"] for one in found}


def test_a_store_that_is_away_is_named_and_the_other_still_asked(stack: Stack) -> None:
    result = by_hand(*stack.places(traces=NOBODY), "--timeout", "8")
    assert result.exit_code == 1
    seen = told(result)
    assert seen["metrics"][0] == "ok"
    assert seen["traces"][0] == "lost"
    assert f"{NOBODY}/api/v3/traces/" in result.output
    assert "does not answer: [Errno 111] Connection refused" in result.output


def test_a_trace_that_does_not_appear_is_said_to_be_lost(stack: Stack) -> None:
    """Two seconds are waited for more spans before a trace is decided: half a second is too short."""
    result = by_hand(*stack.places(), "--timeout", "0.5")
    assert result.exit_code == 1
    (line,) = (line for line in result.output.splitlines() if line.startswith("traces"))
    assert line.split()[1] == "lost"
    assert line.endswith("it did not appear")


def test_a_receiver_that_is_away_is_told_at_once(stack: Stack) -> None:
    result = by_hand(*stack.places(send=NOBODY))
    assert result.exit_code == 1
    assert set(told(result).values()) == {("lost", 0.0)}
    assert f"{NOBODY}/v1/traces does not answer" in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "got nowhere to look"),
        (["--config", f"yaml:{SMALL}"], "expected an extension `freshness` in yaml:receivers"),
        (["--metrics", "prometheus:9090"], "expected http://… or https://…, got prometheus:9090"),
        (["--timeout", "0"], "0.0 is not in the range"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(arguments: list[str], text: str) -> None:
    result = by_hand(*arguments)
    assert result.exit_code == 2
    assert text in result.output
