"""Custom expectations, from a pull request that makes them easier to the data that they stop."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.team import SPEC, Team
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.test_github_untrusted import bold
from tests.scenarios.world import World

MODULE = """\
import great_expectations.expectations as gxe


class ExpectShare(gxe.ExpectColumnValuesToBeBetween):
    column: str = "x"
    min_value: float = 0
    max_value: float = 1
"""
SUITE = """\
name: points
expectations:
  - {type: expect_column_values_to_not_be_null, kwargs: {column: label}}
  - {type: expect_share}
"""
NAMED = "expectations: suite.yaml"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose suite has an expectation of its own, with one good month in the bucket."""
    made = await World.make(tmp_path, GATED)
    made.put("a.csv", points(0, 2000))
    spec = made.work / SPEC
    text = spec.read_text().partition("notify:")[0]
    spec.write_text(text.replace(NAMED, f"{NAMED}, custom_expectations: custom.py"))
    (made.work / "suite.yaml").write_text(SUITE)
    (made.work / "custom.py").write_text(MODULE)
    yield made
    await made.tear_down()


async def test_easier_code_does_not_judge_and_is_said_in_bold_and_the_base_s_stops_bad_data(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, _ = team.propose(
            "loosen", custom__py=("max_value: float = 1", "max_value: float = 99")
        )
        comment = await team.commented(pull, "mean-2 passed")
        proposed = await world.ended(2)
        world.put("b.csv", points(2000, 1000, poisoned=True))
        poisoned = await world.ended(3)
    assert "custom.py, changed" in bold(comment)
    assert proposed.nodes["gate.data.points.custom"].phase == "cached"
    assert proposed.nodes["gate.data.points.custom.proposed"].verdict == "PASS"
    assert poisoned.nodes["gate.data.points"].verdict == "PASS"
    assert poisoned.nodes["gate.data.points.custom"].verdict == "FAIL"
    assert poisoned.nodes["train"].phase == "skipped"
