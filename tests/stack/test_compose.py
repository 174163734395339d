"""The composed stack is closed by default: read from the files, and checked by the programs that read them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from collector.config.load import load
from tests.e2e.servers import REPOSITORY, free_port, installed, peer, poll, start
from tests.scripted_http import serving

STACK: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
LONG_RUNNING = [name for name in SERVICES if name != "secrets"]
_DEFAULT = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def example() -> dict[str, str]:
    lines = (REPOSITORY / ".env.example").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_nothing_it_need_not(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    user = service.get("user", "10001")  # ours: USER of the Dockerfile
    assert user.split(":")[0] not in ("0", "root")
    assert "privileged" not in service
    assert service.get("network_mode") in (None, "none")


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_service_has_a_limit_and_tells_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    ours = service["image"].startswith("${SIDECAR_IMAGE")
    assert ours or service["healthcheck"]["test"][0].startswith("CMD")


def test_our_image_runs_without_root_and_tells_how_it_is() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text("utf-8").splitlines()
    assert "USER 10001" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    (found,) = _DEFAULT.findall(SERVICES[name]["image"])
    assert re.search(r":v?\d+\.\d+\.\d+$", found[1]), found


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


def test_who_has_ports() -> None:
    assert {name for name in SERVICES if "ports" in SERVICES[name]} == {
        "sidecar",
        "grafana",
        "tempo-gateway",
    }


def test_a_published_port_needs_a_network_that_is_not_internal() -> None:
    closed = {name for name, options in STACK["networks"].items() if options.get("internal")}
    for name, service in SERVICES.items():
        assert "ports" not in service or set(service["networks"]) - closed, name


def test_tempo_is_reached_by_its_writer_its_gateway_and_its_scraper_alone() -> None:
    nets = set(SERVICES["tempo"]["networks"])
    near = {name for name in SERVICES if nets & set(SERVICES[name].get("networks", ()))}
    assert near == {"tempo", "sidecar", "tempo-gateway", "prometheus"}


def test_prometheus_sees_one_address_of_the_sidecar() -> None:
    shared = set(SERVICES["prometheus"]["networks"]) & set(SERVICES["sidecar"]["networks"])
    assert len(shared) == 1


def test_grafana_asks_for_traces_through_the_gateway() -> None:
    (file,) = (REPOSITORY / "grafana/provisioning/datasources").iterdir()
    sources = yaml.safe_load(file.read_text("utf-8"))["datasources"]
    (tempo,) = [source for source in sources if source["type"] == "tempo"]
    assert tempo["url"] == "http://tempo-gateway:3200"
    assert SERVICES["grafana"]["environment"]["GF_DATAPROXY_SEND_USER_HEADER"] == "true"


def test_there_is_no_password_in_any_file() -> None:
    for name, service in SERVICES.items():
        for key in service.get("environment", {}):
            assert "PASSWORD" not in key or key.endswith("__FILE"), (name, key)
    assert not [key for key in example() if re.search("PASSWORD|KEY|TOKEN", key)]


def test_the_example_shows_every_setting_with_its_value() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text("utf-8")
    assert dict(_DEFAULT.findall(text)) == example()


def mounts() -> Iterator[str]:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert volume.endswith(":ro"), volume
                yield source


@pytest.mark.parametrize("source", sorted(set(mounts())))
def test_what_is_mounted_exists(source: str) -> None:
    assert (REPOSITORY / source).exists()


def test_named_volumes_are_declared_and_used() -> None:
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume[0] not in "./$"
    }
    assert used == set(STACK["volumes"])


def test_the_configuration_of_the_stack_is_valid(tmp_path: Path) -> None:
    key = tmp_path / "redaction_key"
    key.write_text("0123456789" * 4)  # digits alone are a text, too
    files = [str(REPOSITORY / "configs" / name) for name in ("collector.yaml", "stack.yaml")]
    loaded = load(files, env={"OTELCOL_LLM_REDACTION_KEY_FILE": str(key)})
    settings = loaded.config.components
    assert settings["processors"]["redaction"]["hash_keys"] == ["0123456789" * 4]
    assert settings["processors"]["tail_sampling"]["buffer"]["storage"] == "file_storage"
    assert settings["exporters"]["otlp"]["sending_queue"]["storage"] == "file_storage"
    assert {"file_storage", "freshness", "health_check"} == set(loaded.config.extensions)


def test_tempo_keeps_whole_prompts_for_ninety_days() -> None:
    tempo = yaml.safe_load((REPOSITORY / "tempo/tempo.yaml").read_text("utf-8"))
    assert tempo["distributor"]["max_attribute_bytes"] == 65536
    assert tempo["overrides"]["defaults"]["compaction"]["block_retention"] == "2160h"
    assert tempo["query_frontend"]["metrics"]["max_duration"] == "168h"
    assert tempo["usage_report"]["reporting_enabled"] is False
    assert "metrics_generator" not in tempo


def complaints(file: Path) -> str:
    """Return what Docker Compose has against a file; it needs no Docker for that."""
    command = [peer("compose-2.40.3"), "--file", str(file), "--profile", "demo", "config"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == bool(done.stdout)
    return done.stderr


@pytest.mark.peer
def test_compose_takes_the_file(tmp_path: Path) -> None:
    assert complaints(REPOSITORY / "docker-compose.yml") == ""
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(yaml.safe_dump(STACK | {"services": {"sidecar": {"imagine": "x"}}}))
    assert "imagine" in complaints(wrong)


@dataclass(frozen=True)
class Gateway:
    """The shipped configuration of the gateway, run by a real Caddy before a store that has everything."""

    url: str
    log: Path
    reached: list[str]
    """What came through to the store."""

    def audit(self) -> list[dict[str, Any]]:
        """Return what was written down about requests."""
        lines = map(json.loads, self.log.read_text("utf-8").splitlines())
        return [line for line in lines if line["msg"] == "handled request"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    reached: list[str] = []

    def store(path: str, body: bytes | None) -> tuple[int, bytes]:
        reached.append(path)
        return 200, b"{}"

    program = installed("caddy")
    ports = {3200: free_port(), 3201: free_port()}
    text = (REPOSITORY / "tempo/Caddyfile").read_text("utf-8")
    for usual, free in ports.items():
        text = text.replace(f"\n:{usual} {{\n", f"\nhttp://127.0.0.1:{free} {{\n")
    file, log = tmp_path / "Caddyfile", tmp_path / "log"
    file.write_text(text)
    with serving(store) as url:
        environment = {"TEMPO": url.removeprefix("http://")}
        environment |= {"XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        command = [program, "run", "--adapter", "caddyfile", "--config", str(file)]
        server = start(command, log, list(ports.values()), environment)
        yield Gateway(f"http://127.0.0.1:{ports[3200]}", log, reached)
        server.stop()


def test_the_gateway_writes_down_who_asked_for_which_trace(gateway: Gateway) -> None:
    path = f"/api/v2/traces/{'ab' * 16}"
    headers = {"X-Grafana-User": "maria", "Authorization": "Bearer invented", "Cookie": "s=1"}
    answer = httpx.get(gateway.url + path, headers=headers, trust_env=False)
    assert answer.status_code == 200
    (line,) = poll("the log", gateway.audit)
    assert line["request"]["uri"] == path
    assert line["request"]["headers"]["X-Grafana-User"] == ["maria"]
    assert line["status"] == 200
    assert "invented" not in gateway.log.read_text("utf-8")
    assert gateway.reached == [path]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v2/traces/1"),
        ("DELETE", "/api/v2/traces/1"),
        ("POST", "/v1/traces"),
        ("GET", "/flush"),
        ("GET", "/shutdown"),
        ("GET", "/status/config"),
        ("GET", "/metrics"),
    ],
)
def test_the_gateway_only_reads(gateway: Gateway, method: str, path: str) -> None:
    answer = httpx.request(method, gateway.url + path, trust_env=False)
    assert answer.status_code == 403
    assert gateway.reached == []
    (line,) = poll("the log", gateway.audit)
    assert (line["request"]["method"], line["status"]) == (method, 403)
