"""Data that fails its gate, as it happens: it is mended, a person accepts it, or the last good
version is read in its place."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.cli.act.judged_versions import acceptances_of, judged_versions
from controller.machine.core import Key
from controller.machine.messages import AcceptData, RevokeData
from controller.machine.runs.run import Run
from specs.digests import short
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import World
from validators.report import Report

PIPELINE = Key("pipeline", "mean")


def with_outliers(first: int, count: int) -> str:
    """Rows that can be trained on, though a few of them are out of range."""
    head, *rows = points(first, count).splitlines()
    out = [row if at % 100 else row.replace(",0.", ",1.") for at, row in enumerate(rows)]
    return "\n".join([head, *out]) + "\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A pipeline with gates, whose model depends on all rows; and a good month in the bucket."""
    world = await World.make(tmp_path, GATED)
    world.put("a.csv", points(0, 2000))
    spec = world.work / "ml-pipeline.yaml"
    spec.write_text(spec.read_text().partition("\nnotify:")[0])
    train = world.work / "train.py"
    train.write_text(train.read_text().replace("given.noise}", 'given.noise, "n": len(rows)}'))
    yield world
    await world.tear_down()


async def accept(world: World, stopped: Run, reason: str) -> None:
    """Ana accepts what stopped a run, as `headgate accept` sends it."""
    (judged,) = judged_versions([stopped], "points")
    ((name, gate),) = judged.stopped_by.items()
    assert gate.outputs is not None
    artifacts = Artifacts(world.root / "home" / "artifacts")
    report = Report.model_validate_json(await artifacts.read_bytes(gate.outputs["report"]))
    accepted = acceptances_of(judged, "points", {name: report}, "ana", reason)
    await world.say(PIPELINE, AcceptData(versions=accepted))


async def noted(world: World, commit: str, words: str) -> str:
    """The report on a commit, once it has these words."""

    async def look() -> str | None:
        text = " ".join(world.note(commit).replace("&#8203;", "").split())
        return text if words in text else None

    return await world.until(look, f"{words!r} in the report")


async def test_a_bad_upload_is_not_trained_on_and_a_mended_one_runs_by_itself(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.ended(1)
        await world.serves(1)
        world.put("b.csv", points(2000, 1000, poisoned=True))
        bad = await world.ended(2)
        assert (bad.outcome, bad.nodes["train"].phase) == ("stopped", "skipped")
        serving = await world.environment("production")
        assert serving is not None
        assert serving.stable is not None
        assert serving.stable.version == 1
        world.put("b.csv", points(2000, 1000))
        mended = await world.ended(3)
        assert (mended.outcome, mended.trigger.kind) == ("passed", "data")
        assert mended.datasets != bad.datasets
        await world.serves(2, "staging")


async def test_a_person_accepts_what_the_gate_stopped_and_the_run_goes_on_and_says_so(
    world: World,
) -> None:
    commit = world.push("Add the pipeline")
    async with world.controller():
        await world.ended(1)
        await world.serves(1)
        world.put("b.csv", with_outliers(2000, 1000))
        bad = await world.ended(2)
        assert bad.outcome == "stopped"
        await accept(world, bad, "a new sensor")
        passed = await world.ended(3)
        assert passed.outcome == "passed"
        assert passed.nodes["gate.data.points"].phase == "cached"
        await world.serves(2, "staging")
        report = await noted(world, commit, "a new sensor; the gate failed 1 check")
        assert "The verdict is overruled: accepted by ana" in report
        file = world.file("staging")
        assert file is not None
        assert file.verdicts["data.points"] == "WARN"
        assert "a new sensor" in str(file.evidence)
        version = bad.datasets["points"]
        away = RevokeData(dataset="points", version=version, by="bob", reason="it is broken")
        await world.say(PIPELINE, away)
        revoked = await world.ended(4)
        assert (revoked.outcome, revoked.trigger.by) == ("stopped", "bob")


async def test_the_last_good_version_is_read_though_its_objects_were_replaced(
    world: World,
) -> None:
    spec = world.work / "ml-pipeline.yaml"
    suite = "expectations: suite.yaml"
    spec.write_text(spec.read_text().replace(suite, f"{suite}, on_failure: use_last_good"))
    first = world.push("Add the pipeline")
    async with world.controller():
        good = await world.ended(1)
        await world.serves(1)
        world.put("a.csv", points(0, 2000, poisoned=True))
        bad = await world.ended(2)
        assert bad.outcome == "stopped"
        await noted(world, first, "nothing to run: points is read at")
        commit = world.push("Train another way", ml_pipeline__yaml=("noise: 0.0", "noise: 0.001"))
        gone_on = await world.ended(3)
        assert gone_on.datasets == good.datasets
        assert gone_on.nodes["train"].phase == "succeeded"
        await noted(world, commit, f"as {short(bad.datasets['points'])} failed it in mean-2")
        state = await world.pipeline()
        assert state is not None
        assert "the last version that passed its gate" in (state.held_back or "")
