"""What every deployer must do: a suite over the `Deployer` protocol.

A target subclasses `DeployerContract` and provides the fixture `target`.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployers.protocol import Deployed, Deployer, Desired, Glance, Server, Window
from specs.failures import TryAgain
from specs.traffic import NO_ANSWER, Arm, Exchange
from tests.deployers.caller import Caller, ask, flood
from tests.deployers.world import as_drawn, eventually, let_go, until_held

PLACE = "flight-delay/production"


@dataclass(frozen=True)
class Target:
    """What the suite needs of a target."""

    open: Callable[[], AbstractAsyncContextManager[Deployer]]
    """A deployer; leaving the context closes it and ends no server."""
    server: Callable[..., Server]
    """A server that answers with its name; keywords go into its model file."""
    apply_and_die: Callable[[Desired], Awaitable[None]]
    """Apply in another process until it has converged, then kill that process with SIGKILL."""
    living: Callable[[], list[str]]
    """The target's running processes on this machine."""
    process: Callable[[str], int]
    """The process id of the running server of that name."""
    window: Window
    """The view from another process."""
    has_logs: bool = True
    """Whether the logs of its servers can be read from another process."""
    is_told: bool = True
    """Whether its records can be read from another process."""
    has_records: bool = True
    """Whether it has records of requests; else a gateway of others counts them, and what is
    promised of records, draws and sessions is not promised there."""


async def applied(deployer: Deployer, desired: Desired, place: str = PLACE) -> None:
    """Apply, repeatedly if it has to be tried again, as the controller's loop does."""

    async def done() -> bool:
        with suppress(TryAgain):
            await deployer.apply(place, desired)
            return True
        return False

    await eventually(done)


async def converge(deployer: Deployer, desired: Desired, seconds: float = 30) -> Deployed:
    """Apply until the observed state is the desired one, as the controller's loop does."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(TryAgain):  # the loop applies again, too
            await deployer.apply(PLACE, desired)
        seen = await deployer.observe(PLACE)
        wanted = {server.name for server in (desired.stable, desired.canary) if server}
        if (
            seen.address is not None
            and seen.stable == (desired.stable.name if desired.stable else None)
            and seen.canary == (desired.canary.name if desired.canary else None)
            and seen.canary_weight == desired.canary_weight
            and {server.name for server in seen.servers if server.ready} == wanted
        ):
            return seen
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.02)


async def records(deployer: Deployer) -> list[Exchange]:
    """All records of the router, page by page."""
    found: list[Exchange] = []
    epoch, after = None, 0
    while (page := await deployer.traffic(PLACE, epoch, after)).exchanges:
        assert not page.dropped
        found += page.exchanges
        epoch, after = page.epoch, page.next
    return found


def address(seen: Deployed) -> str:
    assert seen.address is not None
    return seen.address


def in_a_team(server: Server) -> Server:
    """The same server as for a spec in a subfolder, with its script in the repository's root."""
    program, script, *rest = server.run.split()
    run = " ".join((program, f"{{root}}/{Path(script).name}", *rest))
    if (shipped := server.shipment) is not None:  # with a folder `team`
        moved = shipped.model_copy(update={"folder": f"{shipped.root}/team"})
        return server.model_copy(update={"shipment": moved, "run": run})
    (folder := Path(server.folder, "team")).mkdir(mode=0o755)
    return server.model_copy(update={"root": server.folder, "folder": str(folder), "run": run})


