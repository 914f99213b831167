"""The controller's HTTP server: receives GitHub's webhooks and answers health checks.

A request is only verified, read and stored as a hint; it is acted on after the response. Each
client gets little time and memory.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from controller.github.webhooks import Hint, Malformed, read, verify
from controller.machine.core import Envelope, Key
from specs.failures import Failure, NeedsHuman

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST = 25 * 1024 * 1024
"""Bytes; GitHub sends nothing larger."""
ROOM = 64 * 1024 * 1024
"""Bytes of request bodies held in memory at a time, in total."""
AT_ONCE = 256
"""Concurrent connections."""
PATIENCE = 10.0
"""Seconds for a request to arrive completely and for its hint to be stored."""

_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,64}")

Send = Callable[[Envelope], Awaitable[None]]
Targets = Callable[[Hint], Iterable[Key]]

log = structlog.get_logger()


class _Full(Exception):  # noqa: N818 - it describes the server
    """There is no memory for another body now."""


class _TooLarge(Exception):  # noqa: N818 - it describes the body
    """The body is larger than `LARGEST`."""


def application(
    secrets: Sequence[str],
    targets: Targets,
    send: Send,
    *,
    is_unhealthy: Callable[[], bool] = lambda: False,
    patience: float = PATIENCE,
) -> Starlette:
    """`POST /webhooks/github` and `GET /healthz`, which answers 503 while `is_unhealthy`: the
    controller runs but cannot save its state.

    `targets` lists the objects that a hint concerns. Each gets a message `github/<delivery>`
    through `send`; the store ignores an id that it has seen, so replays have no effect.
    """
    webhook = _Webhook(secrets, targets, send, patience)

    async def healthz(_: Request) -> Response:
        if is_unhealthy():  # anyone may ask here, so the reason is only in the log
            return PlainTextResponse("the controller cannot save\n", 503)
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route("/webhooks/github", webhook.take, methods=["POST"]),
            Route("/healthz", healthz, methods=["GET"]),
        ]
    )


class _Webhook:
    def __init__(
        self, secrets: Sequence[str], targets: Targets, send: Send, patience: float
    ) -> None:
        self._secrets = tuple(secrets)
        self._targets = targets
        self._send = send
        self._patience = patience
        self._held = 0

    async def take(self, request: Request) -> Response:
        """202 once the hint is stored; 200 for a delivery without one."""
        try:
            async with asyncio.timeout(self._patience), self._body(request) as body:
                return await self._answer(request, bytes(body))
        except _TooLarge:
            return _closing(413, f"the body is larger than {LARGEST} bytes")
        except _Full:
            return _closing(503, "too many webhooks at the same time")
        except TimeoutError:
            return _closing(408, "the request took too long")
        except ClientDisconnect:
            return _closing(400, "the body ended early")
        except Failure as error:
            log.warning("a webhook could not be stored", problem=str(error))
            return _closing(503, "the webhook could not be stored")

    @asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[bytearray]:
        """The whole body, for the duration of the block. Reading stops if it is too large."""
        if int(request.headers.get("content-length") or 0) > LARGEST:
            raise _TooLarge
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self._held += len(chunk)
                if len(body) > LARGEST:
                    raise _TooLarge
                if self._held > ROOM:
                    raise _Full
            yield body
        finally:
            self._held -= len(body)

    async def _answer(self, request: Request, body: bytes) -> Response:
        headers = request.headers
        if not verify(self._secrets, body, headers.get("x-hub-signature-256")):
            return _closing(401, "the signature does not match the secret of this webhook")
        delivery = headers.get("x-github-delivery", "")
        if not _DELIVERY.fullmatch(delivery):
            return PlainTextResponse("X-GitHub-Delivery is missing or malformed\n", 400)
        if "json" not in headers.get("content-type", ""):
            return PlainTextResponse("set the webhook's content type to application/json\n", 415)
        try:
            hint = read(headers.get("x-github-event", ""), body)
        except Malformed as error:
            return PlainTextResponse(f"{error}\n", 400)
        keys = tuple(self._targets(hint)) if hint is not None else ()
        if hint is None or not keys:
            return PlainTextResponse("nothing to look at\n")
        for key in keys:
            await self._send(Envelope(to=key, id=f"github/{delivery}", message=hint.message))
        return PlainTextResponse("noted\n", 202)


def _closing(status: int, words: str) -> Response:
    """A response that closes the connection."""
    return PlainTextResponse(f"{words}\n", status, headers={"Connection": "close"})


def listen(host: str, port: int, secrets: Sequence[str]) -> socket.socket:
    """A socket to serve on; port 0 picks a free one.

    Raises NeedsHuman for an address that is not loopback without a webhook secret, and if the port
    is taken.
    """
    if not any(secrets) and not _is_loopback(host):
        raise NeedsHuman(
            f"refusing to listen on {host} without a webhook secret: set one, or listen on "
            "127.0.0.1"
        )
    return bind(host, port)


def bind(host: str, port: int) -> socket.socket:
    """A socket at that address; port 0 picks a free one. Raises NeedsHuman if it is taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise NeedsHuman(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another address"
        ) from None
    # A response's head and body are two writes; Nagle's algorithm would delay the second by 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


async def serve(app: Starlette, listening: socket.socket, *, patience: float = PATIENCE) -> None:
    """Serve in this event loop until cancelled, then finish the requests in progress."""
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signal handling to the controller."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    server = Server(
        uvicorn.Config(
            app,
            http=_with_timeout(patience),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="error",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=AT_ONCE,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
    finally:
        listening.close()


def _with_timeout(patience: float) -> "type[HttpToolsProtocol]":
    """uvicorn's protocol with a time limit for a request's first line and headers."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class WithTimeout(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
            super().connection_made(transport)
            self._timer = self.loop.call_later(patience, transport.close)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._timer is None:
                self._timer = self.loop.call_later(patience, self.transport.close)

        def on_headers_complete(self) -> None:
            self._stop_timer()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return WithTimeout
