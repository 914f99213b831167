"""The dead man's switch: a canary that nobody watches loses its traffic."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from deployers import control
from deployers.control import RouterStatus
from deployers.local import LocalDeployer
from deployers.processes import ProcessState
from deployers.protocol import Deployed, Desired, Silence
from deployers.silence import DeadMansSwitch
from specs.failures import TryAgain
from specs.traffic import Arm, Exchange
from tests.contracts.deployer import PLACE, address, converge
from tests.contracts.test_deployers import local_server
from tests.deployers.caller import ask, flood
from tests.deployers.test_router import World, world
from tests.deployers.world import eventually, living, until

__all__ = ["world"]
LIMIT = 30.0


def test_word_is_awaited_from_the_beginning_and_missed_once() -> None:
    switch = DeadMansSwitch(now=100.0)
    assert not switch.trips(LIMIT, 129.0)
    assert switch.trips(LIMIT, 130.0)
    assert not switch.trips(LIMIT, 131.0)
    assert switch.over


@pytest.mark.parametrize(
    ("reads", "heard"),
    [
        ([(0, 10), (10, 20)], True),  # the first page was saved
        ([(0, 10), (0, 20)], False),  # it was not, and it is read again
        ([(0, 0), (0, 0)], True),  # there is nothing to save
        ([(10, 20), (10, 20), (10, 30)], False),
        ([(10, 10), (10, 10)], True),
        ([(10, 20), (4, 20)], False),  # an older state
    ],
)
def test_a_page_that_is_acknowledged_is_word(reads: list[tuple[int, int]], heard: bool) -> None:
    switch = DeadMansSwitch(now=0.0)
    for seconds, (after, count) in enumerate(reads):
        switch.read(after, count, float(seconds))
    last = len(reads) - 1.0
    assert switch.trips(last, last) is (not heard)


def test_a_new_routing_ends_the_silence_and_an_old_one_only_after_other_word() -> None:
    switch = DeadMansSwitch(now=0.0)
    over = [switch.trips(LIMIT, 30.0)]
    switch.routed(
        31.0, changed=False
    )  # as by a controller that applies pending actions but cannot save
    over.append(switch.over)
    switch.read(0, 5, 32.0)
    switch.routed(33.0, changed=False)
    over.append(switch.over)
    switch.read(5, 8, 34.0)
    over.append(switch.over)  # the records of the meantime are judged first
    switch.routed(35.0, changed=False)
    over.append(switch.over)
    assert over == [True, True, True, True, False]
    assert not switch.trips(LIMIT, 64.0)
    assert switch.trips(LIMIT, 65.0)
    switch.routed(66.0, changed=True)
    assert not switch.trips(LIMIT, 67.0)


def test_the_same_routing_is_no_word() -> None:
    switch = DeadMansSwitch(now=0.0)
    switch.routed(29.0, changed=False)
    assert switch.trips(LIMIT, 30.0)


async def silenced(world: World) -> RouterStatus:
    """The router's status once it has stopped the canary's traffic."""

    async def look() -> RouterStatus | None:
        status = await world.status()
        return status if status.silence is not None else None

    found = await eventually(look)
    assert found is not None
    return found


async def test_without_word_stable_gets_all_of_the_traffic_and_the_router_says_so(
    world: World,
) -> None:
    stable, canary = world.start_server("v1"), world.start_server("v2")
    address = await world.route(stable=stable, canary=canary, weight=1.0, silence=0.2)
    status = await silenced(world)
    assert status.silence is not None
    assert (status.silence.limit, status.routing.weight) == (0.2, 0.0)
    assert status.routing.canary == canary
    assert {answer.json()["model"] for answer in await flood(address, 20)} == {"v1"}
    page = await control.ask(world.folder, "traffic", epoch=None, after=0)
    assert {(arm, share) for _, arm, share, *_ in page["records"]} == {("stable", 0.0)}
    file = json.loads((world.folder / control.STATE).read_text())
    assert file["weight"] == 1.0  # the order, for a restarted router


async def test_who_reads_and_cannot_save_gives_no_word(world: World) -> None:
    stable, canary = world.start_server("v1"), world.start_server("v2")
    routing = {"stable": stable, "canary": canary, "weight": 1.0, "silence": 1.0}
    address = await world.route(**routing)
    await ask(address)
    epoch = (await world.status()).epoch

    async def watched_in_vain() -> RouterStatus | None:
        await control.ask(world.folder, "traffic", epoch=epoch, after=0)
        await world.route(**routing)  # still pending, as its completion cannot be saved
        status = await world.status()
        return status if status.silence is not None else None

    assert await eventually(watched_in_vain)
    await world.route(**routing)
    assert (await world.status()).silence is not None
    await control.ask(world.folder, "traffic", epoch=epoch, after=1)
    assert (await world.status()).routing.weight == 0.0
    await world.route(**routing)
    status = await world.status()
    assert (status.silence, status.routing.weight) == (None, 1.0)
    assert (await ask(address)).json()["model"] == "v2"


async def test_a_canary_without_a_stable_server_keeps_what_nobody_else_could_answer(
    world: World,
) -> None:
    stable, canary = world.start_server("v1"), world.start_server("v2")
    await world.route(stable=stable, canary=canary, weight=1.0, silence=0.1)
    await silenced(world)
    address = await world.route(canary=canary, silence=0.1)
    assert (await world.status()).silence is None
    assert (await ask(address)).json()["model"] == "v2"


async def test_a_router_that_is_started_again_waits_for_word_anew(world: World) -> None:
    stable, canary = world.start_server("v1"), world.start_server("v2")
    address = await world.route(stable=stable, canary=canary, weight=1.0, silence=0.2)
    first = await silenced(world)
    router = next(line for line in living(world.folder) if "deployers.router" in line)
    os.kill(int(router.split(":")[0]), signal.SIGKILL)
    until(lambda: world.processes.status("router").state is ProcessState.ENDED)
    world.start_router("router-again")

    async def again() -> RouterStatus | None:
        with suppress(OSError):
            return await world.status()
        return None

    status = await eventually(again)
    assert status is not None
    assert status.epoch != first.epoch
    await silenced(world)
    assert (await ask(address)).json()["model"] == "v1"


@asynccontextmanager
async def controller(home: Path, silence: float) -> AsyncIterator[LocalDeployer]:
    """A deployer, closed when its controller is gone."""
    made = LocalDeployer(home, redact=str, silence=silence)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path / "home"
    async with controller(tmp_path / "home", LIMIT) as last:
        await last.remove(PLACE)
    assert living(tmp_path / "home") == []


async def test_while_the_controller_is_gone_stable_serves_and_the_next_one_goes_on(
    home: Path, tmp_path: Path
) -> None:
    stable, canary = (local_server(tmp_path, name) for name in ("v1", "v2"))
    desired = Desired(stable=stable, canary=canary, canary_weight=1.0)
    async with controller(home, silence=0.5) as first:
        seen = await converge(first, desired)
    async with controller(home, silence=0.5) as look:

        async def alone() -> Deployed | None:
            seen = await look.observe(PLACE)
            return seen if seen.silence is not None else None

        found = await eventually(alone)
        assert found is not None
        assert isinstance(found.silence, Silence)
        assert (found.canary, found.canary_weight) == ("v2", 0.0)
    assert {answer.json()["model"] for answer in await flood(address(seen), 20)} == {"v1"}
    async with controller(home, silence=LIMIT) as second:
        assert not (await second.observe(PLACE)).configured  # the setting was changed
        page = await second.traffic(PLACE, None, 0)
        assert {(one.arm, one.probability) for one in page.exchanges} == {(Arm.STABLE, 0.0)}
        back = await converge(second, desired)
        assert (back.silence, back.configured) == (None, True)
        assert (await ask(address(seen))).json()["model"] == "v2"


async def test_the_same_order_brings_the_traffic_back_once_what_came_meanwhile_was_judged(
    home: Path, tmp_path: Path
) -> None:
    stable, canary = (local_server(tmp_path, name) for name in ("v1", "v2"))
    desired = Desired(stable=stable, canary=canary, canary_weight=1.0)
    async with controller(home, silence=0.5) as deployer:
        seen = await converge(deployer, desired)
        await flood(address(seen), 20)
        page = await deployer.traffic(PLACE, None, 0)

        async def alone() -> bool:
            with suppress(TryAgain):
                await deployer.apply(PLACE, desired)  # this alone does not restore the traffic
            return (await deployer.observe(PLACE)).silence is not None

        await eventually(alone)
        judged: list[Exchange] = list(page.exchanges)

        async def back() -> bool:
            """What a controller does in each reconcile."""
            nonlocal page
            page = await deployer.traffic(PLACE, page.epoch, page.next)
            judged.extend(page.exchanges)
            await deployer.apply(PLACE, desired)
            return (await deployer.observe(PLACE)).canary_weight == 1.0

        await eventually(back)
        assert len(judged) == 20


async def test_a_stable_server_that_froze_while_nobody_watched_is_started_again_beside_its_canary(
    home: Path, tmp_path: Path
) -> None:
    """The router gave stable all traffic, and then stable stopped answering."""
    stable = local_server(tmp_path, "v1").model_copy(update={"hung_after": 0.5, "startup": 0.5})
    desired = Desired(stable=stable, canary=local_server(tmp_path, "v2"), canary_weight=0.5)

    async def pid_of(deployer: LocalDeployer, name: str) -> int:
        """The process of the server, asked directly."""
        server = (await deployer.observe(PLACE)).server(name)
        assert server is not None
        assert server.address is not None
        return int((await ask(server.address)).json()["pid"])

    async with controller(home, silence=0.5) as first:
        seen = await converge(first, desired)
        frozen, canary = await pid_of(first, "v1"), await pid_of(first, "v2")

        async def alone() -> bool:
            return (await first.observe(PLACE)).silence is not None

        await eventually(alone)
        os.kill(frozen, signal.SIGSTOP)
        for _ in range(2):
            assert not any(server.hung for server in (await first.observe(PLACE)).servers)
    async with controller(home, silence=LIMIT) as second:  # it must observe the hang itself

        async def hung() -> bool:
            server = (await second.observe(PLACE)).server("v1")
            return server is not None and server.hung

        assert not await hung()
        await eventually(hung)
        page = await second.traffic(PLACE, None, 0)
        await second.traffic(PLACE, page.epoch, page.next)
        back = await converge(second, desired)
        assert (back.silence, back.canary, back.canary_weight) == (None, "v2", 0.5)
        assert await pid_of(second, "v1") != frozen
        assert await pid_of(second, "v2") == canary, "only who hangs is started again"
        answered = {answer.json()["model"] for answer in await flood(address(seen), 40)}
        assert answered == {"v1", "v2"}
