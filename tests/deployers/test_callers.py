"""The limits for callers: requests are refused with a reason, and never held for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from deployers.protocol import Bounds
from deployers.proxy import Limits, Proxy, Split
from deployers.upstream import Upstream
from specs.traffic import Arm
from tests.deployers.caller import Answer, Caller, ask
from tests.deployers.test_proxy import proxy
from tests.deployers.world import eventually
from tests.ports import reserved_port

POST = b"POST /predict HTTP/1.1\r\nHost: a\r\n"
HALF_SENT = POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000


@pytest.fixture
async def nowhere() -> AsyncIterator[Upstream]:
    """A server that must not get any requests."""
    with reserved_port() as port:
        yield Upstream("v1", "127.0.0.1", port, b"/predict")


async def said(address: str, sent: bytes) -> Answer:
    """The response to these bytes; then the connection must end."""
    async with Caller(address) as caller:
        caller.writer.write(sent)
        answer = await caller.answer()
        assert await caller.reader.read() == b""
        return answer


@pytest.mark.parametrize(
    ("sent", "status", "why"),
    [
        (b"nonsense\r\n\r\n", 400, "not HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "one Host header, found 2"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400, "one Host header, found 2"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "one Host header, found 2"),
        (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, "one Host header, found none"),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "a Host header with a name"),
        (b"GET / HTTP/1.1\r\nHost: me@a/b\r\n\r\n", 400, "a Host header with a name"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "not HTTP/2.0"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "not HTTP/1.1"),
        (b"GET / HTTP/0.9\r\n\r\n", 505, "not HTTP/0.9"),
        (b"GET /\r\n", 505, "not HTTP/0.9"),
        (b"GET /\r\n\r\n", 505, "not HTTP/0.9"),
        (b"GET / HTTP/1.7\r\nHost: a\r\n\r\n", 400, "not HTTP/1.1"),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "not HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 65_537 + b"\r\n\r\n", 431, "header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100_000, 431, "header"),
        (POST + b"Content-Length: 16777217\r\n\r\n", 413, "16,777,216 bytes at most"),
        (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400, "not HTTP/1.1"),
        (
            POST + b"Transfer-Encoding: chunked\r\n\r\n1000001\r\n" + b"x" * (2**24 + 1),
            413,
            "16,777,216 bytes at most",
        ),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "does not support CONNECT"),
    ],
)
async def test_what_no_server_should_see_is_refused(
    nowhere: Upstream, sent: bytes, status: int, why: str
) -> None:
    async with proxy(nowhere) as (made, address):
        answer = await said(address, sent)
        assert (answer.status, answer.json()["by"]) == (status, "headgate router")
        assert why in answer.json()["error"]
        assert not made.ring.count  # no server got the request, so none is judged
        assert not made.held


@pytest.mark.parametrize("host", ["model.test", "10.0.0.1:8080", "[::1]:80", "", "a_b.c"])
async def test_a_host_is_a_name_or_an_address_and_may_be_empty(
    nowhere: Upstream, host: str
) -> None:
    async with proxy(nowhere) as (made, address):
        made.split = Split()
        answer = await said(address, f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        assert answer.json()["error"] == "no model server is deployed here yet"


async def test_an_old_caller_needs_no_host(nowhere: Upstream) -> None:
    async with proxy(nowhere) as (made, address):
        made.split = Split()
        assert (await said(address, b"GET / HTTP/1.0\r\n\r\n")).status == 503


async def test_a_refusal_waits_for_the_answers_before_it(nowhere: Upstream) -> None:
    async with proxy(nowhere) as (made, address), Caller(address) as caller:
        made.split = Split()
        good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        caller.writer.write(good * 3 + b"GET / HTTP/1.1\r\n\r\n" + good)
        assert [(await caller.answer()).status for _ in range(4)] == [503, 503, 503, 400]
        assert await caller.reader.read() == b""


async def test_any_number_of_requests_at_once_is_answered_in_turn(nowhere: Upstream) -> None:
    async with proxy(nowhere) as (made, address), Caller(address) as caller:
        made.split = Split()
        caller.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3000)
        assert {(await caller.answer()).status for _ in range(3000)} == {503}


async def test_a_caller_that_is_refused_is_let_go_after_a_while(nowhere: Upstream) -> None:
    limits = Limits(linger_seconds=0.0)
    async with proxy(nowhere, limits) as (made, address), Caller(address) as caller:
        caller.writer.write(b"nonsense\r\n\r\n")
        assert (await caller.answer()).status == 400
        assert len(made.callers) == 1  # it may not have read the reason yet
        made.sweep()
        await eventually(lambda: none_left(made))


async def none_left(made: Proxy) -> bool:
    return not made.callers


async def test_one_connection_too_many_is_told_so_and_room_is_made_by_those_who_leave(
    nowhere: Upstream,
) -> None:
    async with proxy(nowhere, Limits(callers=2)) as (made, address):
        made.split = Split()
        async with Caller(address) as first, Caller(address) as second:
            assert [(await one.ask()).status for one in (first, second)] == [503, 503]
            async with Caller(address) as third:
                answer = await third.answer()
                assert (answer.status, answer.headers["connection"]) == (503, "close")
                assert answer.json()["error"].startswith("the router has 2 connections already")
            assert (await first.ask()).json()["error"] == "no model server is deployed here yet"
        await eventually(lambda: none_left(made))
        assert (await ask(address)).json()["error"] == "no model server is deployed here yet"


async def test_callers_without_end_are_cut_off_where_not_even_a_reason_can_be_afforded(
    nowhere: Upstream,
) -> None:
    async with proxy(nowhere, Limits(callers=1)) as (made, address):
        callers = [Caller(address) for _ in range(20)]
        for caller in callers:
            await caller.__aenter__()
        seen = await asyncio.gather(
            *(caller.reader.read() for caller in callers[1:]), return_exceptions=True
        )
        assert len(made.callers) <= 2
        assert sum(isinstance(one, bytes) and b" 503 " in one for one in seen) == 1
        for caller in callers:
            await caller.__aexit__()


async def test_half_sent_uploads_are_held_within_a_bound_and_not_for_ever(
    nowhere: Upstream,
) -> None:
    limits = Limits(held_bytes=2_000_000, body_seconds=0.0, body_rate=1e12)
    async with proxy(nowhere, limits) as (made, address), AsyncExitStack() as open_:
        callers = [await open_.enter_async_context(Caller(address)) for _ in range(5)]
        for number, caller in enumerate(callers[:4], 1):
            caller.writer.write(HALF_SENT)
            await until_holds(made, 500_000 * number)
        callers[4].writer.write(HALF_SENT)
        answer = await callers[4].answer()
        assert answer.status == 503
        assert answer.json()["error"].startswith("the router has no memory left for this request")
        assert made.held == 2_000_000
        made.sweep()
        answers = [await caller.answer() for caller in callers[:4]]
        assert {answer.status for answer in answers} == {408}
        assert answers[0].json()["error"] == "the body of the request came too slowly"
        assert made.held == 0


async def test_an_upload_that_stays_above_the_least_rate_is_waited_for(nowhere: Upstream) -> None:
    limits = Limits(body_seconds=1000.0, body_rate=1.0)
    async with proxy(nowhere, limits) as (made, address), Caller(address) as caller:
        made.split = Split()
        caller.writer.write(HALF_SENT)
        await until_holds(made, 500_000)
        made.sweep()
        caller.writer.write(b"x" * 500_000)
        assert (await caller.answer()).json()["error"] == "no model server is deployed here yet"
        assert made.held == 0


async def test_who_leaves_takes_a_half_sent_upload_along(nowhere: Upstream) -> None:
    async with proxy(nowhere) as (made, address):
        async with Caller(address) as caller:
            caller.writer.write(HALF_SENT)
            await until_holds(made, 500_000)
        await until_holds(made, 0)


async def until_holds(made: Proxy, size: int) -> None:
    """Wait until the bodies held have that many bytes."""

    async def look() -> bool:
        return made.held == size

    await eventually(look)


@pytest.mark.parametrize("sent", [b"GE", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n", b"GET /"])
async def test_a_header_that_does_not_end_is_not_waited_for_for_ever(
    nowhere: Upstream, sent: bytes
) -> None:
    limits = Limits(header_seconds=0.0)
    async with proxy(nowhere, limits) as (made, address), Caller(address) as caller:
        caller.writer.write(sent)
        answering = asyncio.create_task(caller.answer())

        async def answered() -> bool:
            made.sweep()
            return answering.done()

        await eventually(answered)
        assert answering.result().status == 408
        said = answering.result().json()["error"]
        assert said == "the header of the request did not come in time"


async def test_what_one_arm_takes_and_the_other_does_not_is_on_record_as_the_callers_see_it(
    nowhere: Upstream,
) -> None:
    nowhere.bounds = Bounds(largest_request=10)
    canary = Upstream("v2", nowhere.host, nowhere.port, b"/predict", Bounds(largest_request=5))
    async with proxy(nowhere) as (made, address):
        made.split = Split(stable=nowhere, canary=canary, weight=1.0)
        assert (await ask(address, body=b"x" * 11)).status == 413
        assert not made.ring.count
        assert (await ask(address, body=b"x" * 6)).status == 413
        (record,) = made.ring.page(0).records
        assert (record.arm, record.status) == (Arm.CANARY, 413)
        assert (nowhere.in_flight, canary.in_flight) == (0, 0)
