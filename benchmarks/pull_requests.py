"""The calls of GitHub's API that a pull request takes; an app has 5,000 an hour or more.

A life: opened, planned, run, reported, merged, and main's check concluded; with webhooks, on the
double of `tests/doubles`. And a crowd: as many open at once as `CROWD`, each with a run of its own,
until each has its check and its comment. A call whose answer is as it was (304) is free on GitHub,
and counted apart. The release of what is merged is not in it.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import REPOSITORY, SPEC, Project, Row, until
from tests.doubles.github import GitHub, Repository
from tests.ports import reserved_port

CROWD = 300
FREE = 304


class Cost(NamedTuple):
    """Calls, and how many of them were free."""

    calls: int
    free: int


@asynccontextmanager
async def watched(root: Path, github: GitHub) -> AsyncIterator[Repository]:
    """A repository on GitHub with one pipeline, and a controller that took its first commit."""
    app = github.app()
    with reserved_port() as port:
        settings = {
            "url": github.url,
            "app": {"id": app.id, "private_key": "APP_KEY"},
            "webhook": {"secret": "HOOK", "port": port},
        }
        secrets = {"APP_KEY": github.private_key, "HOOK": app.webhook_secret}
        async with Project.running(root, 3600, settings, secrets) as project:
            remote = root / "remote.git"
            repository = await asyncio.to_thread(github.repository, REPOSITORY, remote)
            github.install(repository)
            github.webhooks.url = f"http://127.0.0.1:{port}/webhooks/github"
            project.commit(SPEC.format(number=0))
            await project.push()
            await asyncio.to_thread(github.notice)
            await passed(github, repository, [repository.git.heads()["main"]])
            yield repository


async def passed(github: GitHub, repository: Repository, commits: Sequence[str]) -> None:
    """Wait until each commit has a check that succeeded."""

    async def look() -> bool | None:
        done = {run.head_sha for run in github.check_runs(repository) if run.conclusion}
        return done.issuperset(commits) or None

    await until(look, pause=0.1)


def propose(github: GitHub, repository: Repository, number: int) -> tuple[str, int]:
    """Open a pull request; its commit and its number."""
    main, branch = repository.git.heads()["main"], f"idea-{number}"
    files = {"ml-pipeline.yaml": SPEC.format(number=number)}
    sha = github.push(repository, files, branch, parent=main)
    return sha, github.open_pull_request(repository, branch).number


async def commented(github: GitHub, repository: Repository, pulls: Sequence[int]) -> None:
    """Wait until the comment of each pull request says how its run ended."""

    async def look() -> bool | None:
        bodies = [github.comments(repository, repository.issues[number]) for number in pulls]
        return all(said and " passed" in said[0].body for said in bodies) or None

    await until(look, pause=0.1)


def since(github: GitHub, before: int) -> Cost:
    calls = github.calls()[before:]
    return Cost(len(calls), sum(call.status == FREE for call in calls))


async def life(root: Path, github: GitHub) -> tuple[Cost, Cost]:
    """From the push to the report, and from the merge to main's check."""
    async with watched(root, github) as repository:
        before = len(github.calls())
        sha, number = await asyncio.to_thread(propose, github, repository, 1)
        await passed(github, repository, [sha])
        await commented(github, repository, [number])
        opened, before = since(github, before), len(github.calls())
        issue = repository.issues[number]
        merged = await asyncio.to_thread(github.merge, repository, issue)
        await passed(github, repository, [merged])
        return opened, since(github, before)


async def crowd(root: Path, github: GitHub, number: int) -> tuple[Cost, float]:
    """Several pull requests at once, and the seconds until all have their reports."""
    async with watched(root, github) as repository:
        before, began = len(github.calls()), time.perf_counter()
        opened = [
            await asyncio.to_thread(propose, github, repository, n + 1) for n in range(number)
        ]
        await passed(github, repository, [sha for sha, _ in opened])
        await commented(github, repository, [pull for _, pull in opened])
        return since(github, before), time.perf_counter() - began


def main() -> list[Row]:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as there,
        GitHub(Path(there)) as double,
    ):
        opened, merged = asyncio.run(life(Path(name), double))
    print(f"a pull request, opened to reported: {opened.calls} calls, {opened.free} of them free")
    print(f"  merged to main's check:           {merged.calls} calls, {merged.free} of them free")
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as there,
        GitHub(Path(there)) as double,
    ):
        cost, seconds = asyncio.run(crowd(Path(name), double, CROWD))
    each, free = cost.calls / CROWD, cost.free / CROWD
    print(f"{CROWD} at once: {each:.1f} calls each, {free:.1f} of them free, in {seconds:.0f} s")
    return [Row("calls of a pull request among many", each, "", "one alone", opened.calls)]


if __name__ == "__main__":
    main()
