"""Expectations on how texts look: what Great Expectations evaluates by pandas, by pandas itself."""

from typing import Any

from validators.data.literals import number_of
from validators.data.measured import Measured
from validators.data.metrics.hits import Lengths, Matches
from validators.data.metrics.metric import Nulls
from validators.data.of_columns import Kwargs, limits, mapped
from validators.data.outcome import ExpectationOutcome


def match_regex(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    n, found = _matches(of, kwargs, [kwargs["regex"]])
    return mapped(n, found, kwargs)


def not_match_regex(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    n, found = _matches(of, kwargs, [kwargs["regex"]])
    return mapped(n, n - found, kwargs)


def match_regex_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    every = kwargs.get("match_on") == "all"
    n, found = _matches(of, kwargs, kwargs["regex_list"], every=every)
    return mapped(n, found, kwargs)


def not_match_regex_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    n, found = _matches(of, kwargs, kwargs["regex_list"])
    return mapped(n, n - found, kwargs)


def _matches(
    of: Measured, kwargs: Kwargs, patterns: list[str], *, every: bool = False
) -> tuple[int, int]:
    """How many values there are, and how many match one of the patterns, or every one."""
    column = kwargs["column"]
    (rows, nulls), found = of.each(Nulls(column), Matches(column, tuple(patterns), every))
    return rows - nulls, found


def lengths_between(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    strict = [bool(kwargs.get(key)) for key in ("strict_min", "strict_max")]
    return _lengths(of, kwargs, *limits(kwargs), *strict)


def lengths_equal(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    length = number_of(kwargs["value"])
    return _lengths(of, kwargs, length, length, False, False)


def _lengths(of: Measured, kwargs: Kwargs, *bounds: Any) -> ExpectationOutcome:
    column = kwargs["column"]
    (rows, nulls), met = of.each(Nulls(column), Lengths(column, *bounds))
    return mapped(rows - nulls, met, kwargs)
