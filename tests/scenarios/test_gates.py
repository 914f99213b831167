"""What the gates stop, with real Great Expectations and scikit-learn."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from tests.controller.notify.receivers import Webhook, webhook
from tests.scenarios.world import World

GATED = Path(__file__).parent / "gated"


def points(first: int, count: int, *, poisoned: bool = False) -> str:
    """Rows whose label follows x, mostly; poisoned, ids are gone and x is out of its range."""
    dice = random.Random(first)
    lines = ["id,x,label"]
    for number in range(first, first + count):
        x = dice.random()
        label = int(dice.random() < x)
        bad = poisoned and number % 4 == 0
        lines.append(f"{'' if bad else number},{x + 7 if bad else x:.4f},{label}")
    return "\n".join(lines) + "\n"


@pytest.fixture
async def gated(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose pipeline has both gates, with one good month in the bucket."""
    world = await World.make(tmp_path, GATED)
    world.put("a.csv", points(0, 2000))
    yield world
    await world.tear_down()


async def test_poisoned_data_and_a_worse_model_are_stopped_and_production_is_untouched(
    gated: World,
) -> None:
    gated.push("Add the pipeline")
    with webhook() as oncall:
        gated.secrets = Secrets({"ONCALL": f"json://127.0.0.1:{oncall.port}/"})
        await the_story(gated, oncall)


async def the_story(gated: World, oncall: Webhook) -> None:
    """A good first model, a worse one, poisoned data."""
    async with gated.controller():
        first = await gated.ended(1)
        assert first.outcome == "passed"
        await gated.serves(1)

        worse = gated.push("Add noise", ml_pipeline__yaml=("noise: 0.0", "noise: 3.0"))
        stopped = await gated.ended(2)
        assert stopped.outcome == "stopped"
        assert stopped.nodes["gate.data.points"].phase == "cached"
        assert stopped.nodes["baseline.evaluate"].outputs
        assert stopped.nodes["gate.model"].verdict == "FAIL"

        async def told() -> bool:
            return "roc_auc" in gated.note(worse)

        await gated.until(told, "the report of the model gate on the commit")

        gated.put("b.csv", points(2000, 1000, poisoned=True))
        poisoned = await gated.ended(3)
        assert poisoned.outcome == "stopped"
        assert poisoned.nodes["gate.data.points"].verdict == "FAIL"
        assert poisoned.nodes["train"].phase == "skipped"

        async def alarmed() -> bool:
            return len(oncall.bodies) == 2

        await gated.until(alarmed, "a notification of each")
        env = await gated.environment("production")
    assert "roc_auc" in str(oncall.bodies[0])
    assert "`id`" in str(oncall.bodies[1])
    assert env is not None
    assert env.stable is not None
    assert env.stable.version == 1


async def test_a_change_of_how_data_is_read_is_judged_anew(gated: World) -> None:
    """`NA` is a text until the spec says otherwise."""
    gated.put("b.csv", "id,x,label\nNA,0.5,1\n")
    gated.push("Add the pipeline")
    async with gated.controller():
        first = await gated.ended(1)
        assert first.nodes["gate.data.points"].verdict == "PASS"
        suite = "expectations: suite.yaml"
        nulls = f'{suite}, nulls: ["", NA]'
        gated.push("Say that NA is null", ml_pipeline__yaml=(suite, nulls))
        second = await gated.ended(2)
        assert second.nodes["gate.data.points"].phase != "cached"
        assert second.nodes["gate.data.points"].verdict == "FAIL"


async def test_a_baseline_that_fails_on_the_candidate_s_data_is_no_pass(gated: World) -> None:
    """Its code knows of no column `z`: nothing was compared, which is not that nothing is worse."""
    gated.push("Add the pipeline")
    (gated.bucket / "other").mkdir()
    gated.put("other.csv", points(0, 2000).replace("id,x,label", "id,z,label"))
    (gated.bucket / "other.csv").rename(gated.bucket / "other" / "a.csv")
    async with gated.controller():
        first = await gated.ended(1)
        assert first.outcome == "passed"
        await gated.serves(1)
        commit = gated.push(
            "Rename a column",
            ml_pipeline__yaml=('/*.csv"', '/other/*.csv"'),
            suite__yaml=("column: x", "column: z"),
            train__py=('row["x"]', 'row["z"]'),
            evaluate__py=('row["x"]', 'row["z"]'),
        )
        second = await gated.ended(2)
        assert second.nodes["baseline.evaluate"].failed
        assert second.nodes["gate.model"].verdict == "INCONCLUSIVE"
        assert second.outcome == "stopped"

        async def told() -> bool:
            return "roc_auc" in gated.note(commit)

        await gated.until(told, "the report of the model gate on the commit")
        note = gated.note(commit)
    assert "it ended with exit code 1: KeyError: 'x' (evaluate.py, line " in note
    for unfit in ("Traceback", str(gated.root)):
        assert unfit not in note
