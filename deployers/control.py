"""How a deployer talks to a router: one line of JSON each way over a unix socket."""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict

from deployers.protocol import Bounds, DeploymentValue, Silence

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


class Backend(DeploymentValue):
    """A model server as the router knows it."""

    name: str
    host: str
    port: int
    predict: str = "/predict"
    bounds: Bounds = Bounds()


class Routing(DeploymentValue):
    """How the router splits traffic. It keeps this in its folder and restarts with it."""

    stable: Backend | None = None
    canary: Backend | None = None
    weight: float = 0.0
    seed: int = 0
    port: int = 0
    """Port on 127.0.0.1; 0 until the router has chosen one."""
    silence: float = SILENCE
    """Seconds that a canary beside a stable server keeps its traffic without word from a
    controller."""
    trusted: tuple[Network, ...] = LOOPBACK
    """Networks of proxies whose headers about their callers are trusted."""


class RouterStatus(DeploymentValue):
    """What the router does. A router of another Headgate version may report more fields."""

    model_config = ConfigDict(extra="ignore")

    epoch: str
    routing: Routing
    """With the weight in effect."""
    silence: Silence | None = None
    """Set while the canary's weight is 0 for want of word from a controller."""
    in_flight: dict[str, int]
    """Requests in flight to each server, including servers that are draining."""
    answers: dict[str, dict[str, int]]
    """By arm and status: the number of responses since the router started."""
    heard: Mapping[str, int] = {}
    """How often a part of a response arrived from each server, not counting responses of the router
    itself."""
    unkept: str = ""
    """Why the routing could not be saved to the router's file, so that a restarted router would use
    an older one; empty if it was saved."""


class RouterRefusedError(Exception):
    """The router refused an order; the message says why."""


def write(path: Path, routing: Routing) -> None:
    """Write a router's file atomically. Raises OSError."""
    new = path.with_suffix(".new")
    new.write_text(routing.model_dump_json())
    new.replace(path)


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A path to a socket within the kernel's limit of 107 bytes, however long its folder's path."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def ask(folder: Path, what: str, *, seconds: float = 5.0, **details: object) -> Any:
    """Send an order to the router of a folder, and return its answer.

    Raises OSError if no router answers, and RouterRefusedError if it refuses the order.
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
