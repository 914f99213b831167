"""A suite in the spec judges, is compared and is cached as one in a file."""

from typing import Any

from controller.machine.pipelines.policy_gates import suites_to_compare
from controller.machine.runs.graph import Node, Rules, key_of
from controller.machine.runs.graph_builder import build
from tests.controller.machine.kit import source, spec

UNIQUE = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}}
HERE = "datasets.numbers.expectations"


def inline(*expectations: dict[str, Any]) -> tuple[str, Any]:
    return HERE, list(expectations)


def gate(*changes: tuple[str, Any]) -> Node:
    return build(spec(*changes), source()).by_name["gate.data.numbers"]


def key(*changes: tuple[str, Any]) -> str:
    return key_of(gate(*changes), {"dataset": "the rows"})


def test_the_gate_finds_it_in_the_spec_and_reads_no_other_file() -> None:
    node = gate(inline(UNIQUE))
    assert node.reads == {}
    assert node.attempt.request["suite"] == "ml-pipeline.yaml"
    assert node.attempt.request["at"] == ["datasets", "numbers", "expectations"]


def test_what_judges_is_part_of_the_key_and_what_is_said_beside_it_is_not() -> None:
    was = key(inline(UNIQUE))
    assert key(inline({**UNIQUE, "notes": "a key", "description": "of the table"})) == was
    assert key((HERE, {"name": "numbers", "expectations": [UNIQUE]})) == was
    assert key(inline({**UNIQUE, "severity": "info"})) != was
    assert key(inline({**UNIQUE, "kwargs": {"column": "other"}})) != was
    assert key(inline({**UNIQUE, "meta": {"may_be_empty": True}})) != was


def test_no_step_runs_again_because_the_suite_in_the_spec_changed() -> None:
    was, now = (build(spec(inline(each)), source()) for each in (UNIQUE, {**UNIQUE, "kwargs": {}}))
    for name in ("train", "evaluate"):
        assert was.by_name[name].definition == now.by_name[name].definition
        assert was.by_name[name].reads == now.by_name[name].reads


def test_a_pull_request_is_judged_by_the_suite_in_its_base_and_by_its_own() -> None:
    theirs, ours = source("b1"), source("c1")
    base = Rules(spec=spec(inline(UNIQUE)), source=theirs)
    same = build(base.spec, ours, rules=base)
    assert [node.name for node in same.nodes if node.kind == "data_gate"] == ["gate.data.numbers"]
    other = build(spec(inline({**UNIQUE, "severity": "info"})), ours, rules=base)
    gates = {node.name: node.attempt.commit for node in other.nodes if node.kind == "data_gate"}
    proposed = "gate.data.numbers.proposed"
    assert gates == {"gate.data.numbers": theirs.commit, proposed: ours.commit}


def test_suites_are_compared_wherever_they_are() -> None:
    file, inside = spec(), spec(inline(UNIQUE))
    pair = ("numbers", "numbers")
    assert suites_to_compare(file, inside) == {pair: ("numbers.yaml", None)}
    assert suites_to_compare(inside, inside) == {pair: (None, None)}


MOST = {"type": "t", "kwargs": {"column": "x", "max_value": {"$PARAMETER": "depth"}}}


def test_the_key_has_the_values_of_the_parameters_that_a_suite_names_and_no_others() -> None:
    named, plain = inline(MOST), inline(UNIQUE)
    deeper, other = ("params", {"depth": 7, "unused": 1}), ("params", {"depth": 6, "unused": 2})
    assert gate(named).attempt.request["params"] == {"depth": 6}
    assert key(named, deeper) != key(named)
    assert key(named, other) == key(named)
    assert key(plain, deeper) == key(plain)


def test_a_suite_in_a_file_has_those_that_its_commit_names() -> None:
    def key_with(depth: int, words: tuple[str, ...]) -> str:
        there = source().model_copy(update={"suite_words": {"numbers.yaml": words}})
        node = build(spec(("params.depth", depth)), there).by_name["gate.data.numbers"]
        return key_of(node, {"dataset": "the rows"})

    assert key_with(6, ("depth",)) != key_with(7, ("depth",))
    assert key_with(6, ()) == key_with(7, ()) == key()


def test_a_pull_request_that_changes_a_parameter_of_a_suite_is_judged_by_both() -> None:
    base = Rules(spec=spec(inline(MOST)), source=source("b1"))
    looser = spec(inline(MOST), ("params.depth", 99))
    gates = {
        node.name: node.attempt.request["params"]
        for node in build(looser, source("c1"), rules=base).nodes
        if node.kind == "data_gate"
    }
    assert gates == {
        "gate.data.numbers": {"depth": 6},
        "gate.data.numbers.proposed": {"depth": 99},
    }
