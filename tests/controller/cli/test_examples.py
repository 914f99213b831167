"""`headgate init --example`: a whole repository to begin with, from a checkout as from a wheel."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.cli import main
from tests.scenarios.world import run_git

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/README.md"))
WRITTEN = [name for name in EXAMPLES if any((ROOT / "examples" / name).rglob("ml-pipeline*.yaml"))]


def do(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    run_git(tmp_path, "init", "-q", "--bare", "-b", "main", str(tmp_path / "remote.git"))
    run_git(tmp_path, "clone", "-q", str(tmp_path / "remote.git"), str(tmp_path / "clone"))
    return tmp_path / "clone"


def test_they_are_listed_with_what_they_are_about() -> None:
    result = do("init", "--example")
    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == WRITTEN
    assert "the smallest whole pipeline" in result.stdout


def test_a_wrong_name_lists_them_too(tmp_path: Path) -> None:
    result = do("init", str(tmp_path), "--example", "minimol")
    assert result.exit_code == 1
    assert "Did you mean minimal?" in result.stderr
    assert all(name in result.stderr for name in WRITTEN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_an_example_is_written_whole_and_validates(name: str, tmp_path: Path) -> None:
    assert do("init", str(tmp_path), "--example", name).exit_code == 0
    tracked = run_git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard",
                      f"examples/{name}").splitlines()  # fmt: skip
    for file in tracked:
        assert (tmp_path / Path(file).relative_to("examples", name)).exists(), file
    run_git(tmp_path, "init", "-q")
    run_git(tmp_path, "add", "-A")  # what // stands for is what git has
    checked = do("validate", str(tmp_path))
    assert checked.exit_code == 0, checked.stdout


@pytest.mark.parametrize("name", WRITTEN)
def test_its_readme_links_to_nothing_that_is_not_written_with_it(name: str) -> None:
    folder = ROOT / "examples" / name
    links = re.findall(r"\]\(([^)\s#]+)", (folder / "README.md").read_text(encoding="utf-8"))
    files = [link for link in links if "://" not in link]
    assert all((folder / link).resolve().is_relative_to(folder) for link in files), files
    assert all((folder / link).exists() for link in files), files


def test_what_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine")
    first = do("init", str(tmp_path), "--example", "minimal")
    assert first.exit_code == 0
    assert f"Kept the existing {tmp_path / 'train.py'}" in first.stdout
    assert (tmp_path / "train.py").read_text() == "mine"
    again = do("init", str(tmp_path), "--example", "minimal")
    assert again.exit_code == 1
    assert "nothing was written" in again.stderr


def test_an_example_keeps_its_own_name(tmp_path: Path) -> None:
    result = do("init", str(tmp_path), "--example", "minimal", "--name", "mine")
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_settings_are_for_the_remote_of_the_clone(clone: Path) -> None:
    assert do("init", str(clone), "--example", "minimal", "--repository").exit_code == 0
    assert str(clone.parent / "remote.git") in (clone / "headgate.yaml").read_text()
    assert (clone / ".gitignore").read_text() == ".headgate/\n"


def test_a_gitignore_keeps_its_lines_and_gets_the_home_folder_once(clone: Path) -> None:
    (clone / ".gitignore").write_text("*.log")
    assert do("init", str(clone), "--repository").exit_code == 0
    assert (clone / ".gitignore").read_text() == "*.log\n.headgate/\n"
    (clone / "headgate.yaml").unlink()
    assert do("init", str(clone), "--repository").exit_code == 0
    assert (clone / ".gitignore").read_text() == "*.log\n.headgate/\n"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "no git remote called origin"),
        ("https://ada:secret@git.example.org/x.git", "user or password"),
        ("https://token@git.example.org/x.git", "user or password"),
    ],
)
def test_a_remote_that_cannot_stand_in_the_settings_is_told_of(
    url: str | None, told: str, tmp_path: Path
) -> None:
    run_git(tmp_path, "init", "-q")
    if url:
        run_git(tmp_path, "remote", "add", "origin", url)
    result = do("init", str(tmp_path), "--repository")
    assert result.exit_code == 1
    assert told in result.stderr
    assert "secret" not in result.output
    assert "token@" not in result.output
    assert not (tmp_path / "headgate.yaml").exists()


@pytest.mark.parametrize("url", ["git@example.org:team/x.git", "ssh://git@example.org/team/x.git"])
def test_a_remote_with_a_user_for_ssh_is_taken(url: str, tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q")
    run_git(tmp_path, "remote", "add", "origin", url)
    assert do("init", str(tmp_path), "--repository").exit_code == 0
    assert url in (tmp_path / "headgate.yaml").read_text()


def test_they_come_with_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", "from controller.cli import main; main()", "init", "--example"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == WRITTEN
    assert not (tmp_path / "site" / "controller" / "examples" / "demo").exists()
