"""Servers that close connections: what is recorded, and what callers see."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from deployers.callers import CallerConnection
from deployers.upstream import Upstream
from specs.traffic import NO_ANSWER
from tests.deployers.caller import Caller
from tests.deployers.test_proxy import proxy

REQUESTS = 1000
EVERY = 33
"""Three requests in a hundred are not answered at the first attempt."""


class Closing(asyncio.Protocol):
    """Reads every request and answers it; of those with a number that `EVERY` divides, it closes
    the connection on the first attempt."""

    closed: set[int]
    last: bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        if (found := re.search(rb"\r\n\r\n#(\d+);", self.got)) is None:
            return
        self.got, number = b"", int(found[1])
        if not number % EVERY and number not in self.closed:
            self.closed.add(number)
            self.end()
            return
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\nok" % self.last)
        if self.last:
            self.transport.close()

    def end(self) -> None:
        """Close without a response."""
        self.transport.close()


class Resetting(Closing):
    """The same, by a reset."""

    def end(self) -> None:
        self.transport.abort()


class Garbling(Closing):
    """The same, after bytes that are not HTTP."""

    def end(self) -> None:
        self.transport.write(b"\0\0garbage\r\n\r\n")


@asynccontextmanager
async def serving(how: type[Closing], *, keep_alive: bool) -> AsyncIterator[Upstream]:
    """A server that closes in this way, with connections reused or not."""
    last = b"" if keep_alive else b"Connection: close\r\n"
    given: dict[str, object] = {"closed": set(), "last": last}
    made: Callable[[], Closing] = type("Server", (how,), given)
    listener = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    try:
        yield Upstream("v1", "127.0.0.1", listener.sockets[0].getsockname()[1], b"/predict")
    finally:
        listener.close()


@pytest.mark.parametrize("how", [Closing, Resetting, Garbling])
@pytest.mark.parametrize("keep_alive", [True, False], ids=["reused", "fresh"])
async def test_a_server_that_closes_three_in_a_hundred_unanswered_is_seen_to_do_so(
    how: type[Closing], *, keep_alive: bool
) -> None:
    async with serving(how, keep_alive=keep_alive) as server, proxy(server) as (made, address):
        numbers = iter(range(REQUESTS))

        seen: list[int] = []

        async def one() -> None:
            async with Caller(address) as caller:
                seen.extend([(await caller.ask(body=b"#%d;" % n)).status for n in numbers])

        await asyncio.gather(*(one() for _ in range(8)))
        recorded = [record.status for record in made.ring.page(0).records]
        dropped = len(range(0, REQUESTS, EVERY))
        assert len(recorded) == len(seen) == REQUESTS
        assert recorded.count(NO_ANSWER) == dropped
        # On a connection that had been used before, the caller gets a second attempt.
        assert seen.count(502) <= dropped / 2 if keep_alive else seen.count(502) == dropped
        assert (server.in_flight, made.waiting(), made.held) == (0, [], 0)


@pytest.mark.parametrize("path", ["/predict", "/buy"])
async def test_the_close_of_an_idle_connection_is_nobodys_failure(path: str) -> None:
    """The request is sent before the router notices; no server has received it."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = Upstream("v1", "127.0.0.1", listener.getsockname()[1], b"/predict")

        async def answer(*, stay: bool) -> socket.socket:
            connection, _ = await loop.sock_accept(listener)
            assert await loop.sock_recv(connection, 65_536)
            await loop.sock_sendall(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if not stay:
                connection.close()
            return connection

        async with proxy(server) as (made, address), Caller(address) as caller:
            idle, _ = await asyncio.gather(answer(stay=True), caller.ask())
            (connection,) = made.callers
            assert isinstance(connection, CallerConnection)
            # Nothing is awaited in between, so the router cannot see the close before it sends.
            idle.close()
            connection.data_received(b"POST %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
            second, _ = await asyncio.gather(caller.answer(), answer(stay=False))
            assert second.status == 200
            assert [record.status for record in made.ring.page(0).records] == [200, 200]


async def test_who_reads_a_request_on_an_idle_connection_and_closes_has_failed_it() -> None:
    async with serving(Closing, keep_alive=True) as server, proxy(server) as (made, address):
        async with Caller(address) as caller:
            assert (await caller.ask(body=b"#1;")).status == 200
            assert (await caller.ask("/buy", body=b"#33;")).status == 502
            assert (await caller.ask(body=b"#2;")).status == 200
            assert (await caller.ask(body=b"#66;")).status == 200  # it was asked again
        assert [record.status for record in made.ring.page(0).records] == [
            200, NO_ANSWER, 200, NO_ANSWER,
        ]  # fmt: skip
