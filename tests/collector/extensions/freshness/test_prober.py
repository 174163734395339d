"""What is counted about probes: by scripted servers, with the time given."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.config.settings import resolve
from collector.extensions.freshness import Config, build, check, prober
from collector.extensions.freshness.eyes import Web
from collector.extensions.freshness.probe import Probe, make
from collector.extensions.freshness.prober import LAST_SUCCESS, PROBES, SECONDS, Outcome, Prober
from collector.registry import schema_of
from processors.ports import Context
from tests.scripted_http import serving

MINUTE = 60.0


@dataclass
class World:
    """A receiver, a Prometheus and a trace store in one, that say what they are told to say."""

    url: str = ""
    received: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    takes: int = 200
    counter: float | None = None
    traces: dict[str, bytes] = field(default_factory=dict)
    up: bool = True

    def answer(self, path: str, body: bytes | None) -> tuple[int, bytes]:
        self.asked.append(path)
        if body is not None:
            self.received.append(body)
            return self.takes, b""
        if not self.up:
            return 500, b""
        if path.startswith("/api/v1/query"):
            value = [] if self.counter is None else [{"value": [0, str(self.counter)]}]
            return 200, json.dumps({"data": {"result": value}}).encode()
        trace = self.traces.get(path.rpartition("/")[2])
        return (404, b"") if trace is None else (200, trace)


@pytest.fixture
def world() -> Iterator[World]:
    found = World()

    with serving(found.answer) as found.url:
        yield found


def settings(**given: Any) -> dict[str, Any]:
    return resolve(schema_of("collector/extensions/freshness/schema.json"), given)


def config(world: World, *signals: str, **given: Any) -> Config:
    places = {name: {"endpoint": world.url} for name in ("send", *signals)}
    return Config.load(settings(instance="a", **places, **given))


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()
    yield found
    found.close()


def probe() -> Probe:
    return make("probe-a", "prod", 1_790_000_000_000_000_000)


def counted(looking: Prober, signal: str) -> dict[str, int | float]:
    return {
        result: looking.stats.counters[PROBES, signal, result] for result in ("ok", "late", "lost")
    }


def results(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.signal, outcome.result) for outcome in outcomes]


def test_a_probe_says_that_it_is_synthetic_and_whose(world: World, web: Web) -> None:
    sent = probe()
    prober(config(world, "traces"), web).send(sent, 0.0)
    (group,) = ExportTraceServiceRequest.FromString(world.received[0]).resource_spans
    (span,) = group.scope_spans[0].spans
    said = {pair.key: pair.value.string_value for pair in span.attributes}
    assert span.trace_id == sent.trace_id
    assert said["app.llm.data_mode"] == "synthetic"
    assert said["app.llm.tenant.id"] == "probe-a"
    assert said["app.llm.request.external_id"] == sent.trace_id.hex()


def test_every_series_is_there_before_the_first_probe(world: World, web: Web) -> None:
    looking = prober(config(world, "metrics", "traces"), web)
    for signal in ("metrics", "traces"):
        assert counted(looking, signal) == {"ok": 0, "late": 0, "lost": 0}
        assert looking.stats.gauges[LAST_SUCCESS, signal]() > 0


def test_a_trace_is_seen_by_its_whole_id(world: World, web: Web) -> None:
    looking, sent = prober(config(world, "traces"), web), probe()
    looking.send(sent, 0.0)
    assert looking.look(10.0) == []
    world.traces[sent.trace_id.hex()] = b'{"trace": {}}'
    assert looking.look(20.0) == []
    world.traces[sent.trace_id.hex()] = b'{"trace": {"resourceSpans": [{"spans": [{}]}]}}'
    assert results(looking.look(28.0)) == [("traces", "ok")]
    assert looking.stats.histograms[SECONDS, "traces"].sum == 28.0
    assert looking.pending == []


@pytest.mark.parametrize(("seconds", "result"), [(300.0, "ok"), (300.1, "late"), (899.0, "late")])
def test_a_probe_within_the_target_is_ok_and_a_later_one_late(
    world: World, web: Web, seconds: float, result: str
) -> None:
    looking, sent = prober(config(world, "traces"), web), probe()
    looking.send(sent, 0.0)
    world.traces[sent.trace_id.hex()] = b'"spans"'
    assert results(looking.look(seconds)) == [("traces", result)]
    assert counted(looking, "traces")[result] == 1


def test_a_probe_that_never_appears_is_lost(world: World, web: Web) -> None:
    looking = prober(config(world, "traces"), web)
    looking.send(probe(), 0.0)
    assert looking.look(899.9) == []
    assert results(looking.look(900.0)) == [("traces", "lost")]
    assert counted(looking, "traces") == {"ok": 0, "late": 0, "lost": 1}
    assert sum(looking.stats.histograms[SECONDS, "traces"].counts) == 0


def test_a_refused_probe_is_lost_at_once_for_every_signal(world: World, web: Web) -> None:
    world.takes = 503
    outcomes = prober(config(world, "metrics", "traces"), web).send(probe(), 0.0)
    assert results(outcomes) == [("metrics", "lost"), ("traces", "lost")]
    assert "answered 503" in outcomes[0].why


def test_metrics_are_seen_by_the_increase_of_the_own_counter(world: World, web: Web) -> None:
    looking = prober(config(world, "metrics"), web)
    world.counter = 7
    looking.send(probe(), 0.0)
    assert "tenant%3D%22probe-a%22" in world.asked[0]
    assert looking.look(10.0) == []
    world.counter = 8
    assert results(looking.look(20.0)) == [("metrics", "ok")]


def test_a_new_series_is_seen_when_it_leaves_zero(world: World, web: Web) -> None:
    looking = prober(config(world, "metrics"), web)
    looking.send(probe(), 0.0)
    world.counter = 0
    assert looking.look(15.0) == []
    world.counter = 1
    assert results(looking.look(30.0)) == [("metrics", "ok")]


def test_a_restarted_counter_is_no_probe_that_was_seen(world: World, web: Web) -> None:
    looking = prober(config(world, "metrics"), web)
    world.counter = 7
    looking.send(probe(), 0.0)
    world.counter = 0
    assert looking.look(15.0) == []
    world.counter = 1
    assert results(looking.look(30.0)) == [("metrics", "ok")]


def test_a_second_probe_waits_for_the_second_increase(world: World, web: Web) -> None:
    looking = prober(config(world, "metrics"), web)
    world.counter = 0
    looking.send(probe(), 0.0)
    looking.send(probe(), 5 * MINUTE)
    world.counter = 1
    assert [outcome.seconds for outcome in looking.look(6 * MINUTE)] == [6 * MINUTE]
    world.counter = 2
    assert [outcome.seconds for outcome in looking.look(7 * MINUTE)] == [2 * MINUTE]


def test_a_lost_probe_does_not_keep_the_next_one_waiting(world: World, web: Web) -> None:
    looking = prober(config(world, "metrics"), web)
    world.counter = 3
    looking.send(probe(), 0.0)
    assert results(looking.look(15 * MINUTE)) == [("metrics", "lost")]
    looking.send(probe(), 16 * MINUTE)
    world.counter = 4
    assert results(looking.look(17 * MINUTE)) == [("metrics", "ok")]


def test_an_outage_of_prometheus_says_why_probes_are_lost(world: World, web: Web) -> None:
    looking = prober(config(world, "metrics"), web)
    world.up = False
    looking.send(probe(), 0.0)
    (outcome,) = looking.look(900.0)
    assert outcome.result == "lost"
    assert outcome.why == f"{world.url} answered 500 to a query"


def test_nobody_listening_is_told_as_such(web: Web) -> None:
    nobody = World(url="http://127.0.0.1:1")
    (outcome,) = prober(config(nobody, "traces"), web).send(probe(), 0.0)
    assert "http://127.0.0.1:1/v1/traces does not answer" in outcome.why


def test_the_extension_probes_when_data_is_taken(world: World) -> None:
    said = threading.Event()
    given = settings(
        interval="1h",
        poll_interval="5ms",
        timeout="20ms",
        target="10ms",
        send={"endpoint": world.url},
        traces={"endpoint": world.url},
    )

    def say(text: str, **fields: object) -> None:
        assert (text, fields["result"]) == ("A probe was not seen in time.", "lost")
        said.set()

    extension = build(given, Context(id="freshness", say=say))
    extension.start()
    assert said.wait(10.0)
    extension.stop(5.0)
    assert len(world.received) == 1
    assert extension.stats.counters[PROBES, "traces", "lost"] == 1


def test_nothing_is_probed_where_nobody_is_configured_to_look() -> None:
    extension = build(settings(), Context(id="freshness"))
    extension.start()
    assert dict(extension.stats.counters) == {}
    extension.stop(0.0)


def test_a_target_beyond_the_timeout_is_refused() -> None:
    (finding,) = check(settings(target="20m"), Context(id="freshness"))
    assert (finding.path, finding.warning) == ("target", False)
