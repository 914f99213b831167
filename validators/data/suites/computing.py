"""Arguments that are expressions of parameters, computed by Great Expectations."""

from dataclasses import replace

from specs.loading.problems import Problem
from specs.suite_parameters import KEY, is_parameter
from validators.data.suites import engine
from validators.data.suites.suite import Expectation, Suite


def computed(suite: Suite, file: str) -> Suite:
    """The suite with the values of its expressions, and a problem for each that has none."""
    kept: list[Expectation] = []
    problems = list(suite.problems)
    for one in suite.expectations:
        try:
            kept.append(_computed(one))
        except engine.NotComputableError as error:
            message = f"`{one.type}`: {error}"
            where = (one.line or 1, one.column or 1)
            problems.append(Problem("error", "suite-parameter", message, file, *where))
    return replace(suite, expectations=tuple(kept), problems=tuple(problems))


def _computed(one: Expectation) -> Expectation:
    left = {key: value[KEY] for key, value in one.kwargs.items() if is_parameter(value)}
    if not left:
        return one
    found = {key: engine.computed(text, one.values) for key, text in left.items()}
    return replace(one, kwargs={**one.kwargs, **found}, values={})
