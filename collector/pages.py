"""Small pages of the collector itself: health, metrics. A page is a function; rendering runs off the event loop."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Final, NamedTuple

from collector.http_server import App, Receive, Scope, Send, respond

_GZIP_FROM: Final = 1_000
"""Bytes below which compressing is not worth it."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    content_type: str


Render = Callable[[str], Answer]
"""Makes the page for what the client accepts (its `Accept` header)."""


def page(path: str, render: Render) -> App:
    """Serve one page at `path` to GET and HEAD."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != path:
            await respond(send, 404, b"there is no such page\n", "text/plain")
        elif scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, b"expected GET\n", "text/plain", [("Allow", "GET, HEAD")])
        else:
            await _send(scope, send, render)

    return app


async def _send(scope: Scope, send: Send, render: Render) -> None:
    asked = {name: value.decode("latin-1") for name, value in scope["headers"]}
    status, body, content_type = await asyncio.to_thread(render, asked.get(b"accept", ""))
    headers = []
    if len(body) >= _GZIP_FROM and "gzip" in asked.get(b"accept-encoding", ""):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers = [("Content-Encoding", "gzip")]
    await respond(send, status, body, content_type, headers)
