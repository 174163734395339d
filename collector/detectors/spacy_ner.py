"""Named entities with spaCy, as a further layer of redaction: names of people, places and whatever a pipeline knows.

    detectors:
      - name: names
        type: external
        external: {entry_point: spacy, options: {pipeline: en_core_web_sm, labels: {PERSON: PERSON, GPE: PLACE}}}

`pipeline` is one that is installed, or `blank:en` for spaCy's empty pipeline of a language, to which `ruler` adds
patterns in spaCy's own form. `labels` says which of its labels count and what they are called here; all when empty.

spaCy cannot be interrupted. A text that takes too long is given up, and so is every text until the thread is free
again: no more than one is ever at work.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import spacy

Found = list[tuple[int, int, str, float]]
CONFIDENCE: Final = 0.7
"""Statistical pipelines tell no confidence; patterns with a checksum go before them where they overlap."""


class SpacyDetector:
    """See the module."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Load the pipeline. Raises: `OSError` when it is not installed."""
        name = options.get("pipeline", "en_core_web_sm")
        kind, _, language = name.partition(":")
        self._pipeline: Any = spacy.blank(language) if kind == "blank" else spacy.load(name)
        if options.get("ruler"):
            ruler: Any = self._pipeline.add_pipe("entity_ruler")
            ruler.add_patterns(options["ruler"])
        self._labels: Mapping[str, str] = options.get("labels") or {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spacy")
        self._late: Future[Found] | None = None

    def find(self, text: str, timeout_ns: int) -> Found:
        """Return the named entities. Raises: `TimeoutError`."""
        if self._late is not None and not self._late.done():
            raise TimeoutError("an earlier text is still at work")
        self._late = self._thread.submit(self._entities, text)
        return self._late.result(timeout_ns / 1e9)

    def _entities(self, text: str) -> Found:
        return [
            (
                entity.start_char,
                entity.end_char,
                self._labels.get(entity.label_, entity.label_),
                CONFIDENCE,
            )
            for entity in self._pipeline(text).ents
            if not self._labels or entity.label_ in self._labels
        ]


def make(options: Mapping[str, Any]) -> SpacyDetector:
    """Make a detector: the entry point `spacy` of `otelcol_llm.detectors`."""
    return SpacyDetector(options)
