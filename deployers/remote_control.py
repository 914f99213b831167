"""The router's control interface over HTTP, for a router that is reached by a network.

`POST /orders` takes the orders of `deployers.control`, with the token as `Authorization: Bearer`;
`GET /livez` answers 200 to anybody.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

TOKEN: Final = "HEADGATE_ROUTER_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with the token of those who may give orders."""
ORDERS, LIVE = "/orders", "/livez"
_LARGEST: Final = 1 << 20
"""Bytes of an order at most."""
_AT_ONCE: Final = 64
_PATIENCE: Final = 10.0
"""Seconds that an order may take to arrive."""

Message = MutableMapping[str, Any]
Obey = Callable[[bytes], Awaitable[dict[str, Any]]]


@asynccontextmanager
async def controlled(host: str, port: int, token: str, obey: Obey) -> AsyncIterator[None]:
    """Take orders there meanwhile. Raises OSError if the port is not available."""
    import socket

    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signals to the router."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listening = socket.create_server((host, port), family=family)
    server = Server(
        uvicorn.Config(
            ControlApp(token, obey),
            loop="none",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_AT_ONCE,
            timeout_graceful_shutdown=2,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listening.close()


class ControlApp:
    """The interface as an ASGI application; `obey` answers an order."""

    def __init__(self, token: str, obey: Obey) -> None:
        if not token:
            raise ValueError("an interface without a token would obey anybody")
        self._expected = f"Bearer {token}".encode()
        self._obey = obey

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        status, answer = await self._answer(scope, receive)
        body = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, scope: Message, receive: Callable[[], Awaitable[Message]]
    ) -> tuple[int, dict[str, Any]]:
        match scope["method"], scope["path"]:
            case "GET", "/livez":
                return 200, {"live": True}
            case "POST", "/orders":
                given = dict(scope["headers"]).get(b"authorization", b"")
                if not hmac.compare_digest(given, self._expected):
                    return 401, {"refused": "the token is not this router's"}
                try:
                    async with asyncio.timeout(_PATIENCE):
                        order = await _body(receive)
                except TimeoutError:
                    return 408, {"refused": "the order did not come in time"}
                if order is None:
                    return 413, {"refused": f"an order has {_LARGEST} bytes at most"}
                return 200, await self._obey(order)
        return 404, {"refused": f"there is {LIVE} and {ORDERS}"}


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes | None:
    """The body of a request; None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _LARGEST:
            return None
        if not message.get("more_body"):
            return bytes(body)
