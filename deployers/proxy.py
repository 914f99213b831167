"""The data path of the router: callers, their calls, and the split between the servers.

Callbacks on transports and not coroutines: a task per request would cost more than the proxying.
A request is read whole (so that it can be sent again where that is safe); an answer is passed
on as it comes.
"""

import asyncio
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools

from deployers import http1
from deployers.assignment import assign, pseudonym
from deployers.clock import Steady
from deployers.records import Record, Ring
from deployers.upstream import ServerConnection, Upstream
from specs.traffic import NO_ANSWER, Arm

UNIT_HEADER = b"headgate-unit"
"""A caller's header that keeps its session with one arm."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may ask for, in bytes and seconds."""

    header_bytes: int = 65_536
    body_bytes: int = 16 * 1024 * 1024
    answer_seconds: float = 30.0
    """From the arrival of the request to the last byte of its answer."""
    idle_seconds: float = 75.0
    """Without a byte from the caller, between requests or within one."""


@dataclass(frozen=True, slots=True)
class Split:
    """Who gets which share of the traffic: replaced as a whole, so no request sees half of it."""

    stable: Upstream | None = None
    canary: Upstream | None = None
    weight: float = 0.0
    seed: int = 0

    @property
    def probability(self) -> float:
        """The canary's share in force."""
        if self.canary is None:
            return 0.0
        return 1.0 if self.stable is None else self.weight

    def server(self, arm: Arm) -> Upstream | None:
        return self.canary if arm is Arm.CANARY else self.stable


class Proxy:
    """What all connections share."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.split = Split()
        self.ring = Ring()
        self.closing = False
        self.callers: set[CallerConnection] = set()
        self.clock = Steady()
        self.loop = asyncio.get_running_loop()
        self.drained: Callable[[Upstream], None] = Upstream.close
        """Called whenever a server has no request in flight."""
        self._ids = itertools.count()
        self._prefix = secrets.token_hex(6)

    def request_id(self) -> bytes:
        return f"{self._prefix}-{next(self._ids):x}".encode()

    def sweep(self) -> None:
        """Close the connections of callers that have been silent for too long."""
        before = time.monotonic() - self.limits.idle_seconds
        for caller in list(self.callers):
            if caller.heard < before and caller.call is None:
                caller.transport.close()


class Call:
    """One request on its way: its draw, its attempts, its answer, its record."""

    __slots__ = (
        "_answering", "_arm", "_at", "_begun", "_caller", "_chunked", "_connection", "_done",
        "_id", "_out", "_probability", "_proxy", "_recorded", "_repeated", "_request", "_server",
        "_status", "_timer", "_unit",
    )  # fmt: skip

    def __init__(self, proxy: Proxy, caller: "CallerConnection", request: http1.Request) -> None:
        self._proxy, self._caller, self._request = proxy, caller, request
        self._id = request.header(b"x-request-id") or proxy.request_id()
        unit = request.header(UNIT_HEADER)
        self._unit = None if unit is None else pseudonym(unit)
        self._at, self._begun = proxy.clock(), time.monotonic()
        split = proxy.split
        self._probability = split.probability
        self._arm = assign(split.seed, self._probability, self._at, self._unit)
        self._server = split.server(self._arm)
        self._connection: ServerConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self._status = NO_ANSWER
        self._answering = self._chunked = self._done = self._recorded = self._repeated = False

    def begin(self) -> None:
        """Send the request to the server that was drawn."""
        if self._server is None:
            self._answer_self(503, "no model server is deployed here yet")
            return
        self._server.in_flight += 1
        limit = self._proxy.limits.answer_seconds
        self._timer = self._proxy.loop.call_later(limit, self._expire)
        self._send(self._server.take())

    def _send(self, connection: "ServerConnection | None") -> None:
        if connection is None:
            task = self._proxy.loop.create_task(self._connect())
            self._caller.tasks.add(task)
            task.add_done_callback(self._caller.tasks.discard)
            return
        self._connection = connection
        payload = http1.forwarded(self._request, self._caller.peer, self._id)
        connection.carry(self, payload, head_only=self._request.method == b"HEAD")

    async def _connect(self) -> None:
        server = self._server
        assert server is not None
        try:
            _, connection = await self._proxy.loop.create_connection(
                lambda: ServerConnection(server), server.host, server.port
            )
        except OSError as error:
            if not self._done:
                self._unreachable(error)
            return
        if self._done:
            connection.transport.close()
        else:
            self._send(connection)

    def _unreachable(self, error: OSError) -> None:
        """Nothing was sent. A canary's failure is recorded as its own, and stable answers.

        That answer is not recorded: it was not drawn, and would count stable twice.
        """
        assert self._server is not None
        stable = self._proxy.split.stable
        name = self._server.name
        if self._arm is Arm.CANARY and stable is not None and stable is not self._server:
            self._record(NO_ANSWER)
            self._leave(self._server)
            self._arm, self._server = Arm.STABLE, stable
            stable.in_flight += 1
            self._send(stable.take())
            return
        self._answer_self(502, f"cannot reach model server {name}: {error.strerror or error}")

    def _expire(self) -> None:
        """The time limit: the age at which waiting ended is what is known of the latency."""
        if self._connection is not None:
            self._connection.call = None
            self._connection.transport.abort()
        if self._caller.choked:  # the caller does not read; that is not the server's failure
            self._end(self._status)
            self._caller.transport.abort()
            return
        self._answer_self(504, "the model server did not answer in time")

    def lost(self, *, whole: bool) -> None:
        """The server's connection ended; `whole` if that was the end of the answer."""
        connection, self._connection = self._connection, None
        if whole:
            self.complete()
            return
        assert connection is not None
        assert self._server is not None
        again = self._request.repeatable(self._server.predict)
        if connection.reused and not self._answering and not self._repeated and again:
            self._repeated = True  # it was closed for its idleness while the request went out
            self._send(None)
            return
        self._answer_self(502, "the model server closed the connection without a whole answer")

    def head(self, status: int, headers: http1.Headers, *, sized: bool, empty: bool) -> None:
        """The head of the answer came."""
        self._status, self._answering = status, True
        self._chunked = not sized and not empty and self._request.chunks
        if not sized and not empty and not self._chunked:
            self._request.keep_alive = False  # the end of the connection ends the answer
        keep = self._request.keep_alive and not self._proxy.closing
        self._request.keep_alive = keep
        self._out.append(http1.head(status, headers, keep_alive=keep, chunked=self._chunked))

    def body(self, data: bytes) -> None:
        if self._chunked:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def flush(self) -> None:
        """Pass on what has come."""
        if self._out:
            self._caller.write(b"".join(self._out))
            self._out.clear()

    def complete(self) -> None:
        """The whole answer came."""
        if self._chunked:
            self._out.append(b"0\r\n\r\n")
        self._connection = None
        self.flush()
        self._end(self._status)
        self._caller.answered(keep_alive=self._request.keep_alive)

    def choke(self, *, choked: bool) -> None:
        """The caller reads more slowly than the server writes, or does so no more."""
        if self._connection is not None:
            transport = self._connection.transport
            (transport.pause_reading if choked else transport.resume_reading)()

    def _answer_self(self, status: int, reason: str) -> None:
        if self._answering:  # half an answer is out: only the end of the connection can say so
            self._end(NO_ANSWER)
            self._caller.transport.abort()
            return
        keep = self._request.keep_alive and not self._proxy.closing
        wanted = self._request.method != b"HEAD"
        self._caller.write(http1.refusal(status, reason, self._id, keep_alive=keep, body=wanted))
        self._end(NO_ANSWER)
        self._caller.answered(keep_alive=keep)

    def _end(self, status: int) -> None:
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._record(status)
            self._leave(self._server)

    def _leave(self, server: Upstream) -> None:
        server.in_flight -= 1
        if not server.in_flight:
            self._proxy.drained(server)

    def _record(self, status: int) -> None:
        if not self._recorded:
            self._recorded = True
            latency = time.monotonic() - self._begun
            self._proxy.ring.add(
                Record(self._at, self._arm, self._probability, status, latency, self._unit)
            )


