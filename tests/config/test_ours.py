"""The configurations of this repository are valid, and nothing is odd about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config.build import try_pure
from collector.config.load import load

WHOLE = sorted((Path(__file__).parents[1] / "bench" / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_a_configuration_of_ours_loads_without_a_warning(path: Path) -> None:
    loaded = load([str(path)], env={})
    try_pure(loaded, secret=bytes(32))
    assert [str(warning) for warning in loaded.warnings] == []
