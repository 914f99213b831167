"""The state is in PostgreSQL: the same stories, and what a server of its own can do to them."""

import signal
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from controller.machine.core import Key
from controller.machine.messages import Pause
from controller.store.opening import open_store
from controller.wiring.service import serve
from specs.failures import NeedsHuman, TryAgain
from tests.logs import LOG
from tests.scenarios.world import World
from tests.servers.postgresql import PASSWORD, SECRETS, Postgresql

pytestmark = pytest.mark.postgresql


async def in_postgresql(world: World, server: Postgresql) -> None:
    """The world's state is in a database of that server."""
    await world.keep_state_in(server.setting(server.database()), SECRETS)


async def test_a_model_comes_to_production_and_the_next_one_by_a_canary(
    postgresql_server: Postgresql, world: World
) -> None:
    await in_postgresql(world, postgresql_server)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        world.drop("b.csv", [4, 5])
        async with world.traffic():
            await world.serves(2)
    # A controller that is started again goes on with what the former one left.
    async with world.controller():
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 0.5"))
        async with world.traffic():
            await world.serves(3)
    promoted = [f"mean: promote v{n} in production" for n in (3, 2, 1)]
    assert world.releases() == promoted
    home = world.root / "home"
    assert not [*home.glob("state.db*")]
    assert holding(home, PASSWORD) == holding(world.root / LOG, PASSWORD) == []


def holding(where: Path, text: str) -> list[Path]:
    """The files that hold a text."""
    files = [where] if where.is_file() else [p for p in where.rglob("*") if p.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


async def test_a_server_that_is_restarted_and_one_that_stands_still_are_waited_for(
    own_postgresql: Postgresql, world: World
) -> None:
    await in_postgresql(world, own_postgresql)
    world.push("Add the pipeline", ml_pipeline__yaml=("wait: 0.0", "wait: 1.5"))
    async with world.controller():

        async def begun() -> bool:
            return await world.run(1) is not None

        await world.until(begun, "the first run")
        own_postgresql.down()  # as by kill -9, while a step runs
        own_postgresql.up()
        await back(world)
        await world.serves(1)
        own_postgresql.signal(signal.SIGSTOP)
        try:
            commit = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 0.5"))
            await world.until(lambda: gave_up(world), "the controller to give up waiting")
        finally:
            own_postgresql.signal(signal.SIGCONT)
        await back(world)
        async with world.traffic():
            await world.serves(2)
    run = await world.run(2)
    assert run is not None
    assert run.commit == commit
    assert await world.run(3) is None
    assert world.releases() == [f"mean: promote v{n} in production" for n in (2, 1)]
    log = (world.root / LOG).read_text()
    assert "internal error" not in log
    assert "the controller begins anew" not in log, "nothing was lost"


async def gave_up(world: World) -> bool:
    return "out of reach" in (world.root / LOG).read_text().rpartition("everything is looked")[2]


async def back(world: World) -> None:
    """Those who look at the world's state reach it again."""

    async def reached() -> bool:
        try:
            await world.store.touch()
        except Exception:
            return False
        return True

    await world.until(reached, "the server to be back")


async def test_a_standby_without_the_last_commits_takes_over_and_nothing_is_lost_or_doubled(
    own_postgresql: Postgresql, world: World
) -> None:
    await in_postgresql(world, own_postgresql)
    first = world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        second = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 0.5"))

        async def begun() -> bool:
            return await world.run(2) is not None

        await world.until(begun, "the second run")
        own_postgresql.copy_to_standby()
        await world.ended(2)
        await world.serves(2, "staging")
        own_postgresql.fail_over()
        await world.store.close()
        world.store = await open_store(world.state)
        async with world.traffic():
            await world.serves(2)
    assert world.releases() == [f"mean: promote v{n} in production" for n in (2, 1)]
    for commit in (first, second):
        assert "passed" in world.note(commit)
    assert await world.run(3) is None
    log = (world.root / LOG).read_text()
    assert "the controller begins anew" in log
    assert "internal error" not in log


async def test_what_somebody_says_beside_the_controller_is_heard_at_once(
    postgresql_server: Postgresql, world: World
) -> None:
    await in_postgresql(world, postgresql_server)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        key = Key("environment", "mean/production")
        await world.say(key, Pause(by="Ada"))

        async def paused() -> bool:
            env = await world.environment("production")
            return env is not None and env.paused is not None

        await world.until(paused, "production to be paused")


async def test_a_server_that_is_away_when_the_controller_starts_is_waited_for(
    own_postgresql: Postgresql, world: World
) -> None:
    await in_postgresql(world, own_postgresql)
    world.push("Add the pipeline")
    own_postgresql.down()
    async with world.controller():

        async def waits() -> bool:
            return "waiting for the state" in (world.root / LOG).read_text()

        await world.until(waits, "the controller to say what it waits for")
        own_postgresql.up()
        await world.store.close()  # a look at it that was broken off
        world.store = await open_store(world.state)
        assert (await world.ended(1)).outcome == "passed"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("DB_PASSWORD", "OLD", "password authentication failed.*Correct `store`"),
        ("127.0.0.1", "no-such-host.invalid", "out of reach"),
        ("/shop", "/no-such-shop", "does not exist.*Correct `store`"),
    ],
)
async def test_an_address_that_is_wrong_is_not_waited_for(
    postgresql_server: Postgresql, world: World, old: str, new: str, words: str
) -> None:
    await in_postgresql(world, postgresql_server)
    assert world.settings.store is not None
    world.configure(store=world.settings.store.replace(old, new))
    with pytest.raises((NeedsHuman, TryAgain), match=words):
        await serve(world.settings, world.root, Secrets({"DB_PASSWORD": PASSWORD, "OLD": "wrong"}))
