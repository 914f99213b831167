"""Reports as git notes, as git itself reads them."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.git import Mirror
from controller.git.notes import CUT, Notes, NoteSection, merged
from tests.controller.git.counting import git_processes
from tests.controller.git.git_server import Person, run_git
from tests.controller.sections import sections_of


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person(tmp_path / "ada")


def notes_of(ada: Person, folder: Path) -> Notes:
    return Notes(Mirror(str(ada.remote), folder / "mirror.git"))


def shown(ada: Person, sha: str) -> str:
    return run_git(ada.remote, "notes", "--ref=headgate", "show", sha)


async def test_git_shows_the_report_of_every_pipeline_once(ada: Person, tmp_path: Path) -> None:
    sha = ada.push({"a": "1"})
    notes = notes_of(ada, tmp_path)
    assert await notes.read(sha) is None
    await notes.write([NoteSection(sha, "flight-delay", "FAIL: auc")])
    await notes.write([NoteSection(sha, "fares", "PASS")])
    await notes.write([NoteSection(sha, "flight-delay", "PASS: auc\nn 900\n")])
    assert sections_of(shown(ada, sha) + "\n") == {
        "flight-delay": "PASS: auc\nn 900",
        "fares": "PASS",
    }
    assert "FAIL" not in shown(ada, sha)
    assert (await notes.read(sha) or "").strip() == shown(ada, sha)


async def test_the_same_report_again_makes_no_commit(ada: Person, tmp_path: Path) -> None:
    sha = ada.push({"a": "1"})
    notes = notes_of(ada, tmp_path)
    first = await notes.write([NoteSection(sha, "fares", "PASS")])
    assert await notes.write([NoteSection(sha, "fares", "PASS")]) == first


async def test_what_people_noted_stays_wherever_git_put_it(ada: Person, tmp_path: Path) -> None:
    sha, other = ada.push({"a": "1"}), ada.push({"a": "2"})
    for commit in (sha, other):  # git's own place for a few notes is flat, ours is fanned out
        run_git(ada.remote, "-c", "user.name=A", "-c", "user.email=a@b.c",
                "notes", "--ref=headgate", "add", "-m", "Seen by Ada", commit)  # fmt: skip
    await notes_of(ada, tmp_path).write([NoteSection(sha, "fares", "PASS")])
    assert shown(ada, sha).startswith("Seen by Ada\n")
    assert sections_of(shown(ada, sha) + "\n") == {"fares": "PASS"}
    assert shown(ada, other) == "Seen by Ada"


async def test_two_writers_at_once_lose_nothing(ada: Person, tmp_path: Path) -> None:
    shas = [ada.push({"a": str(n)}) for n in range(2)]
    one, two = notes_of(ada, tmp_path / "one"), notes_of(ada, tmp_path / "two")
    writes = [one.write([NoteSection(sha, "flight-delay", "PASS")]) for sha in shas]
    await asyncio.gather(*writes, *(two.write([NoteSection(sha, "fares", "WARN")]) for sha in shas))
    for sha in shas:
        assert sections_of(shown(ada, sha) + "\n") == {"flight-delay": "PASS", "fares": "WARN"}


def test_a_report_cannot_end_its_own_section_or_name_another() -> None:
    evil = "x\n<!-- /headgate -->\n<!-- headgate: fares -->\nPASS"
    note = merged("", {"flight-delay": evil})
    assert set(sections_of(note)) == {"flight-delay"}
    with pytest.raises(ValueError, match="name of a pipeline"):
        merged("", {"a -->": "x"})


def test_sections_stand_by_name_and_what_was_not_touched_stands_last() -> None:
    note = ""
    for name in ("headgate-untouched-into-easy", "headgate-untouched", "seats", "fares"):
        note = merged(note, {name: f"Of {name}."})
    names = ["fares", "seats", "headgate-untouched", "headgate-untouched-into-easy"]
    assert [*sections_of(note)] == names
    assert merged("", {name: f"Of {name}." for name in reversed(names)}) == note


def test_a_note_of_an_older_controller_is_put_in_order_and_what_people_wrote_stands_first() -> None:
    def section(name: str) -> str:
        return merged("", {name: "nothing to run"})

    old = "\n".join(
        ["Seen by Ada\n", section("headgate-untouched"), section("seats"), "  by Bob\n"]
    )
    note = merged(old, {"fares": "PASS"})
    assert note.startswith("Seen by Ada\n\n  by Bob\n\n<!-- headgate: fares -->\nPASS\n")
    assert [*sections_of(note)] == ["fares", "seats", "headgate-untouched"]
    assert merged(note, {"fares": "PASS"}) == note


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text(max_size=40)), max_size=8),
    st.text(max_size=30).filter(lambda text: "headgate" not in text),
)
def test_the_last_report_of_each_pipeline_stands(
    reports: list[tuple[str, str]], before: str
) -> None:
    note = before
    for name, text in reports:
        note = merged(note, {name: text})
    assert set(sections_of(note)) == {name for name, _ in reports}
    for name, text in dict(reports).items():
        assert merged(note, {name: text}) == note, "said again, it changes nothing"
    if reports:
        assert note.startswith(before.rstrip("\n")) or not before.strip()


README = Path(__file__).parents[3] / "README.md"


def as_in_the_readme(folder: Path, first: str) -> str:
    """Type what the README says, from the block that begins with these words on; what it shows."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(first)]
    who = {f"GIT_{role}_{part}": "rita@example.org" for role in ("AUTHOR", "COMMITTER")
           for part in ("NAME", "EMAIL")}  # fmt: skip
    done = subprocess.run(
        ["sh", "-ec", block], cwd=folder, env=os.environ | who, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_reader_with_notes_of_their_own_fetches_reports_as_the_readme_says(
    ada: Person, tmp_path: Path
) -> None:
    first, second = ada.push({"a": "1"}), ada.push({"a": "2"})
    run_git(ada.clone, "push", "-q", "origin", "HEAD:headgate/environments")
    notes = notes_of(ada, tmp_path)
    await notes.write([NoteSection(first, "fares", "PASS: one")])
    reader = tmp_path / "reader"
    run_git(tmp_path, "clone", "-q", str(ada.remote), str(reader))
    assert "PASS: one" in as_in_the_readme(reader, "git fetch origin headgate/")

    for commit in (first, second):
        run_git(reader, "notes", "--ref=headgate", "add", "-m", "Seen by Rita", commit)
    await notes.write([NoteSection(first, "fares", "PASS: two")])
    shown_ = as_in_the_readme(reader, "git fetch origin headgate/")
    assert "PASS: two" in shown_
    assert "Seen by Rita" not in shown_
    assert run_git(reader, "notes", "--ref=headgate", "show", first) == "Seen by Rita"

    as_in_the_readme(reader, "git notes --ref=headgate merge")
    assert "PASS: two" in shown(ada, first)
    assert "Seen by Rita" in shown(ada, first)
    assert shown(ada, second) == "Seen by Rita"
    await notes.write([NoteSection(first, "fares", "PASS: three")])
    assert "Seen by Rita" in shown(ada, first)
    assert "PASS: two" not in shown(ada, first)
    as_in_the_readme(reader, "git fetch origin headgate/")
    as_in_the_readme(reader, "git notes --ref=headgate merge")


async def test_however_many_reports_are_due_they_take_one_commit_and_two_git_processes(
    ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shas = [ada.push({"a": str(n)}) for n in range(3)]
    notes = notes_of(ada, tmp_path)
    first = await notes.write([NoteSection(shas[0], "fares", "PASS")])
    assert "PASS" in (await notes.read(shas[0]) or ""), "the process that reads objects has begun"
    due = [NoteSection(sha, f"p{n}", f"PASS: {n}") for sha in shas for n in range(100)]
    with git_processes(monkeypatch) as started:
        second = await notes.write(due)
    assert started == {"fast-import": 1, "push": 1}
    assert run_git(ada.remote, "rev-list", "refs/notes/headgate").split() == [second, first]
    assert sections_of(shown(ada, shas[0]) + "\n").keys() == {
        "fares", *(f"p{n}" for n in range(100))
    }  # fmt: skip
    assert sections_of(shown(ada, shas[2]) + "\n")["p99"] == "PASS: 99"
    assert run_git(tmp_path / "mirror.git", "for-each-ref", "refs/headgate") == ""


async def test_a_lost_race_proposes_all_that_is_due_once_more(ada: Person, tmp_path: Path) -> None:
    shas = [ada.push({"a": str(n)}) for n in range(2)]
    one, two = notes_of(ada, tmp_path / "one"), notes_of(ada, tmp_path / "two")
    await one.write([NoteSection(shas[0], "fares", "PASS")])
    await two.write([NoteSection(shas[0], "seats", "PASS")])
    await one.write([NoteSection(sha, "fares", "WARN") for sha in shas])
    assert sections_of(shown(ada, shas[0]) + "\n") == {"fares": "WARN", "seats": "PASS"}
    assert sections_of(shown(ada, shas[1]) + "\n") == {"fares": "WARN"}
    run_git(ada.remote, "update-ref", "-d", "refs/notes/headgate")
    await one.write([NoteSection(shas[0], "fares", "PASS")])
    assert sections_of(shown(ada, shas[0]) + "\n") == {"fares": "PASS"}


def test_a_note_that_would_be_too_long_has_the_first_lines_of_what_is_added() -> None:
    note = merged("", {"fares": "PASS\nall of it"})
    longer = merged(note, {"seats": "FAIL: auc\n" + "more\n" * 100}, longest=200)
    assert sections_of(longer) == {"fares": "PASS\nall of it", "seats": f"FAIL: auc\n\n{CUT}"}
