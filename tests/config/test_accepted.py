"""Configurations of the Collector's own documentation load, with every key."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config.load import load

GOLDEN = Path(__file__).parents[1] / "golden" / "config_accepted"


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.yaml")))
def test_a_configuration_of_the_collector_loads(name: str) -> None:
    assert load([str(GOLDEN / name)], env={}).config.pipelines
