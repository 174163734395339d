"""The debug exporter: what it shows, how often, and that nothing in the data can forge a line."""

import json
from typing import Any

import pytest

from collector.config.settings import resolve
from collector.exporters import debug
from collector.exporters.debug import Config, Debug, Sampling
from collector.registry import schema_of
from processors.batch import Batch, Signal
from processors.ports import Context
from tests.countable import logs, metrics, span_ids, traces
from tests.telemetry import batch, span

SCHEMA = schema_of("collector/exporters/debug.schema.json")


class Shown:
    """A debug exporter and what it showed."""

    def __init__(self, **written: Any) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.exporter = Debug(
            Config.load(resolve(SCHEMA, written)),
            lambda text, **fields: self.said.append((text, fields)),
            self.write,
            lambda: 0.0,
        )
        self.exporter.start()

    def write(self, text: str) -> None:
        self.text += text

    def export(self, shown: Batch) -> str:
        assert self.exporter.room() is None
        self.text = ""
        assert self.exporter.export(shown) is None
        return self.text


def test_counts_are_shown() -> None:
    shown = Shown()
    for one in (traces(span_ids(3)), logs(2)):
        assert shown.export(one) == ""
    assert shown.said == [("Traces arrived.", {"spans": 3}), ("Logs arrived.", {"log_records": 2})]
    assert shown.exporter.stats.counters["otelcol_exporter_sent_spans_total",] == 3
    shown.exporter.stop(0.0)


def test_items_are_shown_one_a_line() -> None:
    shown = Shown(verbosity="normal")
    attributes = {"a": 1, "b": [True, 1.5], "c": b"\x01", "d": {"e": b"\x02"}, "f": "text"}
    text = shown.export(batch(span(1, attributes=attributes), span(2, name="x")))
    first, second = text.splitlines()
    assert first.startswith(f"span span 1 {'0' * 31}1 {'0' * 15}1 ")
    for part in ("a=1", "b=[true, 1.5]", "c=01", 'd={"e": "02"}', "f=text"):
        assert part in first
    assert second == f"span x {'0' * 31}1 {'0' * 15}2"
    assert shown.export(logs(1)) == f"log null - {'0' * 15}1\n"
    assert shown.export(metrics(["a"])) == "metric a\n"


def test_everything_is_shown_as_a_document() -> None:
    text = Shown(verbosity="detailed").export(traces(span_ids(2)))
    assert len(json.loads(text)["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 2
    assert len(text.splitlines()) > 10


@pytest.mark.parametrize("verbosity", ["normal", "detailed"])
def test_control_characters_are_escaped(verbosity: str) -> None:
    evil = "a\nspan forged\r\x1b[2J\x9b1m"
    shown = Shown(verbosity=verbosity)
    text = shown.export(batch(span(1, name=evil, attributes={evil: evil, "n": {evil: [evil]}})))
    assert not {"\r", "\x1b", "\x9b"} & set(text)
    assert not any(line.startswith("span forged") for line in text.splitlines())


def test_the_first_batches_of_a_second_are_shown_then_some() -> None:
    now = 0.0
    sampling = Sampling(2, 3, lambda: now)
    assert [sampling.lets_through() for _ in range(8)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    now = 1.0
    assert [sampling.lets_through() for _ in range(3)] == [True, True, False]


def test_after_the_first_none_may_be_shown() -> None:
    sampling = Sampling(1, 0, lambda: 0.0)
    assert [sampling.lets_through() for _ in range(3)] == [True, False, False]


def test_what_is_not_shown_counts_all_the_same() -> None:
    shown = Shown(sampling_initial=0, sampling_thereafter=0)
    shown.export(traces(span_ids(3)))
    assert shown.said == []
    assert shown.exporter.stats.counters["otelcol_exporter_sent_spans_total",] == 3


def test_it_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    exporter = debug.build(resolve(SCHEMA, {"verbosity": "normal"}), Context(id="debug"))
    exporter.export(Batch(Signal.TRACES, traces(span_ids(1)).encode()))
    assert capsys.readouterr().err.startswith("span ")
