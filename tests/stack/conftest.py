"""Fixtures that several modules share: they are dear."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.servers import Prometheus, installed
from tests.stack.served import made_once, serve


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The week without incidents."""
    installed("promtool")
    folder = made_once(tmp_path_factory, plant=False)
    yield from serve(folder, tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The week with an incident a day."""
    installed("promtool")
    folder = made_once(tmp_path_factory, plant=True)
    yield from serve(folder, tmp_path_factory.mktemp("bad"))
