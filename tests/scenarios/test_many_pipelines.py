"""What pushes to a repository with many pipelines cost in git: counts, which do not depend on N."""

import pytest

from tests.controller.git.counting import git_processes
from tests.controller.sections import sections_of
from tests.scenarios.world import World, git_or_none

NAMES = [f"p{n:02}" for n in range(12)]


def spec(name: str, number: int) -> str:
    return (
        f"apiVersion: headgate.dev/v1\nkind: MLPipeline\nmetadata: {{name: {name}}}\nsteps:\n"
        f"  step: {{run: \"sh -c 'echo {number} > $0' {{outputs.out}}\", outputs: {{out: out}}}}\n"
    )


def write(world: World, number: int, names: list[str] = NAMES) -> None:
    for name in names:
        (world.work / name).mkdir(exist_ok=True)
        (world.work / name / "ml-pipeline.yaml").write_text(spec(name, number))


def notes(world: World) -> int:
    """How many commits of notes were pushed."""
    found = git_or_none(world.remote, "rev-list", "--count", "refs/notes/headgate")
    return int(found or 0)


async def passed(world: World, commit: str, names: list[str]) -> dict[str, str]:
    """Wait until the commit's note says of these that their run passed, and nothing is left."""

    async def look() -> dict[str, str] | None:
        said = sections_of(world.note(commit) + "\n")
        done = all("all steps ran" in said.get(name, "") for name in names)
        return said if done and not await world.store.outbox() else None

    return await world.until(look, f"a note on {', '.join(names)}")


@pytest.mark.timeout(180)
async def test_a_push_costs_what_it_concerns_however_many_pipelines_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.patience = 120.0
    (world.work / "ml-pipeline.yaml").unlink()
    write(world, 1)
    everything = world.push("Add the pipelines")
    async with world.controller():
        said = await passed(world, everything, NAMES)
        assert said.keys() == {*NAMES}
        assert notes(world) < len(NAMES), "those that end meanwhile are pushed together"

        before = notes(world)
        with git_processes(monkeypatch) as started:
            (world.work / "README.md").write_text("Words.\n")
            nothing = world.push("Write words")

            async def reported() -> str | None:
                note = world.note(nothing)
                return note if note and not await world.store.outbox() else None

            note = await world.until(reported, "a note on all pipelines")
        assert sections_of(note + "\n").keys() == {"headgate-untouched"}
        assert "changes nothing that these 12 pipelines read" in note
        assert "`p00`: `p00-1` passed, and covers it" in note
        assert notes(world) - before == 1
        assert (started["push"], started["fast-import"]) == (1, 1)
        polls = started["ls-remote"]
        assert started.total() - polls <= 10, started

        before = notes(world)
        write(world, 2, ["p07"])
        one = world.push("Change one")
        said = await passed(world, one, ["p07"])
        assert said.keys() == {"p07", "headgate-untouched"}
        assert "these 11 pipelines" in said["headgate-untouched"]
        assert notes(world) - before <= 3, "the others at once, and that it runs and has ended"
    runs = {record.key.name for record in await world.store.list("run")}
    assert runs == {*(f"{name}-1" for name in NAMES), "p07-2"}
