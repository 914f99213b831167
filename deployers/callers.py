"""The router's connections from callers: reads requests and refuses invalid ones."""

import asyncio
import time
from collections import deque
from typing import cast

import httptools

from deployers import http1
from deployers.calls import Call
from deployers.proxy import Proxy


class CallerConnection(asyncio.Protocol):
    """A caller's connection; its requests are answered one at a time."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._parser = httptools.HttpRequestParser(self)
        self._request = http1.HttpRequest()
        self._waiting: deque[http1.HttpRequest] = deque()
        self._header_bytes = 0
        self._largest = 0
        self._deaf = self._paused = self._busy = False
        self._since: float | None = None
        """When the incomplete part of a request began: its header, or its body."""
        self._refusal: tuple[int, str] | None = None
        """Status and reason to send once the preceding calls are over."""
        self._refused: float | None = None
        """When that was sent."""
        self.transport: asyncio.Transport
        self.peer = b""
        self.trusted = False
        self.call: Call | None = None
        self.choked = self.gone = False
        self.heard = time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        peer = (transport.get_extra_info("peername") or ("unknown",))[0]
        self.peer, self.trusted = str(peer).encode(), self._proxy.trusts(peer)
        most, there = self._proxy.limits.callers, len(self._proxy.callers)
        if there >= 2 * most:  # no room even to answer with a refusal
            self.gone = True
            self.transport.abort()
            return
        self._proxy.callers.add(self)
        if there >= most:
            self._refuse(503, f"the router has {most} connections already; try again later")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self.gone = True
        for request in (self._request, *self._waiting):
            self._proxy.release(request)
        self._waiting.clear()
        if self.choked:
            self.resume_writing()
        if self.call is None:
            self._proxy.callers.discard(self)
        else:
            self.call.leave()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self.heard = time.monotonic()
        if self._since is None:
            self._since = self.heard
        if not self._request.method:
            self._header_bytes += len(data)
            if self._header_bytes > self._proxy.limits.header_bytes + len(data):
                self._refuse(431, "the header of the request is too large")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the upgrade is ignored; this request is the last
        except httptools.HttpParserError as error:
            self._refuse(400, f"the request is not HTTP/1.1: {error}")
        # An HTTP/0.9 request is one line, after which the caller waits for the response.
        waits = self._request.target and not self._request.method and data.endswith(b"\n")
        if waits and self._parser.get_http_version() == "0.0":
            self._refuse(505, "expected HTTP/1.1 or HTTP/1.0, not HTTP/0.9")

    def pause_writing(self) -> None:
        self.choked = True
        if self.call is not None:
            self.call.choke(choked=True)

    def resume_writing(self) -> None:
        self.choked = False
        if self.call is not None:
            self.call.choke(choked=False)

    def on_message_begin(self) -> None:
        self._since = self.heard

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.add(name, value)

    def on_headers_complete(self) -> None:
        if self._deaf:
            return
        self._header_bytes, self._since = 0, self.heard
        request, version = self._request, self._parser.get_http_version()
        request.method = self._parser.get_method()
        request.keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        request.chunks = version == "1.1"
        self._largest = self._proxy.split.largest_request
        announced = request.header(b"content-length")
        if (wrong := http1.refused(request, version)) is not None:
            self._refuse(*wrong)
        elif request.size > self._proxy.limits.header_bytes:
            self._refuse(431, "the header of the request is too large")
        elif announced is not None and int(announced) > self._largest:
            self._refuse_body()
        elif (request.header(b"expect") or b"").lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._deaf:
            return
        if len(self._request.body) + len(body) > self._largest:
            self._refuse_body()
        elif not self._proxy.hold(self._request, body):
            self._refuse(503, "the router has no memory left for this request; try again later")

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        self._waiting.append(self._request)
        self._request, self._since = http1.HttpRequest(), None
        self._go_on()
        if self._waiting and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Send a part of a response, if the caller is still connected."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def answered(self, *, keep_alive: bool) -> None:
        """The call is over; begin the next one in the queue."""
        self.call, self.heard = None, time.monotonic()
        if self.gone:
            self._proxy.callers.discard(self)
        elif not keep_alive:
            self.transport.close()
        else:
            self._go_on()

    def cut(self) -> None:
        """The call failed midway: close the connection, since no status can be sent any more."""
        self.call = None
        if self.gone:
            self._proxy.callers.discard(self)
        else:
            self.transport.abort()

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def look(self, now: float) -> None:
        """Enforce the time limits."""
        if self.call is not None:
            return  # it has limits of its own
        limits = self._proxy.limits
        if self._refused is not None and now - self._refused >= limits.linger_seconds:
            self.transport.abort()
        elif self._refused is not None or self._deaf:
            return
        elif self._since is None:
            if now - self.heard >= limits.idle_seconds:
                # `close` alone would wait for ever for a caller that does not read.
                (self.transport.abort if self.transport.is_closing() else self.transport.close)()
        elif not self._request.method:
            if now - self._since >= limits.header_seconds:
                self._refuse(408, "the header of the request did not come in time")
        elif (
            now - self.heard >= limits.body_seconds
            or now - self._since >= limits.body_seconds + len(self._request.body) / limits.body_rate
        ):
            self._refuse(408, "the body of the request came too slowly")

    def _go_on(self) -> None:
        """Begin the next call; the flag keeps a call that ends at once from recursing."""
        if self._busy or self.call is not None:
            return
        self._busy = True
        while self._waiting and self.call is None and not self.transport.is_closing():
            self.call = Call(self._proxy, self, self._waiting.popleft())
            self.call.begin()
        self._busy = False
        if self.call is not None or self.transport.is_closing():
            return
        if self._refusal is not None:
            self._say_refusal(*self._refusal)
        self._resume()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._since = self._since and self.heard  # reading was paused meanwhile
            self.transport.resume_reading()

    def _refuse_body(self) -> None:
        self._refuse(413, f"the body of a request may have {self._largest:,} bytes at most")

    def _refuse(self, status: int, reason: str) -> None:
        """Read nothing more, and send the reason once the preceding calls are over."""
        if self._refusal is None:
            self._deaf, self._refusal = True, (status, reason)
            self._proxy.release(self._request)
            if self.call is None:
                self._say_refusal(status, reason)

    def _say_refusal(self, status: int, reason: str) -> None:
        """Send the refusal, then half-close: a full close could reset the connection while the
        caller is still sending, and so lose the response.
        """
        if self._refused is not None:
            return
        self._refused = time.monotonic()
        self.write(http1.refusal(status, reason, None, keep_alive=False))
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
