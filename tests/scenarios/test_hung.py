"""A server or router in production that freezes is replaced by itself, and on-call is notified."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from deployers.liveness import Patience
from deployers.local import LocalDeployer
from deployers.place_folder import Site
from deployers.protocol import ServerStatus
from specs.notifications import Notification
from tests.controller.notify.receivers import webhook
from tests.deployers.world import living
from tests.scenarios.world import World

# Apprise's reader of PGP keys imports it, whatever service is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


async def server(world: World) -> int:
    """The process of the server in production."""
    deployer = LocalDeployer(world.root / "home" / "serving", redact=str)

    async def look() -> ServerStatus | None:
        observed = await deployer.observe("mean/production")
        return observed.server(observed.stable or "")

    try:
        seen = await world.until(look, "stable's server in production")
    finally:
        await deployer.close()
    port = str(urlsplit(seen.address).port)
    (line,) = (x for x in living(world.root) if "serve.py" in x and port in x and "bwrap" not in x)
    return int(line.partition(":")[0])


@asynccontextmanager
async def callers(address: str) -> AsyncIterator[list[int]]:
    """Somebody asks all the time, and waits for a second; 0 is no answer."""
    statuses: list[int] = []

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=1) as client:
            while True:
                try:
                    statuses.append((await client.post("/predict", json={})).status_code)
                except httpx.HTTPError:
                    statuses.append(0)
                await asyncio.sleep(0.02)

    task = asyncio.create_task(ask())
    try:
        yield statuses
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_frozen_server_in_production_is_replaced_and_on_call_hears_of_it_twice(
    world: World,
) -> None:
    serve = 'serve: {run: "python serve.py'
    world.push("Serve it", ml_pipeline__yaml=(serve, serve.replace("{", "{hung_after: 5s, ")))
    with webhook() as here:
        notify = Notification(to=f"json://127.0.0.1:{here.port}/", on=("stuck",))
        world.settings = world.settings.model_copy(update={"notify": (notify,)})
        async with world.controller():
            await world.serves(1)
            frozen = await server(world)
            async with callers(await world.address()) as statuses:
                os.kill(frozen, signal.SIGSTOP)

                async def back() -> bool:
                    """Nobody was answered for a while, and now they all are."""
                    return 0 in statuses and statuses[-20:] == [200] * 20

                await world.until(back, "requests to be answered again")

            async def resolved() -> bool:
                return len(here.bodies) >= 2

            await world.until(resolved, "on-call to be told of both")
            assert await server(world) != frozen
        env = await world.environment("production")
    assert [body["status"] for body in here.bodies] == ["firing", "resolved"]
    assert {body["alert"] for body in here.bodies} == {"mean/production/stuck/stable"}
    said = here.bodies[0]["incident"]["what"]
    assert "hangs and is being restarted: /healthz did not answer within 2 s" in said
    assert env is not None
    assert (env.alerts, env.unready_since) == ((), None)


async def test_a_frozen_router_is_replaced_and_on_call_hears_of_it_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.router_processes._PATIENCE", Patience(3.0, 3.0))
    monkeypatch.setattr("deployers.router_processes._ANSWERS", 1.0)
    world.push("Add the pipeline")
    with webhook() as here:
        notify = Notification(to=f"json://127.0.0.1:{here.port}/", on=("stuck",))
        world.settings = world.settings.model_copy(update={"notify": (notify,)})
        async with world.controller():
            await world.serves(1)
            served = await server(world)
            key = Site.of(world.root, "mean/production").key
            (line,) = (x for x in living(world.root) if "deployers.router" in x and key in x)
            async with callers(await world.address()) as statuses:
                os.kill(int(line.partition(":")[0]), signal.SIGSTOP)

                async def back() -> bool:
                    """Nobody was answered for a while, and now they all are."""
                    return 0 in statuses and statuses[-20:] == [200] * 20

                await world.until(back, "requests to be answered again")

            async def resolved() -> bool:
                return len(here.bodies) >= 2

            await world.until(resolved, "on-call to be told of both")
            assert await server(world) == served, "the server has nothing to do with it"
    assert [body["status"] for body in here.bodies] == ["firing", "resolved"]
    assert {body["alert"] for body in here.bodies} == {"mean/production/stuck/stable"}
    said = here.bodies[0]["incident"]["what"]
    assert "The router of production does not answer and is being started again: " in said
