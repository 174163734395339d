"""Fixtures that several modules share: they are dear."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e.servers import Prometheus, installed
from tests.stack import blind_day
from tests.stack.served import made_once, serve, weeks


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The week without incidents."""
    installed("promtool")
    folder = made_once(tmp_path_factory, "good-week", partial(weeks, plant=False))
    yield from serve(folder, tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The week with an incident a day."""
    installed("promtool")
    folder = made_once(tmp_path_factory, "bad-week", partial(weeks, plant=True))
    yield from serve(folder, tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="session")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A day with an incident every two hours, and the same day of the week before."""
    installed("promtool")
    folder = made_once(tmp_path_factory, "blind-day", blind_day.backfill)
    yield from serve(folder, tmp_path_factory.mktemp("blind"))
