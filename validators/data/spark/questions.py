"""What Great Expectations is asked on Spark, so that it answers as on pandas.

Its answers differ there for nulls in pairs, for quantiles, for the order of rows, for regular
expressions, and wherever types differ; docs/data-gate.md has the table. An expectation is rewritten
to one that has the answer of pandas on columns as Spark holds them here, or refused by name.
"""

import dataclasses
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, floor, inf, isinf
from typing import Any, Final, NamedTuple

from validators.data.answering.of_columns import limits, listed_in, shown
from validators.data.spark.columns import form_needed, members_of
from validators.data.spark.patterns import any_of, in_java
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation
from validators.data.values.literals import Position, Unfit, number_of, steps

_EXACT: Final = 2**53
"""Great Expectations makes floats of limits; whole numbers below this stay what they are."""


class EngineQuestion(NamedTuple):
    """What is asked of Great Expectations on Spark: an expectation."""

    expectation: Expectation
    """On the column `COLUMN`."""
    offset: int = 0
    """What is subtracted from the column, so that the limits are small."""
    told: Callable[[Any], Any] = lambda found: found
    """The observed value as it is told, given the one that was found."""

    def answered(self, outcome: ExpectationOutcome) -> ExpectationOutcome:
        """The outcome in units of the column's values."""
        found = outcome.observed
        if not isinstance(found, int | float) or (isinstance(found, float) and abs(found) == inf):
            return outcome
        return dataclasses.replace(outcome, observed=self.told(found))


Kwargs = Mapping[str, Any]
_Asks = Callable[[Kwargs, str, Any], tuple[dict[str, Any], int]]
"""The arguments on a column of a type, given its name, and what is subtracted from the column."""


def question(one: Expectation, name: str, kind: Any, called: str) -> EngineQuestion:
    """What is asked about the column `name` of a settled Arrow type, `called` so in Spark. Raises
    `Unfit` if its answer would not be that of pandas."""
    form_needed(name, kind)
    asks = _OF_COLUMN.get(one.type)
    if asks is None:
        raise Unfit(_REFUSED.get(one.type, _UNKNOWN) + INSTEAD)
    kwargs, offset = asks(one.kwargs, name, kind)
    kept = {key: one.kwargs[key] for key in ("mostly",) if one.kwargs.get(key) is not None}
    asked = dataclasses.replace(one, kwargs={"column": called, **kept, **kwargs})
    return EngineQuestion(asked, offset, _teller(one.type, kind, offset))


def _teller(type_: str, kind: Any, offset: int) -> Callable[[Any], Any]:
    if type_.endswith("stdev_to_be_between"):
        return lambda found: found / float(steps(kind))
    if type_ in _COUNTED_IN_STEPS and form_needed("", kind) == "bigint":
        told = kind if "_min_" in type_ or "_max_" in type_ else _numbers(kind)
        return lambda found: shown(Fraction(found) + offset, told)
    return lambda found: found


def _numbers(kind: Any) -> Any:
    """The type, in which true is 1 and false is 0."""
    import pyarrow as pa

    return pa.int8() if pa.types.is_boolean(kind) else kind


# -- arguments -------------------------------------------------------------------------------------


