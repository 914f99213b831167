"""The service on a port of this machine.

Faults need the bare socket, so it is the standard library's server.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

from tests.doubles.github import description
from tests.doubles.github.calls import Reply, encoded
from tests.doubles.github.service import Record, Service


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Service, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.service = service
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # its signature
        """A client that disconnects is fine; anything else is a bug of the double."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.service.violations.append(f"the double itself failed: {error!r}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "GitHub.com"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def _serve(self) -> None:
        server = cast("Server", self.server)
        service = server.service
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = urlsplit(self.path).path.removeprefix("/api/v3")
        found = description.find(self.command, path)
        name = found[0].name if found else ""
        fault = service.faults.next(name)
        if fault and fault.delay:
            server.ending.wait(fault.delay)
        if fault and (fault.status or (fault.drop and not fault.applied)):
            service.records.append(Record(name, path, fault.status or 0))
            if fault.drop or fault.status is None:
                self.close_connection = True
                return
            message = {"message": "Server Error", "documentation_url": "https://docs.github.com"}
            self._send(Reply(fault.status, message, dict(fault.headers)))
            return
        try:
            reply = service.answer(self.command, self.path, headers, body)
        except Exception as error:
            service.violations.append(f"{name}: the double itself failed: {error!r}")
            reply = Reply(500, {"message": f"The double itself failed: {error!r}"})
        if fault and fault.drop:
            self.close_connection = True
            return
        self._send(reply, half=bool(fault and fault.half))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the names http.server calls

    def _send(self, reply: Reply, half: bool = False) -> None:
        content = reply.body if isinstance(reply.body, bytes) else encoded(reply.body)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.body is not None:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if reply.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if half:
            self.close_connection = True
            content = content[: len(content) // 2]
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name http.server gives it
        """Silent: tests read the records."""
