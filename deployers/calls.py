"""One request on its way through the router: its draw, attempts, response and record."""

import asyncio
import time

from deployers import http1
from deployers.assignment import assign, pseudonym
from deployers.proxy import Caller, Proxy
from deployers.records import RequestRecord
from deployers.upstream import ServerConnection
from specs.traffic import NO_ANSWER, Arm, Waiting

UNIT_HEADER = b"headgate-unit"
"""The header by which a caller keeps a session on one arm."""


class Call:
    """One request. Every call ends exactly once, in `_end`."""

    __slots__ = (
        "_answering", "_arm", "_at", "_begun", "_caller", "_chunked", "_connection", "_content",
        "_done", "_flowing", "_heard", "_id", "_out", "_probability", "_proxy", "_recorded",
        "_repeated", "_request", "_server", "_size", "_status", "_timer", "_unit",
    )  # fmt: skip

    def __init__(self, proxy: Proxy, caller: Caller, request: http1.HttpRequest) -> None:
        self._proxy, self._caller, self._request = proxy, caller, request
        self._id = request.header(b"x-request-id") or proxy.request_id()
        unit = request.header(UNIT_HEADER)
        self._unit = None if unit is None else pseudonym(unit)
        self._at, self._begun = proxy.clock(), time.monotonic()
        self._heard = self._begun
        split = proxy.split
        self._probability = split.probability
        self._arm = assign(split.seed, self._probability, self._at, self._unit)
        self._server = split.server(self._arm)
        self._connection: ServerConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self._status, self._size, self._content = NO_ANSWER, 0, ""
        self._answering = self._chunked = self._done = self._flowing = False
        self._recorded = self._repeated = False

    def begin(self) -> None:
        """Send the request to the server that was drawn."""
        server = self._server
        if server is None:
            self._answer_self(503, "no model server is deployed here yet")
            return
        server.in_flight += 1
        self._proxy.drawn[self] = None
        if len(self._request.body) > server.bounds.largest_request:
            # Recorded, as the other arm would have accepted it.
            self._answer_self(413, "the body of the request is too large", recorded=413)
            return
        self._timer = self._proxy.loop.call_later(server.bounds.answer_within, self._expire)
        self._send(server.take())

    def waits(self, now: float) -> Waiting:
        """Its state while it waits; `now` is monotonic time."""
        return Waiting(self._arm, self._probability, now - self._begun, self._unit)

    def leave(self) -> None:
        """The caller disconnected. The server's latency is still measured, but even a response that
        has begun is now cut off at `answer_within`.
        """
        if self._done or self._server is None:
            return
        limit = self._server.bounds.answer_within
        self._wait(max(self._begun + limit - time.monotonic(), 0.0))

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._proxy.loop.call_later(seconds, self._expire)

    def _send(self, connection: "ServerConnection | None") -> None:
        if connection is None:
            task = self._proxy.loop.create_task(self._connect())
            self._caller.tasks.add(task)
            task.add_done_callback(self._caller.tasks.discard)
            return
        self._connection = connection
        caller = self._caller
        payload = http1.forwarded(self._request, caller.peer, self._id, trusted=caller.trusted)
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
        """Nothing was sent. A canary's failure is recorded, and stable answers instead.

        Stable's response is not recorded: it was not drawn, and would count stable twice.
        """
        assert self._server is not None
        stable = self._proxy.split.stable
        name = self._server.name
        if self._arm is Arm.CANARY and stable is not None and stable is not self._server:
            self._record(NO_ANSWER)
            self._leave_server()
            self._arm, self._server = Arm.STABLE, stable
            stable.in_flight += 1
            self._send(stable.take())
            return
        self._answer_self(502, f"cannot reach model server {name}: {error.strerror or error}")

    def _expire(self) -> None:
        """A timer fired: the limit up to the first byte, or the limit between two bytes, may be
        over. The latency on record is then the time waited.
        """
        assert self._server is not None
        if self._answering and not self._caller.gone:
            rest = self._heard + self._server.bounds.idle - time.monotonic()
            if rest > 0:
                self._wait(rest)
                return
        if self._connection is not None:
            self._connection.call = None
            self._connection.transport.abort()
        if self._caller.choked or self._caller.gone:  # not the server's failure
            self._end(self._status)
            self._caller.cut()
            return
        self._answer_self(504, "the model server did not answer in time")

    def lost(self, *, whole: bool, unheard: bool) -> None:
        """The server's connection ended; `whole` if that completed the response, `unheard` if it
        had ended before the request arrived.

        A request that may be repeated gets a second attempt. The failed first one is recorded:
        otherwise only two failures in a row would be seen.
        """
        connection, self._connection = self._connection, None
        if whole:
            self.complete()
            return
        assert connection is not None
        assert self._server is not None
        again = unheard or self._request.repeatable(self._server.predict)
        if connection.reused and not self._answering and not self._repeated and again:
            if not unheard:
                self._record(NO_ANSWER)
            self._repeated = True
            self._send(None)
            return
        self._answer_self(502, "the model server closed the connection without a whole answer")

    def head(self, status: int, headers: http1.Headers, *, sized: bool, empty: bool) -> None:
        """The head of the response arrived."""
        self._status, self._answering = status, True
        self._content = http1.media_type(headers)
        self._chunked = not sized and not empty and self._request.chunks
        if not sized and not empty and not self._chunked:
            self._request.keep_alive = False  # closing the connection ends the response
        keep = self._request.keep_alive and not self._proxy.closing
        self._request.keep_alive = keep
        self._out.append(http1.head(status, headers, keep_alive=keep, chunked=self._chunked))

    def body(self, data: bytes) -> None:
        self._size += len(data)
        if self._chunked:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def flush(self) -> None:
        """Pass on what has arrived so far."""
        if not self._out:
            return
        self._heard = time.monotonic()
        if not self._flowing and not self._caller.gone:
            assert self._server is not None
            self._wait(self._server.bounds.idle)
        self._flowing = True
        self._caller.write(b"".join(self._out))
        self._out.clear()

    def complete(self) -> None:
        """The response is complete."""
        if self._chunked:
            self._out.append(b"0\r\n\r\n")
        self._connection = None
        if self._out:
            self._caller.write(b"".join(self._out))
            self._out.clear()
        self._end(self._status)
        self._caller.answered(keep_alive=self._request.keep_alive)

    def choke(self, *, choked: bool) -> None:
        """The caller reads more slowly than the server writes, or no longer does."""
        self._heard = time.monotonic()
        if self._connection is not None:
            transport = self._connection.transport
            (transport.pause_reading if choked else transport.resume_reading)()

    def _answer_self(self, status: int, reason: str, *, recorded: int = NO_ANSWER) -> None:
        """Answer in place of the server; `recorded` is the status on record."""
        if self._answering:  # a part was sent already, so only closing can signal the failure
            self._end(NO_ANSWER)
            self._caller.cut()
            return
        keep = self._request.keep_alive and not self._proxy.closing
        wanted = self._request.method != b"HEAD"
        self._caller.write(http1.refusal(status, reason, self._id, keep_alive=keep, body=wanted))
        self._end(recorded)
        self._caller.answered(keep_alive=keep)

    def _end(self, status: int) -> None:
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        self._proxy.release(self._request)
        if self._server is not None:
            self._record(status)
            self._leave_server()

    def _leave_server(self) -> None:
        assert self._server is not None
        self._server.in_flight -= 1
        if not self._server.in_flight:
            self._proxy.drained(self._server)

    def _record(self, status: int) -> None:
        if not self._recorded:
            self._recorded = True
            latency = time.monotonic() - self._begun
            self._proxy.drawn.pop(self, None)
            self._proxy.ring.add(
                RequestRecord(
                    self._at, self._arm, self._probability, status, latency, self._unit,
                    self._size, self._content,
                )
            )  # fmt: skip
