"""Real receivers of notifications: a webhook over HTTP, and a mail server."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class Webhook:
    """What a webhook was sent, and what it answers."""

    def __init__(self) -> None:
        self.port = 0
        self.answer = 200
        self.bodies: list[dict[str, Any]] = []
        """Of every request, refused ones as well."""
        self.paths: list[str] = []


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook on a port of 127.0.0.1."""
    here = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.paths.append(self.path)
            here.bodies.append(json.loads(body))
            self.send_response(here.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    here.port = server.server_port
    try:
        yield here
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Mailbox:
    """What a mail server was given, and how it answers."""

    def __init__(self) -> None:
        self.port = 0
        self.answer = "250 OK"
        self.mails: list[EmailMessage] = []

    async def handle_DATA(  # noqa: N802 - named by aiosmtpd
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a mail, or refuse it."""
        assert isinstance(envelope.content, bytes)
        if self.answer.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        return self.answer


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mail server on a port of 127.0.0.1."""
    here = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(here, hostname="localhost"), "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()
        await server.wait_closed()
