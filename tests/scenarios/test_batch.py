"""Releases without a server: a pointer in git, and a command that uses the model."""

import json
import shutil
from pathlib import Path

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import Retry
from deployers.processes import Processes, ProcessState
from tests.scenarios.world import World

SERVED = "release:\n"
RUN = "python score.py --model {model} --data {inputs.numbers} --out {outputs.scores}"
SCORE = """\
import argparse, json, os, pathlib

parser = argparse.ArgumentParser()
for name in ("model", "data", "out"):
    parser.add_argument(f"--{name}", type=pathlib.Path)
given = parser.parse_args()
assert os.environ["HEADGATE_ENVIRONMENT"] in ("staging", "production")
if FAILS:
    raise SystemExit("the table is away")
rows = sum(len(file.read_text().split()) - 1 for file in sorted(given.data.glob("*.csv")))
mean = json.loads(given.model.read_text())["mean"]
given.out.write_text(json.dumps({"mean": mean, "rows": rows}))
"""


def release(world: World, batch: str) -> None:
    """Have the spec release in batches, with a script that scores."""
    spec = world.work / "ml-pipeline.yaml"
    before, _, _ = spec.read_text().partition(SERVED)
    spec.write_text(f"{before}release:\n  batch: {batch}\n")
    (world.work / "score.py").write_text(SCORE.replace("FAILS", "False"))


BATCH = (
    f'{{run: "{RUN}", inputs: {{numbers: datasets.numbers}}, '
    "outputs: {scores: scores.json}, reads: [score.py]}"
)


async def scored(world: World, version: int) -> EnvironmentState:
    """Wait until the batch of that version has ended in production."""

    async def look() -> EnvironmentState | None:
        env = await world.environment("production")
        job = env.job if env else None
        done = job is not None and job.ended is not None and job.version.version == version
        return env if done else None

    return await world.until(look, f"the batch of v{version}")


async def output(world: World, env: EnvironmentState) -> object:
    assert env.job is not None
    assert env.job.failed is None, env.job.failed
    digest = env.job.outputs["scores"].partition(":")[2]
    found = [p for p in (world.root / "home").rglob(f"*{digest[2:]}*") if p.is_file()]
    assert found, digest
    return json.loads(found[0].read_text())


def servers(world: World) -> list[Path]:
    return list((world.root / "home" / "serving").rglob("*.server.json"))


def routers(world: World) -> list[str]:
    """Those that run."""
    processes = Processes(world.root / "home" / "serving" / "processes")
    try:
        names = [name for name in processes.names() if name.endswith(".router")]
        return [name for name in names if processes.status(name).state is ProcessState.RUNNING]
    finally:
        processes.close()


async def test_a_pointer_alone_is_a_file_in_git_and_nothing_is_started(world: World) -> None:
    release(world, "{}")
    world.push("Add the pipeline")
    async with world.controller():
        env = await world.serves(1)
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await world.serves(2)
        world.revert_environment()
        await world.serves(1)
    assert env.points
    assert env.job is None
    assert servers(world) == []
    file = world.file()
    assert file is not None
    assert file.model is not None
    assert file.model.version == 1
    assert file.model.artifact is not None


async def test_the_command_runs_in_staging_then_for_what_production_points_to_and_after_a_rollback(
    world: World,
) -> None:
    release(world, BATCH)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        first = await output(world, await scored(world, 1))
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await world.serves(2)
        second = await output(world, await scored(world, 2))
        world.revert_environment()
        await world.serves(1)
        again = await output(world, await scored(world, 1))
    staging = await world.environment("staging")
    assert staging is not None
    assert staging.job is not None
    assert staging.job.failed is None
    assert first == again == {"mean": 2.0, "rows": 3}
    assert second == {"mean": 3.0, "rows": 3}
    assert servers(world) == []


async def test_a_command_that_fails_in_staging_keeps_its_model_out_of_production(
    world: World,
) -> None:
    release(world, BATCH)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        await scored(world, 1)
        world.push("Break it", score__py=("if False", "if True"))

        async def stopped() -> EnvironmentState | None:
            env = await world.environment("staging")
            return env if env and env.stopped and env.rollout is None else None

        staging = await world.until(stopped, "the end of the rollout")
    production = await world.environment("production")
    assert production is not None
    assert production.stable is not None
    assert production.stable.version == 1
    assert staging.job is not None
    assert "the table is away" in (staging.job.failed or "")


async def test_a_batch_that_failed_for_its_data_is_run_again_on_what_was_pushed_since(
    world: World,
) -> None:
    spec = world.work / "ml-pipeline.yaml"
    dataset = '  numbers: {uri: "file://'
    today = f'  today: {{uri: "today/*.csv"}}\n{dataset}'
    spec.write_text(spec.read_text().replace(dataset, today))
    release(world, BATCH.replace("{numbers: datasets.numbers}", "{numbers: datasets.today}"))
    score = world.work / "score.py"
    fails = 'os.environ["HEADGATE_ENVIRONMENT"] == "production" and "bad" in '
    fails += "next(given.data.rglob('*.csv')).read_text()"
    score.write_text(score.read_text().replace("if False", f"if {fails}"))
    (world.work / "today").mkdir()
    (world.work / "today" / "rows.csv").write_text("value\nbad\n")
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        env = await scored(world, 1)
        assert env.job is not None
        assert "the table is away" in (env.job.failed or "")
        first = env.job.id
        (world.work / "today" / "rows.csv").write_text("value\n1\n2\n")
        commit = world.push("Fix the data")

        async def seen() -> bool:
            pipeline = await world.pipeline()
            return pipeline is not None and pipeline.heads.get("main") == commit

        await world.until(seen, "the commit")
        await world.say(Key("environment", "mean/production"), Retry(by="ada"))

        async def again() -> EnvironmentState | None:
            env = await world.environment("production")
            job = env.job if env else None
            return env if job and job.id != first and job.ended is not None else None

        env = await world.until(again, "the second try")
    assert await output(world, env) == {"mean": 2.0, "rows": 2}


async def test_a_server_that_becomes_a_batch_ends_and_one_that_comes_again_is_brought_up(
    world: World,
) -> None:
    kept = world.root / "served.yaml"
    shutil.copy(world.work / "ml-pipeline.yaml", kept)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        release(world, BATCH)
        world.push("Score in batches")
        await world.serves(2)
        await scored(world, 2)

        async def ended() -> bool:
            return not servers(world) and not routers(world)

        await world.until(ended, "the end of the servers and of their routers")
        shutil.copy(kept, world.work / "ml-pipeline.yaml")
        world.push("Serve again")
        env = await world.serves(1)
        assert not env.points
        assert await world.address()
