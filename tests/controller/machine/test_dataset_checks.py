"""A dataset's `checks` have a gate of their own, which compares with the last accepted versions and
reads other datasets; they are rules of the base."""

from typing import Any

import pytest

from controller.machine.pipelines.data_history import (
    RememberedVersion,
    history_for,
    with_histories,
    without,
)
from controller.machine.pipelines.plan import gates_of
from controller.machine.pipelines.policy import rule_changes
from controller.machine.runs.data_gate_nodes import HISTORY
from controller.machine.runs.graph import From, Graph, Rules, key_of
from controller.machine.runs.graph_builder import build
from controller.machine.runs.node_names import dataset_of_gate
from controller.machine.runs.run import NEW, Progress
from specs.digests import digest
from specs.lint.check import check
from tests.controller.cli.seeds import SPEC
from tests.controller.machine.kit import source, spec
from tests.controller.machine.team import Team
from validators.verdict import Verdict

OWN, CHECKED = "gate.data.numbers", "gate.data.numbers.history"
SCHEMA: dict[str, Any] = {"schema": {}}
REFERENCE: dict[str, Any] = {"refers_to": {"columns": ["id"], "dataset": "customers"}}
CUSTOMERS = ("datasets.customers", {"uri": "file:///bucket/customers/*.csv"})
HERE = "numbers at file:///bucket/*.csv"


def checks(*every: dict[str, Any]) -> tuple[str, Any]:
    return "datasets.numbers.checks", list(every)


def graph(*changes: tuple[str, Any], rules: Rules | None = None) -> Graph:
    return build(spec(*changes), source(), rules=rules)


def test_the_checks_are_judged_apart_from_the_suite_and_both_have_to_pass() -> None:
    made = graph(checks(SCHEMA))
    assert {OWN, CHECKED} <= set(made.by_name["train"].after)
    assert made.by_name[CHECKED].attempt.request["checks"] == [{"schema": {}}]
    assert dataset_of_gate(CHECKED) == "numbers"
    bare = graph()
    assert made.by_name[OWN] == bare.by_name[OWN]
    assert CHECKED not in bare.by_name


def test_a_dataset_may_have_checks_only() -> None:
    made = graph(checks(SCHEMA), ("datasets.numbers.expectations", None))
    assert [node.name for node in made.nodes if node.kind == "data_gate"] == [CHECKED]
    assert CHECKED in made.by_name["train"].after


def test_a_check_that_names_another_dataset_reads_it_and_is_judged_again_when_it_changes() -> None:
    gate = graph(checks(REFERENCE), CUSTOMERS).by_name[CHECKED]
    assert gate.inputs["other.customers"] == From(dataset="customers")
    keys = {key_of(gate, {"dataset": "n", "other.customers": one}) for one in ("a", "b")}
    assert len(keys) == 2


def test_only_ages_are_judged_anew_by_each_run() -> None:
    fresh = {"freshness": {"column": "at", "within": "1d"}}
    assert graph(checks(fresh)).by_name[CHECKED].stands == 0.0
    assert graph(checks(SCHEMA)).by_name[CHECKED].stands is None


def test_what_a_check_does_by_default_is_not_in_its_key() -> None:
    said = {"schema": {"allow": ["added", "widened", "reordered"], "severity": "critical"}}
    one, other = (graph(checks(each)).by_name[CHECKED] for each in (SCHEMA, said))
    assert one.definition == other.definition


def test_a_pull_request_is_judged_by_the_checks_of_its_base_and_by_its_own() -> None:
    base = Rules(spec=spec(checks(SCHEMA)), source=source("b1"))
    looser = {"schema": {"allow": ["removed"]}}
    gates = {
        node.name: node.attempt.request["checks"]
        for node in graph(checks(looser), rules=base).nodes
        if node.attempt.program == "history_gate"
    }
    assert gates == {CHECKED: [SCHEMA], f"{CHECKED}.proposed": [looser]}
    assert CHECKED in graph(rules=base).by_name


