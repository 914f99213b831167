"""A suite may stand in the spec itself; what is wrong with it is said at its line there."""

import pytest

from specs.loading.load import LoadedSpec, load

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: mean}}
datasets:
  flights:
    uri: data/*.csv
    expectations:
{suite}
steps:
  train: {{run: "python train.py {{inputs.flights}}", inputs: {{flights: datasets.flights}}}}
"""
LIST = """\
      - type: expect_column_values_to_be_unique
        kwargs: {column: id}
"""
NAMED = """\
      name: flights
      meta: {great_expectations_version: 1.24.1}
      expectations:
        - type: expect_column_values_to_be_unique
          kwargs: {column: id}
          meta: {why: a key}
          notes: by Ada
"""


def loaded(suite: str) -> LoadedSpec:
    return load(SPEC.format(suite=suite), "ml-pipeline.yaml")


@pytest.mark.parametrize("suite", [LIST, NAMED])
def test_a_suite_is_a_list_of_expectations_or_the_whole_of_great_expectations(suite: str) -> None:
    spec = loaded(suite).pipeline
    assert spec is not None
    flights = spec.datasets["flights"]
    assert flights.suite_file is None
    assert flights.inline_suite is not None
    (one,) = flights.inline_suite["expectations"]
    assert (one["type"], one["kwargs"]) == ("expect_column_values_to_be_unique", {"column": "id"})


@pytest.mark.parametrize("suite", [LIST, NAMED])
def test_a_stored_spec_is_read_again_as_it_was(suite: str) -> None:
    spec = loaded(suite).pipeline
    assert spec is not None
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("was", "now", "line", "said"),
    [
        ("- type: ", "- expectation_type: ", 8, "type"),
        ("kwargs:", "kwarg:", 9, "kwargs"),
        ("{column: id}", "{column: id}\n        severity: warn", 10, "warning"),
        ("{column: id}", "5", 9, "a mapping"),
        ("{column: id}", "{column: id}\n        meta: {may_be_empty: often}", 10, "true or false"),
    ],
)
def test_what_is_wrong_is_said_at_its_line_with_the_fix(
    was: str, now: str, line: int, said: str
) -> None:
    (problem,) = loaded(LIST.replace(was, now)).problems
    assert problem.line == line
    assert said in (problem.nearest or problem.expected or "")


@pytest.mark.parametrize("suite", ["      []", "      {name: a, expectations: []}"])
def test_a_suite_without_expectations_checks_nothing_and_is_an_error(suite: str) -> None:
    (problem,) = loaded(suite).problems
    assert problem.expected == "at least one"


def test_a_number_is_no_path_of_a_suite() -> None:
    (problem,) = loaded("      5").problems
    assert problem.path == "datasets.flights.expectations"
    assert problem.expected is not None
    assert problem.expected.startswith("text")
