"""What a pull request cannot say for itself: which gates judge it, and which secrets it gets."""

from typing import Any

import pytest

from controller.machine.pipelines.code import Code
from controller.machine.pipelines.trust import (
    RunTerms,
    changes_pipeline,
    graph_of,
    rules_in_force,
    rules_of,
    secrets_for_pulls,
    without_secrets,
)
from controller.machine.runs.data_gate_nodes import suites_for
from controller.machine.runs.graph import Graph, Rules, SourceTree, key_of
from controller.machine.runs.graph_builder import build
from controller.machine.runs.model_gate_nodes import judged_by
from specs.digests import digest
from specs.gates import AbsoluteCheck
from tests.controller.machine.kit import baseline, source, spec

STRICT = {"metric": "roc_auc", "at_least": 0.6}
LOOSE = {"metric": "roc_auc", "at_least": 0.1}
TIGHT = {"metric": "roc_auc", "at_least": 0.9}
ANOTHER = {"metric": "log_loss", "at_most": 0.5}


def base(*changes: tuple[str, Any], **files: str) -> Rules:
    return Rules(spec=spec(*changes), source=source("base", **files))


def checks(*changes: tuple[str, Any], rules: Rules | None = None) -> list[float | None]:
    """The limits in force for a spec with these changes, against its base."""
    gate = judged_by(spec(*changes), rules or base())
    assert gate is not None
    absolute = [check for check in gate.checks if isinstance(check, AbsoluteCheck)]
    return [check.at_most if check.at_least is None else check.at_least for check in absolute]


@pytest.mark.parametrize(
    ("proposed", "in_force"),
    [
        ([STRICT], [0.6]),
        ([LOOSE], [0.6, 0.1]),
        ([TIGHT], [0.6, 0.9]),
        ([STRICT, ANOTHER], [0.6, 0.5]),
        ([ANOTHER], [0.6, 0.5]),
    ],
)
def test_the_checks_of_the_base_stay_and_those_that_are_proposed_are_added(
    proposed: list[dict[str, Any]], in_force: list[float]
) -> None:
    assert checks(("gates.model.checks", proposed)) == in_force


def test_slices_of_the_base_stay_too() -> None:
    rules = base(("gates.model.slices", ["carrier"]))
    gate = judged_by(spec(("gates.model.slices", ["origin"])), rules)
    assert gate is not None
    assert gate.slices == ("carrier", "origin")


def test_a_gate_that_is_removed_judges_all_the_same() -> None:
    assert checks(("gates", {})) == [0.6]
    assert "gate.model" in build(spec(("gates", {})), source("c2"), rules=base()).by_name


def test_the_columns_of_the_base_are_read_however_the_pull_request_names_them() -> None:
    renamed = ("gates.model.columns", {"key": "id", "label": "p", "score": "p"})
    gate = judged_by(spec(renamed), base())
    assert gate is not None
    assert gate.columns is not None
    assert gate.columns.label == "late"


def test_the_checks_of_the_base_stay_where_the_predictions_go_by_another_name() -> None:
    steps = spec().model_dump(mode="json", exclude_none=True)["steps"]
    changes = [
        ("steps", {"train": steps["train"], "score": {**steps["evaluate"]}}),
        ("gates.model.predictions", "steps.score.rows"),
        ("gates.model.checks", [LOOSE]),
    ]
    assert checks(*changes) == [0.6, 0.1]


def test_where_the_base_has_no_gate_the_one_that_is_proposed_is_run() -> None:
    graph = build(spec(), source("c2"), rules=base(("gates", {})))
    assert "gate.model" in graph.by_name


def test_where_the_base_has_no_gate_or_is_broken_the_specs_own_judges() -> None:
    assert checks(rules=base(("gates", {}))) == [0.6]
    broken = Code(source=source("base"), problems="no", problem_count=1)
    assert rules_of(broken) is None
    assert rules_of(None) is None
    assert judged_by(spec(("gates.model.checks", [LOOSE])), None) is not None


