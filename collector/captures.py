"""Reads captured traces: what the Collector's file exporter writes, and ours, and the journal of a sampler.

Formats: OTLP/JSON, one request a line; OTLP protobuf, each request behind its length, as four bytes (big-endian, the
Collector's file exporter) or as a varint (protobuf's own delimited format). The first bytes of a file tell them apart:
a request of less than 16 MiB begins with a zero in the second format alone, and a brace that is a length stands before
a request, whose first byte is a line feed. A journal is a database, told by its header: of it the traces are read that
were not decided when its collector stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from collector.component import Limits
from collector.errors import CollectorError, Rejected
from collector.extensions.file_storage.stopped import HEADER, waiting
from collector.otlp_json import decode
from processors.admission import admit
from processors.batch import Signal
from processors.errors import Malformed

_LIMITS: Final = Limits()
_LONGEST_VARINT: Final = 5


def requests(path: Path) -> Iterator[bytes]:
    """Yield the encoded trace requests of a capture, in order. Raises: `CollectorError`, with file and place."""
    with path.open("rb") as file:
        head = file.read(len(HEADER))
        file.seek(0)
        for place, raw in _found(path, file, head):
            try:
                yield admit(Signal.TRACES, raw, _LIMITS.max_items).raw
            except Malformed as wrong:
                raise CollectorError(f"{path}: {place}: {wrong}") from wrong


def _found(path: Path, file: BinaryIO, head: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (place, request), read as the first bytes tell."""
    if head == HEADER:
        return ((f"row {number}", raw) for number, raw in waiting(path))
    if head[:1] == b"{" and head[1:2] != b"\n":
        return _lines(path, file)
    return _delimited(path, file, wide=head[:1] == b"\0")


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield f"line {number}", decode(Signal.TRACES, line)
            except Rejected as wrong:
                raise CollectorError(f"{path}: line {number}: {wrong}") from wrong


def _delimited(path: Path, file: BinaryIO, *, wide: bool) -> Iterator[tuple[str, bytes]]:
    while True:
        at = file.tell()
        size = _wide(file) if wide else _varint(file)
        if size is None:
            return
        raw = file.read(size) if size >= 0 else b""
        if size < 0 or len(raw) < size:
            raise CollectorError(
                f"{path}: expected a whole request at byte {at}, got a truncated one"
            )
        yield f"byte {at}", raw


def _wide(file: BinaryIO) -> int | None:
    """Return the next length; None at the end, -1 where it is cut off."""
    raw = file.read(4)
    if not raw:
        return None
    return int.from_bytes(raw, "big") if len(raw) == 4 else -1


def _varint(file: BinaryIO) -> int | None:
    """As `_wide`."""
    size = 0
    for position in range(_LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            return None if position == 0 else -1
        size |= (byte[0] & 127) << 7 * position
        if byte[0] < 128:
            return size
    return -1