def test_a_pull_request_that_removes_a_dataset_which_the_base_checks_read_has_no_such_input() -> (
    None
):
    base = Rules(spec=spec(checks(REFERENCE), CUSTOMERS), source=source("b1"))
    gate = graph(checks(REFERENCE), rules=base).by_name[CHECKED]
    assert set(gate.inputs) == {"dataset"}
    assert set(gate.attempt.request["others"]) == {"customers"}


@pytest.mark.parametrize(
    ("was", "now", "loosens"),
    [
        ([SCHEMA], [], True),
        ([], [SCHEMA], False),
        ([SCHEMA], [{"schema": {"severity": "warning"}}], True),
        ([SCHEMA], [{"schema": {"allow": []}}], False),
        ([{"schema": {"allow": []}}], [{"schema": {"allow": ["removed"]}}], True),
        (
            [{"freshness": {"column": "at", "within": "1d"}}],
            [{"freshness": {"column": "at", "within": "2d"}}],
            True,
        ),
        (
            [{"freshness": {"column": "at", "within": "1d"}}],
            [{"freshness": {"column": "at", "within": "1h"}}],
            False,
        ),
        ([{"volume": {"within": "40%"}}], [{"volume": {"within": "50%"}}], True),
        ([{"volume": {"within": "40%"}}], [{"volume": {"within": "30%"}}], False),
        ([{"volume": {"within": "40%"}}], [{"volume": {"within": "40%", "of": 20}}], True),
        ([{"seen_before": {}}], [{"seen_before": {"at_most": "1%"}}], True),
        (
            [REFERENCE],
            [{"refers_to": {**REFERENCE["refers_to"], "at_least": "99%"}}],
            True,
        ),
        (
            [{"apart_from": {"dataset": "customers", "at_most": "5%"}}],
            [{"apart_from": {"dataset": "customers"}}],
            False,
        ),
    ],
)
def test_a_check_that_is_removed_or_easier_to_meet_is_a_loosened_rule(
    was: list[dict[str, Any]], now: list[dict[str, Any]], loosens: bool
) -> None:
    before, after = (
        Rules(spec=spec(checks(*each), CUSTOMERS), source=source()) for each in (was, now)
    )
    found = [one for one in rule_changes(before, after) if one.rule == "datasets.numbers.checks"]
    assert [one.loosens for one in found] == [loosens]


def test_a_dataset_with_checks_that_is_removed_or_gets_a_suite_is_told_as_what_it_is() -> None:
    bare = ("datasets.numbers.expectations", None)
    only = Rules(spec=spec(checks(SCHEMA), bare), source=source())
    suited = Rules(spec=spec(checks(SCHEMA)), source=source())
    assert [one.loosens for one in rule_changes(only, suited)] == [False]


def test_the_plan_shows_each_check_as_it_is_written() -> None:
    fresh = {"freshness": {"column": "at", "within": "26h"}}
    (gate,) = (one for one in gates_of(graph(checks(SCHEMA, fresh)), None) if one.name == CHECKED)
    assert (gate.judges, gate.rules) == ("numbers", ("schema", "freshness: column at, within 1d2h"))


def test_an_accepted_version_is_always_compared_with_those_before_it() -> None:
    one = RememberedVersion(version="v1", history="h1")
    two = RememberedVersion(version="v2", history="h2", before="h1")
    assert history_for((), "v1") is None
    assert history_for((one,), "v1") is None
    assert history_for((one, two), "v2") == "h1"
    assert history_for((one, two), "v3") == "h2"
    assert history_for((one, two), None) == "h2"


def test_a_version_that_is_accepted_no_longer_is_not_compared_with() -> None:
    one = RememberedVersion(version="v1", history="h1")
    two = RememberedVersion(version="v2", history="h2", before="h1")
    known = {HERE: (one, two), "others at here": (two,)}
    left = without(known, "numbers", "v2")
    assert left == {HERE: (one,), "others at here": (two,)}
    assert history_for(left[HERE], "mended") == "h1"
    # What was accepted after it knows of it, too, so there it stays.
    assert without(known, "numbers", "v1") == known


