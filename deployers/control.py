"""How a deployer talks to its router: one line of JSON each way over a unix socket."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployers.protocol import Value

SOCKET = "router.sock"
STATE = "router.json"
_LINE = 64 * 1024 * 1024


class Backend(Value):
    """A model server as the router knows it."""

    name: str
    host: str
    port: int
    predict: str = "/predict"


class Routing(Value):
    """What the router is to do; it keeps this in its folder and comes back with it."""

    stable: Backend | None = None
    canary: Backend | None = None
    weight: float = 0.0
    seed: int = 0
    port: int = 0
    """Where it listens on 127.0.0.1; 0 until it has chosen."""


class RouterStatus(Value):
    """What the router does."""

    epoch: str
    routing: Routing
    in_flight: dict[str, int]
    """Requests on their way to each server, those that drain included."""
    answers: dict[str, dict[str, int]]
    """Of each arm, how often each status was answered since the router began."""


class RouterRefusedError(Exception):
    """The router said no; the text says why."""


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for a socket below the 107 bytes that the kernel allows, whatever its folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def ask(folder: Path, what: str, *, seconds: float = 5.0, **details: object) -> Any:
    """Give the router of a folder an order, and return its answer.

    Raises OSError where no router answers, and RouterRefusedError if it does not obey.
    """
    async with asyncio.timeout(seconds):  # TimeoutError is an OSError
        with reachable(folder / SOCKET) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=_LINE)
        try:
            writer.write(json.dumps({"do": what, **details}).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the router closed its control socket")
    answer = json.loads(line)
    if "refused" in answer:
        raise RouterRefusedError(answer["refused"])
    return answer["done"]
