"""Whoever lost its lease pushes no more, even if it was paused in the middle of a push."""

from pathlib import Path

import pytest

from controller.git.environments import BRANCH, Environments
from controller.git.fence import REFS, fenced
from controller.git.mirror import Mirror, RefMove
from controller.machine.environments.file import EnvironmentFile
from controller.store.shards import LeaseToken
from specs.failures import TryAgain
from tests.controller.git.git_server import Person
from tests.controller.git.test_environments import release

FORMER, NEXT = LeaseToken(7, 1000), LeaseToken(7, 2000)


class PausedMirror(Mirror):
    """Is paused before a push, while the next holder does something."""

    meanwhile: Mirror | None = None
    tries = 0

    async def push_together(self, *moves: RefMove) -> None:
        self.tries += 1
        if self.meanwhile is not None:
            await self.meanwhile.push_together(await fenced(self.meanwhile, NEXT))
            self.meanwhile = None
        await super().push_together(*moves)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    ada = Person(tmp_path / "ada")
    ada.push({"README": "code"})
    return ada.remote


def mirror_of(remote: Path, folder: Path) -> PausedMirror:
    return PausedMirror(str(remote), folder)


async def write(mirror: Mirror, version: int, lease: LeaseToken) -> str:
    """Write a release under a lease."""

    def change(_: object) -> EnvironmentFile:
        return release(version)

    place = ("production", "flight-delay")
    return await Environments(mirror).write(change, *place, f"v{version}", f"w{version}", lease)


async def test_a_push_under_a_later_lease_ends_those_under_an_earlier_one(
    remote: Path, tmp_path: Path
) -> None:
    former, successor = (mirror_of(remote, tmp_path / name) for name in ("former", "next"))
    await write(former, 1, FORMER)
    await write(former, 2, FORMER)
    third = await write(successor, 3, NEXT)
    with pytest.raises(TryAgain, match="under a later lease"):
        await write(former, 4, FORMER)
    assert await successor.tip(BRANCH) == third
    await write(former, 5, FORMER._replace(shard=8))


async def test_one_that_was_paused_between_its_look_and_its_push_is_refused_by_the_server(
    remote: Path, tmp_path: Path
) -> None:
    """The branch did not move meanwhile: only the lease did."""
    former, successor = (mirror_of(remote, tmp_path / name) for name in ("former", "next"))
    first = await write(former, 1, FORMER)
    former.tries, former.meanwhile = 0, successor
    with pytest.raises(TryAgain, match="under a later lease"):
        await write(former, 2, FORMER)
    assert former.tries == 1
    assert await successor.tip(BRANCH) == first


async def test_one_that_was_paused_within_git_is_refused_by_the_server(
    remote: Path, tmp_path: Path
) -> None:
    """The next holder pushes after the client has compared, and before the server has."""
    former, successor = (mirror_of(remote, tmp_path / name) for name in ("former", "next"))
    first = await write(former, 1, FORMER)
    later = await fenced(successor, NEXT)
    await successor.push_together(RefMove(f"{REFS}aside", later.sha, None))
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f'#!/bin/sh\nrm "$0"\nunset GIT_QUARANTINE_PATH\ngit update-ref {later.ref} {later.sha}\n'
    )
    hook.chmod(0o755)
    former.tries = 0
    with pytest.raises(TryAgain, match="under a later lease"):
        await write(former, 2, FORMER)
    assert (former.tries, hook.exists()) == (1, False)
    assert await successor.tip(BRANCH) == first
