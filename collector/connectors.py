"""The `forward` connector: joins pipelines of one signal, handing on the same bytes, as the Collector's does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.base import Stateless
from processors.batch import Batch
from processors.ports import Context


class Forward(Stateless):
    """Hands every batch on as it is."""

    mutates = True
    """What stands behind it may change the batch."""
    blind = True

    def process(self, batch: Batch) -> Batch:
        return batch


def build_forward(settings: Mapping[str, Any], context: Context) -> Forward:
    """Build the connector; it has no settings."""
    return Forward()
