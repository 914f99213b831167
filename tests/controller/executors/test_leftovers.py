"""What an attempt leaves and the next one finds: the same folders, and nothing of what was done."""

from typing import Any

import pytest

from controller.executors import local
from controller.executors.leftovers import Leftovers
from controller.executors.local import LocalExecutor
from controller.machine.runs.attempt import Attempt, AttemptState
from tests.contracts.executor import printed, run
from tests.controller.executors.site import LocalSite

OWN = "cd ../../..; "
INODES = f"sh -c '{OWN}stat -c %i code/models/mean/said.txt .git/HEAD .git scratch code'"
FOUND = (
    f'sh -c \'{OWN}find code .git scratch -printf "%p %m %l %n %s\\n" | sort; '
    "find code .git -type f | sort | xargs cat | sha256sum'"
)


async def told(executor: LocalExecutor, attempt: Attempt) -> str:
    """What an attempt printed, which has ended and was collected."""
    assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
    said = await printed(executor, attempt)
    await executor.collect(attempt)
    return said


async def found_after(site: LocalSite, command: str) -> tuple[str, str]:
    """What an attempt finds before and after another one that does this."""
    async with site.open() as executor:
        before = await told(executor, site.attempt(FOUND, name="before"))
        await told(executor, site.attempt(command, name="does"))
        return before, await told(executor, site.attempt(FOUND, name="after"))


async def test_what_an_attempt_left_untouched_is_moved_to_the_next_and_not_made_again(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TIDY", 3600.0)
    async with site.open() as executor:
        first = await told(executor, site.attempt(INODES, name="first"))
        assert await told(executor, site.attempt(INODES, name="second")) == first
        left = site.workspace.folder("mean-1.first.1")
        assert {"code", ".git", "scratch"}.isdisjoint(each.name for each in left.iterdir())


@pytest.mark.parametrize(
    "does",
    [
        "echo more >> said.txt",
        "touch more",
        "mkdir deep",
        "chmod 600 said.txt",
        "chmod 700 .",
        "rm said.txt",
        "rm said.txt; ln -s /etc/passwd said.txt",
        "rm said.txt; mkfifo said.txt",
        "ln said.txt $TMPDIR/said.txt",
        "touch $TMPDIR/more",
        "chmod 500 $TMPDIR",
        "git config user.name Ada",
        "git tag -m x mine || git update-ref refs/heads/mine HEAD",
        "git hash-object -w said.txt",
        "chmod 777 ../../../.git/objects",
        "chmod 600 ../../../.git/config",
        "rm ../../../.git/shallow",
    ],
)
async def test_an_attempt_finds_nothing_of_what_the_one_before_did(
    site: LocalSite, does: str
) -> None:
    before, after = await found_after(site, f"sh -c '{does}'")
    assert after == before


@pytest.mark.parametrize(
    "does",
    [
        "touch -d @1 said.txt",
        "touch -d @1 .",
        "touch -d @1 ../../../.git/HEAD",
        "touch -d @1 $TMPDIR",
        "chmod 600 said.txt; chmod 644 said.txt",
        "cp said.txt $TMPDIR; cat $TMPDIR/said.txt > said.txt",
    ],
)
async def test_a_time_and_a_change_that_was_undone_stay_with_the_attempt(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    monkeypatch.setattr(local, "TIDY", 3600.0)
    async with site.open() as executor:
        first = (await told(executor, site.attempt(INODES, name="first"))).split()
        await told(executor, site.attempt(f"sh -c '{does}'", name="does"))
        third = (await told(executor, site.attempt(INODES, name="third"))).split()
    assert first != third


@pytest.mark.bwrap
async def test_so_it_is_if_they_are_confined(confined_site: LocalSite) -> None:
    before, after = await found_after(confined_site, "sh -c 'touch more $TMPDIR/more'")
    assert after == before


@pytest.mark.parametrize(
    "other",
    [{"run": "median-1"}, {"trusted": True}, {"branch": "feature/x"}, {"commit": "0" * 40},
     {"repository": "other"}],
)  # fmt: skip
def test_an_attempt_of_another_pipeline_trust_branch_or_commit_takes_nothing(
    site: LocalSite, other: dict[str, Any]
) -> None:
    left, ended = Leftovers(), site.attempt("true", name="ended")
    left.begins(ended, {"code": b"1"})
    left.add(ended)
    begins = site.attempt("true", name="begins")
    assert left.take(begins.model_copy(update=other)) is None
    assert left.take(begins) == ("mean-1.ended.1", {"code": b"1"})
    assert left.take(begins) is None
    assert left.take_all() == []


def test_nothing_is_taken_of_an_attempt_that_is_collected_again_or_began_earlier(
    site: LocalSite,
) -> None:
    left, ended = Leftovers(), site.attempt("true", name="ended")
    begins = site.attempt("true", name="begins")
    left.add(ended)
    assert left.take(begins) is None
    left.begins(ended, {"code": b"1"})
    left.add(ended)
    assert left.take(begins) is not None
    left.add(ended)
    assert left.take(begins) is None
    assert left.take_all() == ["mean-1.ended.1"]


async def test_an_attempt_that_reads_other_files_is_given_those(site: LocalSite) -> None:
    async with site.open() as executor:
        await told(executor, site.attempt("true", name="first"))
        more = ("said.txt", "//shared/note.txt")
        second = site.attempt("cat said.txt ../../shared/note.txt", name="second", files=more)
        assert await told(executor, second) == "committed\nbeside\n"
        third = site.attempt("find ../.. -type f", name="third")
        assert await told(executor, third) == "../../models/mean/said.txt\n"
