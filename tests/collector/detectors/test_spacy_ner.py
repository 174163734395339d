"""A real second layer: spaCy's own blank English pipeline with its entity ruler, which needs no model to download."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from collector.config.settings import resolve
from collector.detectors.spacy_ner import SpacyDetector, make
from collector.registry import schema_of
from processors.batch import Batch, Signal
from processors.ports import Context
from processors.redaction import build
from tests.processors.redaction.support import attributes, span_request

RULER = [
    {"label": "PERSON", "pattern": "Ann Lee"},
    {
        "label": "PERSON",
        "pattern": [{"LOWER": "dr."}, {"IS_TITLE": True}],
    },
    {"label": "GPE", "pattern": "Oslo"},
]
OPTIONS = {"pipeline": "blank:en", "ruler": RULER, "labels": {"PERSON": "PERSON"}}
SECOND = 10**9


def test_names_are_found_by_character_and_only_the_labels_that_count() -> None:
    text = "日本: Ann Lee met Dr. Smith in Oslo"
    found = make(OPTIONS).find(text, SECOND)
    assert [(text[start:end], entity) for start, end, entity, _ in found] == [
        ("Ann Lee", "PERSON"),
        ("Dr. Smith", "PERSON"),
    ]


def test_it_joins_the_patterns_through_its_entry_point() -> None:
    external = {"entry_point": "spacy", "options": OPTIONS, "timeout": "10s"}
    config = {"detectors": [{"name": "names", "type": "external", "external": external}]}
    settings = resolve(schema_of("processors/redaction/schema.json"), config)
    processor = build(settings, Context(id="redaction", secret=b"k" * 32))
    request = span_request(
        attributes=attributes({"gen_ai.prompt": "Ann Lee <ann@example.com>", "note": "Ann Lee"})
    )
    batch = processor.process(Batch(Signal.TRACES, request.SerializeToString()))
    span = next(iter(batch.spans()))
    assert span.get("gen_ai.prompt") == "[PERSON] <[EMAIL]>"
    assert span.get("note") == "Ann Lee"  # no key that carries content


def test_what_takes_too_long_is_given_up_and_so_is_what_comes_meanwhile() -> None:
    detector = SpacyDetector(OPTIONS)
    release = threading.Event()

    def slow(text: str) -> Any:
        release.wait(10)
        return detector._pipeline.make_doc(text)

    pipeline = detector._pipeline
    held = detector._entities
    detector._entities = lambda text: [slow(text)] and held(text)  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        detector.find("Ann Lee", 1_000_000)
    with pytest.raises(TimeoutError):
        detector.find("fine", SECOND)
    release.set()
    detector._thread.submit(pipeline.make_doc, "x").result(10)
    assert detector.find("nobody", 10 * SECOND) == []
