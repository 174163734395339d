"""Start, reload, stop: what an operator does to a running collector, and what must not get lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import pytest

from processors.batch import Signal
from tests.e2e.servers import REPOSITORY, Collector, poll
from tests.telemetry import span, traces

pytestmark = pytest.mark.e2e


def send(port: int, *spans: dict[str, object]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary(Signal.TRACES.grpc_method)(traces(*spans), timeout=10)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A copy of the shipped policy files whose sampling policies a test may edit."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for shipped in (REPOSITORY / "configs").glob("*.yaml"):
        (folder / shipped.name).write_text(shipped.read_text("utf-8"), "utf-8")
    return folder


def start(collector: Callable[..., Collector], folder: Path) -> Collector:
    key = {"OTELCOL_LLM_REDACTION_KEY": "0123456789abcdef0123456789abcdef"}
    return collector(configs=[folder / "embedded.yaml"], environment=key)


def test_what_is_pending_is_decided_at_a_stop(collector: Callable[..., Collector]) -> None:
    ours = collector()
    send(ours.grpc, span(1, 7, parent=9, status=2), span(2, 8, parent=9))
    assert ours.stop() == 0
    assert [one["traceId"][-1] for one in ours.kept_spans()] == ["7"]


def test_a_saved_policy_decides_the_traces_that_wait(
    collector: Callable[..., Collector], policies: Path
) -> None:
    ours = start(collector, policies)
    send(ours.grpc, span(1, 7, parent=9))
    (policies / "sampling.yaml").write_text("[{name: all, type: always_sample}]\n")
    loaded = "otelcol_llm_config_last_reload_success_timestamp_seconds"
    before = ours.sum(ours.own, loaded)
    ours.server.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    poll("the reload", lambda: ours.sum(ours.own, loaded) > before)
    assert ours.stop() == 0
    assert [one["attributes"]["sampling.policy"] for one in ours.kept_spans()] == ["all"]


def test_a_changed_file_is_noticed_without_a_signal(
    collector: Callable[..., Collector], policies: Path
) -> None:
    ours = start(collector, policies)
    loaded = "otelcol_llm_config_last_reload_success_timestamp_seconds"
    before = ours.sum(ours.own, loaded)
    (policies / "sampling.yaml").write_text("[{name: all, type: always_sample}]\n")
    poll("the reload", lambda: ours.sum(ours.own, loaded) > before)


def test_a_broken_file_changes_nothing_and_is_told(
    collector: Callable[..., Collector], policies: Path
) -> None:
    ours = start(collector, policies)
    (policies / "sampling.yaml").write_text("[{name: slow, type: latency, latncy: {}}]\n")
    ours.server.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    good = "otelcol_llm_config_last_reload_successful"
    poll("the refusal", lambda: ours.sum(ours.own, good) == 0)
    assert "did you mean 'latency'" in ours.server.text()  # type: ignore[union-attr]
    send(ours.grpc, span(1, 7, status=2))
    assert ours.stop() == 0
    assert len(ours.kept_spans()) == 1


def test_a_moved_receiver_listens_elsewhere_and_the_rest_goes_on(
    collector: Callable[..., Collector], policies: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "move.yaml"
    moved.write_text("receivers: {otlp: {}}\n")
    ours = collector(
        configs=[policies / "embedded.yaml", moved],
        environment={"OTELCOL_LLM_REDACTION_KEY": "0123456789abcdef0123456789abcdef"},
    )
    send(ours.grpc, span(1, 7, parent=9, status=2))
    moved.write_text("receivers: {otlp: {protocols: {grpc: {max_concurrent_streams: 7}}}}\n")
    loaded = "otelcol_llm_config_last_reload_success_timestamp_seconds"
    before = ours.sum(ours.own, loaded)
    poll("the reload", lambda: ours.sum(ours.own, loaded) > before)
    send(ours.grpc, span(2, 7, parent=9))
    assert ours.stop() == 0
    assert len(ours.kept_spans()) == 2


def test_health_tells_the_state(collector: Callable[..., Collector]) -> None:
    ours = collector()
    answer = httpx.get(f"http://127.0.0.1:{ours.health}/", trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (200, "Server available")


def test_a_taken_port_is_one_sentence_and_exit_code_1(
    collector: Callable[..., Collector], tmp_path: Path
) -> None:
    ours = collector()
    command = [
        sys.executable, "-m", "collector",
        "--set", f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{ours.grpc}",
        "--set", "service.telemetry.metrics.level=none",
    ]  # fmt: skip
    environment = os.environ | {"OTELCOL_LLM_DATA": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    second = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert str(ours.grpc) in second.stderr


def test_the_demo_shows_the_product(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "collector",
        "demo",
        "--traces",
        "200",
        "--data-dir",
        str(tmp_path),
    ]
    shown = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    for expected in (
        "Spend by model",
        "gpt-4o-mini",
        "EMAIL",
        "[EMAIL]",
        "Traces kept",
        "status_code",
    ):
        assert expected in shown.stdout
    assert "\x1b[" not in shown.stdout
    assert (tmp_path / "traces.jsonl").stat().st_size > 0
    metrics = (tmp_path / "metrics.txt").read_text("utf-8")
    for panel_needs in (
        "llm_ttft_seconds",
        "llm_decode_tokens",
        "llm_provider_quota",
        'prompt_version="v2"',
    ):
        assert panel_needs in metrics  # or the overview is half empty with it
