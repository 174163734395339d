"""Exemplars lead to traces that exist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from processors.batch import Batch
from processors.llm_metrics import LlmMetrics
from processors.ports import Context, DecisionBus

from .support import NOW, SECOND, connector, priced, span, traces

KEPT, DROPPED = b"k" * 16, b"d" * 16


def sampled() -> tuple[LlmMetrics, DecisionBus]:
    """Return a connector behind which a sampler stands, and the bus the sampler speaks on."""
    bus = DecisionBus()
    bus.samplers = 1
    return connector({}, Context(id="llm_metrics", decisions=bus)), bus


def exemplars(batches: Iterable[Batch]) -> dict[str, list[Any]]:
    """Return metric → exemplars."""
    found: dict[str, list[Any]] = {}
    for batch in batches:
        request = ExportMetricsServiceRequest.FromString(batch.encode())
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                if point.exemplars:
                    found.setdefault(metric.name, []).extend(point.exemplars)
    return found


def test_without_a_sampler_every_candidate_is_an_exemplar() -> None:
    metrics = connector()
    metrics.process(traces([span(priced(app__llm__ttft_s=0.3), trace=KEPT, seconds=2.0)]))
    found = exemplars(metrics.tick(NOW))
    assert set(found) == {
        "llm_cost_usd_total", "llm_request_cost_usd", "llm_total_latency_seconds", "llm_ttft_seconds",
        "llm_decode_tokens_per_second",
    }  # fmt: skip
    (latency,) = found["llm_total_latency_seconds"]
    assert (latency.trace_id, latency.as_double) == (KEPT, 2.0)
    assert latency.time_unix_nano == NOW + 2 * SECOND


def test_only_kept_traces_become_exemplars() -> None:
    metrics, bus = sampled()
    calls = [span(priced(app__llm__feature=t.hex()), trace=t) for t in (KEPT, DROPPED)]
    metrics.process(traces(calls))
    assert exemplars(metrics.tick(NOW)) == {}
    bus.decided(DROPPED, False)
    bus.decided(KEPT, True)
    bus.decided(b"?" * 16, True)
    found = exemplars(metrics.tick(NOW + SECOND))
    assert {one.trace_id for ones in found.values() for one in ones} == {KEPT}


def test_the_newest_trace_of_a_bucket_is_shown() -> None:
    metrics = connector()
    for number, trace in enumerate((b"1" * 16, b"2" * 16)):
        metrics.process(traces([span(priced(), trace=trace, seconds=2.0)]))
        found = exemplars(metrics.tick(NOW + number * SECOND))
        assert [one.trace_id for one in found["llm_total_latency_seconds"]] == [trace]


def test_slow_and_failed_calls_are_always_candidates() -> None:
    metrics = connector()
    slow = span(priced(), trace=b"s" * 16, seconds=9.0)
    failed = span(priced(error__type="timeout"), trace=b"f" * 16, seconds=0.2)
    metrics.process(traces([span(priced(), seconds=2.0), slow, failed]))
    found = exemplars(metrics.tick(NOW))
    assert {one.trace_id for one in found["llm_total_latency_seconds"]} == {
        b"t" * 16,
        b"s" * 16,
        b"f" * 16,
    }


def test_candidates_are_bounded_and_the_oldest_makes_room() -> None:
    metrics, bus = sampled()
    for first in range(0, 21_000, 1000):
        metrics.process(
            traces(
                [
                    span(priced(), trace=n.to_bytes(16, "big"), seconds=9.0)
                    for n in range(first + 1, first + 1001)
                ]
            )
        )
    waiting = metrics.stats.gauges["otelcol_llm_metrics_waiting_exemplars",]()
    assert waiting == 20_000
    bus.decided((1).to_bytes(16, "big"), True)
    assert exemplars(metrics.tick(NOW)) == {}


def test_one_trace_holds_few_candidates() -> None:
    metrics, bus = sampled()
    metrics.process(traces([span(priced(), trace=KEPT, seconds=5.0 + n) for n in range(10)]))
    bus.decided(KEPT, True)
    found = exemplars(metrics.tick(NOW))
    assert [one.as_double for one in found["llm_cost_usd_total"]] == [0.001]
    assert len(found["llm_total_latency_seconds"]) == 2  # 5 s and the bucket above it


def test_spans_without_a_trace_are_no_exemplars() -> None:
    metrics = connector()
    metrics.process(traces([span(priced(), trace=b""), span(priced(), trace=bytes(16))]))
    assert exemplars(metrics.tick(NOW)) == {}


def test_a_successor_waits_for_what_its_predecessor_waited_for() -> None:
    before, bus = sampled()
    before.process(traces([span(priced(), trace=KEPT)]))
    after = connector({"metrics_flush_interval": "2s"}, Context(id="llm_metrics", decisions=bus))
    after.adopt(before)
    bus.decided(KEPT, True)
    assert "llm_cost_usd_total" in exemplars(after.tick(NOW))


def test_nothing_is_heard_after_the_end() -> None:
    metrics, bus = sampled()
    metrics.process(traces([span(priced(), trace=KEPT)]))
    list(metrics.close())
    bus.decided(KEPT, True)
    assert exemplars(metrics.close()) == {}