def gates(proposed: Graph) -> dict[str, str]:
    """The data gates, each with the digest of its suite."""
    nodes = (node for node in proposed.nodes if node.kind == "data_gate")
    return {node.name: next(iter(node.reads.values())) for node in nodes}


@pytest.mark.parametrize(
    ("changes", "at", "expected"),
    [
        ([], source("c2"), {"": "numbers.yaml"}),
        ([], source("c2", numbers__yaml="looser"), {"": "numbers.yaml", ".proposed": "looser"}),
        ([("datasets.numbers.expectations", None)], source("c2"), {"": "numbers.yaml"}),
        (
            [("datasets.numbers.expectations", "other.yaml")],
            source("c2", other__yaml="other"),
            {"": "numbers.yaml", ".proposed": "other"},
        ),
        (
            [("datasets.numbers.expectations", "moved.yaml")],
            source("c2", moved__yaml="numbers.yaml"),
            {"": "numbers.yaml"},
        ),
    ],
)
def test_data_is_judged_by_the_suite_of_the_base_and_by_the_proposed_one(
    changes: list[tuple[str, Any]], at: SourceTree, expected: dict[str, str]
) -> None:
    graph = build(spec(*changes), at, rules=base())
    assert gates(graph) == {f"gate.data.numbers{k}": digest(v) for k, v in expected.items()}
    assert set(gates(graph)) <= set(graph.by_name["train"].needs), "no step reads it before"


def test_a_suite_is_read_at_the_commit_that_it_is_of() -> None:
    proposed = build(spec(), source("c2", numbers__yaml="looser"), rules=base())
    commits = {name: proposed.by_name[name].attempt.commit for name in gates(proposed)}
    assert commits == {
        "gate.data.numbers": source("base").commit,
        "gate.data.numbers.proposed": source("c2").commit,
    }


def test_the_suite_of_the_base_judges_what_the_base_reads() -> None:
    lenient = spec(("datasets.numbers.nulls", ["", "bad"]))
    graph = build(lenient, source("c2"), rules=base(("datasets.numbers.types", {"zip": "string"})))
    read = {name: graph.by_name[name].attempt.request["reading"] for name in gates(graph)}
    assert read == {
        "gate.data.numbers": {"types": {"zip": "string"}, "nulls": [""]},
        "gate.data.numbers.proposed": {"types": {}, "nulls": ["", "bad"]},
    }


def test_a_pull_request_cannot_have_values_shown_that_its_base_does_not_show() -> None:
    shown = ("datasets.numbers.columns", {"salary": {"examples": True}})
    theirs = build(spec(shown), source(), rules=base()).by_name["gate.data.numbers"]
    assert "examples" not in theirs.attempt.request
    ours = build(spec(), source(), rules=base(shown)).by_name["gate.data.numbers"]
    assert ours.attempt.request["examples"] == ["salary"]


def test_a_dataset_that_the_base_does_not_know_is_judged_by_its_own_suite() -> None:
    more = ("datasets.more", {"uri": "file:///more/*.csv", "expectations": "more.yaml"})
    assert "gate.data.more" in build(spec(more), source("c2"), rules=base()).by_name


# -- secrets ---------------------------------------------------------------------------------------

ASKS = ("steps.train.secrets", ["TOKEN", "PASSWORD"])


def handed(*, marked: list[str], proposed: list[str] | None = None, fork: bool = False) -> set[str]:
    rules = base(ASKS, ("triggers.pull_requests", {"secrets": marked}))
    wants = ("triggers.pull_requests", {"secrets": marked if proposed is None else proposed})
    found = without_secrets(spec(ASKS, wants), RunTerms(rules=rules, fork=fork))
    return set(found.steps["train"].secrets)


def test_a_pull_request_gets_the_secrets_that_its_base_marks_and_asks_in_vain_for_others() -> None:
    assert handed(marked=[]) == set()
    assert handed(marked=["TOKEN"]) == {"TOKEN"}
    assert handed(marked=["TOKEN"], proposed=["TOKEN", "PASSWORD"]) == {"TOKEN"}