def _nothing(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    return {}, 0


def _as_given(*keys: str) -> _Asks:
    def asks(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
        return {key: kwargs[key] for key in keys if kwargs.get(key) is not None}, 0

    return asks


def _of_numbers(then: _Asks, what: str) -> _Asks:
    """For columns of numbers only."""

    def asks(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:
        from pyarrow import types

        if form_needed(name, kind) == "string" or types.is_temporal(kind):
            raise Unfit(f"a column of {kind} has no {what}")
        return then(kwargs, name, kind)

    return asks


def _not_of_texts(then: _Asks, what: str) -> _Asks:
    def asks(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:
        if form_needed(name, kind) == "string":
            raise Unfit(f"a column of {kind} has no {what}")
        return then(kwargs, name, kind)

    return asks


def _range(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:
    """Limits in steps of the column's type."""
    if form_needed(name, kind) == "string":
        raise Unfit("Great Expectations on Spark compares no texts with limits" + INSTEAD)
    low, high = limits(kwargs, _numbers(kind))
    return _limits(kwargs, low, high, whole=form_needed(name, kind) == "bigint")


def _whole_range(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:
    """Limits that values are compared with: of whole numbers, the next whole numbers will do."""
    asked, offset = _range(kwargs, name, kind)
    if form_needed(name, kind) == "bigint":
        for key, strict, nearest in (("min_value", "strict_min", ceil),
                                     ("max_value", "strict_max", floor)):  # fmt: skip
            if isinstance(limit := asked.get(key), float) and not isinf(limit):
                asked |= {key: nearest(limit), strict: bool(kwargs.get(strict))}
    return asked, offset


def _limits(
    kwargs: Kwargs, low: Position | None, high: Position | None, *, whole: bool
) -> tuple[dict[str, Any], int]:
    """Limits as Great Expectations takes them: floats, which are exact if they are small."""
    offset = 0
    ends = [floor(end) for end in (low, high) if isinstance(end, Fraction)]
    if whole and any(abs(end) >= _EXACT for end in ends):
        offset = ends[0]
    found: dict[str, Any] = {}
    for key, strict, end in (("min_value", "strict_min", low), ("max_value", "strict_max", high)):
        if end is not None:
            limit = _limit(end - offset, whole=whole) if isinstance(end, Fraction) else end
            found |= {key: limit, strict: bool(kwargs.get(strict))}
    return found, offset


def _limit(end: Fraction, *, whole: bool) -> int | float:
    if whole and abs(end) >= _EXACT:
        raise Unfit("Great Expectations rounds limits that are so far apart" + INSTEAD)
    return end.numerator if end.denominator == 1 else float(end)


def _sum_range(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:
    asked, offset = _range(kwargs, name, kind)
    if offset:
        raise Unfit("Great Expectations rounds so large a limit of a sum" + INSTEAD)
    return asked, offset


def _spread(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    """How far from the mean, which is the same in any steps."""
    numbers = ("threshold", "multiplier")
    found = {key: float(number_of(kwargs[key])) for key in numbers if kwargs.get(key) is not None}
    others = ("double_sided", "method")
    return found | {key: kwargs[key] for key in others if kwargs.get(key) is not None}, 0


def _float_range(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    """Limits of what is a float in any case, in steps of the column's type."""
    import pyarrow as pa

    low, high = limits(kwargs, pa.float64())
    scale = float(steps(kind))
    ends = [end * scale if isinstance(end, float) else None for end in (low, high)]
    return _limits(kwargs, *ends, whole=False)[0], 0


def _counts(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    return _limits(kwargs, *limits(kwargs), whole=True)


def _shares(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    return _limits(kwargs, *limits(kwargs), whole=False)


def _members(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    found = members_of(listed_in(kwargs, kind), kind)
    if not found:
        raise Unfit(f"no member of `value_set` can be a value of {kind}")
    ties = {"ties_okay": kwargs["ties_okay"]} if kwargs.get("ties_okay") is not None else {}
    return {"value_set": found, **ties}, 0


def _every_member(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:
    """Members that all have to be there."""
    wanted = listed_in(kwargs, kind)
    for one in wanted:
        if not members_of([one], kind):
            raise Unfit(f"the member {one!r} of `value_set` cannot be a value of {kind}")
    return _members(kwargs, name, kind)


def _of_texts(then: _Asks) -> _Asks:
    def asks(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:
        if form_needed(name, kind) != "string":
            raise Unfit(f"a column of {kind} has no texts to match or measure" + INSTEAD)
        return then(kwargs, name, kind)

    return asks


def _pattern(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    return {"regex": in_java(kwargs["regex"])}, 0


def _patterns(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    how = {"match_on": kwargs["match_on"]} if kwargs.get("match_on") else {}
    return {"regex_list": any_of(kwargs["regex_list"]), **how}, 0


def _length(kwargs: Kwargs, name: str, kind: Any) -> tuple[dict[str, Any], int]:  # noqa: ARG001
    return {"value": int(number_of(kwargs["value"]))}, 0


INSTEAD: Final = "; judge it without `engine: spark`, or leave it out of the suite"
_UNKNOWN: Final = "Great Expectations on Spark has no answer that is known to be that of pandas"
_NO_ORDER: Final = "rows have no order on Spark"
_REFUSED: Final[Mapping[str, str]] = {
    "expect_column_values_to_be_increasing": _NO_ORDER,
    "expect_column_values_to_be_decreasing": _NO_ORDER,
    "expect_column_quantile_values_to_be_between": "quantiles on Spark are values of the column, "
    "and not between two of them",
}
_COLUMN: Final = "expect_column_"
_OF_COLUMN: Final[Mapping[str, _Asks]] = {
    f"{_COLUMN}{name}": asks
    for name, asks in {
        "values_to_be_null": _nothing,
        "values_to_not_be_null": _nothing,
        "proportion_of_non_null_values_to_be_between": _shares,
        "values_to_be_unique": _nothing,
        "unique_value_count_to_be_between": _counts,
        "proportion_of_unique_values_to_be_between": _shares,
        "values_to_be_between": _whole_range,
        "values_to_be_in_set": _members,
        "values_to_not_be_in_set": _members,
        "distinct_values_to_be_in_set": _members,
        "distinct_values_to_contain_set": _every_member,
        "distinct_values_to_equal_set": _every_member,
        "most_common_value_to_be_in_set": _members,
        "min_to_be_between": _range,
        "max_to_be_between": _range,
        "mean_to_be_between": _not_of_texts(_range, "mean"),
        "median_to_be_between": _not_of_texts(_range, "quantiles"),
        "sum_to_be_between": _of_numbers(_sum_range, "sum"),
        "stdev_to_be_between": _of_numbers(_float_range, "standard deviation"),
        "value_z_scores_to_be_less_than": _of_numbers(_spread, "standard deviation"),
        "values_to_not_be_outliers": _of_numbers(_spread, "standard deviation"),
        "values_to_match_regex": _of_texts(_pattern),
        "values_to_not_match_regex": _of_texts(_pattern),
        "values_to_match_regex_list": _of_texts(_patterns),
        "values_to_not_match_regex_list": _of_texts(_patterns),
        "value_lengths_to_be_between": _of_texts(_counts),
        "value_lengths_to_equal": _of_texts(_length),
        "values_to_be_json_parseable": _of_texts(_nothing),
        "values_to_match_json_schema": _of_texts(_as_given("json_schema")),
        "values_to_match_strftime_format": _of_texts(_as_given("strftime_format")),
    }.items()
}
_COUNTED_IN_STEPS: Final = frozenset(
    f"{_COLUMN}{name}_to_be_between" for name in ("min", "max", "mean", "median", "sum")
)
OF_SPREAD: Final = frozenset(
    f"{_COLUMN}{name}"
    for name in ("stdev_to_be_between", "value_z_scores_to_be_less_than",
                 "values_to_not_be_outliers")
)  # fmt: skip
"""What is not defined if all values are equal, or some infinite."""