class DeployerContract:
    """The behaviours; see the names."""

    @pytest.fixture
    async def deployer(self, target: Target) -> AsyncIterator[Deployer]:
        async with target.open() as made:
            yield made
            await made.remove(PLACE)
            assert target.living() == []

    async def test_nothing_is_observed_where_nothing_was_applied(self, deployer: Deployer) -> None:
        assert await deployer.observe(PLACE) == Deployed()

    async def test_without_servers_the_address_stays_and_answers_503(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        seen = await converge(deployer, Desired())
        answer = await ask(address(seen))
        assert answer.status == 503
        assert answer.json()["error"] == "no model server is deployed here yet"
        assert await records(deployer) == []

    async def test_a_place_that_is_closed_keeps_no_router_and_can_be_opened_again(
        self, deployer: Deployer, target: Target
    ) -> None:
        server, closed = Desired(stable=target.server("v1")), Desired(closed=True)
        before = address(await converge(deployer, server))
        await closing(deployer, closed)
        assert target.living() == []
        assert await deployer.observe(PLACE) == Deployed()
        await deployer.apply(PLACE, closed)
        assert await deployer.observe(PLACE) == Deployed()
        seen = await converge(deployer, server)
        assert address(seen) == before
        assert (await ask(before)).json()["model"] == "v1"

    async def test_applying_twice_starts_one_server(
        self, deployer: Deployer, target: Target
    ) -> None:
        desired = Desired(stable=target.server("v1"))
        await asyncio.gather(*(applied(deployer, desired) for _ in range(3)))
        first = await converge(deployer, desired)
        pid = (await ask(address(first))).json()["pid"]
        assert await converge(deployer, desired) == first
        assert (await ask(address(first))).json()["pid"] == pid

    async def test_a_server_in_a_folder_of_its_repository_finds_the_rest_by_its_root(
        self, deployer: Deployer, target: Target
    ) -> None:
        server = in_a_team(target.server("v1"))
        seen = await converge(deployer, Desired(stable=server))
        assert (await ask(address(seen))).json()["model"] == "v1"

    async def test_a_new_stable_gets_the_traffic_once_it_is_ready_and_the_old_one_ends(
        self, deployer: Deployer, target: Target
    ) -> None:
        seen = await converge(deployer, Desired(stable=target.server("v1")))
        gate = target.server("v2", gated=True)
        await applied(deployer, Desired(stable=gate))
        between = await deployer.observe(PLACE)
        assert between.stable == "v1"
        assert (await ask(address(seen))).json()["model"] == "v1"
        open_gate(gate)
        after = await converge(deployer, Desired(stable=gate))
        assert (await ask(address(after))).json()["model"] == "v2"
        assert after.address == seen.address
        await until_gone(deployer, "v1")

    async def test_fifty_weight_changes_under_load_drop_nothing_and_every_draw_can_be_checked(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        stable, canary = target.server("v1"), target.server("v2")
        desired = Desired(stable=stable, canary=canary, canary_weight=0.5, seed=42)
        seen = await converge(deployer, desired)
        load = asyncio.create_task(flood(address(seen), 2000))
        weights = {0.5}
        for change in range(50):
            weight = (change % 10) / 10
            weights.add(weight)
            await applied(deployer, desired.model_copy(update={"canary_weight": weight}))
        answers = await load
        assert Counter(answer.status for answer in answers) == {200: 2000}
        log = await records(deployer)
        assert [exchange.seq for exchange in log] == list(range(2000))
        assert {exchange.probability for exchange in log} <= weights
        assert all(as_drawn(42, exchange) for exchange in log)
        assert all(exchange.status == 200 and exchange.latency > 0 for exchange in log)
        models = Counter(answer.json()["model"] for answer in answers)
        arms = Counter(exchange.arm for exchange in log)
        assert (models["v1"], models["v2"]) == (arms[Arm.STABLE], arms[Arm.CANARY])

    async def test_the_recorded_probability_is_the_one_in_force_at_the_draw(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        stable, canary = target.server("v1"), target.server("v2")
        for weight in (0.25, 1.0, 0.0):
            desired = Desired(stable=stable, canary=canary, canary_weight=weight)
            seen = await converge(deployer, desired)
            await ask(address(seen))
        assert [exchange.probability for exchange in await records(deployer)] == [0.25, 1.0, 0.0]

    async def test_a_rollback_takes_the_canary_out_at_once_although_it_hangs(
        self, deployer: Deployer, target: Target
    ) -> None:
        stable, canary = target.server("v1"), target.server("v2")
        seen = await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=1.0))
        os.kill(target.process("v2"), signal.SIGSTOP)
        await applied(deployer, Desired(stable=stable))
        assert (await deployer.observe(PLACE)).stable == "v1"
        assert {answer.json()["model"] for answer in await flood(address(seen), 50)} == {"v1"}

    async def test_what_is_in_flight_is_answered_before_its_server_ends(
        self, deployer: Deployer, target: Target
    ) -> None:
        stable, canary = target.server("v1"), target.server("v2")
        desired = Desired(stable=stable, canary=canary, canary_weight=1.0)
        seen = await converge(deployer, desired)
        slow = asyncio.create_task(ask(address(seen), "/predict?hold=1"))
        await until_held(canary.model)
        await applied(deployer, Desired(stable=stable))
        between = await deployer.observe(PLACE)
        assert (between.canary, between.server("v2") is None) == (None, False)
        let_go(canary.model)
        answer = await slow
        assert (answer.status, answer.json()["model"]) == (200, "v2")
        await until_gone(deployer, "v2")

    async def test_a_promotion_keeps_the_process_of_the_canary(
        self, deployer: Deployer, target: Target
    ) -> None:
        stable, canary = target.server("v1"), target.server("v2")
        seen = await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=1.0))
        pid = (await ask(address(seen))).json()["pid"]
        load = asyncio.create_task(flood(address(seen), 300))
        await converge(deployer, Desired(stable=canary))
        assert {answer.status for answer in await load} == {200}
        assert (await ask(address(seen))).json()["pid"] == pid
        await until_gone(deployer, "v1")

    async def test_a_killed_canary_is_on_record_while_callers_get_answers_and_comes_back(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        stable, canary = target.server("v1"), target.server("v2")
        desired = Desired(stable=stable, canary=canary, canary_weight=0.5, seed=7)
        seen = await converge(deployer, desired)
        await flood(address(seen), 40, 1)
        os.kill(target.process("v2"), signal.SIGKILL)
        await until_not_alive(deployer, "v2")
        before = len(await records(deployer))
        answers = await flood(address(seen), 100)
        assert {(a.status, a.json()["model"]) for a in answers} == {(200, "v1")}
        log = (await records(deployer))[before:]
        assert len(log) == 100
        assert {(e.arm, e.status) for e in log} == {(Arm.STABLE, 200), (Arm.CANARY, NO_ANSWER)}
        assert all(as_drawn(7, exchange) for exchange in log)
        again = await converge(deployer, desired)
        back = again.server("v2")
        assert back is not None
        assert back.detail == "restarted once"

    async def test_a_killed_controller_leaves_all_serving_and_the_next_one_adopts_it(
        self, deployer: Deployer, target: Target
    ) -> None:
        stable, canary = target.server("v1"), target.server("v2")
        desired = Desired(stable=stable, canary=canary, canary_weight=0.3, seed=5)
        await target.apply_and_die(desired)
        seen = await deployer.observe(PLACE)
        assert (seen.stable, seen.canary, seen.canary_weight) == ("v1", "v2", 0.3)
        before = {a.json()["pid"] for a in await flood(address(seen), 60)}
        again = await converge(deployer, desired)
        assert again == seen
        assert {a.json()["pid"] for a in await flood(address(seen), 60)} == before
        if target.has_records:
            assert len(await records(deployer)) == 120

    async def test_a_record_has_the_size_and_the_media_type_of_the_answer(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        seen = await converge(deployer, Desired(stable=target.server("v1")))
        async with Caller(address(seen)) as caller:
            page = await caller.ask("/page", "GET", b"")
            chunked = await caller.ask("/chunked", "GET", b"")
            await caller.ask("/page", "HEAD", b"")
            await caller.ask("/x?status=204", "GET", b"")
        assert [(one.size, one.content) for one in await records(deployer)] == [
            (len(page.body), "text/html"),  # the server says `Text/HTML; charset=utf-8`
            (len(chunked.body), ""),
            (0, "text/html"),
            (0, ""),
        ]

    async def test_a_request_in_flight_is_told_of_until_it_is_on_record(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        stable, canary = target.server("v1"), target.server("v2")
        desired = Desired(stable=stable, canary=canary, canary_weight=1.0)
        seen = await converge(deployer, desired)
        slow = asyncio.create_task(ask(address(seen), "/predict?hold=1", Headgate_Unit="u"))
        await until_held(canary.model)
        first = await deployer.traffic(PLACE, None, 0)
        second = await deployer.traffic(PLACE, None, 0)
        (before,), (after,) = first.waiting, second.waiting
        assert (before.arm, before.probability) == (Arm.CANARY, 1.0)
        assert 0 < before.age < after.age
        let_go(canary.model)
        await slow
        page = await deployer.traffic(PLACE, None, 0)
        (exchange,) = page.exchanges
        assert page.waiting == ()
        assert exchange.latency >= after.age
        assert exchange.unit == before.unit is not None

    async def test_an_unknown_epoch_is_read_from_its_beginning(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        seen = await converge(deployer, Desired(stable=target.server("v1")))
        await flood(address(seen), 10, 2)
        page = await deployer.traffic(PLACE, "another router", 1000)
        assert len(page.exchanges) == page.next == 10
        later = await deployer.traffic(PLACE, page.epoch, 7)
        assert [exchange.seq for exchange in later.exchanges] == [7, 8, 9]
        assert (await deployer.traffic(PLACE, page.epoch, page.next)).exchanges == ()

    async def test_a_session_stays_with_its_arm_while_the_share_grows(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        stable, canary = target.server("v1"), target.server("v2")
        seen, had = None, set[str]()
        for weight in (0.2, 0.5, 0.8):
            desired = Desired(stable=stable, canary=canary, canary_weight=weight, seed=1)
            seen = await converge(deployer, desired)
            async with Caller(address(seen)) as caller:
                asked = {f"u{n}": await caller.ask(Headgate_Unit=f"u{n}") for n in range(40)}
            has = {unit for unit, answer in asked.items() if answer.json()["model"] == "v2"}
            assert had < has
            had = has
        log = await records(deployer)
        assert all(as_drawn(1, exchange) for exchange in log)
        assert not [exchange for exchange in log if exchange.unit in {None, "u1"}]

    async def test_what_is_stopped_starts_again_at_the_same_address(
        self, deployer: Deployer, target: Target
    ) -> None:
        desired = Desired(stable=target.server("v1"))
        before = address(await converge(deployer, desired))
        for _ in range(2):
            await deployer.stop(PLACE)
            assert target.living() == []
            assert (await deployer.observe(PLACE)).address is None
            assert await target.window.glance(PLACE) == Glance()
        assert address(await converge(deployer, desired)) == before
        assert (await ask(before)).json()["model"] == "v1"

    async def test_a_window_shows_where_a_place_answers_and_its_records(
        self, deployer: Deployer, target: Target
    ) -> None:
        assert await target.window.glance(PLACE) == Glance()
        with pytest.raises(TryAgain):
            await target.window.traffic(PLACE)
        seen = await converge(deployer, Desired(stable=target.server("v1")))
        assert await target.window.glance(PLACE) == Glance(address=address(seen))
        assert await target.window.unwatched() == ()
        await ask(address(seen))
        if not target.is_told:
            pytest.skip("only the controller reads this target's records")
        page = await target.window.traffic(PLACE)
        assert page.exchanges == (await deployer.traffic(PLACE, None, 0)).exchanges
        assert [exchange.status for exchange in page.exchanges] == [200]

    async def test_the_log_of_a_server_that_ended_is_kept_until_it_is_forgotten(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_logs:
            pytest.skip("the logs of servers stay with this target")
        stable, canary = target.server("v1"), target.server("v2")
        await converge(deployer, Desired(stable=stable, canary=canary, canary_weight=0.5))
        assert [log.ended for log in target.window.logs(PLACE, "v2")] == [False]
        await converge(deployer, Desired(stable=stable))

        async def ended() -> bool:
            return [log.ended for log in target.window.logs(PLACE, "v2")] == [True]

        await eventually(ended)
        assert await deployer.forget_logs(time.time() - 3600) == 0
        assert await deployer.forget_logs(time.time() + 3600) == 1
        assert target.window.logs(PLACE, "v2") == ()
        assert [log.ended for log in target.window.logs(PLACE, "v1")] == [False]

    async def test_a_page_of_records_says_whether_there_are_more(
        self, deployer: Deployer, target: Target
    ) -> None:
        if not target.has_records:
            pytest.skip("this target counts requests and has no records of them")
        where = address(await converge(deployer, Desired(stable=target.server("v1"))))
        await flood(where, 4100)
        pages = [await deployer.traffic(PLACE, None, 0)]
        while pages[-1].more:
            pages.append(await deployer.traffic(PLACE, pages[-1].epoch, pages[-1].next))
        assert sum(len(page.exchanges) for page in pages) == 4100
        assert len(pages) > 1

    async def test_what_is_supervised_is_not_reaped(
        self, deployer: Deployer, target: Target
    ) -> None:
        seen = await converge(deployer, Desired(stable=target.server("v1")))
        assert await deployer.reap() == 0
        assert (await ask(address(seen))).json()["model"] == "v1"

    async def test_removing_leaves_nothing_and_can_be_done_twice(
        self, deployer: Deployer, target: Target
    ) -> None:
        servers = Desired(stable=target.server("v1"), canary=target.server("v2"))
        await converge(deployer, servers)
        assert target.living() != []
        await deployer.remove(PLACE)
        assert target.living() == []
        await deployer.remove(PLACE)
        assert await deployer.observe(PLACE) == Deployed()


async def closing(deployer: Deployer, closed: Desired) -> None:
    """Apply as the controller does, until nothing answers."""

    async def done() -> bool:
        await deployer.apply(PLACE, closed)
        return (await deployer.observe(PLACE)).address is None

    await eventually(done)


def open_gate(server: Server) -> None:
    """Let a gated server become ready."""
    Path(f"{server.model}.gate").touch()


async def until_gone(deployer: Deployer, name: str) -> None:
    """Wait until a server is forgotten."""

    async def gone() -> bool:
        return (await deployer.observe(PLACE)).server(name) is None

    await eventually(gone)


async def until_not_alive(deployer: Deployer, name: str) -> None:
    """Wait until the end of a server is noticed."""

    async def ended() -> bool:
        status = (await deployer.observe(PLACE)).server(name)
        return status is None or not status.alive

    await eventually(ended)
