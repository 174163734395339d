"""What users cost: only for those who ask, only by pseudonym, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

from processors import semconv
from processors.batch import Batch
from processors.llm_metrics import LlmMetrics
from processors.llm_metrics.spenders import Spenders
from processors.llm_metrics.users import LEFT_OUT
from processors.redaction.actions import Pseudonyms

from .support import NOW, SECOND, connector, priced, read, span, total, traces

DAY = 24 * 3600 * SECOND
MIDNIGHT = NOW // DAY * DAY


def user(number: int) -> str:
    return f"user_{number:016x}"


def calls(spent: Iterable[tuple[str, float]], **more: Any) -> list[bytes]:
    return [span(priced(user__id=name, app__llm__cost_usd=usd, **more)) for name, usd in spent]


def table(metrics: LlmMetrics, now_ns: int) -> dict[str, float]:
    """Return user → dollars of the rows that the next flush tells."""
    found = read(metrics.tick(now_ns)).get("llm_top_user_cost_usd", {})
    return {dict(labels)["user"]: usd for labels, usd in found.items()}


def withdrawn(batches: Iterable[Batch]) -> list[str]:
    """Return the users whose rows a flush takes away."""
    names = []
    for batch in batches:
        request = ExportMetricsServiceRequest.FromString(batch.encode())
        for metric in request.resource_metrics[0].scope_metrics[0].metrics:
            names += [
                {kv.key: kv.value.string_value for kv in point.attributes}["user"]
                for point in metric.gauge.data_points
                if point.flags & DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
            ]
    return names


def test_nothing_is_told_of_users_unless_somebody_asks() -> None:
    metrics = connector()
    metrics.process(traces(calls([(user(1), 1.0)])))
    (batch,) = metrics.tick(NOW)
    assert b"user" not in batch.encode()


def test_the_most_expensive_users_are_told_by_environment_and_mode() -> None:
    metrics = connector({"users": {"top": 2}})
    spent = [(user(1), 0.1), (user(2), 0.5), (user(3), 0.3), (user(1), 0.3)]
    metrics.process(traces(calls(spent), {"deployment.environment.name": "production"}))
    metrics.process(traces(calls([(user(1), 0.2)], app__llm__data_mode="test")))
    found = read(metrics.tick(NOW))["llm_top_user_cost_usd"]
    assert {tuple(value for _, value in labels): usd for labels, usd in found.items()} == {
        ("production", "real", user(2)): 0.5,
        ("production", "real", user(1)): 0.4,
        ("unknown", "test", user(1)): 0.2,
    }


def test_who_is_overtaken_leaves_the_table_at_once() -> None:
    metrics = connector({"users": {"top": 1}})
    metrics.process(traces(calls([(user(1), 0.1)])))
    assert table(metrics, NOW) == {user(1): 0.1}
    metrics.process(traces(calls([(user(2), 0.2)])))
    assert withdrawn(metrics.tick(NOW + SECOND)) == [user(1)]


def test_a_new_window_begins_with_an_empty_table() -> None:
    metrics = connector({"users": {"top": 5}})
    metrics.process(traces(calls([(user(1), 5.0)]), now_ns=MIDNIGHT))
    assert table(metrics, MIDNIGHT + SECOND) == {user(1): 5.0}
    metrics.process(traces(calls([(user(2), 0.1)]), now_ns=MIDNIGHT + DAY))
    metrics.process(traces(calls([(user(2), 0.1)]), now_ns=MIDNIGHT + DAY + SECOND))
    batches = list(metrics.tick(MIDNIGHT + DAY + SECOND))
    assert withdrawn(batches) == [user(1)]
    found = read(metrics.tick(MIDNIGHT + DAY + 120 * SECOND))  # all is told again every minute
    assert total(found, "llm_top_user_cost_usd") == 0.2


def test_what_is_no_pseudonym_is_left_out_and_counted() -> None:
    metrics = connector({"users": {"top": 5, "sample": 1}})
    raw = ["ann@example.org", "user_ann", "user_0123", user(1) + "0", "USER_" + "0" * 16]
    metrics.process(traces(calls([(name, 1.0) for name in raw])))
    metrics.process(traces([span(priced())]))
    (batch,) = metrics.tick(NOW)
    assert not any(name.encode() in batch.encode() for name in raw)
    assert not read([batch]).keys() & {"llm_top_user_cost_usd", "llm_user_cost_usd_total"}
    assert metrics.stats.counters[LEFT_OUT,] == len(raw)


def test_what_redaction_writes_is_a_pseudonym() -> None:
    name = Pseudonyms([b"k" * 32]).user(b"ann@example.org").decode()
    metrics = connector({"users": {"top": 1}})
    metrics.process(traces(calls([(name, 1.0)])))
    assert table(metrics, NOW) == {name: 1.0}


def test_a_user_written_on_the_way_counts() -> None:
    metrics = connector({"users": {"top": 1}})
    batch = traces(calls([("ann", 1.0), ("ben", 2.0)]))
    for number, one in enumerate(batch.spans()):
        one.set(semconv.USER_ID, user(number))
    metrics.process(batch)
    assert table(metrics, NOW) == {user(1): 2.0}


def test_calls_without_a_price_cost_nobody_anything() -> None:
    metrics = connector({"users": {"top": 1}})
    unpriced = priced(user__id=user(1), app__llm__cost__status="unpriced", app__llm__cost_usd=None)
    metrics.process(traces([span(unpriced)]))
    assert table(metrics, NOW) == {}


def test_the_sample_is_chosen_by_the_pseudonym_alone() -> None:
    found = []
    step = 2**64 // 1000 + 1
    for order in (1, -1):
        metrics = connector({"users": {"sample": 0.01}})
        spent = [(user(number * step), 0.25) for number in range(1000)]
        metrics.process(traces(calls(spent[::order])))
        found.append(read(metrics.tick(NOW))["llm_user_cost_usd_total"])
    assert found[0] == found[1]
    assert {dict(labels)["user"] for labels in found[0]} == {user(n * step) for n in range(10)}
    assert set(found[0].values()) == {0.25}


def test_very_many_users_cost_no_series_and_no_money_is_invented() -> None:
    metrics = connector({"users": {"sample": 1, "top": 3}, "label_limits": {"user": 50}})
    whale = user(10**12)
    for first in range(0, 5000, 500):
        spent = [(user(n), 0.001) for n in range(first, first + 500)]
        metrics.process(traces(calls([*spent, (whale, 0.5)])))
    found = read(metrics.tick(NOW))
    assert len(found["llm_user_cost_usd_total"]) == 51
    assert total(found, "llm_user_cost_usd_total") == 10.0
    rows = {dict(labels)["user"]: usd for labels, usd in found["llm_top_user_cost_usd"].items()}
    assert len(rows) == 3
    assert rows.pop(whale) == 5.0
    assert all(usd <= 0.001 for usd in rows.values())


def test_a_table_ends_where_the_metric_is_full() -> None:
    metrics = connector({"users": {"top": 3}, "max_series_per_metric": 2})
    metrics.process(traces(calls([(user(n), n / 10) for n in (1, 2, 3)])))
    assert table(metrics, NOW) == {user(3): 0.3, user(2): 0.2}
    metrics.process(traces(calls([(user(1), 1.0)])))
    batches = list(metrics.tick(NOW + SECOND))
    assert withdrawn(batches) == [user(2)]


def test_a_reload_goes_on_with_the_table_and_takes_away_what_is_no_longer_asked_for() -> None:
    before, same, without = (
        connector({"users": {"top": 2}}), connector({"users": {"top": 2}}), connector(),
    )  # fmt: skip
    before.process(traces(calls([(user(1), 1.0)])))
    assert table(before, NOW) == {user(1): 1.0}
    same.adopt(before)
    same.process(traces(calls([(user(1), 1.0)])))
    assert table(same, NOW + SECOND) == {user(1): 2.0}
    without.adopt(same)
    assert withdrawn(without.tick(NOW + 2 * SECOND)) == [user(1)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30).map(str), st.integers(0, 1000)), max_size=200),
    st.integers(1, 12),
)
def test_sums_are_bounded_by_what_was_spent(spent: list[tuple[str, int]], room: int) -> None:
    spenders, exact = Spenders(room), dict.fromkeys((name for name, _ in spent), 0)
    for name, amount in spent:
        spenders.add(name, amount)
        exact[name] += amount
        assert len(spenders) <= room
    told = dict(spenders.top(room))
    assert all(0 < sure <= exact[name] for name, sure in told.items())
    if len(exact) <= room:
        assert told == {name: sum_ for name, sum_ in exact.items() if sum_}
    assert {
        name for name, sum_ in exact.items() if sum_ * room > sum(exact.values())
    } <= told.keys()
