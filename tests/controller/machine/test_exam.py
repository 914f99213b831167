"""What counts as the exam of a candidate, and how a pull request that changes it is examined."""

from typing import Any

import pytest

from controller.machine.runs.exam import changed, evidence_of, lacks
from controller.machine.runs.graph import From, Graph, Rules, SourceTree, key_of
from controller.machine.runs.graph_builder import build
from specs.digests import digest
from specs.projects.values import Package, Project
from specs.references import StepReference
from tests.controller.machine.kit import baseline, sha, source, spec

BY_ITSELF = ("datasets.numbers.uri", "numbers/*.csv")
SPLIT: tuple[tuple[str, Any], ...] = (
    (
        "steps.split",
        {
            "run": "split {inputs.numbers} {outputs.test}",
            "inputs": {"numbers": "datasets.numbers"},
            "outputs": {"test": "test.csv"},
            "reads": ["split.py"],
        },
    ),
    (
        "steps.evaluate.inputs",
        {"model": "steps.train.model", "test": "steps.split.test"},
    ),
    ("steps.evaluate.run", "evaluate {inputs.model} {inputs.test} {outputs.rows}"),
)
"""A separate step makes the test set."""


def base(*changes: tuple[str, Any], **files: str) -> Rules:
    return Rules(spec=spec(*changes), source=source("base", **files), branch="main")


def graph(
    *changes: tuple[str, Any], at: SourceTree | None = None, of: Rules | None = None
) -> Graph:
    return build(spec(*changes), at or source("c2"), baseline(), of or base())


def renamed(**more: Any) -> tuple[tuple[str, Any], ...]:
    """The step that evaluates is renamed, and the gate is removed."""
    steps = spec().model_dump(mode="json", exclude_none=True)["steps"]
    return (("steps", {"train": steps["train"], "score": {**steps["evaluate"], **more}}),)


GATE = ("gates.model.predictions", "steps.score.rows")


# -- what changes the exam -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ([], {}),
        ([("params.depth", 9)], {}),
        ([], {"train__py": "another"}),
        ([("steps.train.run", "better {inputs.numbers} {params.depth} {outputs.model}")], {}),
        ([*renamed(), GATE], {}),
        ([*renamed(), ("gates", {})], {}),
    ],
)
def test_another_model_or_renamed_steps_do_not_change_the_exam(
    changes: list[tuple[str, Any]], files: dict[str, str]
) -> None:
    assert changed(spec(*changes), source("c2", **files), base()) == ()
    assert "gate.model.base" not in graph(*changes, at=source("c2", **files)).by_name


@pytest.mark.parametrize(
    ("changes", "files", "what"),
    [
        ([], {"evaluate__py": "leaks the label"}, "evaluate.py"),
        ([], {"requirements__txt": "another"}, "steps.evaluate.environment.requirements"),
        ([("steps.evaluate.env", {"EASY": "1"})], {}, "steps.evaluate.env.EASY"),
        ([("steps.evaluate.run", "cheat {inputs.model} {outputs.rows}")], {}, "steps.evaluate.run"),
        ([("steps.evaluate.reads", ["evaluate.py", "serve.py"])], {}, "serve.py"),
        ([("datasets.numbers.uri", "file:///easy/*.csv")], {}, "datasets.numbers.uri"),
        ([("steps.evaluate.inputs.model", "datasets.numbers")], {}, "steps.evaluate.inputs.model"),
        ([*renamed(env={"EASY": "1"}), GATE], {}, "steps.score.env.EASY"),
    ],
)
def test_everything_that_predictions_come_from_except_the_model_is_the_exam(
    changes: list[tuple[str, Any]], files: dict[str, str], what: str
) -> None:
    at = source("c2", **files)
    assert [part.what for part in changed(spec(*changes), at, base())] == [what]
    assert "gate.model.base" in graph(*changes, at=at).by_name


def test_the_files_of_an_environments_package_are_part_of_the_exam() -> None:
    def at(features: str) -> SourceTree:
        """A commit of a repository whose top is a project of its own."""
        telco = Package(folder="", name="telco", files=("src/telco/features.py",), about="same")
        locked = Project(folder="", lock="uv.lock", kind="uv", packages=(telco,))
        files = {"uv.lock": "same", "src/telco/features.py": features}
        of = source("c2")
        return of.model_copy(update={"files": {**of.files, **files}, "project": locked})

    one = spec(("environment", {"project": "//"}))
    rules = Rules(spec=one, source=at("fair"), branch="main")
    assert changed(one, at("fair"), rules) == ()
    assert changed(one, at("easy"), rules) == (("src/telco/features.py", "fair", "easy"),)


