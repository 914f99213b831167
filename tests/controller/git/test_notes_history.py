"""The history of notes is cut, and every note stays: as git itself reads them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.git import Mirror
from controller.git.notes import REF, Notes, NoteSection
from controller.git.notes_history import compact
from tests.controller.git.git_server import Person, run_git
from tests.controller.sections import sections_of

SPEC = "+refs/notes/*:refs/notes/origin/*"
"""What a reader fetches, as the README says."""


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person(tmp_path / "ada")


@pytest.fixture
async def mirror(ada: Person, tmp_path: Path) -> AsyncIterator[Mirror]:
    opened = Mirror(str(ada.remote), tmp_path / "mirror.git")
    yield opened
    await opened.close()


def shown(folder: Path, sha: str, ref: str = "headgate") -> str:
    return run_git(folder, "notes", f"--ref={ref}", "show", sha)


def history(folder: Path, ref: str = REF) -> list[str]:
    return run_git(folder, "log", "--format=%s", ref).splitlines()


async def reported(ada: Person, mirror: Mirror, many: int) -> list[str]:
    """Commits with a report each."""
    notes, shas = Notes(mirror), [ada.push({"a": str(n)}) for n in range(many)]
    for n, sha in enumerate(shas):
        await notes.write([NoteSection(sha, "fares", f"PASS: {n}")])
    return shas


async def test_a_long_history_becomes_one_commit_and_every_note_stays(
    ada: Person, mirror: Mirror
) -> None:
    shas = await reported(ada, mirror, 4)
    before = [shown(ada.remote, sha) for sha in shas]
    assert await compact(mirror, REF, most=4) == 0
    assert len(history(ada.remote)) == 4
    assert await compact(mirror, REF, most=3) == 4
    assert history(ada.remote) == ["Compact the history of 4 commits of notes"]
    assert [shown(ada.remote, sha) for sha in shas] == before

    await Notes(mirror).write([NoteSection(shas[0], "fares", "WARN")])
    assert sections_of(shown(ada.remote, shas[0]) + "\n") == {"fares": "WARN"}
    assert len(history(ada.remote)) == 2


async def test_a_repository_without_notes_is_left_alone(ada: Person, mirror: Mirror) -> None:
    ada.push({"a": "1"})
    assert await compact(mirror, REF, most=0) == 0
    assert run_git(ada.remote, "for-each-ref", "refs/notes") == ""


class Slow(Mirror):
    """Between the commit and its push, somebody else is faster."""

    meanwhile: list[str]

    async def push(self, ref: str, sha: str, expected: str | None) -> None:
        clone, commit = self.meanwhile
        run_git(Path(clone), "fetch", "-q", "origin", f"+{REF}:{REF}")
        run_git(Path(clone), "notes", "--ref=headgate", "append", "-m", "Seen by Rita", commit)
        run_git(Path(clone), "push", "-q", "origin", REF)
        await super().push(ref, sha, expected)


async def test_what_a_person_notes_meanwhile_is_not_lost(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    shas = await reported(ada, mirror, 3)
    slow = Slow(str(ada.remote), tmp_path / "slow.git")
    slow.meanwhile = [str(ada.clone), shas[1]]
    assert await compact(slow, REF, most=2) == 0
    await slow.close()
    assert "Seen by Rita" in shown(ada.remote, shas[1])
    assert await compact(mirror, REF, most=2) == 4
    assert "Seen by Rita" in shown(ada.remote, shas[1])
    assert "PASS: 1" in shown(ada.remote, shas[1])


async def test_reports_that_are_written_meanwhile_are_not_lost(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    shas = await reported(ada, mirror, 3)
    other = Mirror(str(ada.remote), tmp_path / "other.git")
    writes = [Notes(other).write([NoteSection(sha, "delays", "FAIL")]) for sha in shas]
    await asyncio.gather(compact(mirror, REF, most=1), *writes)
    await other.close()
    for n, sha in enumerate(shas):
        expected = {"fares": f"PASS: {n}", "delays": "FAIL"}
        assert sections_of(shown(ada.remote, sha) + "\n") == expected


class Killed(Mirror):
    """The process is killed before it pushes."""

    async def push(self, ref: str, sha: str, expected: str | None) -> None:
        raise InterruptedError(ref, sha, expected)


async def test_killed_before_the_push_it_has_changed_nothing(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    await reported(ada, mirror, 3)
    before = history(ada.remote)
    killed = Killed(str(ada.remote), tmp_path / "mirror.git")
    with pytest.raises(InterruptedError):
        await compact(killed, REF, most=2)
    await killed.close()
    assert history(ada.remote) == before
    assert await compact(mirror, REF, most=2) == 3


async def test_a_server_that_lets_nothing_be_replaced_keeps_its_history(
    ada: Person, mirror: Mirror
) -> None:
    await reported(ada, mirror, 3)
    hook = ada.remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\ntest "$(git merge-base "$2" "$3")" = "$2"\n')
    hook.chmod(0o755)
    assert await compact(mirror, REF, most=2) == 0
    assert len(history(ada.remote)) == 3


async def test_a_reader_who_fetched_before_fetches_again_and_merges_their_own(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    shas = await reported(ada, mirror, 3)
    rita = tmp_path / "rita"
    run_git(tmp_path, "clone", "-q", str(ada.remote), str(rita))
    run_git(rita, "fetch", "-q", "origin", SPEC)
    run_git(rita, "notes", "--ref=headgate", "merge", "-s", "union", "refs/notes/origin/headgate")
    run_git(rita, "notes", "--ref=headgate", "append", "-m", "Seen by Rita", shas[0])
    assert await compact(mirror, REF, most=2) == 3

    run_git(rita, "fetch", "-q", "origin", SPEC)
    assert "PASS: 0" in shown(rita, shas[0], "origin/headgate")
    run_git(rita, "notes", "--ref=headgate", "merge", "-s", "union", "refs/notes/origin/headgate")
    run_git(rita, "push", "-q", "origin", REF)
    assert "Seen by Rita" in shown(ada.remote, shas[0])
    assert sections_of(shown(ada.remote, shas[1]) + "\n") == {"fares": "PASS: 1"}
    await Notes(mirror).write([NoteSection(shas[0], "fares", "WARN")])
    assert sections_of(shown(ada.remote, shas[0]) + "\n") == {"fares": "WARN"}
    assert "Seen by Rita" in shown(ada.remote, shas[0])
