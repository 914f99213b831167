"""Probes and metrics over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import httpx

from controller.web import operations
from controller.web.server import bind, serve


class Exposed(NamedTuple):
    """What a scrape gets here."""

    content: bytes
    content_type: str


@asynccontextmanager
async def serving(stuck: str = "", unready: str = "") -> AsyncIterator[httpx.AsyncClient]:
    async def scrape(accept: str) -> Exposed:
        return Exposed(f"asked for {accept}".encode(), "text/plain; version=0.0.4; charset=utf-8")

    app = operations.application(lambda: stuck, lambda: unready, scrape)
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    running = asyncio.create_task(serve(app, listening))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        yield http
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def asked(http: httpx.AsyncClient, path: str) -> tuple[int, str]:
    answer = await http.get(path)
    return answer.status_code, answer.text


async def test_a_controller_that_works_is_alive_and_ready() -> None:
    async with serving() as http:
        assert await asked(http, "/livez") == (200, "ok\n")
        assert await asked(http, "/readyz") == (200, "ok\n")


async def test_one_that_cannot_save_is_alive_and_not_ready_and_says_why_in_one_line() -> None:
    async with serving(unready="cannot save:\n the disk is full") as http:
        assert await asked(http, "/livez") == (200, "ok\n")
        assert await asked(http, "/readyz") == (503, "cannot save: the disk is full\n")


async def test_one_that_is_stuck_is_neither() -> None:
    async with serving(stuck="no turn has ended for 6 min") as http:
        for path in ("/livez", "/readyz"):
            assert await asked(http, path) == (503, "no turn has ended for 6 min\n")


async def test_a_reason_is_cut() -> None:
    async with serving(unready="x" * 5000) as http:
        _, text = await asked(http, "/readyz")
    assert len(text) == operations.LONGEST + 1
    assert text.endswith("...\n")


async def test_metrics_come_as_they_are_asked_for_and_nothing_else_is_served() -> None:
    async with serving() as http:
        answer = await http.get("/metrics", headers={"Accept": "text/x"})
        assert answer.text == "asked for text/x"
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert (await http.post("/metrics")).status_code == 405
        assert (await http.get("/healthz")).status_code == 404
