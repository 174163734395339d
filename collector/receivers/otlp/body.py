"""The body of an HTTP request: read within limits of size and time, decompressed within limits.

A body may stall for `STALL_S` and must come with `LEAST_BYTES_PER_S` in the long run, or a thousand slow senders would
hold a thousand connections for ever. Decompression is bounded in what comes out, goes in steps, and takes one stream.
"""

from __future__ import annotations

import asyncio
import threading
import time
import zlib
from collections.abc import Callable
from typing import Final

from collector.component import Intake
from collector.errors import Rejected, TooLarge
from collector.http_server import Receive
from processors.errors import Overloaded

STALL_S: Final = 30.0
LEAST_BYTES_PER_S: Final = 1_000
GRACE_S: Final = 10.0
"""For so long a body may be slower than `LEAST_BYTES_PER_S`."""
SMALL_BODY: Final = 1 << 20

ENCODINGS: Final = {"": 0, "gzip": 31, "zlib": 15, "deflate": 15}
"""Content encodings and zlib's `wbits`. `deflate` is the zlib format (RFC 9110, 8.4.1.2)."""
STEP: Final = 1 << 20
BOMB_BYTES: Final = 8 << 20
BOMB_RATIO: Final = 500
"""More than `BOMB_BYTES` at this ratio is no telemetry: OTLP compresses 3 to 50 fold, zeros 1,030 fold."""

Grow = Callable[[int], None]
"""Claims that many more bytes in flight. Raises: `Overloaded`."""


class ClientGone(Exception):
    """The connection ended before the body did."""


class BodyTooSlow(Overloaded):
    """The body did not come in time. Senders of OTLP come back after 503, but not after 408."""

    def __init__(self) -> None:
        super().__init__("the body did not come in time")


class Claim:
    """Bytes in flight that one request holds; given back when it ends, however it ends: also while a thread is still at
    work on it, which gets no more then."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._lock = threading.Lock()
        self._ended = False
        self._size = 0

    def grow(self, size: int) -> None:
        """Claim more. Raises: `Overloaded`."""
        with self._lock:
            if self._ended:
                raise Overloaded("the request has ended")
            self._intake.reserve(size)
            self._size += size

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *unused: object) -> None:
        with self._lock:
            self._ended = True
            if self._size:
                self._intake.release(self._size)


class Body:
    """A body on its way."""

    def __init__(self, receive: Receive, length: int | None, timeout_s: float) -> None:
        """`length`: what the sender said, if it did. `timeout_s`: for all of it, 0 = no limit."""
        self._receive = receive
        self._length = length
        self._timeout_s = timeout_s
        self._began = time.monotonic()
        self._size = 0
        self._more = True

    async def read(self, limit: int, grow: Grow) -> bytes:
        """Return all of it. Raises: `TooLarge`, `BodyTooSlow`, `ClientGone`, and what `grow` raises."""
        pieces: list[bytes] = []
        if self._length is not None and self._length > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        while self._more:
            piece = await self._next()
            if self._size > limit:
                raise TooLarge(f"the body is larger than {limit} bytes")
            grow(len(piece))
            pieces.append(piece)
        return b"".join(pieces)

    async def discard(self, most: int) -> bool:
        """Read away what is left of it, up to about `most` bytes; says whether the end was reached."""
        if self._length is not None and self._length - self._size > most:
            return False
        until = self._size + most
        try:
            while self._more and self._size <= until:
                await self._next()
        except (BodyTooSlow, ClientGone):
            return False
        return not self._more

    async def _next(self) -> bytes:
        stall_s = STALL_S
        if self._timeout_s:
            stall_s = min(stall_s, self._began + self._timeout_s - time.monotonic())
        try:
            async with asyncio.timeout(stall_s):
                message = await self._receive()
        except TimeoutError as error:
            raise BodyTooSlow from error
        if message["type"] != "http.request":
            raise ClientGone
        piece: bytes = message["body"]
        self._more = message["more_body"]
        self._size += len(piece)
        self._check_pace()
        return piece

    def _check_pace(self) -> None:
        took_s = time.monotonic() - self._began
        if self._more and took_s > GRACE_S and self._size < took_s * LEAST_BYTES_PER_S:
            raise BodyTooSlow


def decompress(body: bytes, encoding: str, limit: int, grow: Grow) -> bytes:
    """Decompress `body` in steps, each claimed before it is made.

    Raises: `TooLarge`, `Rejected`, and what `grow` raises.
    """
    if not ENCODINGS.get(encoding):
        return body
    stream = zlib.decompressobj(ENCODINGS[encoding])
    pieces: list[bytes] = []
    size, rest = 0, body
    while not stream.eof:
        grow(min(STEP, 64 + 1032 * len(rest)))  # 1,032: the most that deflate can expand
        try:
            piece = stream.decompress(rest, STEP)
        except zlib.error as error:
            raise Rejected(f"expected a body compressed with {encoding}, it is damaged") from error
        rest = stream.unconsumed_tail
        if not piece and not rest and not stream.eof:
            raise Rejected(f"expected a body compressed with {encoding}, it ends too early")
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise TooLarge(f"the request is larger than {limit} bytes when decompressed")
        if size > BOMB_BYTES and size > (len(body) - len(rest)) * BOMB_RATIO:
            raise TooLarge(f"the body expands more than {BOMB_RATIO} fold")
    if stream.unused_data:
        raise Rejected(f"expected one {encoding} stream, found something behind it")
    return b"".join(pieces)
