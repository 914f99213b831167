"""A newcomer: init writes what validates, validate tells everything at once."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.cli import main
from specs.loading.load import load
from specs.model import SPEC_FILE, Pipeline
from tests.scenarios.world import run_git

TEAM = {
    "train.py": "",
    "src/evaluate.py": "",
    "serve.py": "",
    "requirements.txt": "",
    "data/2024/rows.parquet": "",
    "expectations/rows.yaml": "name: x\nexpectations: [{type: expect_table_row_count_to_equal}]\n",
}


def do(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def folder(tmp_path: Path, files: dict[str, str]) -> Path:
    made = tmp_path / "Flight Delay"
    made.mkdir()
    for name, text in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def test_init_finds_what_is_there_and_writes_what_validates(tmp_path: Path) -> None:
    team = folder(tmp_path, TEAM)
    result = do("init", str(team), "--repository", "git@example.org:flights.git")
    assert result.exit_code == 0, result.stderr
    text = (team / SPEC_FILE).read_text()
    for found in ("name: flight-delay", "data/2024/*.parquet", "expectations/rows.yaml",
                  "python src/evaluate.py", "python serve.py", "requirements.txt"):  # fmt: skip
        assert found in text
    assert "git@example.org:flights.git" in (team / "headgate.yaml").read_text()
    checked = do("validate", str(team))
    assert checked.exit_code == 0
    assert "3 files are valid" in checked.stderr


def test_validate_tells_what_a_draft_leaves_to_do(tmp_path: Path) -> None:
    team = folder(tmp_path, TEAM)
    said = do("init", str(team)).stdout
    found = json.loads(do("validate", str(team), "--json").stdout)
    text = (team / SPEC_FILE).read_text().splitlines()
    assert found
    assert {(one["code"], one["severity"]) for one in found} == {("todo", "warning")}
    assert all("TODO" in text[one["line"] - 1][one["column"] - 1 :] for one in found)
    assert f"Fill in the {len(found)} TODOs" in said


def test_a_second_pipeline_of_a_folder_gets_a_file_of_its_own(tmp_path: Path) -> None:
    team = folder(tmp_path, TEAM)
    assert do("init", str(team), "--name", "first").exit_code == 0
    assert "To draft another pipeline" in do("init", str(team)).stderr
    assert do("init", str(team), "--name", "first").exit_code == 1
    assert do("init", str(team), "--name", "second").exit_code == 0
    assert "name: second" in (team / "ml-pipeline.second.yaml").read_text()
    assert "name: first" in (team / SPEC_FILE).read_text()


def test_the_folders_of_other_pipelines_are_left_to_them(tmp_path: Path) -> None:
    inner = {f"services/a/{name}": text for name, text in TEAM.items()}
    team = folder(tmp_path, {**inner, "services/a/ml-pipeline.yaml": "", "fit.py": ""})
    assert do("init", str(team)).exit_code == 0
    text = (team / SPEC_FILE).read_text()
    assert "python fit.py" in text
    assert "services" not in text


@pytest.mark.parametrize("missing", [set(TEAM), {"src/evaluate.py"}, {"serve.py"}, {"train.py"}])
def test_init_writes_a_valid_spec_whatever_is_missing(tmp_path: Path, missing: set[str]) -> None:
    team = folder(tmp_path, {name: text for name, text in TEAM.items() if name not in missing})
    assert do("init", str(team)).exit_code == 0
    assert do("validate", str(team)).exit_code == 0


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    mine = {SPEC_FILE: "mine\n", "headgate.yaml": "also mine\n"}
    team = folder(tmp_path, mine)
    result = do("init", str(team), "--repository", "x")
    assert result.exit_code == 1
    assert "already exist" in result.stderr
    assert {name: (team / name).read_text() for name in mine} == mine


@pytest.mark.parametrize("first", [SPEC_FILE, "headgate.yaml"])
def test_init_writes_only_what_is_missing(tmp_path: Path, first: str) -> None:
    team = folder(tmp_path, TEAM | {first: "mine\n"})
    result = do("init", str(team), "--repository", "git@example.org:flights.git")
    assert result.exit_code == 0, result.stderr
    assert (team / first).read_text() == "mine\n"
    assert f"Kept the existing {team / first}" in result.stdout
    (other,) = {SPEC_FILE, "headgate.yaml"} - {first}
    assert do("validate", str(team / other)).exit_code == 0


def test_settings_come_after_the_spec_as_the_errors_advise(tmp_path: Path) -> None:
    team = folder(tmp_path, TEAM)
    assert do("init", str(team)).exit_code == 0
    assert do("init", str(team), "--repository", "git@example.org:flights.git").exit_code == 0
    assert "flights.git" in (team / "headgate.yaml").read_text()
    assert do("init", str(team), "--repository", "git@example.org:flights.git").exit_code == 1


@pytest.mark.parametrize("name", ["it's.py", 'quote".py', "{braces}/train.py", "a b/train.py"])
def test_init_never_writes_what_does_not_validate(tmp_path: Path, name: str) -> None:
    team = folder(tmp_path, {name: "", "da'ta/x.csv": ""})
    if do("init", str(team)).exit_code == 0:
        assert do("validate", str(team)).exit_code == 0
    else:
        assert not (team / SPEC_FILE).exists()


def wrong(tmp_path: Path) -> Path:
    team = folder(tmp_path, TEAM | {"headgate.yaml": "slots: many\n"})
    do("init", str(team))
    spec = team / SPEC_FILE
    spec.write_text(spec.read_text().replace("outputs: {model", "outptus: {model"))
    (team / "expectations" / "rows.yaml").write_text("name: rows\nexpectations: []\n")
    return team


def test_validate_tells_specs_settings_and_suites_at_once(tmp_path: Path) -> None:
    result = do("validate", str(wrong(tmp_path)))
    assert result.exit_code == 1
    assert "did you mean outputs?" in result.stdout
    assert "headgate.yaml:1:8: error: wrong type for `slots`" in result.stdout
    assert "rows.yaml:2:1: error: the suite has no expectations" in result.stdout


def test_validate_speaks_to_machines(tmp_path: Path) -> None:
    team = str(wrong(tmp_path))
    found = json.loads(do("validate", team, "--format", "json").stdout)
    assert {problem["code"] for problem in found} >= {"unknown-key", "wrong-type"}
    assert json.loads(do("validate", team, "--json").stdout) == found
    sarif = json.loads(do("validate", team, "--format", "sarif").stdout)
    assert len(sarif["runs"][0]["results"]) == len(found)
    github = do("validate", team, "--format", "github")
    assert github.exit_code == 1
    assert github.stdout.count("::error file=") == len(found)


def test_validate_says_where_it_found_nothing(tmp_path: Path) -> None:
    result = do("validate", str(tmp_path))
    assert result.exit_code == 2
    assert "headgate init" in result.stderr


def test_a_hostile_file_is_told_about_and_does_not_drive_the_terminal(tmp_path: Path) -> None:
    (tmp_path / SPEC_FILE).write_bytes(b"\xff\xfe\x00\x1b[2J")
    result = do("validate", str(tmp_path))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "Traceback" not in result.output


def test_commands_without_settings_say_how_to_get_some(tmp_path: Path) -> None:
    result = do("--settings", str(tmp_path / "none.yaml"), "status")
    assert result.exit_code == 1
    assert "none.yaml cannot be read" in result.stderr
    broken = tmp_path / "headgate.yaml"
    broken.write_text("slots: 1\n")
    result = do("--settings", str(broken), "status")
    assert result.exit_code == 1
    assert "lacks `repositories`" in result.stderr


def test_without_state_reading_exits_with_3(tmp_path: Path) -> None:
    settings = tmp_path / "headgate.yaml"
    settings.write_text("repositories: [{name: a, url: b}]")
    result = do("--settings", str(settings), "runs")
    assert result.exit_code == 3
    assert "headgate up" in result.stderr


def test_a_corrupt_state_is_one_message_with_exit_code_3(tmp_path: Path) -> None:
    settings = tmp_path / "headgate.yaml"
    settings.write_text("repositories: [{name: a, url: b}]")
    (tmp_path / ".headgate").mkdir()
    (tmp_path / ".headgate" / "state.db").write_bytes(b"no database at all" * 100)
    result = do("--settings", str(settings), "status")
    assert result.exit_code == 3
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) <= 3


EXAMPLES = Path(__file__).parents[3] / "examples"


def drafted(tmp_path: Path, name: str, where: str = "") -> Pipeline:
    """What is drafted in a copy of an example without its spec."""
    copied = tmp_path / name
    shutil.copytree(EXAMPLES / name, copied)
    (copied / where / SPEC_FILE).unlink()
    run_git(tmp_path, "init", "-q", str(copied))
    run_git(copied, "add", "-A")
    result = do("init", str(copied / where))
    assert result.exit_code == 0, result.stderr
    text = (copied / where / SPEC_FILE).read_bytes()
    found = load(text, SPEC_FILE).pipeline
    assert found is not None
    return found


def test_of_the_example_of_flights_it_drafts_what_its_authors_wrote(tmp_path: Path) -> None:
    written = load((EXAMPLES / "flight-delay" / SPEC_FILE).read_bytes(), SPEC_FILE).pipeline
    found = drafted(tmp_path, "flight-delay")
    assert written is not None
    for name, step in written.steps.items():
        assert found.steps[name].reads == step.reads
        assert found.steps[name].outputs == step.outputs
        assert set(found.steps[name].run.split()[:3]) == set(step.run.split()[:3])
    assert set(found.params.values()) == set(written.params.values())
    assert found.environment == written.environment
    assert found.model == written.model
    assert found.gates.model is not None
    assert written.gates.model is not None
    assert found.gates.model.columns == written.gates.model.columns
    assert found.gates.model.predictions == written.gates.model.predictions
    assert found.release is not None
    assert written.release is not None
    ours, theirs = found.release.serve, written.release.serve
    assert ours is not None
    assert theirs is not None
    assert set((ours.run or "").split()) == set((theirs.run or "").split()) != set()
    assert (ours.reads, ours.ready, ours.predict) == (theirs.reads, theirs.ready, theirs.predict)


def test_of_a_folder_of_the_monorepo_it_drafts_what_its_authors_wrote(tmp_path: Path) -> None:
    where = "teams/churn"
    path = EXAMPLES / "monorepo" / where / SPEC_FILE
    written = load(path.read_bytes(), SPEC_FILE).pipeline
    found = drafted(tmp_path, "monorepo", where)
    assert written is not None
    assert found.steps["evaluate"].reads == written.steps["evaluate"].reads
    assert found.steps["evaluate"].env == written.steps["evaluate"].env
    assert found.environment == written.environment
    assert [one.uri for one in found.datasets.values()] == ["//data/*.csv"]
    assert found.gates.model is not None
    assert written.gates.model is not None
    assert found.gates.model.columns == written.gates.model.columns


@pytest.mark.parametrize("name", ["minimal", "three-classes", "own-metrics"])
def test_of_an_example_it_drafts_the_gate_that_its_authors_wrote(name: str, tmp_path: Path) -> None:
    written = load((EXAMPLES / name / SPEC_FILE).read_bytes(), SPEC_FILE).pipeline
    found = drafted(tmp_path, name)
    assert written is not None
    assert written.gates.model is not None
    assert found.gates.model is not None
    assert found.gates.model.columns == written.gates.model.columns
    assert found.gates.model.predictions == written.gates.model.predictions
    assert found.gates.model.metrics == written.gates.model.metrics


def test_the_column_that_is_learned_is_handed_to_the_script_that_asks_for_it(
    tmp_path: Path,
) -> None:
    script = "import argparse\nargparse.ArgumentParser().add_argument('--target', required=True)\n"
    team = folder(tmp_path, {"train.py": script, "data/rows.csv": "id,churned\n1,0\n2,1\n"})
    assert do("init", str(team)).exit_code == 0
    assert "--target churned" in (team / SPEC_FILE).read_text()


CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
schema:
  - name: rows
    properties:
      - {name: id, logicalType: integer, requird: true}
      - {name: state, logicalType: text}
"""


def test_validate_reads_a_data_contract_and_tells_what_it_leaves_unchecked(tmp_path: Path) -> None:
    team = folder(tmp_path, {**TEAM, "contracts/shop.odcs.yaml": CONTRACT})
    assert do("init", str(team)).exit_code == 0
    spec = team / SPEC_FILE
    text = spec.read_text()
    assert text.count("expectations: contracts/shop.odcs.yaml\n") == 1, "which init has found"
    text = text.replace("shop.odcs.yaml", "shop.odcs.yaml#rows")
    spec.write_text(text)
    done = do("validate", str(team), "--json")
    assert done.exit_code == 1
    found = [one for one in json.loads(done.stdout) if one["file"].endswith("shop.odcs.yaml")]
    assert [(one["line"], one["severity"], one["message"]) for one in found] == [
        (9, "warning", "not checked: the unknown key `requird`"),
        (10, "error", "unknown `logicalType`"),
    ]
    spec.write_text(text.replace("#rows", "#row"))
    (wrong,) = (
        one
        for one in json.loads(do("validate", str(team), "--json").stdout)
        if one["code"] == "contract"
    )
    assert wrong["message"] == "the contract has no object `row`"
    assert wrong["expected"] == "rows"
