"""A proxy before a server of objects or images that answers with faults when it is told to."""

import contextlib
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx


class Faults:
    """Forwards GET and HEAD to `behind`, unless a fault is due."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self._due: list[tuple[int, str]] = []
        self.always: tuple[int, str] | None = None
        """A status and an error code that answer everything."""
        self.before: Callable[[str], None] = lambda _path: None
        """Called with each path before it is answered; not where an object is only looked for."""
        self.asked: list[str] = []
        """The paths that were asked for."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def next(self, status: int, code: str, times: int = 1) -> None:
        """Answer the next requests with this."""
        self._due += [(status, code)] * times

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if handler.command != "HEAD" or handler.path.startswith("/v2/"):  # a registry's
            self.before(handler.path)
        fault = self.always or (self._due.pop(0) if self._due else None)
        if fault is not None:
            secret = re.search("Credential=([^/]+)", handler.headers.get("Authorization", ""))
            said = f"<AWSAccessKeyId>{secret[1] if secret else ''}</AWSAccessKeyId>"
            body = f"<Error><Code>{fault[1]}</Code><Message>no</Message>{said}</Error>".encode()
            _send(handler, fault[0], {"Content-Type": "application/xml"}, body)
            return
        headers = dict(handler.headers.items())  # with Host: it is signed
        with httpx.Client() as client:
            found = client.request(handler.command, self._behind + handler.path, headers=headers)
        kept = ("content-range", "content-type", "etag", "last-modified", "x-amz-version-id")
        _send(handler, found.status_code, {k: found.headers[k] for k in kept if k in found.headers},
              found.content)  # fmt: skip

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer(self)

            def do_HEAD(self) -> None:
                answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                pass

        return Handler


def _send(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
) -> None:
    with contextlib.suppress(ConnectionError):  # whoever asked gave up
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)
