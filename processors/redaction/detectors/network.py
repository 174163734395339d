"""Addresses of machines."""

from __future__ import annotations

from typing import Final

from processors.redaction.detectors import checks
from processors.redaction.detectors.model import Detector, Entity, unless

_QUAD: Final = rb"\d{1,3}(?:\.\d{1,3}){3}"
_HEX: Final = rb"[0-9A-Fa-f]{1,4}"
_HEXES: Final = rb"(?:" + _HEX + rb":)"
# The length of the network's part, which belongs to an address as CIDR writes it (RFC 4632).
_PREFIX4: Final = rb"(?:/(?:3[0-2]|[12]?\d))?"
_PREFIX6: Final = rb"(?:/(?:12[0-8]|1[01]\d|\d\d?))?"

IP_ADDRESS: Final = Entity(
    name="IP_ADDRESS",
    group="A",
    about="IPv4 and IPv6 addresses, with the prefix length of a network.",
    detectors=(
        Detector(
            entity="IP_ADDRESS",
            prefilter=r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d",
            pattern=rb"(?:(?<![vV/])|(?<=://))(?<!\d\.)"
            + _QUAD
            + rb"(?!\.\d|-?(?:alpha|beta|rc|dev|SNAPSHOT))"
            + _PREFIX4,
            check=checks.ipv4,
            without="version",
            score=0.85,
            run=rb"\d+(?:\.\d+)*",
        ),
        Detector(
            entity="IP_ADDRESS",
            prefilter=r"[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}:[0-9a-fA-F]{0,4}:|[0-9a-fA-F]{1,4}::|::[0-9a-fA-F]",
            # The last two groups may be written as an IPv4 address (RFC 4291, 2.2).
            # A slice of a list is none: `rows[1::2]`.
            pattern=rb"(?<!:)(?!(?<=[\w)\]]\[)\d+::\d+\])(?:"
            + rb"|".join(
                (
                    _HEXES + rb"{6}" + _QUAD,
                    _HEXES + rb"{1,6}:" + _HEXES + rb"{0,5}" + _QUAD,
                    rb"::" + _HEXES + rb"{0,5}" + _QUAD,
                    _HEXES + rb"{7}" + _HEX,
                    _HEXES + rb"{1,7}:(?:" + _HEXES + rb"{0,5}" + _HEX + rb")?",
                    rb"::" + _HEXES + rb"{0,6}" + _HEX,
                )
            )
            + rb")(?:%[0-9A-Za-z]{1,16})?(?!:|\.\d)"
            + _PREFIX6,
            check=checks.ipv6,
            score=0.9,
            run=rb"[0-9A-Fa-f]*:[0-9A-Fa-f:]*",
        ),
    ),
)

MAC_ADDRESS: Final = Entity(
    name="MAC_ADDRESS",
    group="A",
    about="Hardware addresses: six pairs with one separator, or Cisco's three groups.",
    detectors=(
        Detector(
            entity="MAC_ADDRESS",
            prefilter=r"[0-9a-fA-F]{2}[:-][0-9a-fA-F]{2}[:-][0-9a-fA-F]{2}[:-][0-9a-fA-F]{2}[:-]",
            pattern=unless(rb"[0-9A-Fa-f][:-]")
            + rb"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![:-][0-9A-Fa-f]{2})",
            check=checks.mac,
            score=0.95,
        ),
        Detector(
            entity="MAC_ADDRESS",
            prefilter=r"[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}",
            pattern=rb"(?<!\.)(?=[0-9.]{0,13}[A-Fa-f])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?!\.)",
            check=checks.mac,
            score=0.85,
        ),
    ),
)

ENTITIES: Final = (IP_ADDRESS, MAC_ADDRESS)
