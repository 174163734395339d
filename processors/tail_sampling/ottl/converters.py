"""Functions of conditions that take a value apart or turn it into another: times, digests, addresses, keys, cases.

The same rules as in `functions`. Source: contrib `pkg/ottl/ottlfuncs` v0.158.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import math
import struct
from binascii import Error as NoBase64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from processors.tail_sampling.ottl.functions import (
    Function,
    pattern,
    to_double,
    to_duration,
    to_list,
    to_text,
    to_whole,
)
from processors.tail_sampling.ottl.values import (
    Any_,
    ConditionFailed,
    Duration,
    Id,
    Time,
    int64,
    kind,
    text_of,
)

_NS: Final = 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _clock(part: Callable[[datetime], int]) -> Callable[[Any_], int]:
    """Return what reads a part of a time, in UTC."""

    def read(value: Any_) -> int:
        return part(_EPOCH + timedelta(seconds=_time(value).ns // _NS))

    return read


def _time(value: Any_) -> Time:
    if isinstance(value, Time):
        return value
    raise ConditionFailed(f"expected a time but got {kind(value)}")


def _unix(seconds: Any_, nanoseconds: Any_ = 0) -> Time:
    return Time(to_whole(seconds) * _NS + to_whole(nanoseconds))


def _truncate(time: Any_, duration: Any_) -> Time:
    """Round down to a multiple of a length since the year 1, as Go does."""
    ns, unit = _time(time).ns, to_duration(duration).ns
    if unit <= 0:
        return Time(ns)
    return Time(ns - (ns + _SINCE_YEAR_ONE) % unit)


_SINCE_YEAR_ONE: Final = 62_135_596_800 * _NS


def _digest(name: str) -> Callable[[Any_], str]:
    return lambda value: hashlib.new(
        name, to_text(value).encode(), usedforsecurity=False
    ).hexdigest()


def _fnv(value: Any_) -> int:
    """FNV-1a, 64 bits."""
    found = 0xCBF29CE484222325
    for byte in to_text(value).encode():
        found = (found ^ byte) * 0x100000001B3 % (1 << 64)
    return int64(found)


def _hex(value: Any_) -> str:
    return _as_bytes(value).hex()


def _id(size: int) -> Callable[[Any_], Id]:
    """Read an id as it is or, where that is twice as long, written in hexadecimal digits."""

    def convert(value: Any_) -> Id:
        raw = _as_bytes(value)
        if len(raw) == 2 * size:
            raw = _from_hex(raw)
        if len(raw) != size:
            raise ConditionFailed(f"ids of this kind must be {size} bytes")
        return Id(raw)

    return convert


def _from_hex(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode())
    except ValueError:
        raise ConditionFailed("expected hexadecimal digits") from None


def _as_bytes(value: Any_) -> bytes:
    """Numbers as they stand in memory, the highest byte first."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return bytes((value,))
    if isinstance(value, int):
        return struct.pack(">q", value)
    if isinstance(value, float):
        return struct.pack(">d", value)
    return value if isinstance(value, bytes) else to_text(value).encode()


def _decode_base64(value: Any_) -> str:
    text = to_text(value).replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (NoBase64, ValueError):
        raise ConditionFailed("illegal base64 data") from None


def _log(value: Any_) -> float:
    number = to_double(value)
    if number is None or number <= 0:
        raise ConditionFailed("expected a number greater than zero")
    return math.log(number)


def _map(value: Any_) -> Mapping[str, Any_]:
    if isinstance(value, dict):
        return value
    raise ConditionFailed(f"expected a map but got {kind(value)}")


def _is_empty(value: Any_) -> bool:
    if isinstance(value, (str, bytes, list, dict)):
        return not value
    if isinstance(value, Duration):
        return not value.ns
    return value is None or (isinstance(value, (bool, int, float)) and not value)


def _coalesce(values: Any_) -> Any_:
    return next((value for value in to_list(values) if value is not None), None)


def _is_in_cidr(target: Any_, networks: Any_) -> bool:
    text = to_text(target)
    nets = [_network(to_text(network)) for network in to_list(networks)]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in net for net in nets if net.version == mapped.version)


