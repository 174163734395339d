"""Counted model calls. This is the hot path: a few look-ups, then a note at the call's binding.

A *binding* holds the series of one combination of labels (see `bindings`), so nothing is decoded, cleaned or folded
again for the next call that looks the same; its calls are added to the series together (see `settling`). On a view's
attributes `key in` and `[key]` cost 0.04 and 0.06 µs, `get` 0.12.
"""

from __future__ import annotations

from typing import Any, Final

from processors import semconv
from processors.llm_metrics.bindings import Binding, Bindings, Read, spellings
from processors.llm_metrics.catalogue import (
    COST_ESTIMATED,
    COST_REPORTED,
    REQUESTS,
    UNPRICED_REQUESTS,
    UNPRICED_TOKENS,
    Metric,
)
from processors.llm_metrics.exemplars import Exemplars
from processors.llm_metrics.labels import clean, plain
from processors.llm_metrics.memory import Memory
from processors.llm_metrics.money import atto_usd
from processors.llm_metrics.notes import CONVERSATION_KEYS, NOTE_KEYS, Notes, is_true, noted_on
from processors.llm_metrics.outcomes import PLAIN, Outcome, outcome
from processors.llm_metrics.quotas import Quotas
from processors.llm_metrics.settling import decode_rate, settle
from processors.llm_metrics.users import Users, user_of

_MAX_TOKENS: Final = 16_384
_MAX_OUTCOMES: Final = 1024
_MAX_WAITING: Final = 4096
"""Calls noted before they are added to the series."""
_SLOW_S: Final = 5.0
"""Calls that take longer are always candidates for exemplars."""

_INPUT: Final = semconv.GEN_AI_USAGE_INPUT_TOKENS
_OUTPUT: Final = semconv.GEN_AI_USAGE_OUTPUT_TOKENS
_CACHE_READ: Final = semconv.GEN_AI_USAGE_CACHE_READ
_CACHE_WRITE: Final = semconv.GEN_AI_USAGE_CACHE_CREATION
_REASONING: Final = semconv.GEN_AI_USAGE_REASONING
_COST: Final = semconv.APP_LLM_COST_USD
_SOURCE: Final = semconv.APP_LLM_COST_PRICE_SOURCE
_TTFT: Final = semconv.APP_LLM_TTFT_S
_LATENCY: Final = semconv.APP_LLM_TOTAL_LATENCY_S
_HTTP: Final = semconv.HTTP_RESPONSE_STATUS_CODE
_ERROR: Final = semconv.ERROR_TYPE
_FINISH: Final = semconv.GEN_AI_RESPONSE_FINISH_REASONS
_REPORTED: Final = semconv.APP_LLM_USAGE_REPORTED_COST_USD

_REFUSAL: Final = semconv.APP_LLM_REFUSAL
_REASON: Final = semconv.APP_LLM_COST_REASON

CALL_KEYS: Final = frozenset(
    (_INPUT, _OUTPUT, _CACHE_READ, _CACHE_WRITE, _REASONING, _TTFT, _LATENCY, _HTTP, _ERROR, _FINISH,
     _REPORTED, *NOTE_KEYS)
)  # fmt: skip
"""What is read of a call, besides labels and `TWICE_READ_KEYS`."""

TWICE_READ_KEYS: Final = frozenset(
    (_COST, _SOURCE, _REASON, semconv.DEPLOYMENT_ENVIRONMENT_NAME, semconv.APP_LLM_DATA_MODE,
     *CONVERSATION_KEYS)
)  # fmt: skip
"""What `genai` and `llm_cost` often write, so it is looked up among the edits first: it alone needs no overlay."""

REASONS: Final = frozenset(
    ("unknown_provider", "unknown_model", "no_usage", "inconsistent_usage", "no_rate")
)
_UNPRICED: Final = spellings("unpriced")
_UNBILLED: Final = spellings("unpriced", "cached")
_ESTIMATE: Final = spellings("estimate")
_TOO_LARGE: Final = 1e18


