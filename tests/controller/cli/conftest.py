"""A folder with settings, a remote, a clone, and the commands as a person types them."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from controller.cli import main
from controller.store.protocol import Store, Transaction
from controller.store.sqlite import SqliteStore
from deployers import control
from deployers.control import Backend, Routing
from deployers.place_folder import Site
from deployers.processes import Processes, ProcessSpec
from tests.controller.git.git_server import Person
from tests.deployers.world import ROOT, until

Do = Callable[..., Result]


class Desk(NamedTuple):
    """Where a person sits."""

    person: Person
    settings: Path
    home: Path
    do: Do
    """`do("runs", "--json")`: run a command there."""

    def keep(self, *changes: Transaction, at: float = 1000.0) -> None:
        """Put something into the state, as a controller would."""

        async def commit(store: Store) -> None:
            for change in changes:
                await store.commit(change, at)

        self.look(commit)

    def look(self, ask: Callable[[Store], object]) -> object:
        """What `ask` finds in the state."""

        async def run() -> object:
            store = await SqliteStore.open(self.home / "state.db")
            try:
                return await ask(store)  # type: ignore[misc]  # any coroutine will do
            finally:
                await store.close()

        return asyncio.run(run())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Settings that name a remote, and no state yet but an empty store."""
    person = Person(tmp_path)
    settings = tmp_path / "headgate.yaml"
    settings.write_text("repositories: [{name: toys, url: remote.git, poll: 200ms}]\n")
    home = tmp_path / ".headgate"
    home.mkdir(mode=0o700)

    def do(*arguments: str) -> Result:
        clean = {name: None for name in os.environ if name.startswith("HEADGATE_")}
        runner = CliRunner(env=clean)
        return runner.invoke(main, ["--settings", str(settings), *arguments])

    return Desk(person, settings, home, do)


@contextmanager
def silent_router(home: Path, place: str) -> Iterator[None]:
    """A router that had no word from a controller since it has a canary."""
    site = Site.of(home / "serving" / "places", place)
    site.folder.mkdir(parents=True)
    name = place.replace("/", "-")
    stable, canary = (Backend(name=f"{name}-v{n}", host="127.0.0.1", port=9) for n in (1, 2))
    routing = Routing(stable=stable, canary=canary, weight=0.2, silence=0.1)
    (site.folder / control.STATE).write_text(routing.model_dump_json())
    argv = (sys.executable, "-m", "deployers.router", "--folder", str(site.folder))

    def alone() -> bool:
        with suppress(OSError):
            return asyncio.run(control.ask(site.folder, "status"))["silence"] is not None
        return False

    with Processes(home.parent / "routers") as processes:
        processes.start("router", ProcessSpec(argv=argv, cwd=str(ROOT)))
        until(alone)
        yield
        processes.stop("router", grace=5)
