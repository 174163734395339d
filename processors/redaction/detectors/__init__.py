"""Everything that is recognised without being configured, by entity name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processors.redaction.detectors import contact, money, national, network, secrets
from processors.redaction.detectors.model import Detector, Entity

ENTITIES: Final[Mapping[str, Entity]] = {
    entity.name: entity
    for module in (contact, money, network, national, secrets)
    for entity in module.ENTITIES
}
DEFAULT: Final = tuple(entity.name for entity in ENTITIES.values() if entity.group != "O")
"""What `default` stands for in a configuration."""

__all__ = ["DEFAULT", "ENTITIES", "Detector", "Entity"]
