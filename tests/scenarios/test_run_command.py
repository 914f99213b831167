"""`headgate run`: a commit's pipeline on a laptop, without a controller."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from controller.wiring.home_lock import only_one
from tests.actions.clone import HEADGATE, change, clone, commit, headgate
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import PATIENCE, PIPELINE, run_git

NUMBERS = "value\n1\n2\n3\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return clone(tmp_path, PIPELINE, a=NUMBERS)


def test_what_is_committed_is_run_and_what_is_not_is_said(work: Path) -> None:
    change(work, "train.py", "import argparse", "raise SystemExit(9)\nimport argparse")

    done = headgate(work, "run")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 file is changed in the work tree, and only the commit is run: train.py" in done.stdout
    assert "✓ train" in done.stdout
    assert "has no gate, so nothing was judged" in done.stdout


def test_a_second_run_of_a_clone_waits_its_turn_or_is_given_a_folder_of_its_own(
    work: Path,
) -> None:
    with only_one(work / ".git" / "headgate"):
        second = headgate(work, "run")
        apart = headgate(work, "run", "--home", "../apart")

    assert second.returncode == 1, second.stdout + second.stderr
    assert "another `headgate run` of this clone is in progress" in second.stderr
    assert "`--home FOLDER`" in second.stderr
    assert "controller" not in second.stderr
    assert "1 ran, 0 cached" in apart.stdout


def test_before_the_first_commit_it_says_how_to_make_it(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "ml-pipeline.yaml").write_text("")
    run_git(work, "init", "-q")

    done = headgate(work, "run")

    assert done.returncode != 0
    assert "the repository has no commit yet; make the first one: `git add --all" in done.stderr


def test_equal_steps_are_cached_from_one_run_to_the_next_and_forgotten_on_demand(
    work: Path,
) -> None:
    assert "1 ran, 0 cached" in headgate(work, "run", "--home", "../kept").stdout
    change(work, "serve.py", '"""', '"""Another word. ')
    commit(work, "Change what no step reads")

    again = headgate(work, "run", "--home", "../kept")

    assert "0 ran, 1 cached" in again.stdout
    assert "from mean-1" in again.stdout
    assert "1 ran, 0 cached" in headgate(work, "run", "--forget").stdout


def test_a_commit_that_takes_gates_and_release_out_passes_only_where_that_is_accepted(
    tmp_path: Path,
) -> None:
    work = clone(tmp_path, GATED, a=points(0, 2000))
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    base = commit(work, "Judge the model only")
    take_out(work, "gates", "release")
    commit(work, "Ask for nothing")

    done = headgate(work, "run", "--base", base, "--report", "report.md")

    assert done.returncode == 6, done.stdout + done.stderr
    assert "Passed: " in done.stdout
    assert "But it loosens 3 rules of the base" in done.stdout
    assert "\n  gates.model: limit of roc_auc: at least 0.6 → removed\n" in done.stdout
    assert "--accept-rules" in done.stdout
    assert "This loosens 3 rules" in (work / "report.md").read_text()
    accepted = headgate(work, "run", "--base", base, "--accept-rules")
    assert accepted.returncode == 0
    assert "which --accept-rules accepts" in accepted.stdout
    assert headgate(work, "run").returncode == 0, "by its own rules"
    take_out(work, "model")
    commit(work, "Have no model at all")
    # Whether its gate can judge it then is for the run to say: it is no pass, either way.
    assert headgate(work, "run", "--base", base).returncode in (4, 6)


def test_the_model_of_the_base_is_what_a_commit_is_compared_with(tmp_path: Path) -> None:
    work = clone(tmp_path, GATED, a=points(0, 2000))
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    base = commit(work, "Judge the model only")
    change(work, "ml-pipeline.yaml", "noise: 0.0", "noise: 9.0")
    commit(work, "Be worse")

    alone = headgate(work, "run")
    assert "`--base` names a commit whose model is compared" in alone.stdout
    done = headgate(work, "run", "--base", base, "--report", "report.md")

    assert done.returncode == 4, done.stdout + done.stderr
    assert f"First the model of the base {base[:12]}, for comparison:" in done.stdout
    report = (work / "report.md").read_text()
    assert f"the model of {base[:12]}" in report
    assert "- baseline the base's model" in report


def test_a_base_whose_model_cannot_be_made_leaves_its_comparison_undecided(tmp_path: Path) -> None:
    work = clone(tmp_path, GATED, a=points(0, 2000))
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    change(work, "train.py", "import argparse", "raise SystemExit(9)\nimport argparse")
    base = commit(work, "Break the training")
    change(work, "train.py", "raise SystemExit(9)\n", "")
    commit(work, "Fix it")

    done = headgate(work, "run", "--base", base)

    assert done.returncode == 4, done.stdout + done.stderr
    assert f"the model of {base[:12]} cannot be made: " in done.stdout
    assert "INCONCLUSIVE" in done.stdout


def take_out(work: Path, *parts: str) -> None:
    """Remove whole parts of the spec, each with what is below it."""
    spec = work / "ml-pipeline.yaml"
    text = spec.read_text()
    for part in parts:
        text, count = re.subn(rf"^{part}:.*\n(?:[ ].*\n)*", "", text, flags=re.MULTILINE)
        assert count == 1, part
    spec.write_text(text)


def test_what_only_the_base_has_tightened_since_is_nothing_that_the_commit_loosens(
    tmp_path: Path,
) -> None:
    work = clone(tmp_path, GATED, a=points(0, 2000))
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    commit(work, "Judge the model only")
    change(work, "ml-pipeline.yaml", "at_least: 0.6", "at_least: 0.65")
    tightened = commit(work, "Ask for more")
    run_git(work, "checkout", "-q", "-b", "topic", "HEAD^")
    change(work, "train.py", "import argparse", "import argparse  # for its options")
    commit(work, "Say it another way")

    done = headgate(work, "run", "--base", tightened)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "loosens" not in done.stdout


def test_accepting_needs_a_base(work: Path) -> None:
    done = headgate(work, "run", "--accept-rules")
    assert done.returncode == 2
    assert "needs --base" in done.stderr


def test_a_failed_step_shows_the_end_of_its_log_and_not_the_secret_in_it(work: Path) -> None:
    change(
        work,
        "ml-pipeline.yaml",
        "    reads: [train.py]",
        "    reads: [train.py]\n    secrets: [KEY]",
    )
    change(
        work,
        "train.py",
        "values = [",
        'import os\nprint("the key is", os.environ["KEY"])\nraise SystemExit(7)\nvalues = [',
    )
    commit(work, "Break training")

    done = headgate(work, "run", HEADGATE_SECRET_KEY="swordfish")

    assert done.returncode == 5
    assert "The end of the log of train:\n  the key is ***\n" in done.stdout
    assert "exit code 7" in done.stdout
    assert "swordfish" not in done.stdout + done.stderr


def test_an_invalid_spec_runs_nothing_and_names_its_line(work: Path) -> None:
    change(work, "ml-pipeline.yaml", "params:", "parms:")
    commit(work, "Misspell")

    done = headgate(work, "run")

    assert done.returncode == 1
    assert "ml-pipeline.yaml:11:1: error" in done.stderr
    assert not (work / ".git" / "headgate").exists()


def test_data_that_is_not_there_is_said(work: Path) -> None:
    change(work, "ml-pipeline.yaml", "data/*.csv", "data/*.parquet")
    commit(work, "Ask for other files")

    done = headgate(work, "run")

    assert done.returncode == 1
    assert "there is no object at data/*.parquet" in done.stderr


def test_ctrl_c_in_a_terminal_cancels_and_leaves_no_process(work: Path) -> None:
    change(work, "ml-pipeline.yaml", "wait: 0.0", "wait: 600.0")
    commit(work, "Take your time")
    terminal = pexpect.spawn(
        HEADGATE, ["run"], cwd=str(work), timeout=PATIENCE, encoding="utf-8", use_poll=True
    )
    try:
        terminal.expect("train")  # the live tree
        await_(lambda: any("train.py" in command for command in running(work)), "the step")

        terminal.sendintr()

        terminal.expect("Cancelled: .* All processes have been stopped")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close()
    assert terminal.exitstatus == 130
    await_(lambda: not list(running(work)), "the last process to be gone")


def test_a_clone_can_be_deleted_after_a_run(work: Path) -> None:
    headgate(work, "run")

    sealed = [p for p in work.rglob("*") if p.is_dir() and not p.stat().st_mode & 0o200]

    assert sealed == []


def running(work: Path) -> Iterator[str]:
    """The command lines of processes that work below the clone."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(work) in where or str(work) in command:
            yield command


def await_(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s for {what}"
        time.sleep(0.05)
