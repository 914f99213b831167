"""Several pipelines in one repository, several repositories with one controller."""

import shutil
from pathlib import Path

import structlog

from controller.config.settings import Settings
from controller.machine.core import Key, parsed
from controller.machine.runs.run import Run
from controller.wiring.home_lock import only_one
from tests.scenarios.world import World, run_git

SPEC = "ml-pipeline.yaml"


def add_median(world: World) -> None:
    """A second pipeline, in a folder of its own beside a copy of the first."""
    pipeline = Path(__file__).parent / "pipeline"
    shutil.copytree(pipeline, world.work / "median")
    spec = world.work / "median" / SPEC
    text = spec.read_text().replace("BUCKET", str(world.bucket))
    spec.write_text(text.replace("name: mean", "name: median"))


async def run_of(world: World, id_: str) -> Run:
    """Wait for the end of a run of any pipeline."""

    async def look() -> Run | None:
        record = await world.store.get(Key("run", id_))
        run = parsed(Run, record.body) if record else None
        return run if run and run.finished is not None else None

    return await world.until(look, f"{id_} to end")


async def said(world: World, commit: str, *texts: str) -> str:
    """Wait until the note of a commit says all of it."""

    async def look() -> str | None:
        note = world.note(commit)
        return note if all(text in note for text in texts) else None

    return await world.until(look, f"a note with {texts}")


async def test_a_commit_to_one_folder_runs_only_its_pipeline_and_both_report_it(
    world: World,
) -> None:
    world.work = world.work.rename(world.root / "mean")
    (world.root / "work").mkdir()
    (world.root / "mean" / ".git").rename(world.root / "work" / ".git")
    world.work = world.root / "work"
    (world.root / "mean").rename(world.work / "mean")
    add_median(world)
    world.push("Add two pipelines")
    async with world.controller():
        first = [await run_of(world, id_) for id_ in ("mean-1", "median-1")]
        assert [run.outcome for run in first] == ["passed", "passed"]
        spec = world.work / "median" / SPEC
        spec.write_text(spec.read_text().replace("shift: 0.0", "shift: 1.0"))
        commit = world.push("Shift the median")
        second = await run_of(world, "median-2")
        note = await said(
            world, commit, "<!-- headgate: mean -->", "<!-- headgate: median -->", "nothing to run"
        )
    assert (second.commit, second.outcome) == (commit, "passed")
    assert await world.run(2) is None
    mean = note.split("<!-- headgate: mean -->")[1].split("<!-- /headgate -->")[0]
    assert "nothing to run" in mean


async def test_a_repository_whose_remote_is_gone_holds_up_nothing_of_the_other(
    world: World,
) -> None:
    settings = world.settings.model_dump(mode="json", exclude_unset=True)
    gone = {"name": "gone", "url": "gone.git", "poll": "200ms"}
    settings["repositories"] = [gone, *settings["repositories"]]
    world.settings = Settings.model_validate(settings)
    run_git(world.root, "init", "-q", "--bare", "-b", "main", str(world.root / "gone.git"))
    other = world.root / "other"
    run_git(world.root, "clone", "-q", str(world.root / "gone.git"), str(other))
    work, world.work = world.work, other
    add_median(world)
    world.push("Add a pipeline elsewhere")
    world.work = work
    world.push("Add the pipeline")
    async with world.controller():
        assert (await run_of(world, "median-1")).outcome == "passed"
        (world.root / "gone.git").rename(world.root / "away.git")
        await world.serves(1)
        async with world.traffic():
            commit = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            await world.serves(2)
        await said(world, commit, "<!-- headgate: mean -->")
        (world.root / "away.git").rename(world.root / "gone.git")


async def test_a_repository_without_commits_is_waited_for_calmly(world: World) -> None:
    with structlog.testing.capture_logs() as logged:
        async with world.controller():

            async def waits() -> bool:
                return any("no commit" in line["event"] for line in logged)

            await world.until(waits, "the line that says so")
            world.push("Add the pipeline")
            assert (await world.ended(1)).outcome == "passed"
    about = [line for line in logged if "no commit" in line["event"]]
    assert [line["log_level"] for line in about] == ["info"]
    assert not [line for line in logged if line["log_level"] in ("warning", "error")]


def test_a_new_home_is_never_committed_and_one_that_is_in_use_is_left_alone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    run_git(folder, "init", "-q")
    with only_one(folder / "home"):
        (folder / "home" / "state.db").write_text("state")
        assert run_git(folder, "status", "--porcelain") == ""
    (folder / "used").mkdir()
    (folder / "used" / "notes.txt").write_text("mine")
    with only_one(folder / "used"):
        assert not (folder / "used" / ".gitignore").exists()