def test_what_is_known_of_earlier_versions_is_an_input_and_part_of_the_key() -> None:
    made = graph(checks(SCHEMA))
    known = {HERE: (RememberedVersion(version="v1", history="h1"),)}
    given = with_histories(made, known, {"numbers": HERE}, {"numbers": "v2"})
    gate = given.by_name[CHECKED]
    assert gate.inputs[HISTORY] == From(artifact="h1")
    assert gate.attempt.inputs[HISTORY].name == "history.json"
    assert given.by_name[OWN] == made.by_name[OWN]
    again = with_histories(made, known, {"numbers": HERE}, {"numbers": "v1"})
    assert again == made


class CheckedTeam(Team):
    """A team whose dataset has checks."""

    def judge(self, verdict: Verdict, outcome: str = "passed") -> str:
        """The run ends with that verdict of both gates; returns what the checks knew after it."""
        run = self.last_run
        self.end(outcome, data=verdict)
        made = digest(f"the history after {run.id}")
        nodes = self.ended[run.id].nodes
        outputs = {"report": digest("a report"), HISTORY: made}
        checked = Progress(key=f"key of {run.id}", outputs=outputs, verdict=verdict)
        over = self.ended[run.id].model_copy(update={"nodes": {**nodes, CHECKED: checked}})
        self.ended[run.id] = over
        self.turn()
        return made

    def given(self) -> str | None:
        """What the checks of the last run are given."""
        (body,) = (
            fact.body
            for fact in self.facts
            if fact.key.kind == "graph" and fact.key.name == self.last_run.id
        )
        gate = Graph.model_validate(body).by_name[CHECKED]
        return gate.inputs[HISTORY].artifact if HISTORY in gate.inputs else None

    def deliver(self, content: str) -> None:
        """New data comes and is complete."""
        self.drop(content)
        self.turn()
        self.turn(31.0)


def test_each_version_is_compared_with_the_last_that_was_accepted() -> None:
    team = CheckedTeam()
    team.push("c1", checks(SCHEMA))
    team.turn()
    team.turn(30.0)
    assert team.given() is None
    first = team.judge(Verdict.WARN)
    team.deliver("numbers 2")
    assert team.given() == first
    team.judge(Verdict.FAIL, "stopped")
    team.deliver("numbers 3")
    assert team.given() == first
    third = team.judge(Verdict.PASS)
    team.deliver("numbers 4")
    assert team.given() == third
    versions = [one.version for one in team.pipeline.histories[HERE]]
    assert versions == [digest("numbers 1"), digest("numbers 3")]


def test_a_gate_without_a_result_leaves_nothing_to_remember() -> None:
    assert NEW.outputs is None
    team = CheckedTeam()
    team.push("c1", checks(SCHEMA))
    team.turn()
    team.turn(30.0)
    team.end(data=Verdict.PASS)
    team.turn()
    assert team.pipeline.histories == {}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("refers_to: {columns: [id], dataset: pionts}", "there is no `datasets.pionts`"),
        ("apart_from: {dataset: rows}", "is `rows` itself: name another dataset"),
        ("drift: {at_most: 0.6, classifier: true}", "`reference` to name another dataset"),
        ("drift: {at_most: 0.2, reference: sample}", "there is no `datasets.sample`"),
        ("volume: {within: 40%}, schema: {}", "exactly one of schema, freshness, volume"),
        ("freshness: {column: at, within: 0s}", "more than 0s"),
        ("refers_to: {columns: [a], dataset: rows, columns_there: [a, b]}", "as many"),
    ],
)
def test_a_check_that_cannot_be_made_is_a_problem_of_the_spec(rule: str, said: str) -> None:
    text = SPEC.replace("expectations: suite.yaml", f"checks: [{{{rule}}}]")
    problems = check(text, "ml-pipeline.yaml").problems
    told = [" ".join(filter(None, (one.message, one.expected))) for one in problems]
    assert [each for each in told if said in each], told
