"""The configuration of the `otlp` receiver: the Collector's keys, its defaults or ours, and what is said about them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from collector.config.settings import resolve
from collector.errors import ConfigError
from collector.receivers.otlp import check
from collector.receivers.otlp.config import Config
from collector.registry import schema_of
from processors.batch import Signal
from processors.errors import Finding
from processors.ports import Context
from tests.collector.receivers.recorder import SCHEMA


def load(text: str) -> Config:
    return Config.load(resolve(schema_of(SCHEMA), yaml.safe_load(text)))


def findings(text: str) -> list[Finding]:
    return list(check(resolve(schema_of(SCHEMA), yaml.safe_load(text)), Context(id="otlp")))


def test_protocols_without_settings_have_the_defaults() -> None:
    config = load("protocols: {grpc: , http: }")
    assert config.grpc is not None
    assert config.http is not None
    assert (config.grpc.address, config.http.address) == ("127.0.0.1:4317", "127.0.0.1:4318")
    assert dict(config.grpc.options)["grpc.max_receive_message_length"] == 64 << 20
    assert config.http.max_request_body_size == 64 << 20
    assert dict(config.http.paths) == {signal.http_path: signal for signal in Signal}
    assert config.grpc.tls is config.http.tls is config.http.cors is None


def test_a_protocol_that_is_not_named_is_off() -> None:
    assert load("protocols: {grpc: }").http is None
    assert load("protocols: {http: }").grpc is None


@pytest.mark.parametrize("text", ["{}", "protocols: ", "protocols: {}", "protocols: {thrift: }"])
def test_a_receiver_without_a_protocol_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        load(text)


EXAMPLES = {
    "keepalive": """
        protocols:
          grpc:
            keepalive:
              server_parameters:
                max_connection_idle: 11s
                max_connection_age: 12s
                max_connection_age_grace: 13s
                time: 30s
                timeout: 5s
              enforcement_policy: {min_time: 10s, permit_without_stream: true}
        """,
    "sizes": """
        protocols:
          grpc:
            max_recv_msg_size_mib: 32
            max_concurrent_streams: 16
            read_buffer_size: 1024
            write_buffer_size: 1024
        """,
    "tls": """
        protocols:
          grpc: {tls: {cert_file: test.crt, key_file: test.key}}
          http: {tls: {cert_file: test.crt, key_file: test.key, client_ca_file: client.pem}}
        """,
    "cors": """
        protocols:
          http:
            cors:
              allowed_origins: ["https://*.test.com", "https://test.com"]
              allowed_headers: [ExampleHeader]
              max_age: 7200
        """,
    "unix": """
        protocols:
          grpc: {transport: unix, endpoint: /tmp/grpc_otlp.sock}
          http: {transport: unix, endpoint: /tmp/http_otlp.sock}
        """,
    "paths": """
        protocols:
          http: {traces_url_path: traces, metrics_url_path: /v2/metrics, logs_url_path: log/ingest}
        """,
    "http": """
        protocols:
          http:
            max_request_body_size: 1048576
            include_metadata: true
            read_timeout: 5s
            read_header_timeout: 5s
            write_timeout: 5s
            idle_timeout: 5s
            keep_alives_enabled: false
            compression_algorithms: ["", gzip]
            response_headers: {X-Served-By: collector}
        """,
}


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_what_a_collector_user_writes_is_loaded(text: str) -> None:
    assert load(text)
    assert [finding for finding in findings(text) if not finding.warning] == []


def test_keepalive_reaches_the_grpc_library() -> None:
    config = load(EXAMPLES["keepalive"])
    assert config.grpc is not None
    options = dict(config.grpc.options)
    assert options["grpc.max_connection_idle_ms"] == 11_000
    assert options["grpc.max_connection_age_ms"] == 12_000
    assert options["grpc.max_connection_age_grace_ms"] == 13_000
    assert options["grpc.keepalive_time_ms"] == 30_000
    assert options["grpc.keepalive_timeout_ms"] == 5_000
    assert options["grpc.http2.min_recv_ping_interval_without_data_ms"] == 10_000


def test_zero_means_never_for_connections_and_the_default_for_sizes() -> None:
    text = "protocols: {grpc: {max_recv_msg_size_mib: 0, keepalive: {server_parameters: {max_connection_age: 0}}}}"
    config = load(text)
    assert config.grpc is not None
    options = dict(config.grpc.options)
    assert options["grpc.max_connection_age_ms"] == 2**31 - 1
    assert options["grpc.max_receive_message_length"] == 64 << 20


def test_paths_get_the_slash_they_lack() -> None:
    http = load(EXAMPLES["paths"]).http
    assert http is not None
    assert [path for path, _ in http.paths] == ["/traces", "/v2/metrics", "/log/ingest"]


def warned(endpoint: str) -> list[Any]:
    text = f"protocols: {{grpc: {{endpoint: '{endpoint}'}}, http: {{endpoint: '{endpoint}'}}}}"
    return [(found.path, found.warning) for found in findings(text)]


@pytest.mark.parametrize("endpoint", ["0.0.0.0:4317", ":4317", "[::]:4317"])
def test_listening_everywhere_is_warned_about(endpoint: str) -> None:
    assert warned(endpoint) == [
        ("protocols.grpc.endpoint", True),
        ("protocols.http.endpoint", True),
    ]


@pytest.mark.parametrize("endpoint", ["localhost:4317", "10.0.0.7:4317", "[::1]:4317"])
def test_other_addresses_are_fine(endpoint: str) -> None:
    assert warned(endpoint) == []


@pytest.mark.parametrize("endpoint", ["localhost", "localhost:", "localhost:70000", "host:otlp"])
def test_an_endpoint_without_a_port_is_refused(endpoint: str) -> None:
    assert warned(endpoint) == [
        ("protocols.grpc.endpoint", False),
        ("protocols.http.endpoint", False),
    ]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ("auth: {authenticator: basicauth}", "auth"),
        ("middlewares: [{id: limiter}]", "middlewares"),
        ("tls: {cert_file: a}", "tls"),
        ("tls: {cert_file: a, cert_pem: b, key_file: c}", "tls"),
    ],
)
def test_what_would_not_protect_is_refused(settings: str, path: str) -> None:
    found = findings(f"protocols: {{grpc: {{{settings}}}, http: {{{settings}}}}}")
    assert [(one.path, one.warning) for one in found] == [
        (f"protocols.grpc.{path}", False),
        (f"protocols.http.{path}", False),
    ]


def test_versions_that_grpc_cannot_be_told_are_refused() -> None:
    tls = "tls: {cert_file: a, key_file: b, min_version: '1.3'}"
    found = findings(f"protocols: {{grpc: {{{tls}}}, http: {{{tls}}}}}")
    assert [one.path for one in found] == ["protocols.grpc.tls.min_version"]


def test_keys_do_not_show_in_what_is_printed() -> None:
    config = load("protocols: {http: {tls: {cert_pem: public, key_pem: private}}}")
    assert "private" not in repr(config)
