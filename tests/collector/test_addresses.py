"""Addresses to listen on: what cannot be right is told before, what cannot be had when it is opened."""

from __future__ import annotations

import errno
import socket

import pytest

from collector.addresses import address_findings, cannot_listen
from collector.config.load import load
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
        ("http://127.0.0.1:4317", "without a scheme or path"),
    ],
)
def test_what_is_no_address_is_told(endpoint: str, says: str) -> None:
    (finding,) = address_findings(endpoint, "endpoint")
    assert (finding.text, finding.warning) == (
        f"expected host:port {says}, got {endpoint!r}",
        False,
    )


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
