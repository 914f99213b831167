"""The composite action, executed as GitHub does in a job of a team's repository."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.actions import runner
from tests.actions.clone import HEADGATE, change, clone, commit
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import run_git

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "headgate" / "action.yml"


def job(workspace: Path, temp: Path, base: str = "", **given: str) -> runner.Job:
    """A job of a pull request, in which Headgate is installed already."""
    event = {"pull_request": {"base": {"sha": base}}} if base else {}
    return runner.run(
        ACTION,
        workspace,
        temp,
        given={"headgate": HEADGATE, **given},
        event=event,
        environ=runner.environment(),
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return clone(tmp_path, GATED, a=points(0, 2000))


def test_a_good_model_passes_and_its_report_is_the_jobs_summary(work: Path, tmp_path: Path) -> None:
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    base = commit(work, "Judge the model only")
    change(work, "ml-pipeline.yaml", "at_least: 0.6", "at_least: 0.65")
    commit(work, "Ask for more")

    done = job(work, tmp_path / "temp", base)

    assert done.passed, done.log
    assert done.ran == ["Install Headgate", "Validate", "Plan", "Run"]
    assert done.outputs["verdict"] == "PASS"
    report = Path(done.outputs["report"]).read_text()
    assert report in done.summary
    assert report.startswith("## ✅ roc_auc ")
    assert "mean-2 passed after" in report
    assert "- baseline the base's model" in report
    assert "no rule loosened" in done.summary
    assert done.annotations == []


def test_a_good_model_of_a_commit_that_asks_for_less_passes_only_once_that_is_accepted(
    work: Path, tmp_path: Path
) -> None:
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    base = commit(work, "Judge the model only")
    change(work, "ml-pipeline.yaml", "at_least: 0.6", "at_least: 0.55")
    commit(work, "Ask for less")

    home = str(tmp_path / "home")  # as an action of caches keeps it between jobs
    done = job(work, tmp_path / "temp", base, home=home)

    assert not done.passed
    assert done.outputs["verdict"] == "PASS", "of its gates"
    assert "But it loosens a rule of the base" in done.log
    assert "accept-rules" in done.log
    report = Path(done.outputs["report"]).read_text()
    assert report in done.summary
    assert "1 rule loosened" in report.partition("\n")[0]
    assert "### ⚠️ This loosens a rule" in report

    accepting = {"home": home, "accept-rules": "true"}
    again = job(work, tmp_path / "again", base, **accepting)
    assert again.passed, again.log
    assert "1 rule loosened" in again.summary, "which is said all the same"
    odd = job(work, tmp_path / "odd", base, **{**accepting, "accept-rules": "yes; true"})
    assert not odd.passed
    assert odd.outputs["verdict"] == "PASS"


def test_poisoned_data_fails_the_job_at_the_lines_of_the_suite_that_the_change_drops(
    work: Path, tmp_path: Path
) -> None:
    base = run_git(work, "rev-parse", "HEAD")
    (work / "data" / "b.csv").write_text(points(2000, 1000, poisoned=True))
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    commit(work, "Add a month, and nobody to look at it")

    done = job(work, tmp_path / "temp", base)

    assert not done.passed
    assert done.outputs["verdict"] == "FAIL"
    places = {(one.properties["file"], one.properties["line"]) for one in done.annotations}
    assert places == {("suite.yaml", "3"), ("suite.yaml", "6")}
    assert {one.level for one in done.annotations} == {"error"}
    assert "stopped by gate.data.points (FAIL)" in done.summary
    assert "Reproduce it on your machine: `headgate run . --commit" in done.summary


def test_an_invalid_spec_is_annotated_and_nothing_is_run(work: Path, tmp_path: Path) -> None:
    wrong = "".join(f"  wrong{number}: 1\n" for number in range(15))
    change(work, "ml-pipeline.yaml", "steps:\n", f"odd:\n{wrong}steps:\n  Bad Name: {{}}\n")
    commit(work, "Break the spec")

    done = job(work, tmp_path / "temp")

    assert not done.passed
    assert done.ran == ["Install Headgate", "Validate"]
    assert done.outputs == {"verdict": "ERROR", "report": ""}
    assert {one.properties["file"] for one in done.annotations} == {"ml-pipeline.yaml"}
    assert done.summary == ""


def test_a_shallow_clone_fetches_the_base_and_says_what_to_do_without_it(
    work: Path, tmp_path: Path
) -> None:
    base = run_git(work, "rev-parse", "HEAD")
    change(work, "train.py", '"""', '"""Never ends well. ')
    change(work, "train.py", "import argparse", "raise SystemExit(3)\nimport argparse")
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    commit(work, "Drop the suite")
    shallow = tmp_path / "shallow"
    run_git(tmp_path, "clone", "-q", "--depth=1", work.as_uri(), str(shallow))
    run_git(shallow, "checkout", "-q", "--detach")
    run_git(shallow, "branch", "-q", "-D", "main")

    done = job(shallow, tmp_path / "temp", base)

    assert not done.passed
    assert "loosens" in done.summary
    assert done.outputs["verdict"] == "ERROR"
    assert "`train` failed" in done.summary

    run_git(shallow, "remote", "remove", "origin")
    unknown = job(shallow, tmp_path / "another", "1" * 40)
    assert [one.level for one in unknown.annotations] == ["warning"]
    assert "fetch-depth: 0" in unknown.annotations[0].message


def test_what_a_path_holds_is_never_a_command(work: Path, tmp_path: Path) -> None:
    hostile = 'x"; touch pwned; echo "$(touch pwned)`touch pwned`'

    done = job(work, tmp_path / "temp", path=hostile, base="--upload-pack=touch pwned")

    assert not done.passed
    assert not list(tmp_path.rglob("pwned"))


def test_no_step_of_a_pipeline_commands_the_job(work: Path, tmp_path: Path) -> None:
    change(
        work,
        "train.py",
        "import argparse",
        'print("::error file=a.py::Trust me")\nprint("::add-mask::e")\nraise SystemExit(3)\n'
        "import argparse",
    )
    change(work, "ml-pipeline.yaml", ", expectations: suite.yaml", "")
    commit(work, "Say something")

    done = job(work, tmp_path / "temp")

    assert "::error file=a.py::Trust me" in done.log
    assert not any("Trust me" in one.message for one in done.annotations)


def test_the_example_workflow_gives_the_action_what_it_takes() -> None:
    workflow = YAML(typ="safe").load(ROOT / "examples" / "github-actions" / "headgate.yml")
    steps = workflow["jobs"]["gates"]["steps"]
    used = next(step for step in steps if "headgate" in step["uses"])

    assert used["uses"] == "OWNER/headgate/.github/actions/headgate@COMMIT"
    assert used["with"].keys() <= runner.read(ACTION)["inputs"].keys()
    assert workflow["permissions"] == {"contents": "read"}
    readme = (ACTION.parent / "README.md").read_text()
    for name in runner.read(ACTION)["inputs"]:
        assert re.search(rf"^\| `{name}` \|", readme, re.MULTILINE), name
