"""Limits without effect, and extreme numbers as parameters."""

import pytest

from specs.lint.check import check
from tests.specs.samples import SMALLEST

CHECK = "{metric: roc_auc, not_worse_than_baseline_by: 0.005}"


def told(text: str) -> list[tuple[str, str, str]]:
    found = check(text, "ml-pipeline.yaml").problems
    return [(one.severity, one.code, one.path.rpartition(".")[2]) for one in found]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("{metric: roc_auc, at_least: 0.99}", []),
        ("{metric: roc_auc, at_least: 1}", []),
        ("{metric: log_loss, at_most: 2.5}", []),
        ("{metric: brier_score, at_most: 0}", []),
        ("{metric: roc_auc, not_worse_than_baseline_by: 0.5}", []),
        ("{metric: roc_auc, at_least: 0}", [("warning", "no-effect", "at_least")]),
        ("{metric: roc_auc, at_least: -1.0e+308}", [("warning", "no-effect", "at_least")]),
        ("{metric: brier_score, at_most: 1}", [("warning", "no-effect", "at_most")]),
        ("{metric: log_loss, at_most: 1.0e+308}", [("warning", "no-effect", "at_most")]),
        ("{metric: log_loss, at_most: -1}", [("error", "out-of-range", "at_most")]),
        ("{metric: roc_auc, at_least: 85}", [("error", "out-of-range", "at_least")]),
        ("{metric: log_loss, at_least: 1.0e+308}", [("error", "out-of-range", "at_least")]),
        (
            "{metric: roc_auc, not_worse_than_baseline_by: 1.0e+308}",
            [("warning", "no-effect", "not_worse_than_baseline_by")],
        ),
        (
            "{metric: log_loss, not_worse_than_baseline_by: 1.0e+308}",
            [("warning", "no-effect", "not_worse_than_baseline_by")],
        ),
    ],
)
def test_a_limit_without_effect_is_reported(
    limit: str, expected: list[tuple[str, str, str]]
) -> None:
    assert CHECK in SMALLEST
    found = told(SMALLEST.replace(CHECK, limit))
    assert [one for one in found if one[1] != "reversed-limit"] == expected


@pytest.mark.parametrize("number", ["1.0e+308", "-1.0e+308", "1.5e-320", str(2**63 - 1)])
def test_any_representable_number_is_a_parameter(number: str) -> None:
    text = f"{SMALLEST}\nparams: {{big: {number}}}\n"
    assert [one[1] for one in told(text)] == ["unused"]


@pytest.mark.parametrize("number", ["1e309", ".inf", str(2**63)])
def test_a_number_that_is_not_representable_is_an_error(number: str) -> None:
    text = f"{SMALLEST}\nparams: {{big: {number}}}\n"
    assert [(one[0], one[2]) for one in told(text)][:1] in ([("error", "big")], [("error", "")])
