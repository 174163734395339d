"""The Collector's `tls:` block of a server, as gRPC and `ssl` want it, with certificates that renew themselves.

gRPC and OpenSSL choose cipher suites and curves; gRPC also its versions (1.2 and 1.3), which `findings` says.
Source: collector config/configtls README (v0.158): `client_ca_file` means that clients must show a certificate.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from collector import logs
from collector.errors import StartError
from processors.errors import Finding

_VERSIONS: Final = {
    "": ssl.TLSVersion.MAXIMUM_SUPPORTED,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM texts; `clients` vouch for clients, None lets everybody in."""

    chain: bytes
    key: bytes
    clients: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """What a server shows, and whom it lets in. The part that says where is a file's path or the PEM text itself."""

    cert_file: str
    cert_pem: str
    key_file: str
    key_pem: str
    client_ca_file: str
    client_ca_file_reload: bool
    reload_interval_s: float
    min_version: str
    max_version: str

    @classmethod
    def load(cls, settings: Mapping[str, Any]) -> ServerTls:
        return cls(
            cert_file=settings.get("cert_file", ""),
            cert_pem=settings.get("cert_pem", ""),
            key_file=settings.get("key_file", ""),
            key_pem=settings.get("key_pem", ""),
            client_ca_file=settings.get("client_ca_file", ""),
            client_ca_file_reload=settings["client_ca_file_reload"],
            reload_interval_s=settings["reload_interval"] / 1e9,
            min_version=settings["min_version"],
            max_version=settings["max_version"],
        )

    @staticmethod
    def findings(settings: Mapping[str, Any], path: str, *, grpc: bool) -> Iterator[Finding]:
        """Say what the schema cannot."""
        for part, what in (("cert", "certificate"), ("key", "key")):
            given = [name for name in (f"{part}_file", f"{part}_pem") if name in settings]
            if len(given) != 1:
                text = f"expected the server's {what} as either {part}_file or {part}_pem, got "
                yield Finding(path, text + ("both" if given else "neither"))
        if grpc and (
            settings["min_version"] != "1.2" or settings["max_version"] not in ("", "1.3")
        ):
            text = "the gRPC library offers TLS 1.2 and 1.3 and cannot be told otherwise"
            yield Finding(f"{path}.min_version", text)

    def read(self) -> Certificates:
        """Read the files. Raises: `StartError`."""
        try:
            return Certificates(
                chain=self.cert_pem.encode() or Path(self.cert_file).read_bytes(),
                key=self.key_pem.encode() or Path(self.key_file).read_bytes(),
                clients=Path(self.client_ca_file).read_bytes() if self.client_ca_file else None,
            )
        except OSError as error:
            raise StartError(f"cannot read a TLS file: {error}") from error


class Renewal:
    """Looks at the files of a server again, at most every `reload_interval`."""

    def __init__(self, tls: ServerTls) -> None:
        """Raises: `StartError`."""
        self._tls = tls
        self.current = tls.read()
        self._looked_at = time.monotonic()

    def renewed(self) -> Certificates | None:
        """Return other certificates than before, if there are; files that cannot be read change nothing."""
        tls, now = self._tls, time.monotonic()
        if not tls.reload_interval_s or now - self._looked_at < tls.reload_interval_s:
            return None
        self._looked_at = now
        try:
            found = tls.read()
        except StartError as error:
            logs.warn("New certificates cannot be read, the old ones stay.", problem=str(error))
            return None
        if not tls.client_ca_file_reload:
            found = Certificates(found.chain, found.key, self.current.clients)
        if found == self.current:
            return None
        self.current = found
        return found


def grpc_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Make the credentials of a gRPC server; asked for new ones at every handshake. Raises: `StartError`."""
    renewal = Renewal(tls)

    def configuration(found: Certificates) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(found.key, found.chain)], root_certificates=found.clients
        )

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        found = renewal.renewed()
        return configuration(found) if found else None

    load_chain(
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), renewal.current
    )  # gRPC says nothing about a broken file
    return grpc.dynamic_ssl_server_credentials(
        configuration(renewal.current),
        renewed,  # type: ignore[arg-type] # None means unchanged (grpcio), the stubs do not know
        require_client_authentication=bool(tls.client_ca_file),
    )


def server_context(tls: ServerTls) -> tuple[ssl.SSLContext, Renewal]:
    """Make the context of an HTTP server; hand what `Renewal.renewed` returns to `load_chain`. Raises: `StartError`."""
    renewal = Renewal(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    load_chain(context, renewal.current)
    if renewal.current.clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context, renewal


def load_chain(context: ssl.SSLContext, found: Certificates) -> None:
    """Use the certificates for connections from now on. Raises: `StartError`."""
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # 0700; OpenSSL reads chain and key from files only
        chain, key = os.path.join(folder, "chain"), os.path.join(folder, "key")
        Path(chain).write_bytes(found.chain)
        Path(key).write_bytes(found.key)
        try:
            context.load_cert_chain(chain, key, password=_no_password)
            if found.clients is not None:
                context.load_verify_locations(cadata=found.clients.decode("ascii", "replace"))
        except (ssl.SSLError, ValueError) as error:
            raise StartError(
                f"the TLS certificate and its key cannot be used together: {error}"
            ) from error


def _no_password() -> str:
    """Refuse encrypted keys; OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted, which is not supported")
