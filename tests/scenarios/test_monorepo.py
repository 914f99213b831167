"""A package beside the team's folder: what a step can import is what makes it run again."""

import shutil
from pathlib import Path

import pytest

from tests.actions.clone import change, commit, headgate
from tests.scenarios.world import PIPELINE, run_git

SPEC = "teams/mean/ml-pipeline.yaml"
FEATURES = "src/shared/features.py"
READS = "    reads: [train.py]\n"
CACHED, RAN = "0 ran, 1 cached", "1 ran, 0 cached"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A monorepo whose team trains on a shared package, which its spec does not name yet."""
    top = tmp_path / "work"
    shutil.copytree(PIPELINE, top / "teams" / "mean")
    (top / "data").mkdir()
    (top / "data" / "a.csv").write_text("value\n1\n2\n3\n")
    (top / FEATURES).parent.mkdir(parents=True)
    (top / FEATURES).write_text("FACTOR = 1.0\n")
    (top / "src" / "private.py").write_text("")
    change(top, SPEC, "file://BUCKET/*.csv", "//data/*.csv")
    change(
        top, "teams/mean/train.py", "import time\n", "import time\nfrom shared import features\n"
    )
    change(top, "teams/mean/train.py", "+ given.shift", "* features.FACTOR + given.shift")
    run_git(tmp_path, "init", "-q", "-b", "main", str(top))
    commit(top, "Add the pipeline")
    return top


def run(work: Path) -> str:
    done = headgate(work / "teams" / "mean", "run", "--home", str(work.parent / "kept"))
    return done.stdout + done.stderr


def test_a_package_that_is_imported_and_not_read_fails_and_never_passes_with_an_old_model(
    work: Path,
) -> None:
    assert "No module named 'shared'" in run(work)
    change(work, SPEC, READS, f"{READS}    env: {{PYTHONPATH: ../../src}}\n")
    commit(work, "Let it find the package")

    said = run(work)

    assert "error: `steps.train.env.PYTHONPATH` leads out of the spec's folder" in said
    assert "add `//src/**` to `steps.train.reads`, and write `{root}/src`" in said
    assert "the spec is invalid, so nothing was run" in said


@pytest.mark.parametrize(
    ("step", "link"),
    [
        ('    reads: [train.py, "//src/shared/**"]\n    env: {PYTHONPATH: "{root}/src"}\n', None),
        ("    reads: ['**/*.py', lib/]\n    env: {PYTHONPATH: lib}\n", "lib -> ../../src"),
        ("", "../../src/shared"),
    ],
    ids=["root", "a linked path", "a link, without reads"],
)
def test_a_changed_package_makes_a_new_model(work: Path, step: str, link: str | None) -> None:
    change(work, SPEC, READS, step)
    if link is not None:
        name, leads = link.split(" -> ") if "->" in link else ("shared", link)
        (work / "teams" / "mean" / name).symlink_to(leads)
    commit(work, "Read the package")
    assert RAN in run(work)
    change(work, FEATURES, "1.0", "9.0")
    commit(work, "Change the package")
    assert RAN in run(work)
    (work / "teams" / "other").mkdir()
    (work / "teams" / "other" / "train.py").write_text("")
    commit(work, "Change another team's folder")
    assert CACHED in run(work)


def test_what_is_not_committed_of_the_package_is_said(work: Path) -> None:
    change(
        work,
        SPEC,
        READS,
        '    reads: [train.py, "//src/**"]\n    env: {PYTHONPATH: "{root}/src"}\n',
    )
    commit(work, "Read the package")
    (work / FEATURES).write_text("FACTOR = 2.0\n")
    (work / "README.md").write_text("of no concern")

    assert "and only the commit is run: //src/shared/features.py" in run(work)
    plan = headgate(work, "plan", "teams/mean", "--base", "HEAD").stdout
    assert "judged like a pull request" in plan, "the package is part of what the pipeline is"


def test_all_specs_of_the_repository_are_checked_from_its_top(work: Path) -> None:
    change(work, SPEC, READS, '    reads: [train.py, "//src/new.py"]\n')
    (work / "src" / "new.py").write_text("")

    done = headgate(work, "validate")

    assert done.returncode == 0, done.stdout + done.stderr
    (work / "src" / "new.py").unlink()
    assert "`//src/new.py` matches no file" in headgate(work, "validate").stdout
