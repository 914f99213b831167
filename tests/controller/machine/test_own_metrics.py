"""A gate of a team's own metrics in the graph of a run: the steps that write them."""

from typing import Any

import pytest

from controller.machine.pipelines.policy import rule_changes
from controller.machine.runs.exam import changed, evidence_of
from controller.machine.runs.graph import From, Graph, Node, Rules, fingerprint, key_of
from controller.machine.runs.graph_builder import build
from controller.machine.runs.model_gate_nodes import judged_by
from specs.references import StepReference
from tests.controller.machine.kit import baseline, source, spec

OUTPUTS = ("steps.evaluate.outputs", {"rows": "rows.csv", "metrics": "metrics.json"})
RUN = (
    "steps.evaluate.run",
    "evaluate {inputs.model} {inputs.numbers} {outputs.rows} {outputs.metrics}",
)
OWN = {"metric": "metrics.map", "not_worse_than_baseline_by": 0.01, "better": "higher"}
METRICS = ("gates.model.metrics", "steps.evaluate.metrics")
CHECKS = ("gates.model.checks", [{"metric": "roc_auc", "at_least": 0.6}, OWN])
BOTH = (OUTPUTS, RUN, METRICS, CHECKS)
ALONE = (OUTPUTS, RUN, ("gates.model", {"metrics": "steps.evaluate.metrics", "checks": [OWN]}))
APART: tuple[tuple[str, Any], ...] = (
    (
        "steps.rank",
        {
            "run": "rank {inputs.model} {inputs.numbers} {outputs.metrics}",
            "inputs": {"model": "steps.train.model", "numbers": "datasets.numbers"},
            "outputs": {"metrics": "metrics.json"},
            "reads": ["rank.py"],
        },
    ),
    ("gates.model.metrics", "steps.rank.metrics"),
    CHECKS,
)
"""A separate step makes the metrics."""
MORE: tuple[tuple[str, Any], ...] = (
    ("datasets.more", {"uri": "file:///more/*.csv"}),
    ("steps.evaluate.inputs.extra", "datasets.more"),
)


def gate(graph: Graph, name: str = "gate.model") -> Node:
    return graph.by_name[name]


def test_one_evaluation_of_the_baseline_writes_its_predictions_and_its_metrics() -> None:
    graph = build(spec(*BOTH), source("c2"), baseline(1, *BOTH))
    assert [node.name for node in graph.nodes if node.kind == "baseline"] == ["baseline.evaluate"]
    assert gate(graph).inputs == {
        "model": From(node="train", output="model"),
        "candidate": From(node="evaluate", output="rows"),
        "baseline": From(node="baseline.evaluate", output="rows"),
        "numbers": From(node="evaluate", output="metrics"),
        "baseline_numbers": From(node="baseline.evaluate", output="metrics"),
    }


def test_metrics_of_a_separate_step_are_made_by_the_baselines_code() -> None:
    graph = build(spec(*APART), source("c2"), baseline(1, *APART))
    rerun = graph.by_name["baseline.rank"]
    assert rerun.attempt.commit == source("c1").commit
    assert rerun.inputs["model"] == From(artifact=baseline().model)
    assert gate(graph).needs == ("train", "evaluate", "baseline.evaluate", "rank", "baseline.rank")


def test_a_gate_may_have_metrics_without_predictions() -> None:
    graph = build(spec(*ALONE), source("c2"), baseline(1, *ALONE))
    assert gate(graph).inputs.keys() == {"model", "numbers", "baseline_numbers"}
    assert gate(graph).attempt.request["no_candidate"] == ""


@pytest.mark.parametrize(
    ("theirs", "made", "why"),
    [
        ([], None, "the spec of v1 has no `gates.model.metrics`"),
        ([OUTPUTS, RUN], "baseline.evaluate", ""),
        (
            [*BOTH, *MORE],
            None,
            "v1 has no evaluation that could run on this data",
        ),
    ],
)
def test_a_baseline_has_metrics_if_its_commit_wrote_them_or_else_a_reason(
    theirs: list[tuple[str, Any]], made: str | None, why: str
) -> None:
    graph = build(spec(*BOTH), source("c2"), baseline(1, *theirs))
    origin = gate(graph).inputs.get("baseline_numbers")
    assert (origin.node if origin else None) == made
    if made is None:
        request = gate(graph).attempt.request
        assert request["no_baseline_numbers"] == why
        assert request["baseline_numbers_lost"]