def test_the_step_that_makes_the_test_set_belongs_to_the_exam() -> None:
    rules = base(*SPLIT, split__py="fair")
    assert changed(spec(*SPLIT), source("c2", split__py="fair"), rules) == ()
    parts = changed(spec(*SPLIT), source("c2", split__py="keeps the easy rows"), rules)
    assert [part.what for part in parts] == ["split.py"]


def test_data_under_the_root_of_the_repository_is_the_exam_by_its_content() -> None:
    shared = ("datasets.numbers.uri", "//shared/*.csv")
    at = {text: source("c2", **{"shared/test__csv": text}) for text in ("fair", "easy")}
    rules = Rules(spec=spec(shared), source=at["fair"], branch="main")
    assert changed(spec(shared), at["fair"], rules) == ()
    parts = changed(spec(shared), at["easy"], rules)
    assert [part.what for part in parts] == ["shared/test.csv"]


def test_the_content_of_data_in_the_repository_is_part_of_the_exam() -> None:
    rules = Rules(spec=spec(BY_ITSELF), source=with_data("fair"), branch="main")
    assert changed(spec(BY_ITSELF), with_data("fair"), rules) == ()
    parts = changed(spec(BY_ITSELF), with_data("easy"), rules)
    assert [part.what for part in parts] == ["numbers/test.csv"]
    assert lacks(spec(BY_ITSELF), with_data("easy"), rules) == ("numbers",)


@pytest.mark.parametrize("uri", ["numbers/*.csv", "./numbers/", "numbers/*/test.csv"])
def test_the_content_of_data_behind_a_linked_folder_is_part_of_the_exam(uri: str) -> None:
    by_itself = ("datasets.numbers.uri", uri)
    rules = Rules(spec=spec(by_itself), source=with_link("fair"), branch="main")
    assert changed(spec(by_itself), with_link("fair"), rules) == ()
    parts = changed(spec(by_itself), with_link("easy"), rules)
    assert [part.what for part in parts] == ["numbers"]
    assert lacks(spec(by_itself), with_link("easy"), rules) == ("numbers",)


def with_link(leads_to: str) -> SourceTree:
    """The folder of the data is a link to a folder that no address names."""
    at = source("c2")
    link = f"symlink:{sha('shared')}:{leads_to}"
    return at.model_copy(update={"files": {**at.files, "numbers": link}})


def with_data(content: str) -> SourceTree:
    at = source("c2")
    return at.model_copy(update={"files": {**at.files, "numbers/test.csv": digest(content)}})


def test_evaluating_another_model_than_the_released_one_changes_the_exam() -> None:
    """Otherwise one model would be judged and another released."""
    changes = (
        ("steps.other", {"run": "other {outputs.model}", "outputs": {"model": "model.json"}}),
        ("model", "steps.other.model"),
    )
    parts = changed(spec(*changes), source("c2"), base())
    assert [part.what for part in parts] == ["steps.evaluate.inputs.model"]
    exam = graph(*changes).by_name["base.evaluate"]
    assert exam.inputs["model"] == From(node="other", output="model")


# -- where the predictions are ---------------------------------------------------------------------


def test_predictions_are_found_by_the_bases_name_the_own_gate_or_the_output() -> None:
    score = StepReference("score", "rows")
    assert evidence_of(spec(), base()) == {"predictions": StepReference("evaluate", "rows")}
    assert evidence_of(spec(*renamed(), GATE), base()) == {"predictions": score}
    assert evidence_of(spec(*renamed(), ("gates", {})), base()) == {"predictions": score}
    away = (*renamed(outputs={"others": "rows.csv"}, run="score {outputs.others}"), ("gates", {}))
    assert evidence_of(spec(*away), base()) == {}


def test_a_candidate_without_predictions_is_examined_only_by_the_base() -> None:
    away = (*renamed(outputs={"others": "rows.csv"}, run="score {outputs.others}"), ("gates", {}))
    made = graph(*away)
    gate = made.by_name["gate.model"]
    assert "candidate" not in gate.inputs
    assert "where the predictions are" in gate.attempt.request["no_candidate"]
    assert made.by_name["gate.model.base"].inputs["candidate"].node == "base.evaluate"


