"""Stores that refuse, go away or change under a run: what waits, who hears, what `status` says."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from controller.cli.terminal.snapshot import snapshot
from controller.cli.terminal.views import StallView
from controller.machine.core import Key, parsed
from controller.machine.messages import CancelRun
from controller.machine.runs.run import Run
from controller.machine.stall import Stall
from tests.scenarios.test_s3 import Lake
from tests.scenarios.world import World
from tests.servers.faults import Faults
from tests.servers.moto import Moto, demand_credentials, take_any_credentials

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
async def proxy(own_moto: Moto) -> AsyncIterator[Faults]:
    made = Faults(own_moto.url)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    """moto keeps for its whole process whether credentials are checked."""
    yield
    take_any_credentials()


async def stalled(world: World, run: str = "mean-1") -> Stall | None:
    """The stall of a run that somebody was notified of and that is not over."""
    record = await world.store.get(Key("stall", f"run/{run}"))
    stall = parsed(Stall, record.body) if record else None
    return stall if stall and not stall.over else None


async def over(world: World, run: str = "mean-1") -> Stall | None:
    record = await world.store.get(Key("stall", f"run/{run}"))
    stall = parsed(Stall, record.body) if record else None
    return stall if stall and stall.over else None


async def test_a_run_whose_data_credentials_are_revoked_waits_tells_and_goes_on(
    world: World, own_moto: Moto, proxy: Faults
) -> None:
    lake = Lake(world, own_moto, proxy.url)
    revoked: list[str] = []

    def revoke(path: str) -> None:
        if path.endswith("/lake/a.csv") and not revoked:  # read after it was listed
            revoked.append(path)
            demand_credentials()

    proxy.before = revoke
    async with world.controller():
        stall = await world.until(lambda: stalled(world), "somebody to be notified of the refusal")
        waiting = await world.run(1)
        take_any_credentials()
        run = await world.ended(1)
        await world.until(lambda: over(world), "somebody to be notified of the end")
    assert stall.reason.startswith(f"s3://{lake.name}/lake/a.csv rejected the credentials")
    assert "set AWS_ACCESS_KEY_ID" in stall.reason
    assert waiting
    assert waiting.waits_for == stall.reason
    assert run.outcome == "passed"
    assert len(run.nodes["train"].attempts) == 1


async def test_a_run_whose_outputs_are_refused_waits_tells_and_goes_on(
    world: World, own_moto: Moto, proxy: Faults
) -> None:
    bucket = own_moto.bucket()
    world.configure(
        artifacts=f"s3://{bucket}/artifacts",
        stores=[{"uri": f"s3://{bucket}", "endpoint": own_moto.url}],
    )
    world.push("Add the pipeline")
    demand_credentials()
    async with world.controller():
        stall = await world.until(lambda: stalled(world), "somebody to be notified of the refusal")
        take_any_credentials()
        run = await world.ended(1)
        await world.until(lambda: over(world), "somebody to be notified of the end")
    assert stall.reason.startswith("the store of `artifacts` refuses access: s3://")
    assert run.outcome == "passed"
    assert len(run.nodes["train"].attempts) == 1


async def test_a_run_that_waits_for_a_store_is_aborted_at_once(
    world: World, own_moto: Moto
) -> None:
    bucket = own_moto.bucket()
    world.configure(
        artifacts=f"s3://{bucket}/artifacts",
        stores=[{"uri": f"s3://{bucket}", "endpoint": own_moto.url}],
    )
    world.push("Add the pipeline")
    own_moto.stop()
    async with world.controller():
        await world.until(lambda: waits(world), "the run to wait for the store")
        await world.say(Key("run", "mean-1"), CancelRun(reason="aborted by Ada"))
        run = await world.ended(1)
    assert run.outcome == "cancelled"
    assert run.waits_for is None


async def test_a_run_that_waits_for_its_data_is_aborted_at_once(
    world: World, own_moto: Moto, proxy: Faults
) -> None:
    Lake(world, own_moto, proxy.url)
    proxy.before = lambda path: vanish(proxy) if path.endswith("/lake/a.csv") else None
    async with world.controller():
        await world.until(lambda: waits(world), "the run to wait for the store")
        await world.say(Key("run", "mean-1"), CancelRun(reason="aborted by Ada"))
        run = await world.ended(1)
    assert run.outcome == "cancelled"


async def waits(world: World) -> Run | None:
    run = await world.run(1)
    return run if run and run.waits_for else None


def vanish(proxy: Faults) -> None:
    """The store fails every request from now on."""
    proxy.always = 500, "InternalError"


READER = '''"""Reads the objects itself, by the addresses that it is given."""

import argparse
import json
import socket
from pathlib import Path

arguments = argparse.ArgumentParser()
arguments.add_argument("--data", type=Path, required=True)
arguments.add_argument("--shift", type=float, required=True)
arguments.add_argument("--out", type=Path, required=True)
arguments.add_argument("--wait", type=float, default=0.0)
given = arguments.parse_args()
objects = json.loads(given.data.read_text())["objects"]
with socket.create_connection(("127.0.0.1", PORT)) as gate:  # it sees no file of the story's
    gate.recv(1)
given.out.write_text(json.dumps({"mean": sum(one["size"] for one in objects)}))
'''


class Gate:
    """Where the step says that it began, and waits for the word to go on."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def come(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.began.set()
        await self.go.wait()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def gate(world: World) -> AsyncIterator[Gate]:
    """The step gets addresses; it begins, and ends once it may."""
    made = Gate()
    async with await asyncio.start_server(made.come, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (world.work / "train.py").write_text(READER.replace("PORT", str(port)))
        spec = world.work / "ml-pipeline.yaml"
        old = "inputs: {numbers: datasets.numbers}"
        assert old in spec.read_text()
        spec.write_text(spec.read_text().replace(old, f"{old}\n    access: {{numbers: uri}}"))
        yield made


async def begun(gate: Gate) -> bool:
    return gate.began.is_set()


async def test_an_object_replaced_while_a_step_reads_it_by_its_address_begins_the_run_anew(
    world: World, moto: Moto, gate: Gate
) -> None:
    lake = Lake(world, moto, moto.url)
    async with world.controller():
        await world.until(lambda: begun(gate), "the step to begin")
        lake.put("a.csv", 7, 8, 9, 10)
        gate.go.set()
        stale = await world.ended(1)
        run = await world.ended(2)
    assert stale.outcome == "failed"
    said = stale.nodes["train"].failed or ""
    assert said == (f"s3://{lake.name}/lake/a.csv was replaced or deleted before it was read")
    assert stale.nodes["train"].outputs is None, "what it made of two versions is not taken"
    assert (run.trigger.kind, run.outcome) == ("data", "passed")
    assert run.datasets != stale.datasets


async def test_an_object_that_only_came_does_not_undo_what_a_step_read_by_address(
    world: World, moto: Moto, gate: Gate
) -> None:
    lake = Lake(world, moto, moto.url)
    async with world.controller():
        await world.until(lambda: begun(gate), "the step to begin")
        lake.put("0-before.csv", 4)
        lake.put("z-after.csv", 5)
        gate.go.set()
        run = await world.ended(1)
    assert run.outcome == "passed"
    assert run.nodes["train"].phase == "succeeded"


async def test_somebody_is_notified_of_revoked_credentials_though_no_run_needs_them_yet(
    world: World, own_moto: Moto
) -> None:
    lake = Lake(world, own_moto, own_moto.url)
    async with world.controller():
        await world.ended(1)
        demand_credentials()

        async def stands() -> StallView | None:
            view = await snapshot(world.store)
            return view.stalls[0] if view.stalls else None

        stall = await world.until(stands, "status to show the refusal")
        take_any_credentials()
        lake.put("b.csv", 4, 5, 6)
        run = await world.ended(2)

        async def none() -> bool:
            return not (await snapshot(world.store)).stalls

        await world.until(none, "status to show no stall")
    assert stall.of == "pipeline/mean"
    assert stall.reason.startswith(f"s3://{lake.name}/lake rejected the credentials")
    assert stall.since is not None
    assert (run.trigger.kind, run.outcome) == ("data", "passed")


async def test_status_says_that_a_spec_is_invalid_and_where(world: World) -> None:
    world.push("Break it", ml_pipeline__yaml=("params: {shift: 0.0", "parms: {shift: 0.0"))
    async with world.controller():

        async def said(valid: bool) -> str | None:
            [*pipelines] = (await snapshot(world.store)).pipelines
            if not pipelines or (pipelines[0].invalid is None) is not valid:
                return None
            return pipelines[0].invalid or "valid"

        why = await world.until(lambda: said(valid=False), "status to tell of the spec")
        world.push("Fix it", ml_pipeline__yaml=("parms: {shift: 0.0", "params: {shift: 0.0"))
        await world.until(lambda: said(valid=True), "status to tell of it no more")
    assert why.startswith("ml-pipeline.yaml:11:1: ")
    assert "parms" in why
