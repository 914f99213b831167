"""A server on loopback that answers as a test wants it, broken answers included."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """A request that came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    data: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Says(NamedTuple):
    """A complete response."""

    status: int = 200
    data: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    def encode(self) -> bytes:
        body = b"" if self.data is None else json.dumps(self.data).encode()
        head = {
            "Content-Type": "application/json; charset=utf-8",
            **({"Content-Length": str(len(body))} if self.status != 304 else {}),
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} Said", *(f"{name}: {head[name]}" for name in head)]
        return "\r\n".join([*lines, "", ""]).encode() + body


Answer = Callable[[Asked], "Says | bytes | Awaitable[Says | bytes]"]


class LittleGitHub:
    """Records requests; `answer` returns the response, as raw bytes for a broken one."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.at_once = 0
        """The most requests that were open at one time."""
        self.api = ""
        self._open = 0

    @classmethod
    @asynccontextmanager
    async def serving(cls, answer: Answer) -> AsyncIterator["LittleGitHub"]:
        little = cls(answer)
        server = await asyncio.start_server(little._serve, "127.0.0.1", 0)
        little.api = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield little
        finally:
            server.close()

    def times(self, what: str) -> int:
        """How often `METHOD /path` was asked."""
        return sum(str(asked) == what for asked in self.asked)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        try:
            said = self.answer(await self._read(reader))
            if not isinstance(said, Says | bytes):
                said = await said
            self._open -= 1
            writer.write(said if isinstance(said, bytes) else said.encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        asked = Asked(
            method,
            parts.path,
            dict(parse_qsl(parts.query)),
            headers,
            json.loads(body) if body else None,
        )
        self.asked.append(asked)
        return asked
