"""TLS and mTLS of the `otlp` receiver, with certificates made for the test."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path

import grpc
import httpx
import pytest
import trustme

from collector.errors import StartError
from processors.batch import Signal
from tests.collector.receivers.recorder import Recorder, listening, receiver
from tests.telemetry import span, traces

RAW = traces(span(1))
PROTOBUF = {"content-type": "application/x-protobuf"}


class Papers:
    """A certificate authority, a server's certificate and a client's, as files."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.server = self._issue("server", "127.0.0.1")
        self.client = self._issue("client", "client@example.com")

    def _issue(self, name: str, identity: str) -> dict[str, str]:
        issued = self.ca.issue_cert(identity)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return {"cert_file": str(certificate), "key_file": str(key)}


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def https(address: str, papers: Papers, client: Mapping[str, str] | None = None) -> httpx.Response:
    context = ssl.create_default_context(cafile=papers.ca_file)
    if client:
        context.load_cert_chain(client["cert_file"], client["key_file"])
    with httpx.Client(verify=context, trust_env=False) as http:
        return http.post(f"https://{address}/v1/traces", content=RAW, headers=PROTOBUF)


def grpcs(address: str, papers: Papers, client: Mapping[str, str] | None = None) -> bytes:
    credentials = grpc.ssl_channel_credentials(
        papers.ca_file.read_bytes(),
        Path(client["key_file"]).read_bytes() if client else None,
        Path(client["cert_file"]).read_bytes() if client else None,
    )
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(address, credentials, options) as channel:
        return channel.unary_unary(Signal.TRACES.grpc_method)(RAW, timeout=10)


def test_http_is_encrypted(papers: Papers) -> None:
    with listening("http", tls=papers.server) as (intake, address):
        assert https(address, papers).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.post(f"http://{address}/v1/traces", content=RAW, headers=PROTOBUF)
    assert len(intake.taken) == 1


def test_grpc_is_encrypted(papers: Papers) -> None:
    with listening("grpc", tls=papers.server) as (intake, address):
        assert grpcs(address, papers) == b""
        with grpc.insecure_channel(address) as plain, pytest.raises(grpc.RpcError):
            plain.unary_unary(Signal.TRACES.grpc_method)(RAW, timeout=10)
    assert len(intake.taken) == 1


def test_the_certificate_may_stand_in_the_configuration(papers: Papers) -> None:
    tls = {
        "cert_pem": Path(papers.server["cert_file"]).read_text(),
        "key_pem": Path(papers.server["key_file"]).read_text(),
    }
    with listening("http", tls=tls) as (_, address):
        assert https(address, papers).status_code == 200
    with listening("grpc", tls=tls) as (_, address):
        assert grpcs(address, papers) == b""


def test_http_lets_in_clients_with_a_certificate_only(papers: Papers, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Papers(tmp_path / "other")
    tls = papers.server | {"client_ca_file": str(papers.ca_file)}
    with listening("http", tls=tls) as (intake, address):
        assert https(address, papers, papers.client).status_code == 200
        for client in (None, stranger.client):
            with pytest.raises(httpx.HTTPError):
                https(address, papers, client)
    assert len(intake.taken) == 1


def test_grpc_lets_in_clients_with_a_certificate_only(papers: Papers, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Papers(tmp_path / "other")
    tls = papers.server | {"client_ca_file": str(papers.ca_file)}
    with listening("grpc", tls=tls) as (intake, address):
        assert grpcs(address, papers, papers.client) == b""
        for client in (None, stranger.client):
            with pytest.raises(grpc.RpcError):
                grpcs(address, papers, client)
    assert len(intake.taken) == 1


def test_an_old_protocol_version_is_turned_away(papers: Papers) -> None:
    context = ssl.create_default_context(cafile=papers.ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        listening("http", tls=papers.server | {"min_version": "1.3"}) as (_, address),
        httpx.Client(verify=context, trust_env=False) as http,
        pytest.raises(httpx.HTTPError),
    ):
        http.post(f"https://{address}/v1/traces", content=RAW, headers=PROTOBUF)


@pytest.mark.parametrize(("protocol", "send"), [("http", https), ("grpc", grpcs)])
def test_a_new_certificate_is_taken_up(
    protocol: str, send: object, papers: Papers, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    new = Papers(tmp_path / "new")
    assert callable(send)
    with listening(protocol, tls=papers.server | {"reload_interval": "1ms"}) as (_, address):
        send(address, papers)
        for name in ("cert_file", "key_file"):
            Path(papers.server[name]).write_text("half written")
        send(address, papers)
        for name in ("cert_file", "key_file"):
            shutil.copy(new.server[name], papers.server[name])
        for _ in range(200):  # the HTTP server looks by itself, every millisecond
            try:
                send(address, new)
            except (httpx.HTTPError, grpc.RpcError):
                continue
            break
        else:
            pytest.fail("the new certificate was never shown")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_files_that_are_missing_or_do_not_fit_are_told_at_the_start(
    protocol: str, papers: Papers
) -> None:
    missing = papers.server | {"key_file": str(papers.folder / "none.key")}
    strange = papers.server | {"key_file": papers.client["key_file"]}
    for tls in (missing, strange):
        running = receiver({"protocols": {protocol: {"endpoint": "127.0.0.1:0", "tls": tls}}})
        with pytest.raises(StartError, match="TLS"):
            running.start(Recorder())
