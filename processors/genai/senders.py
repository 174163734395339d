"""What holds for all items of one scope group: the profile of its scope and what its resource gives.

The same few come with every request, so they are remembered by their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from processors.batch import Resource, Scope, ScopeGroup
from processors.genai.config import Config, Override
from processors.genai.known import Given
from processors.genai.normalise import resource_dimensions
from processors.genai.scopes import ScopeProfile
from processors.genai.shapes import Planner
from processors.genai.values import text

_SERVICE_NAME: Final = "service.name"
_MAX_GIVEN: Final = 256
_MAX_SENDERS: Final = 256
_MAX_SENDER_BYTES: Final = 4096


class Sender(NamedTuple):
    """What holds for all items of one scope group."""

    scope: ScopeProfile
    given: Given
    service: str
    override: Override | None


class Senders:
    """The senders met so far, as many as are worth remembering."""

    def __init__(self, config: Config) -> None:
        self._overrides = config.token_semantics
        self._defaults = dict(config.defaults)
        self._planner = Planner()
        self._given: dict[tuple[tuple[str, str], ...], Given] = {}
        self._given_number = 0
        self._senders: dict[tuple[bytes, bytes], Sender] = {}

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._senders)

    def of(self, group: ScopeGroup) -> Sender:
        """Return the same object for the same bytes, which come with every request of a sender."""
        resource, scope = group.parent.resource.body(), group.scope.body()
        found = self._senders.get((resource, scope))
        if found is None:
            found = self._describe(Resource.alone(resource).view.attributes, group.scope)
            if len(resource) + len(scope) <= _MAX_SENDER_BYTES:
                if len(self._senders) >= _MAX_SENDERS:
                    self._senders.clear()
                self._senders[resource, scope] = found
        return found

    def _describe(self, attributes: Mapping[str, bytes], named: Scope) -> Sender:
        service = text(attributes.get(_SERVICE_NAME, b"")) or ""
        scope = self._planner.scope(named.name, named.version)
        override = next((row for row in self._overrides if row.fits(scope.name, service)), None)
        return Sender(scope, self._given_by(attributes), service, override)

    def _given_by(self, resource: Mapping[str, bytes]) -> Given:
        """Return the dimensions of a resource, the same object for the same ones."""
        shared = resource_dimensions(resource)
        key = tuple(shared.items())
        found = self._given.get(key)
        if found is None:
            if len(self._given) >= _MAX_GIVEN:
                self._given.clear()
            self._given_number += 1  # never used twice: plans remember by it
            found = self._given[key] = Given(self._given_number, shared, self._defaults)
        return found
