"""What Git LFS keeps and what submodules hold: fetched by the real git-lfs, or an error by name."""

import shutil
import socket
from pathlib import Path

import pytest

from controller.git import Mirror, lfs
from controller.git.pointers import pointers
from controller.git.repositories import Repositories
from controller.planning.checkout import check_at, tracked_from
from controller.planning.choosing import spec_argument
from controller.planning.gathering import gather
from specs.failures import NeedsHuman, TryAgain
from specs.loading.problems import has_errors
from tests.controller.git.git_server import Person, run_git

needs_lfs = pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")

DATA = "id,x\n" + "".join(f"{n},{n}\n" for n in range(1000))
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    f"oid sha256:{'ab' * 32}\n"
    "size 12345\n"
)  # fmt: skip
SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: toy}
steps:
  train:
    run: python train.py {outputs.model}
    outputs: {model: model.json}
model: steps.train.model
"""


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person(tmp_path / "ada")


@pytest.fixture
def mirror(ada: Person, tmp_path: Path) -> Mirror:
    return Mirror(str(ada.remote), tmp_path / "mirror.git")


@pytest.fixture
def without_lfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has git and no git-lfs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    (programs / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


def _keeps(person: Person, **more: str) -> str:
    """Commit and push a file that Git LFS keeps."""
    run_git(person.clone, "lfs", "install", "--local")
    (person.clone / ".gitattributes").write_text("*.csv filter=lfs diff=lfs merge=lfs -text\n")
    return person.push({"data/rows.csv": DATA, "train.py": "x", **more})


@needs_lfs
async def test_a_file_that_lfs_keeps_is_laid_out_as_its_author_had_it(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    sha = _keeps(ada)
    assert "git-lfs" in run_git(ada.clone, "show", f"{sha}:data/rows.csv")
    laid_out = await mirror.materialise(sha, tmp_path / "trees")
    assert (laid_out / "data" / "rows.csv").read_text() == DATA
    assert (laid_out / "data" / "rows.csv").stat().st_mode & 0o222 == 0
    assert (laid_out / "train.py").read_text() == "x"
    (theirs,) = (ada.remote / "lfs" / "objects").glob("??/??/*")
    assert not theirs.samefile(laid_out / "data" / "rows.csv"), "its mode is theirs"


@needs_lfs
async def test_an_object_is_fetched_once_for_all_commits_that_need_it(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    await mirror.materialise(_keeps(ada), tmp_path / "trees")
    later = ada.push({"train.py": "y"})
    shutil.rmtree(ada.remote / "lfs")
    laid_out = await mirror.materialise(later, tmp_path / "trees")
    assert (laid_out / "data" / "rows.csv").read_text() == DATA


@needs_lfs
async def test_an_object_that_was_written_over_is_fetched_again(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    laid_out = await mirror.materialise(_keeps(ada), tmp_path / "trees")
    stored = laid_out / "data" / "rows.csv"
    stored.chmod(0o600)
    stored.write_text(DATA.replace("9", "8"))
    laid_out = await mirror.materialise(ada.push({"train.py": "y"}), tmp_path / "trees")
    assert (laid_out / "data" / "rows.csv").read_text() == DATA


@needs_lfs
async def test_what_lfs_keeps_is_swept_when_nobody_used_it(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    await mirror.materialise(_keeps(ada), tmp_path / "trees")
    assert mirror.sweep(before=0) == 0
    assert mirror.sweep(before=2**40) == 1
    laid_out = await mirror.materialise(ada.push({"train.py": "y"}), tmp_path / "trees")
    assert (laid_out / "data" / "rows.csv").read_text() == DATA


@needs_lfs
async def test_a_program_that_lfs_keeps_stays_one(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    _keeps(ada)
    run_git(ada.clone, "update-index", "--chmod=+x", "data/rows.csv")
    (ada.clone / "data" / "rows.csv").chmod(0o755)
    laid_out = await mirror.materialise(ada.push({"train.py": "y"}), tmp_path / "trees")
    assert (laid_out / "data" / "rows.csv").stat().st_mode & 0o111
    assert (laid_out / "data" / "rows.csv").read_text() == DATA


@needs_lfs
async def test_no_commit_chooses_the_server_that_its_objects_come_from(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    await mirror.ensure()
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/lfs"
        sha = _keeps(ada)
        (ada.clone / ".lfsconfig").write_text(
            f'[lfs]\n\turl = {address}\n[remote "origin"]\n\tlfsurl = {address}\n'
        )
        run_git(ada.clone, "add", ".lfsconfig")
        run_git(ada.clone, "commit", "-q", "-m", "Mine")
        run_git(ada.clone, "push", "-q", "--no-verify", "origin", "HEAD:main")
        assert ada.head("main") != sha
        laid_out = await mirror.materialise(ada.head("main"), tmp_path / "trees")
        assert (laid_out / "data" / "rows.csv").read_text() == DATA
        assert (laid_out / ".lfsconfig").exists()
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@needs_lfs
async def test_an_object_that_the_remote_does_not_have_is_named_with_the_mend(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    sha = _keeps(ada)
    kept = ada.remote / "lfs"
    kept.rename(tmp_path / "away")
    with pytest.raises(NeedsHuman) as raised:
        await mirror.materialise(sha, tmp_path / "trees")
    assert "data/rows.csv" in str(raised.value)
    assert f"a Git LFS pointer to {len(DATA):,} bytes" in str(raised.value)
    assert "git lfs push --all origin" in str(raised.value)
    shutil.rmtree(kept, ignore_errors=True)
    (tmp_path / "away").rename(kept)
    laid_out = await mirror.materialise(sha, tmp_path / "trees")
    assert (laid_out / "data" / "rows.csv").read_text() == DATA


@needs_lfs
async def test_a_remote_that_is_away_is_asked_again(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    sha = _keeps(ada)
    await mirror.fetch()
    ada.remote.rename(tmp_path / "away")
    with pytest.raises(TryAgain):
        await mirror.materialise(sha, tmp_path / "trees")
    (tmp_path / "away").rename(ada.remote)
    assert (await mirror.materialise(sha, tmp_path / "trees")).is_dir()


@needs_lfs
async def test_a_folder_that_was_laid_out_without_lfs_is_not_taken_for_the_whole_one(
    ada: Person, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = _keeps(ada)
    with monkeypatch.context() as machine:
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "git").symlink_to(str(shutil.which("git")))
        machine.setenv("PATH", str(programs))
        assert not lfs.is_installed()
        bare = await mirror.materialise(sha, tmp_path / "trees")
        assert "git-lfs" in (bare / "data" / "rows.csv").read_text()
        assert await mirror.materialise(sha, tmp_path / "trees") == bare
    whole = await mirror.materialise(sha, tmp_path / "trees")
    assert whole != bare
    assert (whole / "data" / "rows.csv").read_text() == DATA


async def test_a_pointer_is_known_by_what_it_says_where_lfs_keeps_files(
    ada: Person, mirror: Mirror
) -> None:
    sha = ada.push({"a.bin": POINTER, "docs/a.txt": "about git-lfs", "b.bin": POINTER + "more\n"})
    assert pointers(await mirror.files(sha)) == {}
    sha = ada.push({"sub/.gitattributes": "*.bin filter=lfs\n"})
    files = await mirror.files(sha)
    assert files["a.bin"].startswith(f"lfs:12345:{'ab' * 32}:")
    assert {path: found.size for path, found in pointers(files).items()} == {"a.bin": 12345}


async def test_a_pointer_without_lfs_is_an_error_at_validate_plan_and_run(
    ada: Person, mirror: Mirror, tmp_path: Path, without_lfs: None
) -> None:
    attributes = {".gitattributes": "*.bin filter=lfs\n"}
    sha = ada.push({"ml-pipeline.yaml": SPEC, "train.py": "x", "data.bin": POINTER, **attributes})
    words = "`steps.train` reads data.bin: a Git LFS pointer to 12,345 bytes"
    assert pointers(tracked_from(ada.clone).seen).keys() == {"data.bin"}
    for revision in (None, sha):
        problems = gather(
            spec_argument(ada.clone, None, "headgate plan"), revision, None
        ).loaded.problems
        assert [problem.message.startswith(words) for problem in problems] == [True]
        assert "install git-lfs" in problems[0].message
    code = await Repositories({"toy": mirror}, tmp_path / "trees").code(
        "toy", sha, "ml-pipeline.yaml"
    )
    assert code.spec is None
    assert words in code.problems


async def test_a_spec_that_lfs_keeps_is_named_as_a_pointer(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    attributes = {".gitattributes": "*.yaml filter=lfs\n"}
    sha = ada.push({"ml-pipeline.yaml": POINTER, "train.py": "x", **attributes})
    (problem,) = gather(spec_argument(ada.clone, None, "headgate plan"), sha, None).loaded.problems
    assert problem.message.startswith("this is a Git LFS pointer")
    code = await Repositories({"toy": mirror}, tmp_path / "trees").code(
        "toy", sha, "ml-pipeline.yaml"
    )
    assert code.spec is None
    assert "git lfs untrack ml-pipeline.yaml" in code.problems


@needs_lfs
async def test_a_suite_that_lfs_keeps_is_an_error_since_its_rules_could_not_be_compared(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    dataset = "datasets: {rows: {uri: 's3://lake/*.csv', expectations: suite.yaml}}\n"
    attributes = {".gitattributes": "suite.yaml filter=lfs\n"}
    sha = ada.push({"ml-pipeline.yaml": SPEC + dataset, "suite.yaml": POINTER, **attributes})
    words = "the suite of `rows` is in Git LFS"
    source = tracked_from(ada.clone)
    in_the_work_tree = check_at((SPEC + dataset).encode(), "ml-pipeline.yaml", source)
    for loaded in (
        in_the_work_tree,
        gather(spec_argument(ada.clone, None, "headgate plan"), sha, None).loaded,
    ):
        said = [one.message for one in loaded.problems if one.severity == "error"]
        assert [message.startswith(words) for message in said] == [True]
    code = await Repositories({"toy": mirror}, tmp_path / "trees").code(
        "toy", sha, "ml-pipeline.yaml"
    )
    assert code.spec is None
    assert words in code.problems


def test_a_clone_that_needs_lfs_and_has_none_says_so(ada: Person, without_lfs: None) -> None:
    ada.push({"ml-pipeline.yaml": SPEC, "train.py": "x", ".gitattributes": "*.bin filter=lfs\n"})
    run_git(ada.clone, "config", "filter.lfs.process", "git-lfs filter-process")
    run_git(ada.clone, "config", "filter.lfs.required", "true")
    (ada.clone / "data.bin").write_text("1")
    with pytest.raises(NeedsHuman, match="git-lfs is not on PATH: install it"):
        gather(spec_argument(ada.clone, None, "headgate plan"), None, None)


async def test_a_submodule_is_an_error_at_validate_plan_and_run(
    ada: Person, mirror: Mirror, tmp_path: Path
) -> None:
    first = ada.push({"ml-pipeline.yaml": SPEC, "train.py": "x"})
    run_git(ada.clone, "update-index", "--add", "--cacheinfo", f"160000,{first},vendor/lib")
    run_git(ada.clone, "commit", "-q", "-m", "A library")
    run_git(ada.clone, "push", "-q", "origin", "HEAD:main")
    sha = ada.head("main")
    words = f"`steps.train` reads vendor/lib: a submodule at {first[:12]}"
    assert tracked_from(ada.clone).seen["vendor/lib"].startswith("submodule:")
    problems = gather(spec_argument(ada.clone, None, "headgate plan"), sha, None).loaded.problems
    assert [problem.message.startswith(words) for problem in problems] == [True]
    code = await Repositories({"toy": mirror}, tmp_path / "trees").code(
        "toy", sha, "ml-pipeline.yaml"
    )
    assert words in code.problems
    left_out = SPEC + "triggers: {commits: {paths: ['**', '!vendor/lib/']}}\n"
    sha = ada.push({"ml-pipeline.yaml": left_out})
    run_git(ada.clone, "update-index", "--add", "--cacheinfo", f"160000,{first},vendor/lib")
    run_git(ada.clone, "commit", "-q", "--amend", "-m", "Left out")
    run_git(ada.clone, "push", "-q", "-f", "origin", "HEAD:main")
    assert not has_errors(
        gather(
            spec_argument(ada.clone, None, "headgate plan"), ada.head("main"), None
        ).loaded.problems
    )


def test_outside_of_a_repository_nothing_is_absent(tmp_path: Path) -> None:
    assert tracked_from(tmp_path).seen == {}