def test_a_new_baseline_alone_is_no_reason_to_run() -> None:
    pinned = {"numbers": "v"}
    one = build(spec(*BOTH), source("c2"), baseline(1, *BOTH))
    assert fingerprint(one, pinned) == fingerprint(build(spec(*BOTH), source("c2")), pinned)


def test_a_gate_without_metrics_keeps_its_request() -> None:
    node = gate(build(spec(), source("c2"), baseline()))
    asked = node.attempt.request
    assert not [name for name in (*asked, *asked["gate"]) if "numbers" in name or "metrics" in name]
    assert "scores" not in asked["gate"]["columns"]
    more = gate(build(spec(*BOTH), source("c2"), baseline()))
    digests = dict.fromkeys(more.inputs, "x")
    assert key_of(more, digests) != key_of(node, dict.fromkeys(node.inputs, "x"))


# -- pull requests ---------------------------------------------------------------------------------


def base(*of: tuple[str, Any], **files: str) -> Rules:
    return Rules(spec=spec(*of), source=source("base", **files), branch="main")


def test_the_step_that_writes_the_metrics_is_part_of_the_exam() -> None:
    at = source("c2", rank__py="praises itself")
    assert [part.what for part in changed(spec(*APART), at, base(*APART))] == ["rank.py"]
    graph = build(spec(*APART), at, baseline(1, *APART), base(*APART))
    judge = gate(graph, "gate.model.base")
    assert judge.inputs["numbers"] == From(node="base.rank", output="metrics")
    assert judge.inputs["baseline_numbers"].node == "base.baseline.rank"


def test_metrics_that_a_pull_request_no_longer_writes_are_reported_as_missing() -> None:
    graph = build(spec(), source("c2"), baseline(1, *APART), base(*APART))
    assert "numbers" not in gate(graph).inputs
    assert (
        "where the metrics are that the gate of its base"
        in (gate(graph).attempt.request["no_numbers"])
    )
    assert evidence_of(spec(), base(*APART)) == {"predictions": StepReference("evaluate", "rows")}


def test_a_pull_request_may_check_metrics_that_its_base_does_not() -> None:
    asked = judged_by(spec(*BOTH), base())
    assert asked is not None
    assert asked.metrics == StepReference("evaluate", "metrics")
    assert [check.metric for check in asked.checks] == ["roc_auc", "metrics.map"]
    rows = judged_by(spec(), base(*ALONE))
    assert rows is not None
    assert rows.predictions == StepReference("evaluate", "rows")
    assert rows.columns is not None


def own(**more: Any) -> tuple[tuple[str, Any], ...]:
    return (*BOTH[:3], ("gates.model.checks", [CHECKS[1][0], {**OWN, **more}]))


@pytest.mark.parametrize(
    ("before", "after", "rule", "loosens"),
    [
        (own(), own(not_worse_than_baseline_by=0.02), "metrics.map against the baseline", True),
        (own(), own(not_worse_than_baseline_by=0.001), "metrics.map against the baseline", False),
        (own(), own(better="lower"), "metrics.map against the baseline", True),
        (own(), own(severity="warn"), "metrics.map against the baseline", True),
        (own(), BOTH[:2], "metrics.map against the baseline", True),
        (BOTH[:2], own(), "metrics.map against the baseline", False),
    ],
)
def test_loosened_checks_of_metrics_are_reported(
    before: Any, after: Any, rule: str, loosens: bool
) -> None:
    found = {change.rule: change for change in rule_changes(base(*before), base(*after))}
    assert found[f"gates.model: {rule}"].loosens is loosens


def test_metrics_from_another_step_loosen_the_gate_and_added_ones_do_not() -> None:
    rule = "gates.model.metrics"
    elsewhere = {c.rule: c.loosens for c in rule_changes(base(*BOTH), base(*APART))}
    assert elsewhere[rule] is True
    assert {c.rule: c.loosens for c in rule_changes(base(), base(*BOTH))}[rule] is False
    assert {c.rule: c.loosens for c in rule_changes(base(*BOTH), base(OUTPUTS, RUN))}[rule] is True
