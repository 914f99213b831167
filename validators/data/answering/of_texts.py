"""Expectations on how texts look: what Great Expectations evaluates by pandas, by pandas itself."""

from collections.abc import Sequence

from validators.data.answering.of_columns import Kwargs, each_value, limits
from validators.data.metrics.hits import Lengths, Matches
from validators.data.metrics.measured import Measured
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.values.literals import number_of


def match_regex(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _matches(kwargs, [kwargs["regex"]]))


def not_match_regex(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _matches(kwargs, [kwargs["regex"]]), against=True)


def match_regex_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    every = kwargs.get("match_on") == "all"
    return each_value(of, kwargs, _matches(kwargs, kwargs["regex_list"], every=every))


def not_match_regex_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _matches(kwargs, kwargs["regex_list"]), against=True)


def _matches(kwargs: Kwargs, patterns: Sequence[str], *, every: bool = False) -> Matches:
    return Matches(kwargs["column"], tuple(patterns), every)


def lengths_between(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    strict = [bool(kwargs.get(key)) for key in ("strict_min", "strict_max")]
    return each_value(of, kwargs, Lengths(kwargs["column"], *limits(kwargs), *strict))


def lengths_equal(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    length = number_of(kwargs["value"])
    rule = Lengths(kwargs["column"], length, length, strict_low=False, strict_high=False)
    return each_value(of, kwargs, rule)
