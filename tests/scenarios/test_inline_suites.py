"""A suite in the spec, from a pull request that loosens it to the data that it stops."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.team import SPEC, Team
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.test_github_untrusted import bold
from tests.scenarios.world import World

FILE = ", expectations: suite.yaml}"
INLINE = """,
    expectations: [
      {type: expect_column_values_to_not_be_null, kwargs: {column: id}},
      {type: expect_column_values_to_be_between, kwargs: {column: x, min_value: 0, max_value: 1}}]}
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose suite is in its spec, with one good month in the bucket."""
    made = await World.make(tmp_path, GATED)
    made.put("a.csv", points(0, 2000))
    spec = made.work / SPEC
    spec.write_text(spec.read_text().replace(FILE, INLINE).partition("notify:")[0])
    (made.work / "suite.yaml").unlink()
    yield made
    await made.tear_down()


async def test_a_looser_suite_in_the_spec_does_not_judge_and_is_said_in_bold(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, _ = team.propose("loosen", ml_pipeline__yaml=("max_value: 1}", "max_value: 99}"))
        comment = await team.commented(pull, "mean-2 passed")
        run = await world.ended(2)
        assert {"gate.data.points", "gate.data.points.proposed"} <= run.nodes.keys()
        world.put("b.csv", points(2000, 1000, poisoned=True))
        poisoned = await world.ended(3)
    assert "values 0 to 99" in bold(comment)
    assert poisoned.nodes["gate.data.points"].verdict == "FAIL"
