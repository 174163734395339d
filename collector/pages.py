"""Small pages of the collector itself: health, metrics. A page is a function; rendering runs off the event loop."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from prometheus_client.exposition import choose_encoder

from collector.http_server import App, Receive, Scope, Send, respond

_GZIP_FROM: Final = 1_000
"""Bytes below which compressing is not worth it."""
_BODY: Final = {b"content-length", b"transfer-encoding"}
"""Who sends one with a request for a page has no answer on this connection after it: nobody reads it."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    content_type: str


def encoder(accept: str) -> tuple[Callable[..., bytes], str]:
    """Return what writes an exposition in a format that a scraper accepts, and its content type; the text format for
    who asks for a version that is none."""
    try:
        return choose_encoder(accept)
    except TypeError:  # of comparing it: prometheus_client/exposition.py
        return choose_encoder("")


Render = Callable[[str], Answer]
"""Makes the page for what the client accepts (its `Accept` header)."""


def page(path: str, render: Render) -> App:
    """Serve one page at `path` to GET and HEAD."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked = {name: value.decode("latin-1") for name, value in scope["headers"]}
        headers = [("Connection", "close")] if _BODY & asked.keys() else []
        if scope["path"] != path:
            await respond(send, 404, b"there is no such page\n", "text/plain", headers)
        elif scope["method"] not in ("GET", "HEAD"):
            headers.append(("Allow", "GET, HEAD"))
            await respond(send, 405, b"expected GET\n", "text/plain", headers)
        else:
            await _send(asked, headers, send, render)

    return app


async def _send(
    asked: Mapping[bytes, str], headers: list[tuple[str, str]], send: Send, render: Render
) -> None:
    status, body, content_type = await asyncio.to_thread(render, asked.get(b"accept", ""))
    if len(body) >= _GZIP_FROM and "gzip" in asked.get(b"accept-encoding", ""):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers = [*headers, ("Content-Encoding", "gzip")]
    await respond(send, status, body, content_type, headers)
