"""What is bounded, and what happens at the bound."""

from __future__ import annotations

import re
from typing import Any

from collector.self_metrics import rss_bytes
from processors import semconv
from processors.batch import Batch, Signal
from processors.llm_metrics.bindings import Bindings, Origin
from processors.llm_metrics.catalogue import LABELS, METRICS
from processors.llm_metrics.kinds import Kinds
from processors.llm_metrics.labels import LabelValues
from processors.llm_metrics.series import IDLE_NS, REFRESH_NS, Book
from processors.stats import Stats

from .support import NOW, SECOND, connector, logs, priced, read, span, total, traces

HOUR = 3600 * SECOND


def test_very_many_label_values_become_other_and_are_counted() -> None:
    metrics = connector()
    for first in range(0, 6000, 100):
        calls = [
            priced(
                gen_ai__response__model=f"m{n}", gen_ai__request__model=f"m{n}", app__llm__tenant__id=f"t{n}",
                app__llm__prompt__template__sha=f"{n:012x}", app__llm__feature=f"f{n}",
            )
            for n in range(first, first + 100)
        ]  # fmt: skip
        metrics.process(traces(map(span, calls)))
    found = read(metrics.tick(NOW))
    for label in ("tenant", "model", "prompt_sha"):
        values = {dict(labels)[label] for labels in found["llm_requests_total"]}
        limit = LABELS[label].limit
        assert limit is not None
        assert "other" in values
        assert len(values) == limit + 1
        assert metrics.stats.counters["llm_cardinality_overflow_total", label] == 6000 - limit
    assert total(found, "llm_requests_total") == 6000
    assert max(map(len, found.values())) <= 1001


def test_very_many_attribute_tuples_cost_no_memory_and_lose_no_call() -> None:
    metrics = connector({"label_limits": {"tenant": 10}})
    for first in range(0, 17_000, 1000):
        calls = (priced(app__llm__tenant__id=f"t{n}") for n in range(first, first + 1000))
        metrics.process(traces(map(span, calls)))
    assert total(read(metrics.tick(NOW)), "llm_requests_total") == 17_000


