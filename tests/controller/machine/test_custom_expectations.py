"""A module of custom expectations has a gate of its own, and is a rule of the base."""

from typing import Any

import pytest

from controller.machine.pipelines.policy import rule_changes
from controller.machine.runs.graph import Graph, Node, Rules, key_of
from controller.machine.runs.graph_builder import build
from controller.machine.runs.node_names import custom_data_gate, is_proposed
from specs.lint.check import check
from tests.controller.cli.seeds import SPEC
from tests.controller.machine.kit import source, spec

CUSTOM = ("datasets.numbers.custom_expectations", "custom.py")
OWN, MODULES = "gate.data.numbers", "gate.data.numbers.custom"


def graph(module: str = "def a", *changes: tuple[str, Any], rules: Rules | None = None) -> Graph:
    return build(spec(CUSTOM, *changes), source(custom__py=module), rules=rules)


def key(node: Node) -> str:
    return key_of(node, {"dataset": "the rows"})


def test_the_module_is_judged_apart_from_all_else_and_both_have_to_pass() -> None:
    made = graph()
    own, custom = made.by_name[OWN], made.by_name[MODULES]
    assert own.attempt.request["leaves_custom"] is True
    assert "custom" not in own.attempt.request
    assert custom.attempt.request["custom"] == "custom.py"
    assert {OWN, MODULES} <= set(made.by_name["train"].after)


def test_a_change_of_the_module_judges_it_again_and_nothing_else() -> None:
    was, now = graph("def a"), graph("def b")
    assert key(was.by_name[MODULES]) != key(now.by_name[MODULES])
    for name in (OWN, "train", "evaluate"):
        assert was.by_name[name].definition == now.by_name[name].definition
        assert was.by_name[name].reads == now.by_name[name].reads


def test_without_a_module_there_is_one_gate() -> None:
    made = build(spec(), source())
    assert [node.name for node in made.nodes if node.kind == "data_gate"] == [OWN]


def test_a_pull_request_is_judged_by_the_module_of_its_base_and_by_its_own() -> None:
    theirs, ours = source("b1", custom__py="def a"), source("c1", custom__py="easier")
    base = Rules(spec=spec(CUSTOM), source=theirs)
    gates = {
        node.name: node.attempt.commit
        for node in build(spec(CUSTOM), ours, rules=base).nodes
        if node.kind == "data_gate"
    }
    assert gates == {
        OWN: theirs.commit,
        MODULES: theirs.commit,
        f"{OWN}.proposed": ours.commit,
        f"{MODULES}.proposed": ours.commit,
    }


def test_a_pull_request_without_the_module_is_judged_by_that_of_its_base() -> None:
    base = Rules(spec=spec(CUSTOM), source=source("b1", custom__py="def a"))
    assert MODULES in build(spec(), source("c1"), rules=base).by_name


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("def a", "easier", [("custom.py", "custom.py, changed", True)]),
        ("def a", None, [("custom.py", "none", True)]),
        (None, "def a", [("none", "custom.py", False)]),
        ("def a", "def a", []),
    ],
)
def test_another_module_is_a_loosened_rule(
    was: str | None, now: str | None, said: list[tuple[str, str, bool]]
) -> None:
    before, after = (
        Rules(
            spec=spec(*([CUSTOM] if module else [])),
            source=source(**({"custom__py": module} if module else {})),
        )
        for module in (was, now)
    )
    found = [each for each in rule_changes(before, after) if "custom" in each.rule]
    assert [(each.was, each.now, each.loosens) for each in found] == said


def test_a_proposed_module_is_told_from_that_in_force() -> None:
    assert custom_data_gate(f"{OWN}.proposed") == f"{MODULES}.proposed"
    assert is_proposed(custom_data_gate(f"{OWN}.proposed"))
    assert not is_proposed(custom_data_gate(OWN))


SUITE = "expectations: suite.yaml"


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (f"{SUITE}, custom_expectations: gone.py", "missing-file"),
        (f"{SUITE}, custom_expectations: suite.yaml", "no-module"),
        ("custom_expectations: train.py", "no-effect"),
    ],
)
def test_a_module_that_is_missing_none_or_useless_is_said(now: str, code: str) -> None:
    files = ("suite.yaml", "train.py", "evaluate.py", "serve.py", "data/a.csv")
    loaded = check(SPEC.replace(SUITE, now), "ml-pipeline.yaml", files)
    assert code in [each.code for each in loaded.problems if "custom" in each.path]
