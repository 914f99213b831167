"""Reports as git notes, as git shows them."""

import asyncio
from pathlib import Path

import pytest

from controller.git import Mirror
from controller.reports.notes_forge import NotesForge
from tests.contracts.forge import ForgeContract, Shown, report
from tests.controller.git.git_server import Person, run_git
from tests.controller.sections import sections_of


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person(tmp_path / "ada")


@pytest.fixture
def forge(ada: Person, tmp_path: Path) -> NotesForge:
    return NotesForge({"flights": Mirror(str(ada.remote), tmp_path / "mirror.git")})


@pytest.fixture
def commit(ada: Person) -> str:
    return ada.push({"a": "1"})


class TestNotesForge(ForgeContract):
    @pytest.fixture
    def shown(self, ada: Person) -> Shown:
        async def shown(commit: str) -> str:
            return run_git(ada.remote, "log", "-1", "--notes=headgate", "--format=%N", commit)

        return shown


async def test_a_note_has_a_section_per_pipeline_and_one_for_the_repository(
    forge: NotesForge, ada: Person, commit: str
) -> None:
    for pipeline in ("flight-delay", "fares", ""):
        await forge.report(report(commit, f"Of {pipeline or 'all'}.\n", pipeline))
    note = run_git(ada.remote, "notes", "--ref=headgate", "show", commit)
    assert sections_of(note + "\n") == {
        "flight-delay": "Of flight-delay.",
        "fares": "Of fares.",
        "headgate": "Of all.",
    }


async def test_a_terminal_shows_tables_aligned_and_no_html(
    forge: NotesForge, ada: Person, commit: str
) -> None:
    table = (
        "| | Check | n |\n| --- | --- | ---: |\n"
        "| ❌ | **auc**<br>auc is low, &#60; 0.6.<br>→ `headgate explain` | 27,004 |\n"
        "| ✅ | **a long name** | 9 |\n"
    )
    quoted = "```text\n| <br> | stays &#60; |\n```\n"
    await forge.report(report(commit, f"<details><summary>2</summary>\n\n{table}\n{quoted}"))
    note = run_git(ada.remote, "notes", "--ref=headgate", "show", commit)
    assert sections_of(note + "\n")["flight-delay"].splitlines() == [
        "2",
        "",
        "   Check        n",
        "❌  auc          27,004",
        "      auc is low, < 0.6.",
        "      → `headgate explain`",
        "✅  a long name  9",
        "",
        *quoted.splitlines(),
    ]


async def test_a_progress_report_makes_no_note(forge: NotesForge, ada: Person, commit: str) -> None:
    await forge.report(report(commit, "The plan.\n"))
    pushed = run_git(ada.remote, "rev-parse", "refs/notes/headgate")
    going = report(commit, "The step train runs.\n").model_copy(update={"step": "train"})
    await forge.report(going)
    assert run_git(ada.remote, "rev-parse", "refs/notes/headgate") == pushed
    await forge.report(report(commit, "It passed.\n"))
    assert "It passed." in run_git(ada.remote, "notes", "--ref=headgate", "show", commit)


async def test_reports_that_are_due_while_others_are_pushed_are_pushed_together(
    forge: NotesForge, ada: Person
) -> None:
    shas = [ada.push({"a": str(n)}) for n in range(3)]
    first = asyncio.create_task(forge.report(report(shas[0], "It runs.\n", "fares")))
    await asyncio.sleep(0.01)
    due = [report(sha, "It passed.\n", f"p{n}") for sha in shas for n in range(30)]
    await asyncio.gather(first, *map(forge.report, due))
    assert run_git(ada.remote, "rev-list", "--count", "refs/notes/headgate") == "2"
    for sha in shas:
        note = run_git(ada.remote, "notes", "--ref=headgate", "show", sha)
        assert len(sections_of(note + "\n")) == 30 + (sha == shas[0])


async def test_a_report_that_cannot_be_a_section_spoils_none_that_is_due_with_it(
    forge: NotesForge, ada: Person, commit: str
) -> None:
    due = [report(commit, "It passed.\n", name) for name in ("fares", "a -->", "seats")]
    ends = await asyncio.gather(*map(forge.report, due), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), ValueError, type(None)]
    note = run_git(ada.remote, "notes", "--ref=headgate", "show", commit)
    assert sections_of(note + "\n").keys() == {"fares", "seats"}
