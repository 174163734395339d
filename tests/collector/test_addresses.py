"""Addresses to listen on: what cannot be right is told before, what cannot be had when it is opened."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from collector.addresses import address_findings, cannot_listen
from collector.config.load import load
from collector.door import bind_tcp, bind_unix
from collector.errors import ConfigError


@pytest.mark.parametrize("endpoint", ["127.0.0.1:0", "localhost:4317", "[::1]:65535", "0.0.0.0:1"])
def test_a_host_and_a_port_are_an_address(endpoint: str) -> None:
    assert list(address_findings(endpoint, "endpoint")) == []


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("localhost", "with a port up to 65535"),
        ("127.0.0.1:65536", "with a port up to 65535"),
        ("127.0.0.1:-1", "with a port up to 65535"),
        ("[::1]", "with a port up to 65535"),
        (f"127.0.0.1:{'1' * 5000}", "with a port up to 65535"),
        ("http://127.0.0.1:4317", "without a scheme or path"),
    ],
)
def test_what_is_no_address_is_told(endpoint: str, says: str) -> None:
    (finding,) = address_findings(endpoint, "endpoint")
    assert (finding.text, finding.warning) == (
        f"expected host:port {says}, got {endpoint!r}",
        False,
    )


@pytest.mark.parametrize("endpoint", [":::4317", "::1:4317", "[::1:4317"])
def test_an_address_with_colons_stands_in_brackets(endpoint: str) -> None:
    """Without them nobody knows where its port begins, or that it is every address of the machine."""
    (finding,) = address_findings(endpoint, "endpoint", "can send")
    text = f"expected an IPv6 address in brackets, such as [::1]:4317, got {endpoint!r}"
    assert (finding.text, finding.warning) == (text, False)


@pytest.mark.parametrize("endpoint", [":4317", "0.0.0.0:4317", "[::]:4317"])
def test_listening_everywhere_is_a_warning_where_it_is_a_risk(endpoint: str) -> None:
    (finding,) = address_findings(endpoint, "endpoint", "can send")
    assert finding.warning
    assert f"{endpoint!r} listens on every network interface" in finding.text


@pytest.mark.parametrize(
    "component",
    [
        "receivers.otlp.protocols.grpc.endpoint",
        "receivers.otlp.protocols.http.endpoint",
        "exporters.prometheus.endpoint",
        "extensions.health_check.endpoint",
    ],
)
def test_every_component_that_listens_checks_its_address(component: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(["yaml:{}"], [f"{component}=nowhere"], env={})
    told = {problem.path: problem.text for problem in caught.value.problems}
    assert told[component] == "expected host:port with a port up to 65535, got 'nowhere'"


def test_a_name_that_nobody_knows_is_told_as_such() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert str(cannot_listen("nowhere.invalid:1", error)).endswith(": Name or service not known")


def test_an_address_of_another_machine_is_told_as_such() -> None:
    error = OSError(errno.EADDRNOTAVAIL, "(while attempting to bind on address)")
    assert str(cannot_listen("10.9.8.7:1", error)) == (
        "expected an address of this machine, but 10.9.8.7:1 cannot be opened: Cannot assign requested address"
    )


@pytest.mark.parametrize("host", ["collector..example", "a" * 64])
def test_a_name_that_no_host_can_have_is_told_as_such(host: str) -> None:
    with pytest.raises(OSError, match="no host can have this name") as caught:
        bind_tcp(f"{host}:0")
    assert str(cannot_listen(host, caught.value)).endswith(": no host can have this name")


def test_a_path_that_is_too_long_for_a_socket_is_told_as_such(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * 108))
    with pytest.raises(OSError, match="too long") as caught:
        bind_unix(path)
    assert str(cannot_listen(path, caught.value)).endswith(": AF_UNIX path too long")
