"""Helpers of the tests in this folder."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from deployers.assignment import assign
from specs.traffic import Exchange

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATH = "/usr/local/bin:/usr/bin:/bin"


def until(look: Callable[[], T], seconds: float = 30.0) -> T:
    """Poll until `look` finds something true; the deadline only ends a test that hangs."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return found


async def eventually(look: Callable[[], Awaitable[T]], seconds: float = 30.0) -> T:
    """The same for an asynchronous `look`."""
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 - another process is looked at
            await asyncio.sleep(0.01)
    return found


async def until_held(model: str | Path) -> None:
    """Wait until the server of that model holds a request to `/predict?hold=1`."""
    await asyncio.to_thread(until, Path(f"{model}.held").exists)


def let_go(model: str | Path) -> None:
    """Let the server of that model answer the requests it holds, and hold no more."""
    Path(f"{model}.go").touch()


def living(path: Path) -> list[str]:
    """Living processes whose command line or environment mentions the path."""
    sought, found = str(path).encode(), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if sought in command or sought in (entry / "environ").read_bytes():
                found.append(f"{entry.name}: {command.decode(errors='replace')}")
        except OSError:
            continue
    return found


def as_drawn(seed: int, exchange: Exchange) -> bool:
    """Whether a record's arm is that of its draw."""
    return exchange.arm is assign(seed, exchange.probability, exchange.at, exchange.unit)
