"""Both weeks of `week`, recordings included, in a real Prometheus; made once for all workers of a run."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.servers import Prometheus, free_port
from tests.stack import week
from tests.stack.rules import PROMETHEUS


def ask(prometheus: Prometheus, kind: str, **asked: str | float) -> list[dict[str, Any]]:
    """Return what a `query` or a `query_range` finds; an error fails."""
    url = f"http://127.0.0.1:{prometheus.port}/api/v1/{kind}"
    answered = httpx.post(url, data=asked, timeout=120, trust_env=False)
    assert answered.status_code == 200, f"{answered}\n{answered.text[:2000]}\n{asked}"
    answer = answered.json()
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def record(folder: Path) -> None:
    """Backfill the recordings too."""
    rules = PROMETHEUS / "rules" / "recording.yml"
    for _ in range(2):  # what reads recordings needs a second round
        prometheus = Prometheus(folder, [free_port()]).start()
        try:
            week.record(folder, prometheus.port, rules, week.START_S + week.DAY_S)
        finally:
            stop(prometheus)


def weeks(folder: Path, *, plant: bool) -> None:
    """Make the database of both weeks, recordings included."""
    week.backfill(folder, plant=plant)
    record(folder)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder with a database; the workers of one run make it once for all."""
    here = factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    folder = shared / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = factory.mktemp("week")
            make(making)
            making.rename(folder)
    return folder


def serve(folder: Path, mine: Path) -> Iterator[Prometheus]:
    """Run a Prometheus on a copy of a database."""
    shutil.copytree(folder / "prometheus", mine / "prometheus")
    prometheus = Prometheus(mine, [free_port()]).start()
    try:
        yield prometheus
    finally:
        stop(prometheus)


def stop(prometheus: Prometheus) -> None:
    """End it."""
    if prometheus.server is not None:
        prometheus.server.stop()
