"""Data in the repository that Git LFS keeps, trained on by `headgate run`; the git-lfs is real."""

import os
import shutil
from pathlib import Path

import pytest

from tests.actions.clone import change, clone, commit, headgate
from tests.scenarios.world import PIPELINE, run_git

NUMBERS = "value\n1\n2\n3\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A clone whose dataset is kept by Git LFS."""
    if not shutil.which("git-lfs"):
        pytest.skip("git-lfs is not installed")
    work = clone(tmp_path, PIPELINE, z=NUMBERS)
    run_git(work, "lfs", "install", "--local")
    (work / ".gitattributes").write_text("data/*.csv filter=lfs diff=lfs merge=lfs -text\n")
    run_git(work, "rm", "-q", "--cached", "-r", "data")
    commit(work, "Let Git LFS keep the data")
    assert "git-lfs" in run_git(work, "show", "HEAD:data/z.csv")
    return work


def test_a_step_is_given_what_lfs_keeps_and_no_pointer(work: Path) -> None:
    done = headgate(work, "run", "--home", "../kept")
    assert done.returncode == 0, done.stdout + done.stderr
    logs = "".join(log.read_text() for log in (work / "../kept").rglob("*log*") if log.is_file())
    assert "trained on 3 values" in logs + done.stdout

    (work / "data" / "z.csv").write_text(NUMBERS + "4\n")
    commit(work, "More data")
    again = headgate(work, "run", "--home", "../kept")
    assert "1 ran, 0 cached" in again.stdout, "another object is other data"


def test_without_lfs_nothing_is_trained_and_each_command_names_the_file(
    work: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).glob("*") if Path(folder).is_dir() else ():
            if program.name != "git-lfs" and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    run_git(work, "lfs", "uninstall", "--local")
    pointer = run_git(work, "show", "HEAD:data/z.csv")
    (work / "data" / "z.csv").write_text(f"{pointer}\n")  # as a clone without git-lfs has it
    plain = {"PATH": str(programs), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    for command in ("validate", "plan", "run"):
        done = headgate(work, command, **plain)
        assert done.returncode != 0, command
        said = " ".join((done.stdout + done.stderr).split())
        assert "`datasets.numbers` reads data/z.csv: a Git LFS pointer to 12 bytes" in said, command
        assert "install git-lfs" in said, command


def test_a_submodule_that_a_step_reads_is_named_by_each_command(tmp_path: Path) -> None:
    work = clone(tmp_path, PIPELINE, z=NUMBERS)
    library = tmp_path / "library"
    library.mkdir()
    run_git(library, "init", "-q", "-b", "main")
    (library / "shared.py").write_text("x = 1\n")
    commit(library, "Share")
    allowed = ("-c", "protocol.file.allow=always")
    run_git(work, *allowed, "submodule", "add", "-q", str(library), "vendor/shared")
    change(work, "ml-pipeline.yaml", "[train.py]", "[train.py, vendor/shared/**]")
    commit(work, "Use what is shared")
    for command in ("validate", "plan", "run"):
        done = headgate(work, command)
        assert done.returncode != 0, command
        said = " ".join((done.stdout + done.stderr).split())
        assert "`steps.train` reads vendor/shared: a submodule at" in said, command
        assert "commit the files that are needed" in said, command
    change(work, "ml-pipeline.yaml", ", vendor/shared/**", "")
    commit(work, "Use nothing of it")
    assert headgate(work, "validate").returncode == 0
    assert headgate(work, "run").returncode == 0
