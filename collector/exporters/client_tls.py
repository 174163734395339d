"""The Collector's `tls:` block of a client: whom we trust and who we are, as `ssl` and gRPC want it."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from collector.errors import StartError
from processors.errors import Finding

_VERSIONS: Final = {
    "": ssl.TLSVersion.MAXIMUM_SUPPORTED,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """Each part is a file or the PEM text itself; empty where it is not given."""

    insecure: bool
    skip_verify: bool
    server_name: str
    ca: Pem
    cert: Pem
    key: Pem
    system_ca_too: bool
    min_version: str
    max_version: str

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> ClientTls:
        return cls(
            insecure=settings["insecure"],
            skip_verify=settings["insecure_skip_verify"],
            server_name=settings["server_name_override"],
            ca=Pem(settings["ca_file"], settings["ca_pem"]),
            cert=Pem(settings["cert_file"], settings["cert_pem"]),
            key=Pem(settings["key_file"], settings["key_pem"]),
            system_ca_too=settings["include_system_ca_certs_pool"],
            min_version=settings["min_version"],
            max_version=settings["max_version"],
        )

    def context(self) -> ssl.SSLContext:
        """Make the context of an HTTP client. Raises: `StartError`."""
        ca, cert, key = self.ca.read(), self.cert.read(), self.key.read()
        try:
            context = ssl.create_default_context(cadata=ca.decode() or None)
            if ca and self.system_ca_too:
                context.load_default_certs()
            context.minimum_version = _VERSIONS[self.min_version]
            context.maximum_version = _VERSIONS[self.max_version]
            if cert:
                _load_chain(context, cert, key)
        except (ssl.SSLError, ValueError) as error:
            raise StartError(f"The client's certificates cannot be used: {error}.") from error
        if self.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def grpc_credentials(self) -> grpc.ChannelCredentials:
        """Make the credentials of a gRPC channel. Raises: `StartError`."""
        self.context()  # gRPC says nothing about a broken file
        roots = self.ca.read()
        if not roots or self.system_ca_too:
            roots += _system_roots()
        return grpc.ssl_channel_credentials(
            roots or None, self.key.read() or None, self.cert.read() or None
        )


@dataclass(frozen=True, slots=True)
class Pem:
    """PEM text, from a file or given."""

    file: str
    text: str

    def read(self) -> bytes:
        """Return the text, empty when nothing is given. Raises: `StartError`."""
        if not self.file:
            return self.text.encode()
        try:
            return Path(self.file).read_bytes()
        except OSError as error:
            raise StartError(f"Cannot read the TLS file {self.file}: {error.strerror}.") from error


def _load_chain(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:  # 0700; OpenSSL reads these from files only
        chain, secret = Path(folder, "chain"), Path(folder, "key")
        chain.write_bytes(cert)
        secret.write_bytes(key)
        context.load_cert_chain(chain, secret, password=_no_password)


def _no_password() -> str:
    raise ValueError("the key is encrypted, which is not supported")


def _system_roots() -> bytes:
    """Return the machine's authorities; without them gRPC uses those it ships with."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else b""


def findings(settings: Mapping[str, Any], *, grpc_client: bool) -> Iterator[Finding]:
    """Say what is wrong with `tls` beyond its schema."""
    for part in ("ca", "cert", "key"):
        if settings[f"{part}_file"] and settings[f"{part}_pem"]:
            text = f"expected {part}_file or {part}_pem, got both"
            yield Finding(f"tls.{part}_pem", text)
    given = [bool(settings[f"{part}_file"] or settings[f"{part}_pem"]) for part in ("cert", "key")]
    if given[0] != given[1]:
        yield Finding("tls", "expected a certificate and its key, got one of them")
    if grpc_client and settings["insecure_skip_verify"]:
        text = (
            "the gRPC library always checks the server's certificate; name its authority in ca_file"
        )
        yield Finding("tls.insecure_skip_verify", text)
    if grpc_client and (
        settings["min_version"] != "1.2" or settings["max_version"] not in ("", "1.3")
    ):
        text = "the gRPC library offers TLS 1.2 and 1.3 and cannot be told otherwise"
        yield Finding("tls.min_version", text)
