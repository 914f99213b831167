"""The gate of the model as a value: what it refuses, with which words, and what is stored of it."""

from typing import Any

import pytest
from pydantic import ValidationError

from specs.gates import LONGEST_OWN, ModelGate, PairedCheck
from specs.references import StepReference

ROWS: dict[str, Any] = {
    "predictions": "steps.evaluate.rows",
    "columns": {"key": "id", "label": "late", "score": "p"},
}
NUMBERS: dict[str, Any] = {"metrics": "steps.evaluate.metrics"}
FLOOR: dict[str, Any] = {"metric": "roc_auc", "at_least": 0.6}


def gate(**said: Any) -> ModelGate:
    return ModelGate.model_validate({"checks": [FLOOR], **said})


def refusal(**said: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        gate(**said)
    return str(refused.value)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"metric": "f1"}, "at_least, at_most, or not_worse_than_baseline_by"),
        (
            {"metric": "f1", "at_least": 0.7, "at_most": 0.6},
            "at_least to be no more than at_most",
        ),
        ({"metric": "f1", "confidence": 0.9}, "not_worse_than_baseline_by"),
        ({"metric": "metrics.map", "better": "lower"}, "not_worse_than_baseline_by"),
    ],
)
def test_a_check_without_a_limit_that_can_be_met_is_told_which(
    check: dict[str, Any], said: str
) -> None:
    assert said in refusal(**ROWS, checks=[check])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "expected predictions, metrics, or both"),
        ({"predictions": "steps.evaluate.rows"}, "expected columns"),
        (
            ROWS | {"columns": {"key": "id", "label": "late"}},
            "of score, scores and prediction",
        ),
        (
            ROWS | {"columns": {"key": "id", "label": "late", "score": "p", "scores": "p_*"}},
            "not both",
        ),
        (
            ROWS | {"columns": {"key": "id", "label": "late", "scores": "p"}},
            "such as p_*",
        ),
    ],
)
def test_a_gate_that_lacks_what_it_judges_by_is_told_what(
    said: dict[str, Any], expected: str
) -> None:
    assert expected in refusal(**said)


def test_a_metric_may_have_to_be_one_value_exactly() -> None:
    exact = gate(**NUMBERS, checks=[{"metric": "metrics.leaks", "at_least": 0, "at_most": 0}])
    assert len(exact.checks) == 1


def test_the_name_of_a_number_of_the_teams_own_may_be_as_long_as_the_schema_says() -> None:
    longest = "metrics." + "m" * (LONGEST_OWN - len("metrics."))
    assert gate(**NUMBERS, checks=[{"metric": longest, "at_least": 0}])
    assert "metrics.NAME" in refusal(**NUMBERS, checks=[{"metric": longest + "m", "at_least": 0}])
    assert "metrics.NAME" in refusal(**NUMBERS, checks=[{"metric": "metrics.", "at_least": 0}])


def test_what_a_gate_judges_by_is_named() -> None:
    rows, numbers = StepReference("evaluate", "rows"), StepReference("evaluate", "metrics")
    assert gate(**ROWS).evidence == {"predictions": rows}
    assert gate(**NUMBERS).evidence == {"metrics": numbers}
    assert gate(**ROWS, **NUMBERS).evidence == {"predictions": rows, "metrics": numbers}


def test_what_is_said_is_stored_and_what_is_not_said_is_in_no_digest() -> None:
    told = gate(
        **NUMBERS,
        predictions="steps.evaluate.rows",
        columns={"key": "id", "label": "kind", "scores": "p_*"},
        checks=[{"metric": "metrics.map", "not_worse_than_baseline_by": 0, "better": "lower"}],
    )
    assert ModelGate.model_validate_json(told.model_dump_json()) == told
    check = PairedCheck(metric="roc_auc", not_worse_than_baseline_by=0.01)
    assert "better" not in check.model_dump()
    assert "metrics" not in gate(**ROWS).model_dump()
    assert "scores" not in gate(**ROWS).model_dump()["columns"]


def test_the_defaults_are_those_that_the_docs_promise() -> None:
    silent = gate(**ROWS)
    assert (silent.threshold, silent.minimum_slice_rows) == (0.5, 100)
    assert (silent.small_slices, silent.slices, silent.task) == ("warn", (), None)
    paired = PairedCheck(metric="roc_auc", not_worse_than_baseline_by=0.01)
    assert (paired.confidence, paired.severity) == (0.95, "block")
    assert silent.checks[0].severity == "block"


@pytest.mark.parametrize("confidence", [0.5, 1.0])
def test_a_coin_and_certainty_are_no_confidence(confidence: float) -> None:
    check = {"metric": "roc_auc", "not_worse_than_baseline_by": 0, "confidence": confidence}
    assert "confidence" in refusal(**ROWS, checks=[check])


@pytest.mark.parametrize(
    "said",
    [
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"minimum_slice_rows": 0},
        {"checks": []},
        {"checks": [{"metric": "roc_auc", "not_worse_than_baseline_by": -0.01}]},
    ],
)
def test_what_no_gate_can_mean_is_refused(said: dict[str, Any]) -> None:
    refusal(**ROWS, **said)


@pytest.mark.parametrize(
    "said", [{"threshold": 0.0}, {"threshold": 1.0}, {"minimum_slice_rows": 1}]
)
def test_the_ends_of_a_range_can_be_meant(said: dict[str, Any]) -> None:
    gate(**ROWS, **said)
