"""What git says in a step: the commit that runs, and nothing of a clone that lies around it."""

import subprocess
from pathlib import Path

import pytest

from controller.git.single_commit import SingleCommit
from controller.machine.runs.attempt import AttemptState
from tests.contracts.executor import printed, run
from tests.controller.executors.site import LocalSite


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), cwd=folder, check=False, capture_output=True, text=True
    )
    return (done.stdout + done.stderr).strip()


@pytest.fixture(params=["plain", pytest.param("confined", marks=pytest.mark.bwrap)])
def site_of_steps(request: pytest.FixtureRequest) -> LocalSite:
    """A place for steps, and one whose steps are confined."""
    name = "site" if request.param == "plain" else "confined_site"
    found = request.getfixturevalue(name)
    assert isinstance(found, LocalSite)
    return found


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("rev-parse HEAD", "COMMIT"),
        ("log --format=%H", "COMMIT"),
        ("describe --always --abbrev=40", "COMMIT"),
        ("rev-parse --abbrev-ref HEAD", "feature/x"),
        ("rev-list --count HEAD", "1"),
    ],
)
async def test_git_in_a_step_finds_the_commit_that_runs(
    site_of_steps: LocalSite, asked: str, told: str
) -> None:
    attempt = site_of_steps.attempt(f"git {asked}", branch="feature/x")
    async with site_of_steps.open() as executor:
        status = await run(executor, attempt)
        said = (await printed(executor, attempt)).strip()
    assert status.state is AttemptState.SUCCEEDED, said
    assert said == told.replace("COMMIT", attempt.commit)


async def test_what_git_finds_is_beside_the_copy_and_not_in_it(site: LocalSite) -> None:
    """A step that stores its whole folder stores no commit with it."""
    attempt = site.attempt(
        "sh -c 'git rev-parse --show-toplevel; ls -A $(git rev-parse --show-cdup)'"
    )
    async with site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        top, *names = (await printed(executor, attempt)).split()
    assert (Path(top).name, names) == ("code", ["models"])


async def test_git_finds_no_clone_around_the_home_folder(site: LocalSite, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    beside = tmp_path / "attempts" / "other"
    attempt = site.attempt(f"sh -c 'mkdir {beside}; cd {beside}; git log'")
    async with site.open() as executor:
        status = await run(executor, attempt)
    assert status.state is AttemptState.FAILED
    assert "not a git repository" in status.message


@pytest.mark.parametrize(
    "branch", ["", "../../up", "a/.b", "a..b", "a.lock", "-x", "a//b", "x y", "a/", "feature\n"]
)
def test_a_branch_of_no_plain_name_leaves_the_commit_detached(tmp_path: Path, branch: str) -> None:
    subprocess.run(("git", "init", "-q", "-b", "main", str(tmp_path / "clone")), check=True)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(tmp_path / "clone", *who, "commit", "-q", "--allow-empty", "-m", "first")
    git(tmp_path / "clone", *who, "commit", "-q", "--allow-empty", "-m", "second")
    sha = git(tmp_path / "clone", "rev-parse", "HEAD")
    raw = subprocess.run(
        ("git", "cat-file", "commit", sha), cwd=tmp_path / "clone", check=True, capture_output=True
    ).stdout
    (tmp_path / "copy" / "code").mkdir(parents=True)
    SingleCommit.of(sha, raw, branch).write(tmp_path / "copy")
    assert git(tmp_path / "copy" / "code", "log", "--format=%H %s") == f"{sha} second"
    assert git(tmp_path / "copy" / "code", "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert git(tmp_path / "copy" / "code", "fsck", "--connectivity-only").count("missing") <= 1


def test_a_repository_of_sha256_names_is_one(tmp_path: Path) -> None:
    clone, copy = tmp_path / "clone", tmp_path / "copy"
    subprocess.run(
        ("git", "init", "-q", "--object-format=sha256", "-b", "main", str(clone)), check=True
    )
    git(clone, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q",
        "--allow-empty", "-m", "first")  # fmt: skip
    sha = git(clone, "rev-parse", "HEAD")
    raw = subprocess.run(
        ("git", "cat-file", "commit", sha), cwd=clone, check=True, capture_output=True
    ).stdout
    (copy / "code").mkdir(parents=True)
    SingleCommit.of(sha, raw, "main").write(copy)
    assert git(copy / "code", "log", "--format=%H %D") == f"{sha} grafted, HEAD -> main"
