"""The data path in this process, with short limits: a real router's take too long to wait for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployers.callers import CallerConnection
from deployers.protocol import Bounds
from deployers.proxy import Limits, Proxy, Split
from deployers.records import RequestRecord
from deployers.upstream import Upstream
from specs.traffic import NO_ANSWER, Arm
from tests.deployers.caller import Caller, ask
from tests.deployers.test_router import World
from tests.deployers.world import eventually, let_go, living, until

LIMITS = Limits()


@contextlib.asynccontextmanager
async def proxy(server: Upstream, limits: Limits = LIMITS) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in this process, and its address."""
    made = Proxy(limits)
    made.split = Split(stable=server)
    listener = await asyncio.get_running_loop().create_server(
        lambda: CallerConnection(made), "127.0.0.1", 0
    )
    try:
        yield made, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for caller in list(made.callers):
            caller.close()
        server.close()
        await listener.wait_closed()
        await asyncio.sleep(0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Upstream]:
    world = World(tmp_path)
    backend = world.start_server("v1")
    yield Upstream("v1", backend.host, backend.port, b"/predict")
    world.end("v1")
    world.close()
    until(lambda: not living(tmp_path))


def only(made: Proxy) -> RequestRecord:
    (record,) = made.ring.page(0).records
    return record


async def test_a_server_that_hangs_is_on_record_with_the_age_at_which_waiting_ended(
    server: Upstream,
) -> None:
    server.bounds = Bounds(answer_within=0.2)
    async with proxy(server) as (made, address):
        async with Caller(address) as caller:
            answer = await caller.ask("/predict?sleep=1")
            assert (answer.status, answer.json()["error"]) == (
                504,
                "the model server did not answer in time",
            )
            assert (await caller.ask(X_Request_Id="next")).status == 200
        record = made.ring.page(0).records[0]
        assert (record.status, record.arm) == (NO_ANSWER, Arm.STABLE)
        assert record.latency >= 0.2
        assert server.in_flight == 0


async def test_a_caller_that_does_not_read_is_not_the_servers_failure(server: Upstream) -> None:
    server.bounds = Bounds(idle=0.5)
    async with proxy(server) as (made, address):
        async with Caller(address) as caller:
            caller.writer.write(b"GET /large?bytes=60000000 HTTP/1.1\r\nHost: a\r\n\r\n")

            async def over() -> bool:
                return bool(made.ring.page(0).records)

            await eventually(over)
            assert only(made).status == 200
        assert server.in_flight == 0


async def test_a_stream_lives_as_long_as_bytes_come(server: Upstream) -> None:
    server.bounds = Bounds(answer_within=0.3, idle=0.3)
    async with proxy(server) as (made, address), Caller(address) as caller:
        answer = await caller.ask("/chunked?chunks=10&every=0.1")
        assert answer.body == b"part0part1part2part3part4part5part6part7part8part9"
        assert only(made).status == 200
        assert only(made).latency > 0.3


async def test_a_stream_that_stalls_is_cut_and_on_record(server: Upstream, tmp_path: Path) -> None:
    server.bounds = Bounds(idle=0.2)
    async with proxy(server) as (made, address), Caller(address) as caller:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError, ValueError)):
            await caller.ask("/chunked?stall=1")
        assert only(made).status == NO_ANSWER
        assert only(made).latency >= 0.2
        assert server.in_flight == 0
    let_go(tmp_path / "v1.json")


async def test_a_stream_whose_caller_went_away_is_not_the_servers_failure_and_ends(
    server: Upstream, tmp_path: Path
) -> None:
    server.bounds = Bounds(answer_within=0.3)
    async with proxy(server) as (made, address):
        async with Caller(address) as caller:
            caller.writer.write(b"GET /chunked?stall=1 HTTP/1.1\r\nHost: a\r\n\r\n")
            await caller.reader.readuntil(b"\r\n\r\n")
            assert [one.arm for one in made.waiting()] == [Arm.STABLE]

        async def over() -> bool:
            return not made.callers

        await eventually(over)
        assert (only(made).status, server.in_flight) == (200, 0)
        assert made.waiting() == []
    let_go(tmp_path / "v1.json")


async def test_a_silent_caller_is_shown_out(server: Upstream) -> None:
    limits = Limits(idle_seconds=0.0)
    async with proxy(server, limits) as (made, address), Caller(address) as caller:
        assert (await caller.ask()).status == 200
        made.sweep()
        assert await caller.reader.read() == b""


async def test_without_a_server_nobody_is_judged(server: Upstream) -> None:
    async with proxy(server) as (made, address):
        made.split = Split()
        assert (await ask(address)).status == 503
        assert not made.ring.page(0).records