def test_a_fork_gets_none_and_neither_does_one_without_a_base() -> None:
    assert handed(marked=["TOKEN"], fork=True) == set()
    marks = ("triggers.pull_requests", {"secrets": ["TOKEN"]})
    assert without_secrets(spec(ASKS, marks), RunTerms()).steps["train"].secrets == ()


@pytest.mark.parametrize(
    ("into", "of_main", "given"),
    [
        ("main", ["TOKEN", "PASSWORD"], {"TOKEN"}),
        ("easy", [], set()),
        ("easy", ["TOKEN", "PASSWORD"], {"TOKEN"}),
        ("easy", ["PASSWORD"], set()),
        ("easy", None, set()),
    ],
)
def test_a_base_that_anybody_may_make_hands_out_nothing_that_main_does_not_mark(
    into: str, of_main: list[str] | None, given: set[str]
) -> None:
    main = None
    if of_main is not None:
        main = code(source("main"), ("triggers.pull_requests", {"secrets": of_main}))
    rules = base(("triggers.pull_requests", {"secrets": ["TOKEN"]}))
    terms = RunTerms(rules=rules, marked=secrets_for_pulls(into, "main", main))
    assert set(without_secrets(spec(ASKS), terms).steps["train"].secrets) == given


def test_what_fetches_data_for_a_pull_request_gets_no_more_secrets_than_a_step() -> None:
    fetch = {"run": "fetch {output}", "secrets": ["TOKEN", "PASSWORD"], "file": "rows.csv"}
    fetched = ("datasets.rows", {"fetch": fetch})
    rules = base(("triggers.pull_requests", {"secrets": ["TOKEN"]}))
    bare = without_secrets(spec(fetched), RunTerms(rules=rules)).datasets["rows"].fetch
    assert bare is not None
    assert bare.secrets == ("TOKEN",)


def test_the_rules_of_the_base_judge_without_the_secrets_that_are_not_for_pull_requests() -> None:
    rules = base(ASKS, ("triggers.pull_requests", {"secrets": ["TOKEN"]}))
    judges = rules_in_force(RunTerms(rules=rules))
    assert judges is not None
    assert judges.spec.steps["train"].secrets == ("TOKEN",)
    assert rules_in_force(RunTerms(rules=rules, accepted=True)) is None
    assert rules_in_force(RunTerms()) is None


def test_the_baseline_is_evaluated_without_them_too() -> None:
    asks = ("steps.evaluate.secrets", ["TOKEN", "PASSWORD"])
    terms = RunTerms(rules=base(asks, ("triggers.pull_requests", {"secrets": ["TOKEN"]})))
    compared = {"metric": "roc_auc", "not_worse_than_baseline_by": 0.1}
    both = (asks, ("gates.model.checks", [compared]))
    graph = graph_of(spec(*both), source("c2"), baseline(1, *both), terms)
    evaluations = [node for node in graph.nodes if node.name.endswith("evaluate")]
    assert {node.name for node in evaluations} >= {"evaluate", "baseline.evaluate"}
    assert {node.attempt.secrets for node in evaluations} == {("TOKEN",)}


def test_a_step_with_fewer_secrets_is_another_step_for_the_cache() -> None:
    inputs = {"numbers": digest("numbers")}
    trusted = build(spec(ASKS), source()).by_name["train"]
    bare = build(without_secrets(spec(ASKS), RunTerms(fork=True)), source()).by_name["train"]
    assert bare.attempt.secrets == ()
    assert key_of(trusted, inputs) != key_of(bare, inputs)


# -- what is touched -------------------------------------------------------------------------------


def code(at: SourceTree, *changes: tuple[str, Any]) -> Code:
    return Code(source=at, spec=spec(*changes))


