"""What `headgate validate` says of suites: at their lines, and without running code of theirs."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.cli import main
from tests.controller.cli.seeds import SPEC

ROOT = Path(__file__).parents[3]
FILE = "expectations: suite.yaml"
SUITE = """\
name: rows
expectations:
  - {type: expect_column_max_to_be_between, kwargs: {column: x, max_value: {$PARAMETER: PLACE}}}
"""
INLINE = """expectations: [
    {type: expect_column_max_to_be_between, kwargs: {column: x, max_value: {$PARAMETER: PLACE}}}]"""


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A folder with a valid spec and all that it names."""
    for name in ("train.py", "evaluate.py", "serve.py", "custom.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("id,x,label\n")
    (tmp_path / "suite.yaml").write_text(SUITE.replace("PLACE", "depth"))
    (tmp_path / "ml-pipeline.yaml").write_text(SPEC)
    return tmp_path


def validate(team: Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["validate", str(team)])
    return done.exit_code, done.output


def change(team: Path, was: str, now: str, file: str = "ml-pipeline.yaml") -> None:
    text = (team / file).read_text()
    assert was in text
    (team / file).write_text(text.replace(was, now))


def test_parameters_of_the_spec_are_known_in_a_file_and_in_the_spec(team: Path) -> None:
    assert validate(team)[0] == 0
    change(team, FILE, INLINE.replace("PLACE", "depth"))
    assert validate(team)[0] == 0


def test_an_unknown_parameter_is_said_at_its_line_in_a_file(team: Path) -> None:
    change(team, "depth", "dept", "suite.yaml")
    code, said = validate(team)
    assert code == 1
    assert "suite.yaml:3:" in said
    assert "there is no parameter `dept`" in said
    assert "did you mean depth?" in said


def test_an_unknown_parameter_is_said_at_its_line_in_the_spec(team: Path) -> None:
    change(team, FILE, INLINE.replace("PLACE", "dept"))
    code, said = validate(team)
    assert code == 1
    assert "ml-pipeline.yaml:6:" in said
    assert "there is no parameter `dept`" in said


def test_a_parameter_that_only_a_suite_uses_is_used(team: Path) -> None:
    change(team, "depth: 3}", "depth: 3, most: 5}")
    assert "uses the parameter `most`" in validate(team)[1]
    change(team, "depth", "most", "suite.yaml")
    assert "uses the parameter" not in validate(team)[1]


def test_the_module_of_custom_expectations_is_not_imported(team: Path) -> None:
    change(team, FILE, f"{FILE}, custom_expectations: custom.py")
    (team / "custom.py").write_text(f"open({str(team / 'ran')!r}, 'w')\n")
    command = (sys.executable, "-m", "controller.cli", "validate", str(team))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert not (team / "ran").exists()
