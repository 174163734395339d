"""Encrypted destinations: whom the OTLP exporters trust, and who they say they are."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from collector.config.settings import resolve
from collector.errors import ExportFailed, StartError
from collector.exporters import otlp_grpc, otlp_http
from collector.exporters.otlp_grpc import GrpcTransport
from collector.exporters.otlp_http import HttpTransport
from collector.registry import schema_of
from processors.batch import Signal
from processors.requests import Request
from tests.backends import OK, Backend, answer_in_turn, grpc_backend, http_backend
from tests.countable import span_ids, traces


class World:
    """Authorities, a server's certificate for `localhost`, and a client's."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.server = self.authority.issue_cert("localhost", "inner.example")
        self.client = self.authority.issue_cert("client@example.com")
        self.stranger = trustme.CA()

    def files(self, folder: Path) -> dict[str, str]:
        """Write PEM files; returns their paths by name."""
        blobs = {
            "ca": self.authority.cert_pem,
            "stranger": self.stranger.cert_pem,
            "cert": self.client.cert_chain_pems[0],
            "key": self.client.private_key_pem,
        }
        for name, blob in blobs.items():
            blob.write_to_path(str(folder / name))
        return {name: str(folder / name) for name in blobs}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture
def files(world: World, tmp_path: Path) -> dict[str, str]:
    return world.files(tmp_path)


@contextmanager
def serve(kind: str, world: World, clients: bool) -> Iterator[Backend]:
    """Serve `kind` over TLS; with `clients`, only those with a certificate are let in."""
    if kind == "http":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        world.server.configure_cert(context)
        if clients:
            world.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        with http_backend(answer_in_turn(OK), context) as backend:
            yield backend
        return
    pair = (world.server.private_key_pem.bytes(), world.server.cert_chain_pems[0].bytes())
    roots = world.authority.cert_pem.bytes() if clients else None
    credentials = grpc.ssl_server_credentials([pair], roots, clients)
    with grpc_backend(answer_in_turn(OK), credentials) as backend:
        backend.endpoint = backend.endpoint.replace("127.0.0.1", "localhost")
        yield backend


def push(kind: str, endpoint: str, **tls: Any) -> None:
    """Send one request, once."""
    written = {"endpoint": endpoint, "tls": tls, "timeout": "5s"}
    made: GrpcTransport | HttpTransport
    if kind == "http":
        schema = schema_of("collector/exporters/otlp_http.schema.json")
        made = HttpTransport(otlp_http.Config.load(resolve(schema, written)), 1)
    else:
        schema = schema_of("collector/exporters/otlp_grpc.schema.json")
        made = GrpcTransport(otlp_grpc.Config.load(resolve(schema, written)))
    made.connect()
    try:
        made.push(Request(Signal.TRACES, traces(span_ids(1)).encode(), 1))
    finally:
        made.disconnect()


both = pytest.mark.parametrize("kind", ["grpc", "http"])


@both
def test_a_server_whose_authority_is_named_is_trusted(
    kind: str, world: World, files: dict[str, str]
) -> None:
    with serve(kind, world, clients=False) as backend:
        push(kind, backend.endpoint, ca_file=files["ca"])
        pem = Path(files["ca"]).read_text()
        push(kind, backend.endpoint, ca_pem=pem, include_system_ca_certs_pool=True)
        assert len(backend.received) == 2


@both
def test_other_servers_are_not(kind: str, world: World, files: dict[str, str]) -> None:
    with serve(kind, world, clients=False) as backend:
        for tls in ({"ca_file": files["stranger"]}, {}):
            with pytest.raises(ExportFailed) as failed:
                push(kind, backend.endpoint, **tls)
            assert failed.value.retryable
        assert backend.received == []


@both
def test_we_show_our_certificate(kind: str, world: World, files: dict[str, str]) -> None:
    with serve(kind, world, clients=True) as backend:
        with pytest.raises(ExportFailed):
            push(kind, backend.endpoint, ca_file=files["ca"])
        push(
            kind,
            backend.endpoint,
            ca_file=files["ca"],
            cert_file=files["cert"],
            key_pem=Path(files["key"]).read_text(),
        )
        assert len(backend.received) == 1


@both
def test_the_servers_name_can_be_another(kind: str, world: World, files: dict[str, str]) -> None:
    with serve(kind, world, clients=False) as backend:
        endpoint = backend.endpoint.replace("localhost", "127.0.0.1")
        with pytest.raises(ExportFailed):
            push(kind, endpoint, ca_file=files["ca"])
        push(kind, endpoint, ca_file=files["ca"], server_name_override="inner.example")
        assert len(backend.received) == 1


def test_http_may_skip_the_check(world: World) -> None:
    with serve("http", world, clients=False) as backend:
        push("http", backend.endpoint, insecure_skip_verify=True)
        assert len(backend.received) == 1


@both
def test_versions_are_kept(kind: str, world: World, files: dict[str, str]) -> None:
    with serve(kind, world, clients=False) as backend:
        push(kind, backend.endpoint, ca_file=files["ca"], min_version="1.2", max_version="1.3")
        assert len(backend.received) == 1


@both
@pytest.mark.parametrize("broken", ["missing", "garbage", "mismatch", "encrypted"])
def test_files_that_cannot_be_used_stop_the_start(
    kind: str, broken: str, files: dict[str, str], tmp_path: Path
) -> None:
    tls = {"cert_file": files["cert"], "key_file": files["key"]}
    if broken == "missing":
        tls = {"ca_file": str(tmp_path / "nowhere")}
    elif broken == "garbage":
        (tmp_path / "garbage").write_text("no PEM")
        tls["cert_file"] = str(tmp_path / "garbage")
    elif broken == "mismatch":
        World().client.private_key_pem.write_to_path(files["key"])
    else:
        lines = Path(files["key"]).read_text().splitlines()
        lines[1:1] = [
            "Proc-Type: 4,ENCRYPTED",
            "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF",
            "",
        ]
        Path(files["key"]).write_text("\n".join(lines))
    with pytest.raises(StartError):
        push(kind, "https://localhost:1", **tls)