class Calls:
    """Counts model calls into the series of their bindings."""

    def __init__(self, bindings: Bindings, exemplars: Exemplars, users: Users) -> None:
        self._bindings = bindings
        self._exemplars = exemplars
        self.notes = Notes(bindings)
        self._users = users if users.wanted else None
        self._quotas = Quotas(bindings)
        self._noting: list[Binding] = []
        self._settled: dict[Binding, None] = {}
        self._waiting = 0
        self._tokens = _Tokens()
        self._outcomes: Memory[tuple[Any, ...], Outcome] = Memory(
            _MAX_OUTCOMES, lambda facts: outcome(*facts)
        )

    def count(
        self,
        binding: Binding,
        read: Read,
        edits: Read,
        status: Any,
        seconds: float | None,
        code: int,
        end_ns: int,
        view: Any,
    ) -> None:
        """Count one call. `status` is its app.llm.cost.status as it stands; a log record has no `seconds`."""
        noted = binding.noted
        fresh = not noted
        if fresh:
            self._noting.append(binding)
            self._quotas.note(binding, view.attributes)
        became = self._outcome(read, code)
        if became is not PLAIN:
            self._unusual(binding, read, became)
        if _LATENCY in read:
            seconds = number(read[_LATENCY])
        elif seconds is not None and seconds < 0:
            seconds = None
        tokens = self._tokens
        tokens_in = tokens[read[_INPUT]] if _INPUT in read else None
        tokens_out = tokens[read[_OUTPUT]] if _OUTPUT in read else None
        cached = tokens[read[_CACHE_READ]] if _CACHE_READ in read else None
        written = tokens[read[_CACHE_WRITE]] if _CACHE_WRITE in read else None
        reasoning = tokens[read[_REASONING]] if _REASONING in read else None
        ttft = number(read[_TTFT]) if _TTFT in read else None
        cost = self._money(binding, read, edits, status, (tokens_in or 0) + (tokens_out or 0))
        success = became is PLAIN or became.status == PLAIN.status
        noted.append(
            (success, tokens_in, tokens_out, cached, written, reasoning, cost, seconds, ttft)
        )
        if noted_on(read):
            self.notes.call(binding, read)
        if self._users is not None and cost is not None:
            self._users.spend(binding, user_of(view.attributes, edits), cost)
        if fresh or became is not PLAIN or (seconds is not None and seconds >= _SLOW_S):
            rate = decode_rate(tokens_out, seconds, ttft)
            self._exemplars.offer(binding, view.trace_id, end_ns, cost, seconds, ttft, rate)
        self._waiting += 1
        if self._waiting >= _MAX_WAITING:
            self.settle()

    def settle(self) -> None:
        """Add what was noted to the series."""
        noting, self._noting = self._noting, []
        self._waiting = 0
        for binding in noting:
            settle(binding)
            self._settled[binding] = None

    def queue(self) -> None:
        """Have the book tell what the calls since the last time changed."""
        self.settle()
        for binding in self._settled:
            self._bindings.queue(binding)
        self._settled.clear()

    # -- outcome

    def _outcome(self, read: Read, code: int) -> Outcome:
        return self._outcomes[
            read[_HTTP] if _HTTP in read else None,
            read[_ERROR] if _ERROR in read else None,
            read[_FINISH] if _FINISH in read else None,
            code,
        ]

    def _unusual(self, binding: Binding, read: Read, became: Outcome) -> None:
        """Count what failed, was filtered or refused."""
        if became.status != PLAIN.status:
            self._bindings.rare(binding, REQUESTS, status=became.status).value += 1
        self.notes.failed(binding, became)
        if became.refused and not is_true(read.get(_REFUSAL)):
            self.notes.refused(binding, read)

    # -- money

    def _money(
        self, binding: Binding, read: Read, edits: Read, status: Any, tokens: int
    ) -> float | None:
        """Return what the call cost, if it is known and no estimate; count everything else about money."""
        if _REPORTED in read:
            self._rare_money(binding, COST_REPORTED, read[_REPORTED])
        cost = edits[_COST] if _COST in edits else read[_COST] if _COST in read else None
        if status in _UNBILLED or cost is None:
            if status in _UNPRICED:
                self._unpriced(binding, read, edits, tokens)
            return None
        source = edits[_SOURCE] if _SOURCE in edits else read.get(_SOURCE)
        if source in _ESTIMATE:
            self._rare_money(binding, COST_ESTIMATED, cost)
            return None
        return cost if cost.__class__ is float else number(cost) or 0.0

    def _unpriced(self, binding: Binding, read: Read, edits: Read, tokens: int) -> None:
        reason = clean(edits[_REASON] if _REASON in edits else read.get(_REASON))
        known = reason if reason in REASONS else "unknown_model"
        self._bindings.rare(binding, UNPRICED_REQUESTS, reason=known).value += 1
        if tokens:
            self._bindings.rare(binding, UNPRICED_TOKENS).value += tokens

    def _rare_money(self, binding: Binding, metric: Metric, raw: Any) -> None:
        self._bindings.rare(binding, metric).value += atto_usd(number(raw) or 0.0)


class _Tokens(dict[Any, int]):
    """Token counts by how they came; what is no count counts nothing."""

    def __missing__(self, raw: Any) -> int:
        tokens = int(number(raw) or 0)
        if isinstance(raw, bytes):  # of written ones, True would be found as 1
            if len(self) >= _MAX_TOKENS:
                self.clear()
            self[raw] = tokens
        return tokens


def number(raw: Any) -> float | None:
    """Return a number that is not negative and none too large; None for anything else."""
    value = plain(raw)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < _TOO_LARGE else None