@pytest.mark.parametrize(
    ("after", "touched"),
    [
        (code(source("c2")), False),
        (code(source("c2", README__md="new", docs__html="new")), False),
        (code(source("c2", train__py="new")), True),
        (code(source("c2", numbers__yaml="new")), True),
        (code(source("c2", serve__py="new")), True),
        (code(source("c2"), ("params.unused", 2)), True),
        (code(source("c2"), ("metadata.owners", ["@me"])), True),
        (Code(source=source("c2", ml_pipeline__yaml="broken"), problems="no"), True),
    ],
)
def test_what_a_pull_request_touches(after: Code, touched: bool) -> None:
    assert changes_pipeline(code(source()), after) is touched


def test_a_new_pipeline_is_touched_and_a_broken_one_only_if_a_file_of_it_changes() -> None:
    broken = Code(source=source(), problems="no", problem_count=1)
    assert changes_pipeline(None, code(source()))
    assert not changes_pipeline(broken, Code(source=source("c2"), problems="no"))
    assert changes_pipeline(broken, Code(source=source("c2", train__py="new"), problems="no"))


# -- which suites go for data of a pull request ----------------------------------------------------


def test_what_a_step_reads_in_place_of_judged_data_is_judged_by_the_same_suite() -> None:
    """Another name, another address, another input: it is read where the judged data was."""
    more = {"uri": "file:///more/*.csv", "expectations": "more.yaml"}
    before = spec(
        ("datasets.more", more),
        ("steps.train.inputs", {"numbers": "datasets.numbers", "more": "datasets.more"}),
    )
    after = spec(
        ("datasets.more", more),
        ("datasets.easy", {"uri": "file:///easy/*.csv"}),
        ("steps.train.run", "train {inputs.rows} {params.depth} {outputs.model}"),
        ("steps.train.inputs", {"rows": "datasets.easy", "more": "datasets.more"}),
    )
    assert suites_for("easy", after, before) == ("numbers",)
    assert suites_for("numbers", after, before) == ("numbers",)
    assert suites_for("more", after, before) == ("more",)


# -- data contracts --------------------------------------------------------------------------------

CONTRACT = ("datasets.numbers.expectations", "all.odcs.yaml#numbers")


def choices(graph: Graph) -> dict[str, tuple[str, str | None, str]]:
    """By gate: the file and object that judge, and the dataset that they are for."""
    nodes = {name: graph.by_name[name] for name in gates(graph)}
    requests = {name: node.attempt.request for name, node in nodes.items()}
    return {name: (one["suite"], one["object"], one["like"]) for name, one in requests.items()}


def test_another_object_of_the_same_contract_is_proposed_and_not_swapped() -> None:
    other = (CONTRACT[0], "all.odcs.yaml#lenient")
    graph = build(spec(other), source("c2"), rules=base(CONTRACT))
    assert choices(graph) == {
        "gate.data.numbers": ("all.odcs.yaml", "numbers", "numbers"),
        "gate.data.numbers.proposed": ("all.odcs.yaml", "lenient", "numbers"),
    }
    keys = {key_of(graph.by_name[name], {"dataset": "d"}) for name in choices(graph)}
    assert len(keys) == 2, "a verdict by one object is not that by another"


def test_a_renamed_dataset_is_judged_by_the_object_of_its_old_name() -> None:
    named = (CONTRACT[0], "all.odcs.yaml")
    numbers = spec(named).datasets["numbers"]
    renamed = [
        ("datasets", {"figures": {"uri": numbers.uri, "expectations": "all.odcs.yaml"}}),
        ("steps.train.inputs.numbers", "datasets.figures"),
        ("steps.evaluate.inputs.numbers", "datasets.figures"),
    ]
    graph = build(spec(*renamed), source("c2"), rules=base(named))
    assert choices(graph) == {
        "gate.data.figures": ("all.odcs.yaml", None, "numbers"),
        "gate.data.figures.proposed": ("all.odcs.yaml", None, "figures"),
    }
