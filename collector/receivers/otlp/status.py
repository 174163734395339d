"""The answers of OTLP: success, partial success, `google.rpc.Status`. Encoded by hand, the messages are that small.

Sources: OTLP specification 1.11, google/rpc/status.proto, google/rpc/error_details.proto (RetryInfo, BadRequest).
"""

from __future__ import annotations

from typing import Final

from collector.component import Taken
from collector.errors import Rejected, TooLarge, Unauthenticated, status_of
from processors.errors import Malformed, Overloaded
from processors.wire import delimited, varint

MAX_MESSAGE: Final = 1024
"""Characters of a sentence to a sender: far below the 4 MiB a response may have."""
_TYPE: Final = "type.googleapis.com/google.rpc."
OUR_FAULT: Final = "the request was not taken because of an internal error"


def response(taken: Taken) -> bytes:
    """Encode the Export…ServiceResponse of any signal; empty when all of the request was taken as it was."""
    if not taken.rejected and not taken.message:
        return b""
    rejected = b"\x08" + varint(taken.rejected) if taken.rejected else b""
    return delimited(b"\x0a", rejected + delimited(b"\x12", _short(taken.message)))


def rpc_status(error: Exception) -> bytes:
    """Encode the `google.rpc.Status` that tells a sender of `error`, with RetryInfo or BadRequest."""
    encoded = b"\x08" + varint(status_of(error).grpc) + delimited(b"\x12", _short(text_of(error)))
    for name, detail in _details(error):
        any_value = delimited(b"\x0a", (_TYPE + name).encode()) + delimited(b"\x12", detail)
        encoded += delimited(b"\x1a", any_value)
    return encoded


def text_of(error: Exception) -> str:
    """Return what a sender is told: our own sentences, nothing of an unforeseen exception."""
    known = isinstance(error, Rejected | Malformed | Overloaded)
    return str(error) if known else OUR_FAULT


def retry_after_s(error: Exception) -> float | None:
    """Return when a sender should come back; None when it must not send this again."""
    if isinstance(error, Rejected | Malformed):
        return None
    return error.retry_after_s if isinstance(error, Overloaded) else 1.0


def _details(error: Exception) -> list[tuple[str, bytes]]:
    delay_s = retry_after_s(error)
    if delay_s is not None:
        return [("RetryInfo", delimited(b"\x0a", _duration(delay_s)))]
    if isinstance(error, TooLarge | Unauthenticated):
        return []
    violation = delimited(b"\x12", _short(text_of(error)))
    return [("BadRequest", delimited(b"\x0a", violation))]


def _duration(seconds: float) -> bytes:
    whole, nanoseconds = divmod(max(0, int(seconds * 1e9)), 10**9)
    return b"\x08" + varint(whole) + b"\x10" + varint(nanoseconds)


def _short(text: str) -> bytes:
    return text[:MAX_MESSAGE].encode("utf-8", "replace")
