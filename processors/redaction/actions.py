"""What is written in place of a match.

`replace` → `[EMAIL]`; `mask` keeps separators and the last characters; `hash` → `[EMAIL:9f3a1c2b7d01]`, keyed, the same
for the same value in any notation; `remove` → nothing; `keep` counts only; `drop_attribute` and `drop_record` take the
attribute or the span event, link or log record that holds the match.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from processors.redaction.detectors.checks import digits

Replace: TypeAlias = Callable[[str, bytes], bytes]
"""(entity, matched bytes) → what is written. Holds no quote, backslash or control character: JSON stays valid."""

REMOVING: Final = ("drop_attribute", "drop_record")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskStyle:
    """How `mask` writes."""

    char: str
    keep_last: int
    keep_domain: bool


def _casefolded(value: bytes) -> bytes:
    return value.decode("utf-8", "replace").casefold().encode()


def _compact(value: bytes) -> bytes:
    return value.upper().translate(None, b" -")


_NORMAL_FORMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "EMAIL": _casefolded,
    "PHONE": digits,
    "CREDIT_CARD": digits,
    "US_SSN": digits,
    "US_ITIN": digits,
    "IBAN": _compact,
    "MAC_ADDRESS": lambda value: value.lower().translate(None, b":-."),
}


class Pseudonyms:
    """Keyed names for values: equal values get equal names, and nobody without the key can tell which."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: the first one writes; the others are known from before a rotation."""
        self._keys = tuple(keys)

    def digest(self, entity: str, value: bytes, *, key: int = 0) -> str:
        """Return 64 hex digits for a value of an entity, whatever its notation."""
        normal = _NORMAL_FORMS.get(entity, _unchanged)(value)
        message = entity.encode() + b"\0" + normal
        return hmac.new(self._keys[key], message, hashlib.sha256).hexdigest()

    def fingerprints(self, entity: str, value: bytes) -> list[str]:
        """Return one fingerprint for each key, the active one first."""
        return [self.digest(entity, value, key=n)[:24] for n in range(len(self._keys))]

    def user(self, value: bytes) -> bytes:
        """Return the pseudonym of a person; one that is a pseudonym already stays."""
        if USER.fullmatch(value):
            return value
        return b"user_" + self.digest("USER", value)[:16].encode()

    @property
    def key_id(self) -> str:
        """Say which key is active, without giving anything of it away."""
        return hashlib.sha256(b"key id\0" + self._keys[0]).hexdigest()[:8]


USER: Final = re.compile(rb"user_[0-9a-f]{16}")


def _unchanged(value: bytes) -> bytes:
    return value


def replacer(action: str, pseudonyms: Pseudonyms | None, style: MaskStyle) -> Replace | None:
    """Return what writes an action, None for `keep`. What removes more than the match writes as `replace` does, for
    places that cannot go: a span's name, a status message."""
    if action == "replace" or action in REMOVING:
        return lambda entity, value: f"[{entity}]".encode()
    if action == "remove":
        return lambda entity, value: b""
    if action == "mask":
        return _masker(style)
    if action == "hash" and pseudonyms is not None:
        return lambda entity, value: f"[{entity}:{pseudonyms.digest(entity, value)[:12]}]".encode()
    return None


def _masker(style: MaskStyle) -> Replace:
    def mask(entity: str, value: bytes) -> bytes:
        text = value.decode("utf-8", "replace")
        if entity == "EMAIL" and "@" in text:
            local, _, domain = text.rpartition("@")
            kept = domain if style.keep_domain else _masked(domain, style.char, 0)
            return f"{local[0]}{style.char * (len(local) - 1)}@{kept}".encode()
        return _masked(text, style.char, style.keep_last).encode()

    return mask


def _masked(text: str, char: str, keep_last: int) -> str:
    """Mask letters and digits but the last ones; never more than a quarter of them stays."""
    significant = sum(c.isalnum() for c in text)
    hidden = significant - min(keep_last, significant // 4)
    out = []
    for c in text:
        if not c.isalnum():
            out.append(c if c in " -.:@/+()" else char)
            continue
        out.append(char if hidden > 0 else c)
        hidden -= 1
    return "".join(out)


# ------------------------------------------------------------------ JSON carried as text

_NUMBER: Final = re.compile(rb"[0-9.+-]+")
_BEFORE: Final = re.compile(rb'(?:(\\*)":|[\[,])[ \n\t]{0,8}$')
_BEHIND: Final = re.compile(rb"[ \n\t]{0,8}(?:\\n)?[,\]}]")
_QUOTE: Final = re.compile(rb'(\\*)"')


def in_json(text: bytes, start: int, end: int, new: bytes) -> bytes:
    """Return the replacement for text[start:end], in quotes where a bare JSON number stood."""
    if not _NUMBER.fullmatch(text[start:end]) or not _BEHIND.match(text, end):
        return new
    before = _BEFORE.search(text, max(0, start - 24), start)
    if before is None:
        return new
    slashes = before.group(1)
    if slashes is None:
        quote = _QUOTE.search(text)
        if quote is None and text[:1] != b"[":
            return new
        slashes = quote.group(1) if quote else b""
    return slashes + b'"' + new + slashes + b'"'