def test_a_hundred_thousand_tenants_models_and_prompts_leave_memory_flat() -> None:
    metrics = connector()
    raw = traces(
        [
            span(
                priced(
                    gen_ai__response__model=f"m#{n:06}", gen_ai__request__model=f"m#{n:06}",
                    app__llm__tenant__id=f"t#{n:06}", app__llm__prompt__template__sha=f"#{n:06}",
                )
            )
            for n in range(100)
        ]
    ).encode()  # fmt: skip
    sizes = []
    for first in range(0, 100_000, 100):
        new = re.sub(rb"#\d{6}", lambda m, n=first: b"#%06d" % (int(m[0][1:]) + n), raw)  # type: ignore[misc] # bound
        batch = Batch(Signal.TRACES, new, received_ns=NOW + first)
        metrics.process(batch)
        batch.release()  # as the pipeline does
        if first in (45_000, 95_000):
            sizes.append(rss_bytes())
            told = metrics.tick(NOW + first * SECOND // 100)
    assert max(map(len, read(told).values())) <= 20_000
    for label in ("tenant", "model", "prompt_sha"):
        limit = LABELS[label].limit
        assert limit is not None
        assert metrics.stats.counters["llm_cardinality_overflow_total", label] == 100_000 - limit
    assert sizes[1] - sizes[0] < 4 << 20


def test_a_full_metric_folds_the_next_label_set_whole() -> None:
    metrics = connector({"max_series_per_metric": 3})
    for n in range(10):
        metrics.process(traces([span(priced(app__llm__tenant__id=f"t{n}"))]))
    found = read(metrics.tick(NOW))
    tenants = {
        dict(labels)["tenant"]: count for labels, count in found["llm_requests_total"].items()
    }
    assert tenants == {"t0": 1, "t1": 1, "t2": 1, "other": 7}
    key = ("otelcol_llm_metrics_series_overflow_total", "llm_requests_total")
    assert metrics.stats.counters[key] == 7


def test_label_limits_are_configurable() -> None:
    metrics = connector({"label_limits": {"tenant": 1}})
    metrics.process(traces([span(priced(app__llm__tenant__id=t)) for t in "abc"]))
    tenants = {dict(labels)["tenant"] for labels in read(metrics.tick(NOW))["llm_requests_total"]}
    assert tenants == {"a", "other"}


def test_values_are_cut_and_cleaned() -> None:
    tenant = "é" * 100 + "\n"
    metrics = connector()
    metrics.process(
        traces(
            [
                span(
                    priced(
                        app__llm__tenant__id=tenant,
                        app__llm__feature=["a"],
                        gen_ai__provider__name=7,
                    )
                )
            ]
        )
    )
    ((labels, _),) = read(metrics.tick(NOW))["llm_requests_total"].items()
    assert dict(labels)["tenant"] == "é" * 64
    assert dict(labels)["feature"] == "unknown"
    assert dict(labels)["provider"] == "7"


def test_items_are_of_the_mode_that_their_resource_is_of_unless_they_say_so() -> None:
    metrics = connector()
    tool = {semconv.APP_LLM_SPAN_CLASS: "tool"}
    spans = [span(priced()), span(priced(app__llm__data_mode="synthetic")), span(tool)]
    metrics.process(traces(spans, {"app.llm.data_mode": "test"}))
    metrics.process(traces([span(priced())]))
    found = read(metrics.tick(NOW))
    told = {
        m: total(found, "llm_requests_total", data_mode=m) for m in ("test", "synthetic", "real")
    }
    assert told == {"test": 1, "synthetic": 1, "real": 1}
    assert total(found, "llm_tool_calls_total", data_mode="test") == 1


def test_a_mode_nobody_knows_is_not_taken_for_real_traffic() -> None:
    metrics = connector()
    metrics.process(traces([span(priced(app__llm__data_mode=mode)) for mode in ("REAL", "canary")]))
    modes = {dict(labels)["data_mode"] for labels in read(metrics.tick(NOW))["llm_requests_total"]}
    assert modes == {"real", "other"}


def test_idle_series_are_told_again_so_that_they_do_not_expire() -> None:
    metrics = connector()
    metrics.process(traces([span(priced())]))
    list(metrics.tick(NOW))
    assert list(metrics.tick(NOW + REFRESH_NS - SECOND)) == []
    assert total(read(metrics.tick(NOW + REFRESH_NS)), "llm_requests_total") == 1


def test_after_a_day_of_silence_a_value_gives_its_slot_back() -> None:
    metrics = connector({"label_limits": {"tenant": 1}})
    metrics.process(traces([span(priced(app__llm__tenant__id="old"))], {"service.name": "bot"}))
    list(metrics.tick(NOW))
    later = NOW + IDLE_NS + HOUR
    list(metrics.tick(later))
    metrics.process(traces([span(priced(app__llm__tenant__id="new"))], now_ns=later))
    found = read(metrics.tick(later + HOUR))
    assert {dict(labels)["tenant"] for labels in found["llm_requests_total"]} == {"new"}


def test_what_the_configuration_tells_is_never_idle() -> None:
    metrics = connector({"features": {"answer": {}}})
    list(metrics.tick(NOW))
    assert "llm_feature_info" in read(metrics.tick(NOW + 2 * IDLE_NS))


def test_a_large_flush_makes_the_next_one_wait_longer() -> None:
    metrics = connector()
    features = [priced(app__llm__feature=f"f{n}") for n in range(100)]
    metrics.process(traces(map(span, features)))
    (batch,) = metrics.tick(NOW)
    pause = len(batch) * 3 * 10**6
    metrics.process(traces([span(priced())], now_ns=NOW + SECOND))
    assert pause > SECOND
    assert list(metrics.tick(NOW + pause - 1)) == []
    assert len(list(metrics.tick(NOW + pause))) == 1


def test_a_reload_goes_on_counting() -> None:
    before = connector({"features": {"answer": {}}})
    before.process(traces([span(priced(app__llm__tenant__id="a"))]))
    list(before.tick(NOW))
    before.process(traces([span(priced(app__llm__tenant__id="a"))]))
    after = connector({"metrics_flush_interval": "2s"})
    after.adopt(before)
    after.process(traces([span(priced(app__llm__tenant__id="a"))]))
    found = read(after.tick(NOW + SECOND))
    assert total(found, "llm_requests_total", tenant="a") == 3
    assert "llm_feature_info" not in found
    assert list(before.close()) == []


def test_a_retry_after_a_reload_is_a_retry() -> None:
    attempt = span(priced(app__llm__request__external_id="r-1"))
    before, after = connector(), connector()
    before.process(traces([attempt]))
    after.adopt(before)
    after.process(traces([attempt]))
    assert total(read(after.tick(NOW)), "llm_retries_total") == 1


def test_a_failed_call_after_a_reload_is_put_to_the_model_that_served_before() -> None:
    before, after = connector(), connector()
    before.process(traces([span(priced(gen_ai__response__model="served"))]))
    after.adopt(before)
    failed = priced(gen_ai__response__model=None, error__type="timeout")
    after.process(traces([span(failed, code=2)]))
    assert total(read(after.tick(NOW)), "llm_api_errors_total", model="served") == 1


def test_the_figures_of_self_telemetry_follow() -> None:
    metrics = connector()
    metrics.process(traces([span(priced())]))
    list(metrics.tick(NOW))
    figures = {key[0]: reader() for key, reader in metrics.stats.gauges.items()}
    assert figures["otelcol_llm_metrics_series"] > 5
    assert figures["otelcol_llm_metrics_waiting_exemplars"] == 0


def test_a_request_id_that_comes_again_is_a_retry_and_an_odd_one_is_none() -> None:
    metrics = connector()
    ids = ("a", "b", "a", "c", "b", "", [], "\x00", "a")
    calls = [priced(app__llm__request__external_id=one) for one in ids]
    metrics.process(traces(map(span, calls)))
    batch = traces([span(priced()), span(priced())])
    for one in batch.spans():
        one.set(semconv.APP_LLM_REQUEST_EXTERNAL_ID, "half a \ud83d")
    metrics.process(batch)
    assert total(read(metrics.tick(NOW)), "llm_retries_total") == 4


def test_dropped_items_do_not_count() -> None:
    metrics = connector()
    for batch in (traces([span(priced()), span(priced())]), logs([(priced(), {})])):
        next(iter(batch.items())).dropped = True
        metrics.process(batch)
    assert total(read(metrics.tick(NOW)), "llm_requests_total") == 1


def test_odd_errors_of_tools_are_remembered_within_bounds() -> None:
    metrics = connector()
    tool = {semconv.APP_LLM_SPAN_CLASS: "tool", semconv.GEN_AI_TOOL_NAME: "search"}
    metrics.process(traces([span({**tool, "error.type": f"e{n}"}) for n in range(600)]))
    assert total(read(metrics.tick(NOW)), "llm_tool_calls_total", status="error") == 600


def test_odd_numbers_of_everything_remembered_are_bounded() -> None:
    metrics = connector()
    calls: list[dict[str, Any]] = [
        priced(gen_ai__usage__input_tokens=n, error__type=f"odd-{n}") for n in range(17_000)
    ]
    metrics.process(traces(map(span, calls)))
    found = read(metrics.tick(NOW))
    assert total(found, "llm_input_tokens_total") == sum(range(17_000))
    assert total(found, "llm_requests_total", status="error") == 17_000


def test_very_many_resources_and_aliases_are_forgotten_not_lost() -> None:
    metrics = connector()
    for n in range(4200):
        call = priced(gen_ai__request__model=f"alias-{n}")
        metrics.process(
            traces([span(call)], {"service.instance.id": n, semconv.DEPLOYMENT_ENVIRONMENT: "e"})
        )
    assert total(read(metrics.tick(NOW)), "llm_requests_total", environment="e") == 4200


def test_kinds_that_are_told_apart_by_long_values_are_not_remembered() -> None:
    stats = Stats()
    kinds = Kinds(Bindings(Book(METRICS, 10, stats), LabelValues({}, stats)))

    def same(feature: str) -> bool:
        read = {semconv.APP_LLM_FEATURE: feature}
        one, other = (kinds.find_overlaid(read, Origin("here", "real"), 0) for _ in range(2))
        assert one.binding is other.binding
        return one is other

    assert same("answer")
    assert not same("a" * 4000)


def test_calls_of_a_kind_that_is_not_remembered_are_counted() -> None:
    metrics = connector()
    calls = [priced(error__type="x" * 4000, gen_ai__usage__input_tokens="7" * 30)] * 3
    metrics.process(traces(map(span, calls)))
    assert total(read(metrics.tick(NOW)), "llm_requests_total", status="error") == 3
