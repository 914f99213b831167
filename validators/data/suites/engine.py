"""Great Expectations; this is the only file that imports it.

It runs in a process of its own: threads that share a dataframe asset have been seen to get wrong
verdicts. Its import takes seconds, so it is delayed until there is something to judge.
"""

import dataclasses
import functools
import os
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from specs.figures import clip
from specs.loading.explain import nearest
from validators.data.suites.outcome import ExpectationOutcome, Misfit, outcome_of
from validators.data.suites.suite import Expectation

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read by Great Expectations at import

VERSION = version("great_expectations")

# `meta` carries the place in the suite: results come back in another order, with other kwargs
# (without defaults, integers as floats), and two expectations may be equal.
_PLACE = "headgate"


def misfit(expectation: Expectation, *, reads_limits: bool = False) -> Misfit | None:
    """Why Great Expectations would refuse it; None if it would not.

    With `reads_limits`, Headgate reads the limits as the column's type, so they may be text.
    """
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.legacy_row_conditions import ConditionParserError
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    try:
        implementation = get_expectation_impl(expectation.type)
    except ExpectationNotFoundError:
        known = list_registered_expectation_implementations()
        return Misfit("there is no such expectation type", nearest(expectation.type, sorted(known)))
    if expectation.type in _IN_DATABASES:
        return Misfit(f"it needs a database; {_IN_DATABASES[expectation.type]}")
    if lacking := _lacking(expectation.kwargs, implementation.__fields__):
        return Misfit(lacking)
    try:
        _built(_without_text(expectation) if reads_limits else expectation, 0)
    except (ValueError, TypeError, ConditionParserError) as error:
        return Misfit(_said(error, sorted(implementation.__fields__)))
    return None


_IN_DATABASES: Final = {
    "expect_query_results_to_match_comparison": "write it as a custom expectation",
    "expect_table_row_count_to_equal_other_table": "compare datasets by `checks` of the spec",
    "unexpected_rows_expectation": "write the rows that there may be as expectations about "
    "columns, or it as a custom expectation",
}
"""Types that Great Expectations evaluates by SQL alone, and what there is in their place."""
_NEEDED: Final = ("regex", "like_pattern", "type_", "type_list", "column_list", "column_set")


def _lacking(kwargs: Mapping[str, Any], fields: Collection[str]) -> str | None:
    """Which argument is not there to be met, so that the check could not fail."""
    for key in _NEEDED:
        if key in fields and kwargs.get(key) is None:
            return f"`{key}` is missing in its kwargs"
    if "value_set" in fields and "value_set" not in kwargs:
        return "`value_set` is missing in its kwargs"
    for key in ("value_set", "column_set", "column_list"):
        listed = kwargs.get(key)
        if isinstance(listed, list) and all(one is None for one in listed):
            return f"`{key}` lists nothing"
    return None


def _said(error: Exception, fields: list[str]) -> str:
    """What pydantic says about the kwargs, without every branch of a union."""
    first = error.errors()[0] if hasattr(error, "errors") else None
    if first is None:
        return str(error).splitlines()[0]
    name = ".".join(str(part) for part in first["loc"])
    if name == "row_condition":
        return "`row_condition` is not a condition of Great Expectations"
    if name == "__root__":
        return str(first["msg"])
    if first["type"] == "value_error.extra":
        meant = nearest(name, fields)
        return f"unknown argument `{name}`" + (f", did you mean `{meant}`?" if meant else "")
    if first["type"] == "value_error.missing":
        return f"`{name}` is missing in its kwargs"
    return f"`{name}`: {first['msg']}"


_LIMITS = ("min_value", "max_value", "quantile_ranges", "sum_total", "threshold")


def _without_text(expectation: Expectation) -> Expectation:
    """With a number for each limit that is text: Great Expectations takes numbers and dates."""

    def number(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: number(one) for key, one in value.items()}
        if isinstance(value, list):
            return [number(one) for one in value]
        return 0 if isinstance(value, str) else value

    kwargs = {
        key: number(value) if key in _LIMITS else value for key, value in expectation.kwargs.items()
    }
    return dataclasses.replace(expectation, kwargs=kwargs)


def _built(expectation: Expectation, place: int) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    return ExpectationConfiguration(
        type=expectation.type,
        kwargs=dict(expectation.kwargs),
        severity=FailureSeverity(expectation.severity),
        meta={_PLACE: place},
    ).to_domain_obj()


@functools.cache
def _sources(session: str) -> Any:
    """Where data sources are added; it takes a quarter of a second to make. One for each `session`
    of Spark, which it holds."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    sources = context.data_sources
    # Not persisted: Spark would write all rows to disk before it looks at one.
    return sources.add_spark("gate", persist=False) if session else sources.add_pandas("gate")


def arguments_of(kind: str) -> frozenset[str] | None:
    """The arguments that an expectation of this type takes; None if there is no such type."""
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        return frozenset(get_expectation_impl(kind).__fields__) - _NO_ARGUMENTS
    except ExpectationNotFoundError:
        return None


def takes_no_null(kind: str, argument: str) -> bool:
    """Whether an expectation of this type has a default for the argument, and refuses null."""
    from great_expectations.expectations.registry import get_expectation_impl

    field = get_expectation_impl(kind).__fields__.get(argument)
    return field is not None and not field.required and not field.allow_none


_NO_ARGUMENTS = frozenset(("id", "meta", "notes", "description", "severity", "rendered_content"))
"""Fields of its classes that are keys beside `kwargs`."""


class NotComputableError(Exception):
    """Great Expectations cannot compute the expression of an argument; says why."""


def computed(expression: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression of parameters. Raises `NotComputableError`."""
    from great_expectations.core.suite_parameters import parse_suite_parameter
    from great_expectations.exceptions.exceptions import SuiteParameterError

    try:
        return parse_suite_parameter(expression, dict(values))
    except (SuiteParameterError, ArithmeticError, TypeError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotComputableError(f"`{clip(expression)}` cannot be computed: {why}") from None


def evaluate(frame: Any, expectations: Mapping[int, Expectation]) -> Sequence[ExpectationOutcome]:
    """Evaluate expectations on a pandas frame; they are keyed by place and none is a misfit."""
    return _evaluated(frame, expectations, _sources(""))


def evaluate_on_spark(
    frame: Any, expectations: Mapping[int, Expectation]
) -> Sequence[ExpectationOutcome]:
    """Evaluate expectations on a Spark frame likewise."""
    session = str(frame.sparkSession.sparkContext.applicationId)
    return _evaluated(frame, expectations, _sources(session))


def _evaluated(
    frame: Any, expectations: Mapping[int, Expectation], source: Any
) -> Sequence[ExpectationOutcome]:
    import great_expectations as gx

    batch = (
        source.add_dataframe_asset(f"dataset-{len(source.assets)}")  # never shared
        .add_batch_definition_whole_dataframe("version")
        .get_batch({"dataframe": frame})
    )
    suite = gx.ExpectationSuite(name="gate")
    # Not through the suite's constructor: it drops what it cannot read and only logs it.
    suite.expectations = [_built(one, place) for place, one in expectations.items()]
    # No values are requested, so none are returned.
    results = batch.validate(
        suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0}
    )
    return [
        outcome_of(
            place=config.meta[_PLACE],
            type=config.type,
            success=result.success,
            result=result.result or {},
            exception_info=result.exception_info,
        )
        for result in results.results
        if (config := result.expectation_config) is not None
    ]
