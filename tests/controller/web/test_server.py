"""The controller's HTTP server, with real sockets and a real store behind it."""

import asyncio
import hashlib
import hmac
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.machine.core import Envelope, Key
from controller.store.protocol import Transaction
from controller.store.sqlite import SqliteStore
from controller.web import server
from controller.web.server import LARGEST, application, listen, serve
from specs.failures import NeedsHuman, TryAgain

SECRET = "s3cret"
FLIGHTS = Key("repository", "flights")
PUSH = json.dumps({"repository": {"full_name": "octo/flights"}}).encode()

Send = Callable[[Envelope], Awaitable[None]]


class Box:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: list[Envelope] = []

    async def send(self, message: Envelope) -> None:
        self.messages.append(message)


@asynccontextmanager
async def serving(
    send: Send,
    secrets: Sequence[str] = (SECRET,),
    patience: float = 60.0,
    *,
    unhealthy: bool = False,
) -> AsyncIterator[httpx.AsyncClient]:
    app = application(
        secrets,
        lambda hint: [FLIGHTS] if hint.repository == "octo/flights" else [],
        send,
        is_unhealthy=lambda: unhealthy,
        patience=patience,
    )
    listening = listen("127.0.0.1", 0, secrets)
    port = listening.getsockname()[1]
    running = asyncio.create_task(serve(app, listening, patience=patience))
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits
    ) as http:
        yield http
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def headers(body: bytes, event: str = "push", delivery: str = "d-1") -> dict[str, str]:
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256="
        + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    }


async def post(http: httpx.AsyncClient, body: bytes = PUSH, **other: Any) -> httpx.Response:
    return await http.post("/webhooks/github", content=body, headers=headers(body, **other))