class CallerConnection(asyncio.Protocol):
    """A caller's connection: reads requests, and answers them one after the other."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._parser = httptools.HttpRequestParser(self)
        self._request = http1.Request()
        self._waiting: deque[http1.Request] = deque()
        self._header_bytes = 0
        self._deaf = self._paused = False
        self.transport: asyncio.Transport
        self.peer = b""
        self.call: Call | None = None
        self.choked = False
        self.heard = time.monotonic()
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.peer = str((transport.get_extra_info("peername") or ("unknown",))[0]).encode()
        self._proxy.callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        # A call goes on without its caller: how long the server took is still worth knowing.
        self._proxy.callers.discard(self)
        self._waiting.clear()
        if self.choked:
            self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self.heard = time.monotonic()
        if not self._request.method:
            self._header_bytes += len(data)
            if self._header_bytes > self._proxy.limits.header_bytes + len(data):
                self._refuse(431, "the header of the request is too large")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the offer to change protocols is ignored; this request is the last
        except httptools.HttpParserError as error:
            self._refuse(400, f"the request is not HTTP/1.1: {error}")

    def pause_writing(self) -> None:
        self.choked = True
        if self.call is not None:
            self.call.choke(choked=True)

    def resume_writing(self) -> None:
        self.choked = False
        if self.call is not None:
            self.call.choke(choked=False)

    def on_message_begin(self) -> None:
        self._request = http1.Request()

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._header_bytes = 0
        request = self._request
        request.method = self._parser.get_method()
        request.keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        request.chunks = self._parser.get_http_version() == "1.1"
        if request.method == b"CONNECT":
            self._refuse(501, "the router is no tunnel")
        elif sum(len(name) + len(value) for name, value in request.headers) > (
            self._proxy.limits.header_bytes
        ):
            self._refuse(431, "the header of the request is too large")
        elif (request.header(b"expect") or b"").lower() == b"100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._deaf:
            return
        if len(self._request.body) + len(body) > self._proxy.limits.body_bytes:
            self._refuse(413, "the body of the request is too large")
        else:
            self._request.body += body

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        request, self._request = self._request, http1.Request()
        if self.call is None:
            self._begin(request)
        else:
            self._waiting.append(request)
            if not self._paused:
                self._paused = True
                self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def answered(self, *, keep_alive: bool) -> None:
        """A call is over; go on with the next that waits."""
        self.call = None
        if not keep_alive:
            self.transport.close()
        elif self._waiting:
            self._begin(self._waiting.popleft())
        elif self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _begin(self, request: http1.Request) -> None:
        self.call = Call(self._proxy, self, request)
        self.call.begin()

    def _refuse(self, status: int, reason: str) -> None:
        if not self._deaf:
            self._deaf = True
            if self.call is None:
                self.write(http1.refusal(status, reason, None, keep_alive=False))
            self.transport.close()
