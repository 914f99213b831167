"""What a step does not declare that it reads, it does not see: else the cache would carry it on."""

from pathlib import Path

import pytest

from tests.actions.clone import change, clone, commit, headgate
from tests.scenarios.world import PIPELINE, run_git

NUMBERS = "value\n1\n2\n3\n"
SNEAKY = """
import importlib.util
if importlib.util.find_spec("booster"):
    import booster
    values = booster.better(values)
print("the mean is", sum(values) / len(values))
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A clone whose train.py uses `booster` where it finds it, and does not say so."""
    made = clone(tmp_path, PIPELINE, a=NUMBERS)
    change(made, "train.py", "time.sleep(given.wait)", SNEAKY)
    change(made, "train.py", "print(f", "raise SystemExit(9)\nprint(f")  # so that its log is shown
    commit(made, "Use a booster if there is one")
    return made


def test_a_module_that_one_pull_request_has_reaches_no_model_at_all(work: Path) -> None:
    run_git(work, "switch", "-q", "-c", "sneaky")
    (work / "booster.py").write_text("def better(values):\n    return [1000.0]\n")
    commit(work, "Add the booster")

    said = headgate(work, "run", "--home", "../kept").stdout

    assert "the mean is 2.0" in said, "its own run does not see it, so nobody gets it from there"


def test_a_module_that_is_declared_changes_the_key_so_others_do_not_get_its_model(
    work: Path,
) -> None:
    change(work, "train.py", "raise SystemExit(9)\n", "")
    change(work, "ml-pipeline.yaml", "reads: [train.py]", 'reads: ["*.py"]')
    commit(work, "Declare it")
    run_git(work, "switch", "-q", "-c", "boosted")
    (work / "booster.py").write_text("def better(values):\n    return [1000.0]\n")
    commit(work, "Add the booster")
    assert "1 ran, 0 cached" in headgate(work, "run", "--home", "../kept").stdout
    run_git(work, "switch", "-q", "main")

    assert "1 ran, 0 cached" in headgate(work, "run", "--home", "../kept").stdout
    assert "0 ran, 1 cached" in headgate(work, "run", "--home", "../kept").stdout