async def test_a_push_becomes_one_message_however_often_it_is_delivered(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")

    async def send(message: Envelope) -> None:
        await store.commit(Transaction(send=(message,)), 0.0)

    async with serving(send) as http:
        for _ in range(3):
            assert (await post(http, delivery="one")).status_code == 202
        assert (await post(http, delivery="two")).status_code == 202
    inbox = await store.inbox(FLIGHTS)
    assert [(each.id, each.type) for each in inbox] == [
        ("github/one", "forge_moved"),
        ("github/two", "forge_moved"),
    ]
    await store.close()


async def test_what_is_forged_is_refused_before_it_is_read() -> None:
    box = Box()
    async with serving(box.send) as http:
        for body, signature in (
            (PUSH, None),
            (PUSH, "sha256="),
            (PUSH, "sha1=" + "0" * 40),
            (PUSH, headers(b"another body")["X-Hub-Signature-256"]),
            (b"no JSON", headers(PUSH)["X-Hub-Signature-256"]),
        ):
            forged = {**headers(body), "X-Hub-Signature-256": signature or ""}
            answer = await http.post("/webhooks/github", content=body, headers=forged)
            assert answer.status_code == 401
    assert box.messages == []


async def test_without_a_secret_nothing_is_genuine() -> None:
    box = Box()
    async with serving(box.send, secrets=()) as http:
        assert (await post(http)).status_code == 401
        assert (await http.get("/healthz")).status_code == 200
    assert box.messages == []


async def test_what_github_signed_but_nobody_can_use_is_answered_with_the_reason() -> None:
    box = Box()
    async with serving(box.send) as http:
        assert (await post(http, b"{")).status_code == 400
        assert (await post(http, delivery="../../x")).status_code == 400
        form = {**headers(PUSH), "Content-Type": "application/x-www-form-urlencoded"}
        answer = await http.post("/webhooks/github", content=PUSH, headers=form)
        assert (answer.status_code, "application/json" in answer.text) == (415, True)
        assert (await post(http, b'{"zen": "Keep it simple"}', event="ping")).status_code == 200
        elsewhere = b'{"repository": {"full_name": "octo/unknown"}}'
        assert (await post(http, elsewhere)).status_code == 200
    assert box.messages == []


async def test_there_is_nothing_else() -> None:
    async with serving(Box().send) as http:
        assert (await http.get("/healthz")).text == "ok\n"
        assert (await http.get("/")).status_code == 404
        assert (await http.get("/docs")).status_code == 404
        assert (await http.get("/webhooks/github")).status_code == 405


async def test_a_controller_that_cannot_save_says_so_to_whoever_asks_for_its_health() -> None:
    for unhealthy, answer in (
        (False, (200, "ok\n")),
        (True, (503, "the controller cannot save\n")),
    ):
        async with serving(Box().send, unhealthy=unhealthy) as http:
            found = await http.get("/healthz")
            assert (found.status_code, found.text) == answer


async def test_the_largest_webhook_is_taken() -> None:
    box = Box()
    body = PUSH[:-1] + b', "pad": "' + b"x" * (LARGEST - len(PUSH) - 12) + b'" }'
    assert len(body) == LARGEST
    async with serving(box.send) as http:
        assert (await post(http, body)).status_code == 202
    assert len(box.messages) == 1


async def raw(http: httpx.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", http.base_url.port)


async def test_a_webhook_that_says_it_is_too_large_is_refused_before_it_is_sent() -> None:
    async with serving(Box().send) as http:
        reader, writer = await raw(http)
        writer.write(
            b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            % (LARGEST + 1)
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_a_webhook_without_end_is_cut_off_in_the_middle() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 65536

    async with serving(Box().send) as http:
        with suppress(httpx.WriteError, httpx.ReadError):  # cut off before the answer is read
            answer = await http.post("/webhooks/github", content=endless(), headers=headers(b""))
            assert answer.status_code == 413
        assert (await http.get("/healthz")).status_code == 200
    assert sent * 65536 < 2 * LARGEST


async def test_all_bodies_together_have_bounded_room_that_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "ROOM", 1000)
    async with serving(Box().send) as http:
        _, writer = await raw(http)
        writer.write(
            b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"
            + b"x" * (1000 - len(PUSH) // 2)
        )
        await answered(http, 503)  # once the first half of the slow one is held
        writer.close()
        await answered(http, 202)  # once it is noticed that the slow one is gone


async def answered(http: httpx.AsyncClient, status: int) -> None:
    async with asyncio.timeout(20):
        while (await post(http)).status_code != status:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "start",
    [b"", b"POST /webh", b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Slow: "],
)
async def test_a_client_that_takes_its_time_with_the_headers_is_cut_off(start: bytes) -> None:
    async with serving(Box().send, patience=0.2) as http:
        reader, writer = await raw(http)
        writer.write(start)
        assert await reader.read() == b""
        writer.close()


async def test_a_client_that_takes_its_time_with_the_body_is_cut_off() -> None:
    # Long enough for the headers to arrive: without them, nothing is answered.
    async with serving(Box().send, patience=1.0) as http:
        reader, writer = await raw(http)
        writer.write(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234")
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_a_hundred_at_once_are_all_noted() -> None:
    box = Box()
    async with serving(box.send) as http:
        answers = await asyncio.gather(*(post(http, delivery=f"d-{n}") for n in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({message.id for message in box.messages}) == 100


async def test_a_store_that_is_locked_or_hangs_is_not_waited_for() -> None:
    async def locked(_: Envelope) -> None:
        raise TryAgain("database is locked")

    async def hangs(_: Envelope) -> None:
        await asyncio.sleep(3600)

    async with serving(locked) as http:
        assert (await post(http)).status_code == 503
    async with serving(hangs, patience=1.0) as http:
        assert (await post(http)).status_code == 408


async def test_it_leaves_signals_alone_and_ends_when_it_is_told_to() -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with serving(Box().send) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert signal.getsignal(signal.SIGTERM) is before
        port = http.base_url.port
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def test_others_reach_it_only_if_webhooks_have_a_secret() -> None:
    for secrets in ((), ("",)):
        with pytest.raises(NeedsHuman, match="without a webhook secret"):
            listen("0.0.0.0", 0, secrets)
    listen("0.0.0.0", 0, [SECRET]).close()
    listen("localhost", 0, ()).close()


def test_a_port_that_is_taken_is_told() -> None:
    with listen("127.0.0.1", 0, ()) as first, pytest.raises(NeedsHuman, match="cannot listen on"):
        listen("127.0.0.1", first.getsockname()[1], ())
