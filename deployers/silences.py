"""Asks the routers of this machine which canaries lost their traffic, as nobody watched them."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from deployers import control
from deployers.control import RouterRefusedError, RouterStatus
from deployers.protocol import Silence

_PATIENCE = 1.0
"""Seconds for which a router may take to answer."""


def why(silence: Silence) -> str:
    """What happened, in a sentence without its full stop."""
    when = datetime.fromtimestamp(silence.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"the router took the canary's traffic away at {when}: no word from a controller that can "
        f"save for {silence.limit:g} s"
    )


class Silent(NamedTuple):
    """A canary without traffic."""

    server: str
    silence: Silence


async def silences(home: Path) -> dict[str, Silent]:
    """By the key of the place (`deployers.site.Site`); one that gives no answer says nothing."""
    places = home / "serving" / "places"
    folders = [socket.parent for socket in places.glob(f"*/{control.SOCKET}")]
    found = await asyncio.gather(*map(_ask, folders))
    return {each.name: silent for each, silent in zip(folders, found, strict=True) if silent}


async def _ask(folder: Path) -> Silent | None:
    try:
        answer = await control.ask(folder, "status", seconds=_PATIENCE)
    except (OSError, RouterRefusedError):
        return None
    status = RouterStatus.model_validate(answer)
    canary = status.routing.canary
    if status.silence is None or canary is None:
        return None
    return Silent(canary.name, status.silence)
