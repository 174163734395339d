"""Somebody who is told: an HTTP and an SMTP server on loopback that remember what they were sent."""

from __future__ import annotations

import base64
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """A notification: the path and the body of a request, or `mail` and the text of a message."""

    where: str
    body: Any
    secret: str
    """The header `Authorization`, or what an SMTP client authenticated with."""


@dataclass(slots=True)
class Sinks:
    """Both servers."""

    http: int
    smtp: int
    told: list[Told] = field(default_factory=list)


@contextmanager
def sinks() -> Iterator[Sinks]:
    """Run both on free ports."""
    found = Sinks(0, 0)

    class Http(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.told.append(Told(self.path, body, self.headers.get("Authorization", "")))
            answer = b"ok" if self.path == "/slack" else b'{"status": "success"}'
            self.send_response(202 if self.path == "/pager" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Smtp(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            self._say(220, "ready")
            secret = ""
            for line in iter(self._line, ""):
                verb, _, rest = line.partition(" ")
                if verb == "EHLO":
                    self.wfile.write(b"250-sink\r\n250 AUTH PLAIN\r\n")
                elif verb == "AUTH":
                    secret = base64.b64decode(rest.removeprefix("PLAIN ")).decode()
                    self._say(235, "welcome")
                elif verb == "DATA":
                    self._say(354, "go on")
                    found.told.append(Told("mail", "\n".join(iter(self._line, ".")), secret))
                    self._say(250, "taken")
                elif verb == "QUIT":
                    self._say(221, "bye")
                    return
                else:
                    self._say(250, "fine")

        def _line(self) -> str:
            return self.rfile.readline().decode().rstrip("\r\n")

        def _say(self, code: int, text: str) -> None:
            self.wfile.write(f"{code} {text}\r\n".encode())

    servers = [
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Http),
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp),
    ]
    found.http, found.smtp = (server.server_address[1] for server in servers)
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in servers]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
