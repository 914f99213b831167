"""Settings that change between two lives of a controller take effect, or somebody is notified."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from controller.cli.terminal.snapshot import snapshot
from controller.cli.terminal.tree import render
from controller.doctor.examine import examine
from tests.controller.notify.receivers import webhook
from tests.ports import reserved_port
from tests.scenarios.world import World, run_git

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TEAM = {"url": "remote.git", "poll": "200ms"}


async def status(world: World) -> str:
    """What `headgate status` prints."""
    names = [each.name for each in world.settings.repositories]
    out = Console(file=StringIO(), width=400)
    out.print(render(await snapshot(world.store, world.root / "home", names)))
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


async def doctor(world: World) -> list[str]:
    """What `headgate doctor` says of repositories."""
    found = [each async for each in examine(world.settings, world.root)]
    return [f"{each.what}: {each.message}" for each in found if each.what.startswith("repository")]


@asynccontextmanager
async def without_internal_errors(world: World) -> AsyncIterator[None]:
    """A controller runs, and nothing in it fails with an internal error."""
    with capture_logs() as lines:
        async with world.controller():
            yield
    assert not [line for line in lines if "internal error" in line["event"]]


async def test_a_repository_that_was_renamed_goes_on_under_its_new_name(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    world.configure(repositories=[{"name": "models", **TEAM}])
    async with without_internal_errors(world):
        commit = world.push("Shift it", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        run = await world.ended(2)
        assert (run.outcome, run.commit, run.repository) == ("passed", commit, "models")
        assert "mean" in world.note(commit)
        await world.serves(2, "staging")
    assert "rests" not in await status(world)
    assert not any("not in the settings" in said for said in await doctor(world))
    names = {record.key.name for record in await world.store.list("repository")}
    assert names == {"models"}


async def test_a_repository_that_is_gone_from_the_settings_rests_and_that_is_said(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    served = await world.environment("production")
    assert served is not None
    elsewhere = world.root / "elsewhere.git"
    world.remote.rename(elsewhere)  # so that it is another address, too
    world.configure(repositories=[{"name": "others", "url": "elsewhere.git", "poll": "200ms"}])
    async with without_internal_errors(world):

        async def seen() -> bool:
            names = {record.key.name for record in await world.store.list("repository")}
            return "others" in names

        await world.until(seen, "the other repository to be looked at")
    assert "it rests with its repository team" in await status(world)
    assert any("so its pipelines are not managed" in said for said in await doctor(world))
    assert await world.environment("production") == served
    elsewhere.rename(world.remote)
    world.configure(repositories=[{"name": "team", **TEAM}])
    async with without_internal_errors(world):
        world.push("Shift it", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await world.serves(2, "staging")


async def test_a_repository_that_moved_is_looked_at_where_it_is_now(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    world.remote.rename(world.root / "moved.git")
    world.remote = world.root / "moved.git"
    run_git(world.work, "remote", "set-url", "origin", str(world.remote))
    world.configure(repositories=[{**TEAM, "name": "team", "url": "moved.git"}])
    async with without_internal_errors(world):
        commit = world.push("Shift it", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        run = await world.ended(2)
        assert (run.outcome, run.commit) == ("passed", commit)
        assert "mean" in world.note(commit)


async def test_a_changed_port_is_used_and_one_that_is_taken_is_reported(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    with reserved_port() as port, socket.socket() as taken, webhook() as here:
        world.configure(ports={"mean/production": port})
        async with without_internal_errors(world):

            async def moved() -> bool:
                return await world.address() == f"http://127.0.0.1:{port}"

            await world.until(moved, "the router to move")
            async with world.traffic() as statuses:
                await world.until(lambda: _true(len(statuses) > 10), "answers at the new port")
            assert set(statuses) == {200}
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = taken.getsockname()[1]
        to = {"to": f"json://127.0.0.1:{here.port}/", "on": ["stuck"]}
        world.configure(ports={"mean/production": other}, notify=[to])
        async with without_internal_errors(world):
            await world.until(lambda: _true(len(here.bodies) == 1), "somebody to be told")
            assert f"port {other} is not available" in here.bodies[0]["incident"]["what"]
            assert await world.address() == f"http://127.0.0.1:{port}"
            taken.close()
            await world.until(lambda: _true(len(here.bodies) == 2), "its end to be told")
            assert await world.address() == f"http://127.0.0.1:{other}"
    assert [body["status"] for body in here.bodies] == ["firing", "resolved"]


async def test_the_end_of_an_alert_goes_to_the_address_that_the_settings_name_by_then(
    world: World,
) -> None:
    """An alert that fired when others were named"""
    with webhook() as old, webhook() as new, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        def told_at(port: int) -> list[dict[str, object]]:
            return [{"to": f"json://127.0.0.1:{port}/", "on": ["stuck"]}]

        world.push("Add the pipeline")
        async with world.controller():
            await world.serves(1)
        ports = {"mean/production": taken.getsockname()[1]}
        world.configure(ports=ports, notify=told_at(old.port))
        async with world.controller():
            await world.until(lambda: _true(len(old.bodies) == 1), "the first to be told")
        taken.close()
        world.configure(ports={}, notify=told_at(new.port))
        async with without_internal_errors(world):
            await world.until(lambda: _true(len(new.bodies) == 1), "the second to be told")
    assert [body["status"] for body in old.bodies] == ["firing"]
    assert [body["status"] for body in new.bodies] == ["resolved"]


async def _true(value: bool) -> bool:
    return value
