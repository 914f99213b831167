"""Probes and metrics: `/livez`, `/readyz` and `/metrics`, for kubelet, systemd and Prometheus.

They are served at a port of their own, so that nobody who may send webhooks sees them.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

LONGEST = 300
"""Characters of a reason."""

Problem = Callable[[], str]
"""Why a probe fails, without secrets; empty if it does not."""


class Scraped(Protocol):
    """What a scrape is answered with."""

    @property
    def content(self) -> bytes: ...
    @property
    def content_type(self) -> str: ...


def application(
    is_stuck: Problem, is_unready: Problem, scrape: Callable[[str], Awaitable[Scraped]]
) -> Starlette:
    """`scrape` gets the request's `Accept` header.

    A probe that fails answers 503 with the reason in one line. Liveness fails only where a restart
    helps: a controller that cannot save is alive, and not ready.
    """

    async def livez(_: Request) -> Response:
        return _answer(is_stuck())

    async def readyz(_: Request) -> Response:
        return _answer(is_stuck() or is_unready())

    async def metrics(request: Request) -> Response:
        found = await scrape(request.headers.get("accept", ""))
        return Response(found.content, headers={"Content-Type": found.content_type})

    return Starlette(
        routes=[
            Route("/livez", livez, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


def _answer(problem: str) -> Response:
    if not problem:
        return PlainTextResponse("ok\n")
    line = " ".join(problem.split())
    cut = line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
    return PlainTextResponse(f"{cut}\n", 503)
