"""Who judges a dataset is part of its gate, and of nothing else."""

from controller.machine.runs.graph import Rules, key_of
from controller.machine.runs.graph_builder import build
from tests.controller.machine.kit import source, spec

SPARK = ("datasets.numbers.engine", "spark")
CUSTOM = ("datasets.numbers.custom_expectations", "custom.py")
OWN, MODULES = "gate.data.numbers", "gate.data.numbers.custom"


def test_the_gate_is_asked_to_use_spark_and_is_given_longer() -> None:
    own = build(spec(SPARK), source()).by_name[OWN].attempt
    assert own.request["engine"] == "spark"
    assert own.timeout == 6 * 3600


def test_another_engine_judges_again_and_trains_nothing_again() -> None:
    was, now = build(spec(), source()), build(spec(SPARK), source())
    keys = [key_of(made.by_name[OWN], {"dataset": "the rows"}) for made in (was, now)]
    assert keys[0] != keys[1]
    assert was.by_name["train"].definition == now.by_name["train"].definition


def test_without_it_nothing_about_the_gate_has_changed() -> None:
    own = build(spec(), source()).by_name[OWN]
    assert "engine" not in own.definition
    assert "engine" not in own.attempt.request


def test_custom_expectations_are_not_judged_on_spark() -> None:
    made = build(spec(SPARK, CUSTOM), source(custom__py="def a"))
    assert made.by_name[OWN].attempt.request["engine"] == "spark"
    assert "engine" not in made.by_name[MODULES].attempt.request


def test_a_pull_request_is_judged_by_the_engine_of_its_base_and_by_its_own() -> None:
    base = Rules(spec=spec(), source=source("b1"))
    gates = build(spec(SPARK), source("c1"), rules=base).by_name
    assert "engine" not in gates[OWN].attempt.request
    assert gates[f"{OWN}.proposed"].attempt.request["engine"] == "spark"
