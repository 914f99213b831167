"""Several specs in one folder: pipelines that share code, each judged by its own file."""

from pathlib import Path

from tests.scenarios.test_gates import GATED, points
from tests.scenarios.test_several import run_of, said
from tests.scenarios.world import World

MEAN, STRICT = "ml-pipeline.mean.yaml", "ml-pipeline.strict.yaml"


async def test_each_spec_of_a_folder_is_a_pipeline_judged_by_its_own_lines(tmp_path: Path) -> None:
    world = await World.make(tmp_path, GATED)
    try:
        world.put("a.csv", points(0, 2000))
        text = (world.work / "ml-pipeline.yaml").read_text().partition("\nnotify:")[0]
        (world.work / "ml-pipeline.yaml").unlink()
        (world.work / MEAN).write_text(text)
        strict = text.partition("\nrelease:")[0].replace("name: mean", "name: strict")
        (world.work / STRICT).write_text("# Stricter.\n\n\n" + strict.replace("0.6}", "0.99}"))
        await the_story(world, strict)
    finally:
        await world.tear_down()


async def the_story(world: World, text: str) -> None:
    """One passes and is released, one is stopped; then only one of them changes."""
    commit = world.push("Add two pipelines of the same code")
    async with world.controller():
        mean, strict = [await run_of(world, f"{name}-1") for name in ("mean", "strict")]
        assert (mean.outcome, strict.outcome) == ("passed", "stopped")
        assert (mean.file, strict.file) == (MEAN, STRICT)
        line = 3 + text.splitlines().index("      - {metric: roc_auc, at_least: 0.6}") + 1
        note = await said(world, commit, "roc_auc", f"{STRICT}:{line}")
        assert f"{STRICT}:" not in note.split("<!-- headgate: mean -->")[1].split("<!-- /head")[0]
        await world.serves(1)

        spec = world.work / STRICT
        spec.write_text(spec.read_text().replace("at_least: 0.99", "at_least: 0.5"))
        commit = world.push("Be less strict")
        again = await run_of(world, "strict-2")
        note = await said(world, commit, "strict-2", "nothing to run")
    assert again.outcome == "passed"
    assert again.nodes["train"].phase == "cached"
    assert "nothing to run" in note.split("<!-- headgate: mean -->")[1].split("<!-- /headgate")[0]
    assert await world.run(2) is None
