"""Addresses of machines."""

from __future__ import annotations

from typing import Final

from processors.redaction.detectors import checks
from processors.redaction.detectors.model import Detector, Entity, unless

IP_ADDRESS: Final = Entity(
    name="IP_ADDRESS",
    group="A",
    about="IPv4 and IPv6 addresses.",
    detectors=(
        Detector(
            entity="IP_ADDRESS",
            prefilter=r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d",
            pattern=rb"(?<![vV/])(?<!\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\.\d|-?(?:alpha|beta|rc|dev|SNAPSHOT))",
            check=checks.ipv4,
            without="version",
            score=0.85,
            run=rb"\d+(?:\.\d+)*",
        ),
        Detector(
            entity="IP_ADDRESS",
            prefilter=r"[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}:[0-9a-fA-F]{0,4}:|[0-9a-fA-F]{1,4}::|::[0-9a-fA-F]",
            pattern=rb"(?<!:)(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){7}"
            rb"|(?:[0-9A-Fa-f]{1,4}:){1,7}:(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,5})?"
            rb"|::(?:ffff:)?(?:\d{1,3}\.){3}\d{1,3}|::(?:[0-9A-Fa-f]{1,4}:){0,6}[0-9A-Fa-f]{1,4}"
            rb"|(?:[0-9A-Fa-f]{1,4}:){6}(?:\d{1,3}\.){3}\d{1,3})(?:%[0-9A-Za-z]{1,16})?(?!:)",
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
