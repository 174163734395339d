"""What contrib writes in place of a match: `****`, a digest, or a keyed digest."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from processors.errors import Finding

_DIGESTS: Final = {"md5": "md5", "sha1": "sha1", "sha3": "sha3_256"}
_KEYED: Final[Mapping[str, tuple[str, int]]] = {
    "hmac-sha256": ("sha256", 32),
    "hmac-sha512": ("sha512", 64),
}
"""Name → (digest, least number of key bytes)."""


@dataclass(frozen=True, slots=True)
class Mask:
    """A replacement and the bytes it can consist of."""

    replace: Callable[[bytes], bytes]
    alphabet: frozenset[int]


def findings(function: str, key: str) -> Iterator[Finding]:
    """Yield what is wrong with `hash_function` and `hmac_key`. The sentences hold contrib's own words."""
    name = function.lower()
    if name and name not in _DIGESTS and name not in _KEYED:
        text = (
            f"unknown HashFunction {name}, allowed functions are "
            "sha1, sha3, md5, hmac-sha256 and hmac-sha512"
        )
        yield Finding("hash_function", text)
    elif name in _KEYED:
        size, least = len(key.encode()), _KEYED[name][1]
        if not size:
            yield Finding("hmac_key", f'hmac_key must not be empty when hash_function is "{name}"')
        elif size < least:
            text = f'hmac_key must be at least {least} bytes long for "{name}", got {size} bytes'
            yield Finding("hmac_key", text)


def make_mask(function: str, key: str) -> Mask:
    """Return the mask of a configuration without `findings`."""
    name = function.lower()
    if not name:
        return Mask(lambda match: b"****", frozenset(b"*"))
    if name in _KEYED:
        secret, digest = key.encode(), _KEYED[name][0]
        return Mask(lambda m: hmac.new(secret, m, digest).hexdigest().encode(), _HEX)
    digest = _DIGESTS[name]
    return Mask(lambda m: hashlib.new(digest, m, usedforsecurity=False).hexdigest().encode(), _HEX)


_HEX: Final = frozenset(b"0123456789abcdef")
