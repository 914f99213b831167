"""A caller of the router: one keep-alive connection, with raw control over the bytes sent."""

import asyncio
import json
from typing import Any, NamedTuple, Self


class Answer(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Use as an async context manager; `address` is `http://host:port`."""

    def __init__(self, address: str) -> None:
        self._host, port = address.removeprefix("http://").split(":")
        self._port = int(port)

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def ask(
        self, path: str = "/predict", method: str = "POST", body: bytes = b"{}", **headers: str
    ) -> Answer:
        """Send one request and read its response; `X_Unit="a"` is the header `X-Unit: a`."""
        lines = [f"{method} {path} HTTP/1.1", "Host: model.test", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join((*lines, "", "")).encode() + body)
        return await self.answer(empty=method == "HEAD")

    async def answer(self, *, empty: bool = False) -> Answer:
        """Read the next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        status, body = int(head[0].split()[1]), b""
        if empty or status == 204:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = await self.reader.read()
        return Answer(status, headers, body)


async def ask(address: str, path: str = "/predict", **details: Any) -> Answer:
    """One request on a connection of its own."""
    async with Caller(address) as caller:
        return await caller.ask(path, **details)


async def flood(address: str, requests: int, callers: int = 8) -> list[Answer]:
    """Send that many requests in total, from callers with keep-alive connections."""
    left = iter(range(requests))
    answers: list[Answer] = []

    async def one() -> None:
        async with Caller(address) as caller:
            answers.extend([await caller.ask() for _ in left])

    await asyncio.gather(*(one() for _ in range(callers)))
    return answers
