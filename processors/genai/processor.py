"""The `genai` processor: walks a batch, normalises what is GenAI and asks the ledger what counts.

Invariants
- A span or record without a GenAI marker passes byte for byte.
- A second pass changes nothing.
- One verdict per record: without `app.llm.cost.skip_reason` a model call counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from processors.base import Stateless
from processors.batch import Batch, ScopeGroup, Signal, Span
from processors.genai.config import Config, Override
from processors.genai.normalise import Normaliser, Shared, resource_dimensions
from processors.genai.plan import Planner, plan_for
from processors.genai.scopes import ScopeProfile
from processors.genai.values import text

_SERVICE_NAME = "service.name"


class Genai(Stateless):
    """One per pipeline; instances of one id share the ledger."""

    signals: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self._planner = Planner()
        self._normaliser = Normaliser(dict(config.defaults))

    def process(self, batch: Batch) -> Batch | None:
        """Normalise in place."""
        for group in batch.groups:
            shared = resource_dimensions(group.resource)
            service = text(group.resource.view.attributes.get(_SERVICE_NAME, b"")) or ""
            for scope in group.scopes:
                self._normalise_scope(scope, shared, service)
        return batch

    def _normalise_scope(self, group: ScopeGroup, shared: Shared, service: str) -> None:
        scope = self._planner.scope(group.scope.name, group.scope.version)
        override = self._override(scope, service)
        for item in group.items:
            if item.touched:
                item.replace(item.body())
            attributes = item.view.attributes
            plan = plan_for(scope, attributes)
            if plan is not None and isinstance(item, Span):
                self._normaliser.apply(item, plan, attributes, item.name, shared, override)

    def _override(self, scope: ScopeProfile, service: str) -> Override | None:
        fitting: Iterable[Override] = self._config.token_semantics
        return next((row for row in fitting if row.fits(scope.name, service)), None)
