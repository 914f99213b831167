"""`headgate run` of what was run before: it is known at once that nothing has changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controller.cli.run.last_result import PACKAGES
from controller.machine.runs.run import RENEWED
from tests.actions.clone import change, clone, commit, headgate
from tests.controller.cli.test_quick import HEAVY, LOOKING
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import PIPELINE

ROOT = Path(__file__).parents[2]
NUMBERS = "value\n1\n2\n3\n"
UNCHANGED = "Nothing to run: nothing that it reads has changed since mean-1."


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return clone(tmp_path, PIPELINE, a=NUMBERS)


def beside(work: Path) -> Path:
    """Let the pipeline read a folder outside the repository, with one file in it."""
    bucket = work.parent / "bucket"
    bucket.mkdir()
    put(bucket / "a.csv", NUMBERS)
    change(work, "ml-pipeline.yaml", "data/*.csv", f"file://{bucket}/*.csv")
    commit(work, "Read the bucket")
    return bucket


def put(path: Path, content: str) -> None:
    """Write a file a while ago, so that nobody waits for the end of its writing."""
    path.write_text(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))


def last(work: Path) -> Path:
    """The file of the last result."""
    (found,) = (work / ".git" / "headgate" / "last").iterdir()
    return found


def rewrite(work: Path, **changes: Any) -> None:
    """Change what is remembered of the last run."""
    path = last(work)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_unchanged_rerun_imports_nothing_of_the_controller_and_asks_git_twice(
    work: Path,
) -> None:
    first = headgate(work, "run")
    assert "1 ran, 0 cached" in first.stdout, first.stderr
    trace = work.parent / "git.trace"

    again = subprocess.run(
        [sys.executable, "-c", LOOKING, "run"],
        cwd=work,
        env=os.environ | {"GIT_TRACE2_EVENT": str(trace)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert again.returncode == 0, again.stderr
    assert UNCHANGED in again.stdout
    assert "0 ran, 1 cached" in again.stdout
    imported = set(again.stdout.splitlines()[-1].split())
    assert imported & (HEAVY | {"pydantic", "ruamel.yaml", "rich", "asyncio"}) == set()
    ours = {name for name in imported if name.partition(".")[0] in ("controller", "specs")}
    assert ours == {
        "controller",
        "controller.blobs",
        "controller.blobs.last_use",
        "controller.blobs.objects",
        "controller.cli",
        "controller.cli.failures",
        "controller.cli.folders",
        "controller.cli.importing",
        "controller.cli.run",
        "controller.cli.run.heading",
        "controller.cli.run.last_result",
        "controller.cli.run.run",
        "controller.cli.terminal",
        "controller.cli.terminal.formatting",
        "specs",
        "specs.digests",
        "specs.failures",
        "specs.figures",
    }
    assert trace.read_text().count('"event":"start"') == 2


def test_a_gate_that_stopped_the_run_stops_it_again_and_says_the_same(tmp_path: Path) -> None:
    work = clone(tmp_path, GATED, a=points(0, 2000))
    change(work, "ml-pipeline.yaml", "noise: 0.0", "noise: 9.0")
    commit(work, "Be worse")
    first = headgate(work, "run")
    assert first.returncode == 4, first.stdout + first.stderr

    again = headgate(work, "run")

    assert again.returncode == 4, again.stdout + again.stderr
    assert "Nothing to run: " in again.stdout
    _progress, _, rest = first.stdout.partition("\n\n")
    gates, _, outcome = rest.rstrip().rpartition("\n\n")
    assert "roc_auc" in gates
    assert f"\n\n{gates}\n\n" in again.stdout
    assert outcome.startswith("Stopped by gate.model (FAIL): ")
    assert again.stdout.endswith("\n\nStopped by gate.model (FAIL): 0 ran, 4 cached.\n")


def test_data_outside_the_repository_is_looked_at_each_time(work: Path) -> None:
    bucket = beside(work)
    assert "1 ran, 0 cached" in headgate(work, "run").stdout
    assert UNCHANGED in headgate(work, "run").stdout
    put(bucket / "b.csv", NUMBERS)

    assert "1 ran, 0 cached" in headgate(work, "run").stdout
    assert "has changed since mean-2" in headgate(work, "run").stdout


def test_a_result_that_is_gone_or_damaged_is_made_again(work: Path) -> None:
    headgate(work, "run")
    (digest,) = json.loads(last(work).read_text())["files"]
    name = digest.partition(":")[2]
    stored = work / ".git" / "headgate" / "artifacts" / "files" / name[:2] / name[2:]
    stored.chmod(0o644)
    stored.write_text("something else")

    assert "1 ran, 0 cached" in headgate(work, "run").stdout
    stored.unlink()
    assert "1 ran, 0 cached" in headgate(work, "run").stdout
    assert "has changed since mean-3" in headgate(work, "run").stdout


def test_a_commit_that_changes_nothing_of_it_takes_its_results_from_the_cache(work: Path) -> None:
    headgate(work, "run")
    change(work, "serve.py", '"""', '"""Another word. ')
    commit(work, "Change what no step reads")

    committed = headgate(work, "run")

    assert "Nothing to run" not in committed.stdout
    assert "0 ran, 1 cached" in committed.stdout
    assert "Nothing to run" in headgate(work, "run").stdout


def test_what_is_not_committed_is_said_again(work: Path) -> None:
    change(work, "train.py", "import argparse", "import argparse  # for its options")
    (work / "a note\nof two lines.txt").write_text("")
    first = headgate(work, "run")
    assert "1 ran, 0 cached" in first.stdout

    again = headgate(work, "run")

    assert UNCHANGED in again.stdout
    note = "2 files are changed in the work tree, and only the commit is run: a note"
    assert note in again.stdout
    assert again.stdout.splitlines()[:2] == first.stdout.splitlines()[:2]


def test_a_step_that_is_never_cached_runs_each_time(work: Path) -> None:
    change(
        work, "ml-pipeline.yaml", "    reads: [train.py]", "    reads: [train.py]\n    cache: never"
    )
    commit(work, "Train each time")
    for _ in range(2):
        assert "1 ran, 0 cached" in headgate(work, "run").stdout


def test_results_that_are_too_old_or_were_not_looked_up_for_a_day_are_looked_up(work: Path) -> None:
    headgate(work, "run")
    kept = last(work)
    assert json.loads(kept.read_text())["until"] <= kept.stat().st_mtime + RENEWED
    rewrite(work, until=0.0)
    assert "Nothing to run" not in headgate(work, "run").stdout


def test_a_failed_step_is_tried_again_each_time(work: Path) -> None:
    change(work, "train.py", "import argparse", "raise SystemExit(9)\nimport argparse")
    commit(work, "Break the training")
    for _ in range(2):
        done = headgate(work, "run")
        assert done.returncode == 5
        assert "Failed: train" in done.stdout


def test_whoever_asks_for_more_than_the_last_result_gets_a_run(work: Path) -> None:
    headgate(work, "run")
    assert "1 ran, 0 cached" in headgate(work, "run", "--no-cache").stdout
    assert "has changed since mean-2" in headgate(work, "run").stdout, "the newest result counts"
    assert "1 ran, 0 cached" in headgate(work, "run", "--forget").stdout
    assert "Nothing to run" not in headgate(work, "run", "--report", "report.md").stdout
    assert (
        "1 cached" in (work / "report.md").read_text()
        or "cached" in (work / "report.md").read_text()
    )


@pytest.mark.parametrize("is_installed", [True, False])
def test_edited_added_and_deleted_code_is_another_headgate(
    tmp_path: Path, is_installed: bool
) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)

    def installed() -> str:
        lines = (
            "import sys",
            "from controller.cli.run import last_result",
            "" if is_installed else "sys.path.clear()",
            "print(last_result.installed())",
        )
        command = (sys.executable, "-c", "\n".join(lines))
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    first = installed()
    assert ("dist-info" in first) == is_installed
    assert installed() == first, "what Python compiled meanwhile does not count"
    edited = tmp_path / "validators" / "verdict.py"
    edited.touch()
    second = installed()
    (tmp_path / "specs" / "fresh.py").touch()
    os.utime(tmp_path / "specs" / "fresh.py", (0, 0))
    third = installed()
    (tmp_path / "specs" / "fresh.py").unlink()

    assert len({first, second, third}) == 3
    assert installed() == second


@pytest.mark.parametrize("kept", [{"made_by": "another Headgate"}, {"code": None, "odd": 1}])
def test_what_another_version_remembers_is_not_believed(work: Path, kept: dict[str, Any]) -> None:
    headgate(work, "run")
    rewrite(work, **kept)
    done = headgate(work, "run")
    assert "Nothing to run" not in done.stdout
    assert "0 ran, 1 cached" in done.stdout
