"""On-call: a small web server that keeps the notifications it is sent."""

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
    """What on-call was told, in order. Every notification is also a line of `record`."""

    def __init__(self, record: Path) -> None:
        self.record = record
        self.told: list[Told] = []
        self.port = 0

    @property
    def address(self) -> str:
        """The Apprise URL that reaches it."""
        return f"json://127.0.0.1:{self.port}/"

    def alerts(self, event: str, status: str = "firing", since: int = 0) -> list[Told]:
        """Notifications from number `since` on of that event, such as `rollback`."""
        return [
            one for one in self.told[since:] if one.status == status and f"/{event}/" in one.alert
        ]

    def hear(self, body: bytes) -> None:
        """Take one notification. Raises ValueError or KeyError for what is none."""
        posted = json.loads(body)
        told = Told(posted["title"], posted["message"], posted["alert"], posted["status"])
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.record.open("a") as record:
            record.write(json.dumps(posted) + "\n")
        self.told.append(told)


@contextmanager
def on_duty(record: Path) -> Iterator[OnCall]:
    """Somebody is on call, at a port of this machine, for as long as the block lasts."""
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
            """What is heard is in the record."""

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