def _network(text: str) -> Any:
    try:
        if "/" in text:
            return ipaddress.ip_network(text, strict=False)
    except ValueError:
        pass
    raise ConditionFailed("invalid CIDR address")


def _is_valid_luhn(target: Any_) -> bool:
    text = text_of(target)
    digits = (text or "").replace(" ", "")
    if text is None or (digits and not (digits.isascii() and digits.isdigit())):
        raise ConditionFailed("expected digits")
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return bool(digits) and (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def _extract(target: Any_, regex: Any_) -> dict[str, str]:
    compiled = pattern(to_text(regex))
    if not compiled.groupindex:
        raise ConditionFailed("at least 1 named capture group must be supplied in the given regex")
    found = compiled.search(to_text(target))
    return {name: found[name] or "" for name in compiled.groupindex} if found else {}


def _parse_int(target: Any_, base: Any_) -> int:
    text, radix = to_text(target), to_whole(base)
    if not 2 <= radix <= 36 or "_" in text or text != text.strip():
        raise ConditionFailed("invalid target or base")
    try:
        number = int(text, radix)
    except ValueError:
        raise ConditionFailed("invalid syntax") from None
    if int64(number) != number:
        raise ConditionFailed("value out of range")
    return number


def _convert_case(target: Any_, case: Any_) -> str:
    if case not in _CASES:
        raise ConditionFailed(f"invalid case: {case}, allowed cases are: lower, upper")
    return _CASES[case](to_text(target))


_CASES: Final[Mapping[Any_, Callable[[str], str]]] = {"lower": str.lower, "upper": str.upper}


_ONE: Final = ("target",)
_TIME: Final = ("time",)

CONVERTERS: Final[Mapping[str, Function]] = {
    "Base64Decode": Function(_ONE, _decode_base64, kinds="s"),
    "Base64Encode": Function(
        _ONE, lambda target: base64.b64encode(to_text(target).encode()).decode(), kinds="s"
    ),
    "Coalesce": Function(("values",), _coalesce, kinds="L"),
    "ConvertCase": Function(("target", "to_case"), _convert_case, kinds="sS"),
    "Day": Function(_TIME, _clock(lambda time: time.day), kinds="t"),
    "ExtractPatterns": Function(("target", "pattern"), _extract, kinds="ss"),
    "FNV": Function(_ONE, _fnv, kinds="s"),
    "Hex": Function(_ONE, _hex),
    "Hour": Function(_TIME, _clock(lambda time: time.hour), kinds="t"),
    "IsEmpty": Function(_ONE, _is_empty),
    "IsInCIDR": Function(("target", "networks"), _is_in_cidr, kinds="sL"),
    "IsValidLuhn": Function(_ONE, _is_valid_luhn),
    "Keys": Function(_ONE, lambda target: list(_map(target)), kinds="m"),
    "Log": Function(_ONE, _log),
    "MD5": Function(_ONE, _digest("md5"), kinds="s"),
    "Minute": Function(_TIME, _clock(lambda time: time.minute), kinds="t"),
    "Month": Function(_TIME, _clock(lambda time: time.month), kinds="t"),
    "Nanosecond": Function(_TIME, lambda time: _time(time).ns % _NS, kinds="t"),
    "ParseInt": Function(("target", "base"), _parse_int, kinds="si"),
    "SHA1": Function(_ONE, _digest("sha1"), kinds="s"),
    "SHA256": Function(_ONE, _digest("sha256"), kinds="s"),
    "SHA512": Function(_ONE, _digest("sha512"), kinds="s"),
    "Second": Function(_TIME, _clock(lambda time: time.second), kinds="t"),
    "SpanID": Function(_ONE, _id(8)),
    "TraceID": Function(_ONE, _id(16)),
    "TruncateTime": Function(("time", "duration"), _truncate, kinds="td"),
    "Unix": Function(("seconds", "nanoseconds"), _unix, required=1, kinds="ii"),
    "Values": Function(_ONE, lambda target: list(_map(target).values()), kinds="m"),
    "Weekday": Function(_TIME, _clock(lambda time: time.isoweekday() % 7), kinds="t"),
    "Year": Function(_TIME, _clock(lambda time: time.year), kinds="t"),
}
