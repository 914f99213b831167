"""Versions of a dataset that are compared with those before them, as it happens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.machine.runs.run import Run
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import World
from validators.report import Report
from validators.verdict import Verdict

CHECKED = "gate.data.points.history"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A pipeline whose dataset has checks beside its suite, and a good month in the bucket."""
    world = await World.make(tmp_path, GATED)
    world.put("a.csv", points(0, 2000))
    spec = world.work / "ml-pipeline.yaml"
    text = spec.read_text().partition("\nnotify:")[0]
    suite = "expectations: suite.yaml"
    assert suite in text
    checks = "checks: [{schema: {}}, {seen_before: {at_most: 1%}}]"
    spec.write_text(text.replace(suite, f"{suite}, {checks}", 1))
    yield world
    await world.tear_down()


async def report_of(world: World, run: Run) -> Report:
    """What the checks said."""
    outputs = run.nodes[CHECKED].outputs
    assert outputs is not None
    artifacts = Artifacts(world.root / "home" / "artifacts")
    return Report.model_validate_json(await artifacts.read_bytes(outputs["report"]))


async def test_a_month_that_is_delivered_twice_is_stopped_and_the_mended_one_runs(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        first = await world.ended(1)
        assert first.outcome == "passed"
        known = await report_of(world, first)
        assert [one.verdict for one in known.checks] == [Verdict.WARN, Verdict.WARN]
        await world.serves(1)
        world.put("b.csv", points(0, 2000))
        twice = await world.ended(2)
        assert (twice.outcome, twice.nodes["train"].phase) == ("stopped", "skipped")
        schema, seen = (await report_of(world, twice)).checks
        assert schema.verdict is Verdict.PASS
        assert seen.verdict is Verdict.FAIL
        assert seen.message.startswith("2,000 of 2,000 rows (100 %) of new objects were in an ")
        world.put("b.csv", points(2000, 1000))
        mended = await world.ended(3)
        assert mended.outcome == "passed"
        _, seen = (await report_of(world, mended)).checks
        assert (seen.verdict, seen.n) == (Verdict.PASS, 1000)
