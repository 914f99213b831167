"""How production gets the traffic: which settings go with which strategy."""

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
def test_settings_of_an_unused_strategy_are_an_error(production: str, path: str) -> None:
    (problem,) = check(f"{SMALLEST}  production: {{{production}}}\n", "ml-pipeline.yaml").problems
    assert (problem.severity, problem.code, problem.path) == ("error", "no-effect", path)
    assert "has no effect with `strategy: " in problem.message


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
def test_settings_of_the_chosen_strategy_are_fine(production: str) -> None:
    text = f"{SMALLEST}  production: {{{production}}}\n"
    assert check(text, "ml-pipeline.yaml").problems == ()
    pipeline = load(text, "ml-pipeline.yaml").pipeline
    assert pipeline is not None
    # The form that is stored with a model version.
    assert type(pipeline).model_validate(pipeline.model_dump(mode="json", by_alias=True)) == (
        pipeline
    )


def test_an_unknown_strategy_gets_the_nearest_name() -> None:
    text = f"{SMALLEST}  production: {{strategy: blue_green}}\n"
    (problem,) = check(text, "ml-pipeline.yaml").problems
    assert problem.nearest == "blue-green"
