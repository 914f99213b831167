"""Where a story keeps its state: in a file of SQLite, or in a database of a PostgreSQL server."""

import asyncio
import time
from pathlib import Path

import controller.store.postgres  # noqa: F401 - lives are forked from a server that has imported it
from controller.store.addresses import Address, parse_address
from controller.store.database import DatabaseStore
from controller.store.opening import open_store
from controller.store.protocol import Hold
from specs.failures import TryAgain
from tests.scenarios.world import World
from tests.servers.postgresql import SECRETS, Postgresql

NAMED = "database"
"""The file of a story's folder that says which database it is."""
NOTICED = 10.0
"""Seconds within which a server notices that a life was killed."""


class Databases:
    """The databases of stories, on one server."""

    def __init__(self, server: Postgresql) -> None:
        self._server = server

    def make(self, folder: Path) -> None:
        """The story in this folder gets one that is empty."""
        (folder / NAMED).write_text(self._server.setting(self._server.database()))

    def copy(self, folder: Path) -> None:
        """The story in this folder, which is a copy, gets a copy of the database as well."""
        source = (folder / NAMED).read_text()
        (folder / NAMED).write_text(self._server.setting(self._server.database(source)))


def address(folder: Path, file: str = "state.db") -> Address:
    """Where the state of the story in this folder is; `file` if it is one."""
    named = folder / NAMED
    return parse_address(named.read_text(), SECRETS) if named.exists() else folder / file


async def open_state(folder: Path, file: str = "state.db") -> DatabaseStore:
    """The state, for somebody who only looks at it or sends something."""
    return await open_store(address(folder, file))


async def hold_state(folder: Path, file: str = "state.db") -> DatabaseStore:
    """The state, for a life, once the server has noticed that the former one is gone."""
    until = time.monotonic() + NOTICED
    while True:
        try:
            return await open_store(address(folder, file), hold=Hold.ALONE)
        except TryAgain:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.01)


async def open_world(folder: Path) -> World:
    """The world of a story with settings."""
    world = World(folder, await open_state(folder, "home/state.db"))
    named = folder / NAMED
    if named.exists():
        world.configure(store=named.read_text())
        world.secrets = SECRETS
    return world
