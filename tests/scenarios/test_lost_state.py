"""What earlier attempts left, when the state that knew them is gone."""

import json
from pathlib import Path

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import Resume, Rollback
from deployers.processes import Processes, ProcessState
from tests.scenarios.world import World

PRODUCTION = Key("environment", "mean/production")
TRAIN = "mean-1.train.1"


async def test_a_run_of_a_new_state_takes_nothing_from_an_old_one_of_the_same_number(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.ended(1)
    await world.lose_the_state()
    commit = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 40.0"))
    async with world.controller():
        run = await world.ended(1)
    assert (run.commit, run.outcome) == (commit, "passed")
    outputs = run.nodes["train"].outputs
    assert outputs is not None
    digest = outputs["model"].removeprefix("sha256:")
    model = world.root / "home" / "artifacts" / "files" / digest[:2] / digest[2:]
    assert json.loads(model.read_text())["mean"] == 42.0


async def test_what_runs_for_a_lost_state_is_ended_and_its_number_is_free(world: World) -> None:
    world.push("Wait", ml_pipeline__yaml=("wait: 0.0", "wait: 3600.0"))
    attempts = world.root / "home" / "attempts"
    with Processes(attempts) as processes:

        async def running() -> bool:
            return (
                TRAIN in processes.names() and processes.status(TRAIN).state is ProcessState.RUNNING
            )

        async with world.controller():
            await world.until(running, "the step to run")
        await world.lose_the_state()
        world.push("Wait no longer", ml_pipeline__yaml=("wait: 3600.0", "wait: 0.0"))
        async with world.controller():
            assert (await world.ended(1)).outcome == "passed"


def started(world: World) -> dict[str, Path]:
    """When each server of production was started, by its name."""
    processes = world.root / "home" / "serving" / "processes"
    return {p.name: (p / "started").readlink() for p in processes.glob("*production*.server.*")}


async def test_a_lost_state_releases_no_quarantined_model_and_what_serves_serves_on(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            head = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            bad = (await world.serves(2)).stable
        assert bad is not None
        await world.say(PRODUCTION, Rollback(by="ada", reason="it smells"))
        await world.serves(1)
    servers, commits = started(world), world.releases()
    await world.lose_the_state()
    async with world.controller(), world.traffic() as statuses:
        env = await world.serves(1)
        assert [(q.version, q.digest) for q in env.quarantine] == [(2, bad.digest)]

        async def told() -> bool:
            return "not released to production" in world.note(head)

        await world.until(told, "the committer to be told")
        env = await world.serves(1)
    assert set(statuses) == {200}
    note = world.note(head)
    assert "it smells" in note
    assert "headgate retry mean/production --version 2" in note
    assert env.rollout is None
    assert started(world) == servers, "the same process serves on"
    assert world.releases() == commits


async def test_a_state_that_is_lost_during_a_canary_begins_it_anew_under_the_same_number(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))

        async def canary() -> EnvironmentState | None:
            env = await world.environment("production")
            return env if env and env.rollout and env.rollout.step >= 0 else None

        env = await world.until(canary, "the canary")
        assert env.rollout is not None
        digest = env.rollout.version.digest
    await world.lose_the_state()
    async with world.controller(), world.traffic() as statuses:
        env = await world.serves(2)
    assert env.stable is not None
    assert env.stable.digest == digest
    assert [r.version for r in env.former] == [1]
    assert set(statuses) == {200}


async def test_new_versions_are_numbered_on_and_a_rollback_finds_the_old_ones(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            await world.serves(2)
    await world.lose_the_state()
    world.push("Shift more", ml_pipeline__yaml=("shift: 1.0", "shift: 2.0"))
    async with world.controller(), world.traffic() as statuses:
        env = await world.serves(3)
        assert [r.version for r in env.former] == [2, 1]
        await world.say(PRODUCTION, Rollback(by="ada", leave=3, to=1))
        await world.serves(1)
    assert set(statuses) == {200}
    assert world.releases()[:2] == [
        "mean: roll back to v1 in production",
        "mean: promote v3 in production",
    ]


async def test_what_cannot_be_adopted_is_asked_about_and_replaced_without_a_gap(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        v1 = (await world.serves(1)).stable
    file = world.file()
    assert v1 is not None
    assert file is not None
    assert file.model is not None
    digest = (file.model.artifact or "").removeprefix("sha256:")
    (world.root / "home" / "artifacts" / "files" / digest[:2] / digest[2:]).unlink()
    await world.lose_the_state()
    world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
    async with world.controller(), world.traffic() as statuses:

        async def asked() -> bool:
            env = await world.environment("production")
            return bool(env and env.unknown and "artifact" in env.unknown)

        await world.until(asked, "a person to be asked")

        async def waits() -> bool:
            env = await world.environment("staging")
            return bool(env and env.deferred_release)

        await world.until(waits, "the release to wait")
        assert world.releases() == ["mean: promote v1 in production"]
        for name in ("staging", "production"):
            await world.say(Key("environment", f"mean/{name}"), Resume(by="ada"))
        await world.serves(2)
    assert set(statuses) == {200}
