"""Two controllers, each with a home of its own, share the work by leases in PostgreSQL."""

import asyncio
from contextlib import suppress
from io import StringIO

import pytest
from rich.console import Console

from controller.cli.terminal.snapshot import snapshot
from controller.cli.terminal.tree import render
from controller.cli.terminal.views import StatusSnapshot
from controller.config.secrets import Secrets
from controller.wiring.service import serve
from specs.failures import NeedsHuman
from tests.scenarios.world import World
from tests.servers.postgresql import SECRETS, Postgresql

pytestmark = pytest.mark.postgresql


async def test_two_controllers_run_each_commit_once_and_one_may_leave(
    postgresql_server: Postgresql, world: World
) -> None:
    store = postgresql_server.setting(postgresql_server.database())
    await world.keep_state_in(store, SECRETS)
    world.configure(controllers="several")
    second = world.settings.model_copy(update={"home": "second"})
    async with world.controller():
        other = asyncio.create_task(serve(second, world.root, SECRETS))
        world.push("Add the pipeline")
        assert (await world.ended(1)).outcome == "passed"

        async def shared() -> StatusSnapshot | None:
            view = await snapshot(world.store)
            return view if len(view.controllers) == 2 and view.holders["mean"] else None

        view = await world.until(shared, "two controllers to share the work")
        assert view.holders["mean"] in view.controllers
        shown = Console(file=StringIO(), width=200)
        shown.print(render(view))
        assert f"held by {view.holders['mean']}" in shown.file.getvalue()  # type: ignore[attr-defined]
        other.cancel()
        with suppress(asyncio.CancelledError):
            await other
        world.push("Shift it", ml_pipeline__yaml=("shift: 0.0", "shift: 0.5"))
        assert (await world.ended(2)).outcome == "passed"
    assert await world.run(3) is None, "nobody began the same twice"


async def test_a_file_of_sqlite_is_not_shared(world: World) -> None:
    world.configure(controllers="several")
    with pytest.raises(NeedsHuman, match="set `store` to an address of PostgreSQL"):
        await serve(world.settings, world.root, Secrets({}))
