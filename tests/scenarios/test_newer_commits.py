"""What a newer commit means for the run of an older one: it ends it, lets it go on, or waits."""

from controller.machine.runs.run import Run
from tests.scenarios.world import World, run_git


async def trains(world: World, number: int) -> None:
    """Wait until a run's step is in progress."""

    async def look() -> Run | None:
        run = await world.run(number)
        return run if run and run.step else None

    await world.until(look, f"run {number} to have a step in progress")


async def says(world: World, commit: str, text: str) -> None:
    async def look() -> bool:
        return text in world.note(commit)

    await world.until(look, f"a note with {text!r}")


def committed(world: World, subject: str) -> str:
    """A commit of other words, which is not pushed by itself."""
    (world.work / "README.md").write_text(subject)
    run_git(world.work, "add", "-A")
    run_git(world.work, "commit", "-q", "-m", subject)
    return run_git(world.work, "rev-parse", "HEAD")


async def test_a_commit_that_changes_what_runs_ends_it_and_one_of_the_docs_does_not(
    world: World,
) -> None:
    first = world.push("Add the pipeline", ml_pipeline__yaml=("wait: 0.0", "wait: 90.0"))
    async with world.controller():
        await trains(world, 1)
        (world.work / "README.md").write_text("# Mean\n")
        docs = world.push("Say what it is")
        await says(world, docs, "mean-1 is running and covers it")
        run = await world.run(1)
        assert run is not None
        assert run.live, "words end nothing"
        quick = world.push("Wait for nothing", ml_pipeline__yaml=("wait: 90.0", "wait: 0.0"))
        assert (await world.ended(1)).cancelled == f"superseded by commit {quick[:12]}"
        second = await world.ended(2)
        await world.serves(1)
        await says(world, docs, f"superseded by {quick[:12]}")
        await says(world, first, f"superseded by commit {quick[:12]}")
    assert (second.commit, second.outcome) == (quick, "passed")


async def test_commits_that_were_pushed_together_each_say_which_of_them_runs(world: World) -> None:
    trial = ("triggers:\n", "triggers:\n  commits: {branches: [trial]}\n")
    world.push("Add the pipeline", ml_pipeline__yaml=trial)
    async with world.controller():
        await world.ended(1)
        beside = [committed(world, subject) for subject in ("Say what it is", "Say it better")]
        last = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        for commit in beside:
            await says(world, commit, f"not run: {last[:12]} was pushed with it, or right after it")
        assert (await world.ended(2)).commit == last
        run_git(world.work, "switch", "-q", "-c", "trial")
        beside = [committed(world, "Try")]
        last = world.push("Try more", ml_pipeline__yaml=("shift: 1.0", "shift: 2.0"))
        await says(world, beside[0], f"not run: {last[:12]} was pushed with it")
        assert (await world.ended(3)).commit == last


async def test_with_a_queue_each_commit_runs_in_its_turn_and_none_is_dropped(
    world: World,
) -> None:
    queue = ("triggers:\n", "triggers:\n  commits: {supersede: queue}\n")
    commits = [world.push("Queue", ml_pipeline__yaml=queue)]
    commits[0] = world.push("Slow", ml_pipeline__yaml=("wait: 0.0", "wait: 3.0"))
    async with world.controller():
        await trains(world, 1)
        for shift in (1, 2):
            was = f"shift: {shift - 1}.0, wait: {'3.0' if shift == 1 else '0.0'}"
            change = (was, f"shift: {shift}.0, wait: 0.0")
            commits.append(world.push(f"Shift to {shift}", ml_pipeline__yaml=change))
            waits = "mean-1 to end" if shift == 1 else "its turn"
            await says(world, commits[-1], f"waits: {waits}")
        runs = [await world.ended(number) for number in (1, 2, 3)]
    assert [run.commit for run in runs] == commits
    assert {run.outcome for run in runs} == {"passed"}


async def test_a_branch_that_nobody_watches_says_so_where_it_is_pushed(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.ended(1)
        run_git(world.work, "switch", "-q", "-c", "idea")
        idea = world.push("Try", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await says(world, idea, "not run: this branch is not watched")
    assert await world.run(2) is None
