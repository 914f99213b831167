"""A folder with several specs: each is named, none is mixed up with another."""

import json
from pathlib import Path

import pytest

from specs.model import SPEC_FILE
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk

CHURN = "ml-pipeline.churn.yaml"
SUITE = "name: rows\nexpectations: [{type: expect_table_row_count_to_equal, kwargs: {value: 1}}]\n"
FILES = {
    SPEC_FILE: seeds.SPEC,
    CHURN: seeds.SPEC.replace("name: toy", "name: churn"),
    "train.py": "train\n",
    "evaluate.py": "evaluate\n",
    "serve.py": "serve\n",
    "suite.yaml": SUITE,
    "data/a.csv": "a,b\n",
}


@pytest.fixture
def several(desk: Desk) -> Desk:
    """A pushed folder with two specs."""
    desk.person.push(FILES)
    return desk


def planned(at: Desk, *arguments: str) -> str:
    result = at.do("plan", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    name: str = json.loads(result.stdout)["pipeline"]
    return name


@pytest.mark.parametrize("revision", [(), ("--commit", "HEAD")])
def test_plan_takes_the_spec_that_is_named_by_its_path_or_by_the_option(
    several: Desk, revision: tuple[str, ...]
) -> None:
    clone = several.person.clone
    assert planned(several, str(clone / CHURN), *revision) == "churn"
    assert planned(several, str(clone), "--spec", CHURN, *revision) == "churn"
    assert planned(several, str(clone / SPEC_FILE), *revision) == "toy"


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_without_a_name_the_commands_are_listed_that_name_one(several: Desk, verb: str) -> None:
    clone = several.person.clone
    result = several.do(verb, str(clone))
    assert result.exit_code != 0
    assert "has 2 specs" in result.stderr
    for name in (SPEC_FILE, CHURN):
        assert f"headgate {verb} {clone / name}" in result.stderr


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_at_the_top_of_a_monorepo_the_specs_further_down_are_named(desk: Desk, verb: str) -> None:
    specs = ("teams/churn/ml-pipeline.yaml", "teams/fraud/ml-pipeline.night.yaml")
    desk.person.push({**dict.fromkeys(specs, seeds.SPEC), "node_modules/x/ml-pipeline.yaml": ""})
    clone = desk.person.clone
    result = desk.do(verb, str(clone))
    assert result.exit_code != 0
    assert f"headgate {verb} {clone / 'teams/churn'}\n" in f"{result.stderr}\n"
    assert f"headgate {verb} {clone / 'teams/fraud/ml-pipeline.night.yaml'}" in result.stderr
    assert "node_modules" not in result.stderr
    assert "headgate init" not in result.stderr


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_spec_that_is_not_there_is_answered_with_those_that_are(several: Desk, verb: str) -> None:
    result = several.do(verb, str(several.person.clone), "--spec", "ml-pipeline.chrun.yaml")
    assert result.exit_code != 0
    assert "there is no ml-pipeline.chrun.yaml" in result.stderr
    assert f"headgate {verb} {several.person.clone / CHURN}" in result.stderr


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_where_there_is_none_those_of_the_rest_of_the_repository_are_named(
    desk: Desk, verb: str
) -> None:
    names = [f"teams/{name}/{SPEC_FILE}" for name in "abcdefghijkl"]
    desk.person.push({"README.md": "# Ours", **dict.fromkeys(names, seeds.SPEC)})
    result = desk.do(verb, str(desk.person.clone))
    assert result.exit_code != 0
    assert f"headgate {verb} {desk.person.clone / names[0]}" in result.stderr
    assert "and 2 more" in result.stderr
    assert "headgate init" not in result.stderr


def test_what_is_no_name_of_a_spec_is_refused_with_what_is(several: Desk) -> None:
    result = several.do("plan", str(several.person.clone), "--spec", "churn")
    assert result.exit_code != 0
    assert "ml-pipeline.NAME.yaml" in result.stderr


def test_run_says_that_a_spec_is_not_committed_yet(several: Desk) -> None:
    fresh = several.person.clone / "ml-pipeline.fresh.yaml"
    fresh.write_text(FILES[CHURN].replace("churn", "fresh"))
    result = several.do("run", str(fresh))
    assert "ml-pipeline.fresh.yaml" in result.stderr
    assert "Commit it first" in result.stderr


def test_a_single_spec_needs_no_choice_whatever_it_is_called(desk: Desk) -> None:
    desk.person.push({name: text for name, text in FILES.items() if name != SPEC_FILE})
    assert planned(desk, str(desk.person.clone)) == "churn"


def test_no_spec_of_a_folder_is_a_file_that_the_steps_of_another_read(several: Desk) -> None:
    clone = several.person.clone
    plain = FILES[SPEC_FILE].replace("    reads: [train.py]\n", "")
    several.person.push({SPEC_FILE: plain})
    before = several.do("plan", "--json", str(clone / SPEC_FILE)).stdout
    (clone / CHURN).write_text(FILES[CHURN].replace("depth: 3", "depth: 4"))
    assert several.do("plan", "--json", str(clone / SPEC_FILE)).stdout == before


def test_the_rules_of_a_spec_are_found_by_its_name_in_whichever_file_it_was(
    several: Desk,
) -> None:
    clone = several.person.clone
    looser = FILES[CHURN].replace("at_least: 0.6", "at_least: 0.5")
    base = several.person.head("main")
    several.person.push({CHURN: None, "ml-pipeline.churn-2.yaml": looser})
    moved = clone / "ml-pipeline.churn-2.yaml"
    made = json.loads(several.do("plan", "--json", str(moved), "--base", base).stdout)
    (change,) = made["policy"]
    assert (change["was"], change["now"]) == ("at least 0.6", "at least 0.5")
    assert made["policy_spec"] == CHURN


def test_validate_checks_all_and_names_both_files_of_one_name(several: Desk) -> None:
    clone = several.person.clone
    assert several.do("validate", str(clone)).exit_code == 0
    (clone / CHURN).write_text(FILES[SPEC_FILE])
    for asked in (clone, clone / CHURN):
        result = several.do("validate", str(asked), "--json")
        assert result.exit_code == 1
        (problem,) = json.loads(result.stdout)
        assert problem["code"] == "duplicate"
        assert problem["path"] == "metadata.name"
        assert problem["file"].endswith(CHURN)
        assert str(clone / SPEC_FILE) in problem["message"]
    assert several.do("validate", str(clone / SPEC_FILE)).exit_code == 0, "it is the first"


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("ml-pipeline.yml", "ml-pipeline.yaml"),
        ("ml_pipeline.yaml", "ml-pipeline.yaml"),
        ("ML-Pipeline.yaml", "ml-pipeline.yaml"),
        ("mlpipeline.yaml", "ml-pipeline.yaml"),
        ("ml-pipelines.yaml", "ml-pipeline.yaml"),
        ("ML-pipeline.x.yaml", "ml-pipeline.x.yaml"),
        ("ml-pipeline.churn.yml", "ml-pipeline.churn.yaml"),
        ("ml-pipeline.Churn_EU.yaml", "ml-pipeline.churn-eu.yaml"),
        ("ml-pipeline_churn.yaml", "ml-pipeline.churn.yaml"),
    ],
)
def test_validate_hints_at_a_spec_that_no_controller_would_read(
    desk: Desk, name: str, right: str
) -> None:
    others = {path: text for path, text in FILES.items() if path not in (SPEC_FILE, CHURN)}
    desk.person.push({**others, name: seeds.SPEC})
    result = desk.do("validate", str(desk.person.clone), "--json")
    assert result.exit_code == 0, "a warning stops nobody"
    (problem,) = json.loads(result.stdout)
    assert (problem["severity"], problem["code"]) == ("warning", "misnamed")
    assert problem["message"].endswith(f"rename it to {right}")
    assert f"rename it to {right}" in desk.do("plan", str(desk.person.clone)).stderr


@pytest.mark.parametrize(
    "name", ["ml-pipeline.md", "pipeline.yaml", "my-ml-pipeline.yaml", "ml-pipeline-notes.yaml"]
)
def test_other_files_are_none_of_its_business(desk: Desk, name: str) -> None:
    others = {path: text for path, text in FILES.items() if path != CHURN}
    desk.person.push({**others, name: "MLPipeline"})
    result = desk.do("validate", str(desk.person.clone), "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_init_writes_a_spec_beside_another_where_it_is_given_a_name(
    desk: Desk, tmp_path: Path
) -> None:
    team = tmp_path / "team"
    team.mkdir()
    (team / "train.py").write_text("")
    assert desk.do("init", str(team)).exit_code == 0
    assert desk.do("init", str(team), "--name", "churn").exit_code == 0
    assert "name: churn" in (team / CHURN).read_text()
    assert desk.do("validate", str(team)).exit_code == 0