def test_the_bases_checks_judge_the_predictions_of_a_renamed_step() -> None:
    made = graph(*renamed(), ("gates", {})).by_name["gate.model"]
    assert made.inputs["candidate"] == From(node="score", output="rows")
    assert made.attempt.request["gate"]["checks"][0]["at_least"] == 0.6


def test_a_pull_request_cannot_choose_the_column_of_the_score() -> None:
    cheat = ("gates.model.columns", {"key": "id", "label": "late", "score": "late"})
    made = graph(*renamed(), GATE, cheat).by_name["gate.model"]
    assert made.attempt.request["gate"]["columns"]["score"] == "p"


def test_a_candidate_without_a_model_cannot_be_judged() -> None:
    made = graph(("model", None), ("gates", {}), ("release", None))
    gate = made.by_name["gate.model"]
    assert gate.inputs == {}
    assert "names no `model`" in gate.attempt.request["no_candidate"]


# -- the base's exam -------------------------------------------------------------------------------


def test_the_candidate_is_examined_by_the_bases_steps_and_checks_at_the_bases_commit() -> None:
    changes = (("gates.model.checks", [{"metric": "roc_auc", "at_least": 0.1}]),)
    made = graph(*changes, at=source("c2", evaluate__py="leaks"))
    step, gate = made.by_name["base.evaluate"], made.by_name["gate.model.base"]
    assert step.attempt.commit == source("base").commit
    assert step.inputs["model"] == From(node="train", output="model"), "the candidate's"
    assert step.is_evidence
    assert [c["at_least"] for c in gate.attempt.request["gate"]["checks"]] == [0.6]
    commit = source("base").commit[:12]
    assert gate.attempt.request["exam"] == f"the evaluation of main ({commit}), on its data"
    assert gate.inputs["baseline"].node == "base.baseline.evaluate"


def test_steps_of_the_exam_that_ran_on_the_base_are_cached() -> None:
    """They have the keys that they have on the base branch, under other names."""
    rules = base(*SPLIT, split__py="fair")
    there = build(rules.spec, rules.source).by_name["split"]
    here = graph(*SPLIT, at=source("c2", split__py="easy"), of=rules).by_name["base.split"]
    inputs = {"numbers": digest("numbers")}
    assert key_of(there, inputs) == key_of(here, inputs)


def test_if_a_pull_request_replaces_the_data_the_exam_reads_the_bases_after_its_gate() -> None:
    easy = ("datasets.numbers.uri", "file:///easy/*.csv")
    made = graph(easy)
    step = made.by_name["base.evaluate"]
    assert step.inputs["numbers"] == From(dataset="base.numbers")
    assert step.attempt.inputs["numbers"].uri == "file:///bucket/*.csv"
    assert "gate.base.data.numbers" in step.needs
    assert made.by_name["base.baseline.evaluate"].inputs["numbers"] == From(dataset="base.numbers")


def test_renamed_data_is_read_once() -> None:
    moved = (
        ("datasets", {"others": {"uri": "file:///bucket/*.csv", "expectations": "numbers.yaml"}}),
        ("triggers.data.datasets", ["others"]),
        ("steps.train.inputs", {"numbers": "datasets.others"}),
        (
            "steps.evaluate.inputs",
            {"model": "steps.train.model", "numbers": "datasets.others"},
        ),
        ("steps.evaluate.env", {"EASY": "1"}),
    )
    assert graph(*moved).by_name["base.evaluate"].inputs["numbers"] == From(dataset="others")


def test_a_step_that_trains_and_evaluates_cannot_be_examined_by_another() -> None:
    """So a change of it cannot be judged, and does not pass."""
    both = (("steps.train.outputs", {"model": "model.json", "rows": "rows.csv"}),)
    predicts = ("gates.model.predictions", "steps.train.rows")
    rules = base(*both, predicts)
    unchanged = graph(*both, predicts, of=rules)
    assert "gate.model.base" not in unchanged.by_name
    made = graph(*both, predicts, at=source("c2", train__py="another"), of=rules)
    gate = made.by_name["gate.model.base"]
    assert "candidate" not in gate.inputs
    assert (
        "steps.train both trains and makes the predictions" in gate.attempt.request["no_candidate"]
    )
    assert lacks(spec(*both, predicts), source("c2", train__py="another"), rules) == ()
