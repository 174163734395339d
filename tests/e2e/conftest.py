"""Fixtures of real servers; each test gets its own, on free ports, in its own folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.servers import Collector, Jaeger, Prometheus


@pytest.fixture
def servers() -> Iterator[list[Any]]:
    """Whatever is put in is stopped at the end, last first."""
    running: list[Any] = []
    yield running
    for one in reversed(running):
        if one.server is not None:
            one.server.stop()


@pytest.fixture
def collector(tmp_path: Path, servers: list[Any]) -> Callable[..., Collector]:
    """Return a function that starts a collector; keywords are fields of `Collector`."""

    def run(**fields: Any) -> Collector:
        folder = tmp_path / f"collector-{len(servers)}"
        folder.mkdir()
        one = Collector(folder, **fields)
        servers.append(one)
        return one.start()

    return run


@pytest.fixture
def jaeger(tmp_path: Path, servers: list[Any]) -> Jaeger:
    """A running Jaeger."""
    one = Jaeger(tmp_path)
    servers.append(one)
    return one.start()


@pytest.fixture
def prometheus(tmp_path: Path, servers: list[Any]) -> Callable[[list[int]], Prometheus]:
    """Return a function that starts a Prometheus scraping these ports."""

    def run(targets: list[int]) -> Prometheus:
        one = Prometheus(tmp_path, targets)
        servers.append(one)
        return one.start()

    return run
