"""What a reviewer sees of data that failed: its columns, over those of the last version that was
accepted before."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.cli.look.earlier import FIRST, NOT_ALIKE
from controller.cli.look.lookup import evidence_of
from controller.machine.runs.run import Run
from specs.digests import short
from tests.scenarios.test_failing_data import accept, with_outliers
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import World
from validators.render import as_html
from validators.report import Check, Histogram, Report


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A pipeline whose data has a gate."""
    world = await World.make(tmp_path, GATED)
    spec = world.work / "ml-pipeline.yaml"
    spec.write_text(spec.read_text().partition("\nnotify:")[0])
    yield world
    await world.tear_down()


async def shown(world: World, run: Run) -> tuple[Report, str]:
    """The report of the data's gate as `headgate show RUN --format html` has it, and the page."""
    artifacts = Artifacts(world.root / "home" / "artifacts")
    found = await evidence_of(world.store, artifacts, run.id, drawn=True)
    (report,) = (one for one in found.reports if one.gate == "data")
    return report, as_html.render(found.reports, found.title)


def failed(report: Report) -> Check:
    (check,) = (one for one in report.checks if one.histogram and one.subject == "x")
    return check


async def test_what_failed_is_drawn_over_the_last_version_that_passed_or_was_accepted(
    world: World,
) -> None:
    world.put("a.csv", points(0, 2000))
    world.push("Add the pipeline")
    async with world.controller():
        good = await world.ended(1)
        world.put("a.csv", with_outliers(0, 1000))
        bad = await world.ended(2)
        assert bad.outcome == "stopped"
        report, page = await shown(world, bad)
        reference = failed(report).reference
        assert isinstance(reference, Histogram)
        assert (reference.n, reference.below, reference.above) == (2000, 0, 0)
        assert f"version {short(good.datasets['points'])} of " in page
        assert "which passed its gates: 2,000 values" in page

        await accept(world, bad, "a new sensor")
        accepted = await world.ended(3)
        assert accepted.nodes["gate.data.points"].phase == "cached"
        world.put("a.csv", points(0, 400, poisoned=True))
        worse = await world.ended(4)
        report, page = await shown(world, worse)
        reference = failed(report).reference
        assert isinstance(reference, Histogram)
        assert reference.n == 1000
        assert report.reference is not None
        assert report.reference.version == bad.datasets["points"]
        assert "which was accepted by ana: 1,000 values" in page

        again, _ = await shown(world, bad)
        assert again.reference is not None
        assert again.reference.run == good.id, "what was accepted later changes no older page"


async def test_the_first_version_says_that_nothing_is_beside_it(world: World) -> None:
    world.put("a.csv", points(0, 400, poisoned=True))
    world.push("Add the pipeline")
    async with world.controller():
        first = await world.ended(1)
        report, page = await shown(world, first)
        assert failed(report).reference is None
        assert FIRST in page

        suite = world.work / "suite.yaml"
        world.put("a.csv", points(0, 1000))
        good = await world.ended(2)
        world.put("a.csv", with_outliers(0, 1000))
        await world.ended(3)
        text = suite.read_text()
        suite.write_text(text.replace("max_value: 1", "max_value: 0.9"))
        world.push("Ask for less")
        asked_otherwise = await world.ended(4)
        report, page = await shown(world, asked_otherwise)
        assert failed(report).reference is None
        assert NOT_ALIKE.partition("{}")[0] in page
        assert short(good.datasets["points"]) in page
