"""OTLP over HTTP/1.1: limits before and after decompression, refusals before the body is read.

The loop reads bodies; what blocks or takes long (gunzip, JSON, the pipeline) runs in a thread per request in work.
Sources: OTLP specification 1.11 (OTLP/HTTP), the Collector's otlp receiver where that is silent (404, 405, 415).
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

from collector import logs
from collector.component import Intake, Limits, Taken
from collector.errors import Rejected, TooLarge, status_of
from collector.http_server import Headers, HttpLimits, HttpServer, Receive, Scope, Send, respond
from collector.otlp_json import REJECTED, decode, weight
from collector.receivers.otlp.body import (
    ENCODINGS,
    SMALL_BODY,
    Body,
    BodyTooSlow,
    Claim,
    ClientGone,
    decompress,
)
from collector.receivers.otlp.config import HttpConfig
from collector.receivers.otlp.cors import CorsPolicy
from collector.receivers.otlp.status import (
    MAX_MESSAGE,
    OUR_FAULT,
    response,
    retry_after_s,
    rpc_status,
    text_of,
)
from processors.batch import Signal

THREADS: Final = 8
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_CLOSE: Final = ("connection", "close")


@dataclass(frozen=True, slots=True)
class _Head:
    """What the head of a request says about its body."""

    signal: Signal
    content_type: str
    encoding: str
    length: int | None


class OtlpHttpServer:
    """One listening address."""

    transport: ClassVar = "http"

    def __init__(self, config: HttpConfig, limits: Limits) -> None:
        self._config = config
        self._limits = limits
        self._paths = dict(config.paths)
        self._cors = CorsPolicy(config.cors) if config.cors else None
        self._headers = list(config.response_headers)
        if not config.keep_alives_enabled:
            self._headers.append(_CLOSE)
        self._server = HttpServer(
            self._serve,
            config.address,
            unix=config.unix,
            tls=config.tls,
            limits=HttpLimits(
                head_timeout_s=config.read_header_timeout_s,
                idle_timeout_s=config.idle_timeout_s,
                write_timeout_s=config.write_timeout_s,
            ),
        )
        self._pool: ThreadPoolExecutor | None = None
        self._intake: Intake

    @property
    def port(self) -> int:
        """The bound port, once started."""
        return self._server.port

    def start(self, intake: Intake) -> None:
        """Listen, perhaps again after a `stop`. Raises: `StartError`."""
        self._intake = intake
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="otlp-http")
        self._server.start()

    def stop(self, deadline_s: float) -> None:
        """Take no new requests, finish those in flight, cut off what is left after `deadline_s`."""
        self._server.stop(deadline_s)
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out what is asked for; the ASGI application."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        extra = list(self._headers)
        if self._cors:
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                await respond(send, 204, b"", "text/plain", extra + self._cors.preflight(headers))
                return
            extra += self._cors.answer(headers)
        signal = self._paths.get(scope["path"])
        media = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if signal is None or signal not in self._intake.signals:
            await _plain(send, 404, "404 page not found", extra)
        elif scope["method"] != "POST":
            await _plain(send, 405, "405 method not allowed, supported: [POST]", extra)
        elif media not in (PROTOBUF, JSON):
            text = f"415 unsupported media type, supported: [{JSON}, {PROTOBUF}]"
            await _plain(send, 415, text, extra)
        else:
            encoding = headers.get(b"content-encoding", "").strip().lower()
            length = headers.get(b"content-length")
            head = _Head(signal, media, encoding, int(length) if length else None)
            await self._export(head, receive, send, extra)

    async def _export(self, head: _Head, receive: Receive, send: Send, extra: Headers) -> None:
        """Read the body, hand it on, answer."""
        body = Body(receive, head.length, self._config.read_timeout_s)
        try:
            with Claim(self._intake) as claim:
                self._check_room(head.signal)
                with self._counting(head):
                    self._check_encoding(head.encoding)
                    raw = await body.read(self._config.max_request_body_size, claim.grow)
                taken = await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._take, head, raw, claim
                )
        except ClientGone:
            return
        except BodyTooSlow as slow:
            await _refuse(send, head, slow, [*extra, _CLOSE])
        except Exception as error:  # noqa: BLE001 - what escapes would be told as 500 and the data be lost
            at_end = await body.discard(self._linger(error))
            await _refuse(send, head, error, [*extra] if at_end else [*extra, _CLOSE])
        else:
            await respond(send, 200, _answer(head, taken), head.content_type, extra)

    @contextmanager
    def _counting(self, head: _Head) -> Iterator[None]:
        """Let the intake count what does not come as far as to be handed in."""
        try:
            yield
        except Exception as error:
            self._intake.turned_away(head.signal, error, self.transport)
            raise

    def _check_room(self, signal: Signal) -> None:
        """Raises: `Overloaded`."""
        refused = self._intake.refusal(signal)
        if refused is not None:
            raise refused

    def _check_encoding(self, named: str) -> None:
        """Raises: `Rejected`."""
        encoding = "" if named == "identity" else named
        if encoding not in self._config.compression_algorithms or encoding not in ENCODINGS:
            known = ", ".join(sorted(self._config.compression_algorithms - {""})) or "none"
            raise Rejected(f"expected a content encoding that is known ({known})")

    def _take(self, head: _Head, body: bytes, claim: Claim) -> Taken:
        """Hand the request on; runs in a thread of the pool."""
        with self._counting(head):
            raw = decompress(body, head.encoding, self._config.max_request_body_size, claim.grow)
            if head.content_type == JSON:
                claim.grow(max(0, weight(raw) - len(raw)))
                raw = decode(head.signal, raw)
        return self._intake.consume(head.signal, raw, self._limits, self.transport)

    def _linger(self, error: Exception) -> int:
        """Return how much of an unread body to read away, so that the sender gets to see the answer.

        A sender that is cut off while it writes takes it for a lost connection, and sends the same again.
        """
        return self._config.max_request_body_size if isinstance(error, TooLarge) else SMALL_BODY


def _answer(head: _Head, taken: Taken) -> bytes:
    if head.content_type == PROTOBUF:
        return response(taken)
    if not taken.rejected and not taken.message:
        return b"{}"
    partial = {
        REJECTED[head.signal]: str(taken.rejected),
        "errorMessage": taken.message[:MAX_MESSAGE],
    }
    return json.dumps({"partialSuccess": partial}).encode()


async def _refuse(send: Send, head: _Head, error: Exception, extra: Headers) -> None:
    """Answer with a `google.rpc.Status` in the encoding of the request."""
    text = text_of(error)[:MAX_MESSAGE]
    if text is OUR_FAULT:
        logs.error("A request failed.", failure=type(error).__name__)
    status = status_of(error)
    body = rpc_status(error)
    if head.content_type == JSON:
        body = json.dumps({"code": status.grpc, "message": text}).encode()
    delay_s = retry_after_s(error)
    if delay_s is not None:
        extra = [*extra, ("retry-after", str(math.ceil(delay_s)))]
    await respond(send, status.http, body, head.content_type, extra)


async def _plain(send: Send, status: int, text: str, extra: Headers) -> None:
    headers = [*extra, ("allow", "POST")] if status == 405 else extra
    await respond(send, status, text.encode(), "text/plain; charset=utf-8", [*headers, _CLOSE])
