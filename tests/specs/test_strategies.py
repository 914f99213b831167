"""How production gets the traffic: what may be said with which strategy."""

import pytest

from specs.lint.check import check
from specs.loading.load import load
from tests.specs.samples import SMALLEST


@pytest.mark.parametrize(
    ("production", "path"),
    [
        ("strategy: direct, canary: {deadline: 3h}", "release.production.canary"),
        ("strategy: blue-green, canary: {deadline: 3h}", "release.production.canary"),
        ("blue_green: {keep_for: 1h}", "release.production.blue_green"),
        ("strategy: direct, blue_green: {keep_for: 1h}", "release.production.blue_green"),
    ],
)
def test_what_is_said_of_another_strategy_is_an_error_that_names_it(
    production: str, path: str
) -> None:
    (problem,) = check(f"{SMALLEST}  production: {{{production}}}\n", "ml-pipeline.yaml").problems
    assert (problem.severity, problem.code, problem.path) == ("error", "no-effect", path)
    assert "says nothing with `strategy: " in problem.message


@pytest.mark.parametrize(
    "production",
    [
        "strategy: direct",
        "strategy: canary, canary: {on_inconclusive: promote}",
        "strategy: blue-green",
        "strategy: blue-green, blue_green: {keep_for: 10m, errors: {not_worse_by: 1%}}",
        "strategy: blue-green, blue_green: {errors: null}",
    ],
)
def test_what_belongs_together_has_no_problem(production: str) -> None:
    text = f"{SMALLEST}  production: {{{production}}}\n"
    assert check(text, "ml-pipeline.yaml").problems == ()
    pipeline = load(text, "ml-pipeline.yaml").pipeline
    assert pipeline is not None
    # As it is stored with a model version.
    assert type(pipeline).model_validate(pipeline.model_dump(mode="json", by_alias=True)) == (
        pipeline
    )


def test_an_unknown_strategy_is_told_with_the_nearest() -> None:
    text = f"{SMALLEST}  production: {{strategy: blue_green}}\n"
    (problem,) = check(text, "ml-pipeline.yaml").problems
    assert problem.nearest == "blue-green"
