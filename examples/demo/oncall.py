"""On-call: a small web server that records the notifications that it receives."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple


class Told(NamedTuple):
    """One notification, as Apprise's `json://` posts it."""

    title: str
    text: str
    alert: str
    status: str
    """firing, resolved or info."""


class OnCall:
    """The notifications to on-call, in order. Each is also a line of `record`."""

    def __init__(self, record: Path) -> None:
        self.record = record
        self.told: list[Told] = []
        self.port = 0

    @property
    def address(self) -> str:
        """The Apprise URL that reaches it."""
        return f"json://127.0.0.1:{self.port}/"

    def alerts(self, event: str, status: str = "firing", since: int = 0) -> list[Told]:
        """The notifications of an event, such as `rollback`, from number `since` on."""
        return [
            one for one in self.told[since:] if one.status == status and f"/{event}/" in one.alert
        ]

    def hear(self, body: bytes) -> None:
        """Take a notification. Raises ValueError or KeyError for anything else."""
        posted = json.loads(body)
        told = Told(posted["title"], posted["message"], posted["alert"], posted["status"])
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.record.open("a") as record:
            record.write(json.dumps(posted) + "\n")
        self.told.append(told)


@contextmanager
def on_duty(record: Path) -> Iterator[OnCall]:
    """Receive notifications at a port of this machine during the block."""
    person = OnCall(record)

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                person.hear(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                status = 200
            except (ValueError, KeyError, TypeError):
                status = 400
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
            """Notifications are in the record; nothing else is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pager)
    person.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield person
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
