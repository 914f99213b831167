"""How a deployer talks to its router: one line of JSON each way over a unix socket."""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict

from deployers.protocol import Bounds, Silence, Value

SOCKET = "router.sock"
STATE = "router.json"
SILENCE = 30.0
LOOPBACK = ("127.0.0.0/8", "::1/128")
_LINE = 64 * 1024 * 1024


def _is_network(text: str) -> str:
    ip_network(text)
    return text


Network = Annotated[str, AfterValidator(_is_network)]
"""An address, or a network such as 10.0.0.0/8."""


class Backend(Value):
    """A model server as the router knows it."""

    name: str
    host: str
    port: int
    predict: str = "/predict"
    bounds: Bounds = Bounds()


class Routing(Value):
    """What the router is to do; it keeps this in its folder and comes back with it."""

    stable: Backend | None = None
    canary: Backend | None = None
    weight: float = 0.0
    seed: int = 0
    port: int = 0
    """Where it listens on 127.0.0.1; 0 until it has chosen."""
    silence: float = SILENCE
    """Seconds that a canary beside a stable server keeps its traffic without word."""
    trusted: tuple[Network, ...] = LOOPBACK
    """Networks of proxies that are believed what they forward about their callers."""


class RouterStatus(Value):
    """What the router does. One of another Headgate may say more."""

    model_config = ConfigDict(extra="ignore")

    epoch: str
    routing: Routing
    """With the weight that is in force."""
    silence: Silence | None = None
    """Given while the canary's weight is 0 because no controller gave word."""
    in_flight: dict[str, int]
    """Requests on their way to each server, those that drain included."""
    answers: dict[str, dict[str, int]]
    """Of each arm, how often each status was answered since the router began."""
    heard: Mapping[str, int] = {}
    """How often a part of an answer came from each server; what the router says itself, in a
    server's place, is none."""
    unkept: str = ""
    """Why the file does not say what was ordered, so that a router which is started again would
    come back with an older routing; empty while it does say it."""


class RouterRefusedError(Exception):
    """The router said no; the text says why."""


def write(path: Path, routing: Routing) -> None:
    """Have a router's file say that, wholly or not at all. Raises OSError."""
    new = path.with_suffix(".new")
    new.write_text(routing.model_dump_json())
    new.replace(path)


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
