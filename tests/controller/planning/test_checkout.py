"""The files of commits and of the work tree of a clone."""

from pathlib import Path

from controller.git import Mirror
from controller.planning.checkout import checkout_of, files_at, work_tree
from tests.controller.git.git_server import Person, run_git
from tests.controller.planning.test_gathering import FILES


async def test_a_clean_work_tree_has_the_ids_that_the_mirror_reports(tmp_path: Path) -> None:
    person = Person(tmp_path)
    commit = person.push({**FILES, "sub/\u00fc \t.txt": "x", "run.sh": "#!/bin/sh\n"})
    (person.clone / "run.sh").chmod(0o755)
    (person.clone / "link").symlink_to("train.py")
    commit = person.push({})
    mirror = Mirror(str(person.remote), tmp_path / "mirror")
    theirs = await mirror.files(commit)
    checkout = checkout_of(person.clone)
    assert work_tree(checkout) == files_at(checkout, commit) == theirs


async def test_a_changed_work_tree_has_the_ids_that_committing_it_would_give(
    tmp_path: Path,
) -> None:
    person = Person(tmp_path)
    person.push({**FILES, ".gitignore": "*.log\n", ".gitattributes": "*.txt text eol=lf\n"})
    (person.clone / "train.py").write_text("changed\n")
    (person.clone / "new.txt").write_bytes(b"crlf\r\n")
    (person.clone / "noise.log").write_text("ignored")
    (person.clone / "serve.py").unlink()
    status = run_git(person.clone, "status", "--porcelain")
    objects = run_git(person.clone, "count-objects")
    found = work_tree(checkout_of(person.clone))
    assert run_git(person.clone, "status", "--porcelain") == status
    assert run_git(person.clone, "count-objects") == objects
    mirror = Mirror(str(person.remote), tmp_path / "mirror")
    assert found == await mirror.files(person.push({}))


async def test_links_have_the_same_ids_in_a_work_tree_and_cover_what_they_lead_to(
    tmp_path: Path,
) -> None:
    person = Person(tmp_path)
    (person.clone / "requirements.txt").symlink_to("conf/req.txt")
    before = files_at(checkout_of(person.clone), person.push({**FILES, "conf/req.txt": "one\n"}))
    (person.clone / "conf/req.txt").write_text("two\n")
    found = work_tree(checkout_of(person.clone))
    assert found["requirements.txt"] != before["requirements.txt"]
    mirror = Mirror(str(person.remote), tmp_path / "mirror")
    assert found == await mirror.files(person.push({}))
