"""Addresses to listen on: what is wrong with one, before and when it is opened."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Final

from collector.errors import StartError
from processors.errors import Finding

_EVERYWHERE: Final = ("", "0.0.0.0", "[::]")  # noqa: S104 - the warning is about them


def address_findings(endpoint: str, path: str, exposed: str = "") -> Iterator[Finding]:
    """Say what is wrong with host:port. `exposed`: what whoever reaches this machine can do then, if that is a risk."""
    host, _, port = endpoint.rpartition(":")
    if not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        yield Finding(path, f"expected host:port with a port up to 65535, got {endpoint!r}")
    elif "/" in host:
        yield Finding(path, f"expected host:port without a scheme or path, got {endpoint!r}")
    elif ":" in host and not (host.startswith("[") and host.endswith("]")):
        text = f"expected an IPv6 address in brackets, such as [::1]:{port}, got {endpoint!r}"
        yield Finding(path, text)
    elif exposed and host in _EVERYWHERE:
        text = (
            f"{endpoint!r} listens on every network interface, so whoever reaches this machine {exposed}; "
            "name an interface, such as 127.0.0.1, unless that is meant"
        )
        yield Finding(path, text, warning=True)


def cannot_listen(endpoint: str, error: OSError) -> StartError:
    """Say why an address could not be opened and what helps."""
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"expected a free address, but {endpoint} is in use by another program or a second collector;"
            " stop that one, or name another address"
        )
    if isinstance(error, socket.gaierror):
        reason = error.strerror
    else:
        reason = os.strerror(error.errno) if error.errno else str(error)
    return StartError(
        f"expected an address of this machine, but {endpoint} cannot be opened: {reason}"
    )
