"""The API server on a port of this machine.

Faults need the bare socket, so it is the standard library's server: a thread per connection.
"""

import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from pydantic_core import to_json

from tests.doubles.kubernetes.api.calls import ApiCall, ApiReply
from tests.doubles.kubernetes.api.service import ApiService


class ApiServer(ThreadingHTTPServer):
    """Serves on 127.0.0.1 until it is stopped."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, service: ApiService, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _ApiHandler)
        self.service = service
        self.ending = threading.Event()
        self.failures: list[str] = []
        """What the double itself failed at."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.service.watches.end()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # its signature
        """A client that disconnects is fine; anything else is a bug of the double."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            self.failures.append(repr(error))


class _ApiHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def _serve(self) -> None:
        server = cast("ApiServer", self.server)
        service = server.service
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if service.faults.away:
            self._cut()
            return
        if service.faults.delay:
            server.ending.wait(service.faults.delay)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            reply, call = service.answer(self.command, self.path, headers, body)
        except Exception as error:
            server.failures.append(f"{self.command} {self.path}: {error!r}")
            message = {"kind": "Status", "message": f"the double itself failed: {error!r}"}
            reply, call = ApiReply(500, message), None
        if call is not None and service.faults.loses(call):
            self._cut()
        elif reply.stream is not None:
            self._send_stream(reply, reply.stream, call)
        else:
            self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the names http.server calls

    def _begin(self, reply: ApiReply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.content_type)

    def _send(self, reply: ApiReply) -> None:
        content = reply.body if isinstance(reply.body, bytes) else to_json(reply.body)
        self._begin(reply)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _send_stream(self, reply: ApiReply, parts: Iterator[bytes], call: ApiCall | None) -> None:
        service = cast("ApiServer", self.server).service
        watch = call if call is not None and call.verb == "watch" else None
        if watch:
            service.count.opened(watch.kind.plural, 1)
        try:
            self._begin(reply)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            for sent, part in enumerate(parts, 1):
                most = service.faults.cut_watch_after if watch else 0
                if service.faults.away or (most and sent > most):
                    self._chunk(part[: len(part) // 2])
                    self._cut()
                    return
                self._chunk(part)
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except ConnectionResetError:
            self._cut()
        finally:
            if watch:
                service.count.opened(watch.kind.plural, -1)

    def _chunk(self, part: bytes) -> None:
        if part:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()

    def _cut(self) -> None:
        """End the connection without a word."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name http.server gives it
        """Silent: tests read the counts."""
