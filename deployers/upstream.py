"""The router's connections to model servers, and the parsing of their responses."""

import asyncio
import fcntl
import sys
import termios
import time
from dataclasses import dataclass, field
from typing import Protocol, cast

import httptools

from deployers import http1
from deployers.protocol import Bounds

_IDLE = 1.5
"""Seconds that an idle connection is kept for reuse: less than common servers keep theirs."""
_POOL = 64


class Awaiting(Protocol):
    """A call that waits for a response and receives its parts in order."""

    def head(self, status: int, headers: http1.Headers, *, sized: bool, empty: bool) -> None:
        """The head arrived; `sized` if it has a length, `empty` if no body will follow."""

    def body(self, data: bytes) -> None:
        """A piece of the body arrived."""

    def flush(self) -> None:
        """Nothing more has arrived for now."""

    def complete(self) -> None:
        """The response is complete."""

    def lost(self, *, whole: bool, unheard: bool) -> None:
        """The connection ended; `whole` if that completed the response, `unheard` if it had ended
        before the request arrived.
        """


@dataclass(eq=False, slots=True)
class Upstream:
    """A model server, with its idle connections."""

    name: str
    host: str
    port: int
    predict: bytes
    bounds: Bounds = field(default_factory=Bounds)
    in_flight: int = 0
    heard: int = 0
    """How often a part of a response arrived."""
    idle: "list[ServerConnection]" = field(default_factory=list)

    def take(self) -> "ServerConnection | None":
        """The most recently used open connection; closes those that were idle for too long."""
        now = time.monotonic()
        while self.idle:
            connection = self.idle.pop()
            if not connection.transport.is_closing() and now - connection.since < _IDLE:
                return connection
            connection.transport.close()
        return None

    def keep(self, connection: "ServerConnection") -> None:
        """Take a connection back after its response."""
        if len(self.idle) < _POOL:
            connection.since = time.monotonic()
            self.idle.append(connection)
        else:
            connection.transport.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self.idle:
            self.idle.pop().transport.close()


class ServerConnection(asyncio.Protocol):
    """A connection to a model server; carries one call at a time."""

    def __init__(self, server: Upstream) -> None:
        self._server = server
        self._headers: http1.Headers = []
        self._status = 0
        self._head_only = False
        self._sized = self._keep = False
        self._complete = True
        self._parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport
        self.call: Awaiting | None = None
        self.since = 0.0
        self.reused = False
        self._sent = 0
        self._unheard = False

    def carry(self, call: Awaiting, payload: http1.Payload, *, head_only: bool) -> None:
        """Send a call's request and pass the response back to it."""
        self.call, self._head_only, self._complete = call, head_only, False
        self._headers, self._status = [], 0
        self._sent = sum(map(len, payload))
        for part in payload:
            self.transport.write(part)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        call = self.call
        if call is None:  # a response without a request
            self.transport.abort()
            return
        self._server.heard += 1
        sane = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            sane = False
        if self._complete:
            self._finish(call, reuse=sane)
        elif sane:
            call.flush()
        else:
            self.transport.abort()

    def eof_received(self) -> None:
        """The server closed its end; the transport follows.

        A server may close an idle connection just as a request is sent on it, which is not a
        failure. A server that accepts requests and closes without answering looks the same, within
        the same microseconds, so time cannot tell them apart. TCP can: the closing segment
        acknowledges everything received before it. If that is nothing of the request, the server
        had closed before the request arrived.
        """
        if self.call is not None and self.reused and not self._status:
            self._unheard = _unacknowledged(self.transport) >= self._sent

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._server.idle:
            self._server.idle.remove(self)
        call, self.call = self.call, None
        if call is not None:
            unframed = bool(self._status) and not self._sized and exc is None
            call.lost(whole=unframed, unheard=self._unheard)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._complete or self.call is None:
            self._headers = []  # an interim or a surplus response
            return
        self._status = status
        names = {name.lower() for name, _ in self._headers}
        self._sized = b"content-length" in names
        chunked = b"transfer-encoding" in names
        empty = self._head_only or status in {204, 304}
        self._keep = self._parser.should_keep_alive()
        self.call.head(status, self._headers, sized=self._sized, empty=empty)
        self._sized = self._sized or chunked
        if self._head_only:
            self._complete = True

    def on_body(self, data: bytes) -> None:
        if self.call is not None and not self._complete:
            self.call.body(data)

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True

    def _finish(self, call: Awaiting, *, reuse: bool) -> None:
        self.call = None
        keep = reuse and self._keep
        if self._head_only:  # the parser waits for a body that does not follow
            self._parser, keep = httptools.HttpResponseParser(self), False
        self.reused = True
        if keep:
            self._server.keep(self)
        else:
            self.transport.close()
        call.complete()


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that were written and not yet acknowledged by the peer's machine; 0 if unknown.

    Linux still reports them (TIOCOUTQ) after a reset. For a server behind a forwarder (such as the
    published port of a container) the forwarder's acknowledgements count.
    """
    socket = transport.get_extra_info("socket")
    try:
        answer = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return transport.get_write_buffer_size() + int.from_bytes(answer, sys.byteorder)
