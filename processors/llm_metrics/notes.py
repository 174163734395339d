"""What applications and providers say about a call beside its usage: failures of three kinds, languages, retries.

Few calls carry any of it. Validation errors and guardrail verdicts are known after the call ended, so they may stand on
a span above it as well; they are counted where they stand.
"""

from __future__ import annotations

from typing import Any, Final

from processors import semconv
from processors.llm_metrics import catalogue
from processors.llm_metrics.bindings import Binding, Bindings, Read
from processors.llm_metrics.labels import clean, number, plain
from processors.llm_metrics.outcomes import Outcome
from processors.recent import RecentIds

_VALIDATION: Final = semconv.APP_LLM_VALIDATION_ERROR_CLASS
_REJECTED: Final = semconv.APP_LLM_GUARDRAIL_REJECTED
REFUSAL: Final = semconv.APP_LLM_REFUSAL
_LANGUAGE: Final = semconv.APP_LLM_PROMPT_LANGUAGE
_RETRIES: Final = semconv.APP_LLM_RETRY_COUNT
_REQUEST: Final = semconv.APP_LLM_REQUEST_EXTERNAL_ID
_BUDGET: Final = semconv.APP_LLM_BUDGET_EXCEEDED
_EXPENSIVE: Final = semconv.APP_LLM_CONVERSATION_EXPENSIVE

CONVERSATION_KEYS: Final = (semconv.APP_LLM_CONVERSATION_ID, semconv.GEN_AI_CONVERSATION_ID)
"""Where the name of a conversation stands; the first that is there and not empty wins."""

ABOVE_KEYS: Final = (_VALIDATION, _REJECTED)
NOTE_KEYS: Final = (*ABOVE_KEYS, REFUSAL, _LANGUAGE, _RETRIES, _REQUEST, _BUDGET, _EXPENSIVE)

VALIDATION_CLASSES: Final = frozenset(
    ("json_parse", "schema", "missing_field", "enum", "length", "other")
)
_MAX_SEEN: Final = 50_000
"""Ids that are remembered: a repetition after very many others goes unnoticed."""


class Notes:
    """Counts what `NOTE_KEYS` say."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings
        self._requests = RecentIds(_MAX_SEEN)
        self._conversations = RecentIds(_MAX_SEEN)

    def adopt(self, predecessor: Notes) -> None:
        """Know the requests and conversations that another one saw."""
        self._requests, self._conversations = predecessor._requests, predecessor._conversations

    def call(self, binding: Binding, read: Read) -> None:
        """Count the notes on a model call."""
        self.above(binding, read)
        language = _language(read.get(_LANGUAGE))
        if is_true(read.get(REFUSAL)):
            self.refused(binding, read)
        if language:
            self._add(binding, catalogue.PROMPT_LANGUAGE, language=self._admit(language))
        if is_true(read.get(_BUDGET)):
            self._add(binding, catalogue.BUDGET_EXCEEDED)
        if is_true(read.get(_EXPENSIVE)) and not _again(self._conversations, _conversation(read)):
            self._add(binding, catalogue.EXPENSIVE_CONVERSATIONS)
        self._retried(binding, read)

    def above(self, binding: Binding, read: Read) -> None:
        """Count the notes that may also stand on a span above the call: `ABOVE_KEYS`."""
        if _VALIDATION in read:
            found = clean(read[_VALIDATION]).lower()
            error_class = found if found in VALIDATION_CLASSES else "other"
            if found:
                self._add(binding, catalogue.VALIDATION_ERRORS, error_class=error_class)
        if is_true(read.get(_REJECTED)):
            self._add(binding, catalogue.GUARDRAIL_REJECTIONS, source="policy")

    def refused(self, binding: Binding, read: Read) -> None:
        """Count a refusal of the model."""
        language = _language(read.get(_LANGUAGE))
        self._add(binding, catalogue.REFUSALS, language=self._admit(language))

    def failed(self, binding: Binding, became: Outcome) -> None:
        """Count a failed call and a provider's content filter."""
        if became.error_class:
            self._add(binding, catalogue.API_ERRORS, error_class=became.error_class)
        if became.filtered:
            self._add(binding, catalogue.GUARDRAIL_REJECTIONS, source="provider")

    def _retried(self, binding: Binding, read: Read) -> None:
        """Count the attempts after the first: each repetition of a request id, else those that the application counted.

        Where every attempt tells of those before it, they were counted when they came.
        """
        if _REQUEST in read and _again(self._requests, clean(read[_REQUEST])):
            self._add(binding, catalogue.RETRIES)
        elif _RETRIES in read:
            self._add(binding, catalogue.RETRIES, min(int(number(read[_RETRIES]) or 0), 1000))

    def _admit(self, language: str) -> str:
        return self._bindings.labels.admit("language", language)

    def _add(
        self, binding: Binding, metric: catalogue.Metric, amount: int = 1, **more: str
    ) -> None:
        self._bindings.rare(binding, metric, **more).value += amount


def _again(seen: RecentIds, name: str) -> bool:
    """Say whether an id was here before, and remember it; an empty one is none."""
    if not name:
        return False
    encoded = name.encode("utf-8", "replace")
    found = encoded in seen
    seen.add(encoded)
    return found


def is_true(raw: Any) -> bool:
    """Whether an attribute is the boolean true, or says so as text."""
    value = plain(raw)
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _conversation(read: Read) -> str:
    return next((name for key in CONVERSATION_KEYS if (name := clean(read.get(key)))), "")


def _language(raw: Any) -> str:
    """Return the ISO 639-1 part of a language tag in lower case; empty for what is none."""
    part = clean(raw).lower().replace("_", "-").partition("-")[0]
    return part if part.isalpha() and part.isascii() and len(part) in (2, 3) else ""
