"""A look at the routers and servers of this machine from another process than the controller."""

import asyncio
import json
from pathlib import Path

from deployers import control
from deployers.control import RouterRefusedError, RouterStatus
from deployers.place_folder import ENDED, HOST, PLACES, PROCESSES, Site
from deployers.protocol import Glance, ServerLog, Traffic, Unwatched
from deployers.record_reader import page

_PATIENCE = 1.0
"""Seconds that a router may take to answer."""


class LocalWindow:
    """The `Window` to what a `LocalDeployer` with the same home runs."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def glance(self, place: str) -> Glance:
        """What the router says of itself; its address comes from its file."""
        folder = self._site(place).folder
        if not (folder / control.SOCKET).exists():
            return Glance()  # it was stopped
        status = await _status(folder)
        return Glance(address=_address(folder), silence=status.silence if status else None)

    async def unwatched(self) -> tuple[Unwatched, ...]:
        """The canaries of all places that lost their traffic because nobody watched them."""
        sockets = sorted((self._home / PLACES).glob(f"*/{control.SOCKET}"))
        found = await asyncio.gather(*(_status(socket.parent) for socket in sockets))
        return tuple(
            Unwatched(server=status.routing.canary.name, silence=status.silence)
            for status in found
            if status is not None and status.silence and status.routing.canary
        )

    async def traffic(self, place: str) -> Traffic:
        """The oldest page of records. Raises TryAgain without a router."""
        return await page(self._site(place), place, None, 0)

    def logs(self, place: str, server: str) -> tuple[ServerLog, ...]:
        """The logs of a server that exist, that of an earlier life first."""
        process = self._site(place).server(server)
        found = (
            ServerLog(folder=self._home / ENDED / process, ended=True),
            ServerLog(folder=self._home / PROCESSES / process),
        )
        return tuple(log for log in found if log.folder.is_dir())

    def _site(self, place: str) -> Site:
        return Site.of(self._home / PLACES, place)


async def _status(folder: Path) -> RouterStatus | None:
    try:
        answer = await control.ask(folder, "status", seconds=_PATIENCE)
    except (OSError, RouterRefusedError):
        return None
    return RouterStatus.model_validate(answer)


def _address(folder: Path) -> str | None:
    """By the router's file, which one of another Headgate version may have written."""
    try:
        port = json.loads((folder / control.STATE).read_bytes()).get("port")
    except (OSError, ValueError):
        return None
    return f"http://{HOST}:{port}" if port else None
