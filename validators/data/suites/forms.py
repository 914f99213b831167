"""What Great Expectations surely takes, known without its import, which costs seconds.

A suite's entry that has such a form is not shown to it. Any other is: it may well be right, and if
not, Great Expectations says what is wrong. Read from the classes of great_expectations 1.24.1;
`tests/validators/data/test_forms.py` holds the table against the installed version. Pure.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any, Final

from validators.data.suites.suite import Expectation

_Form = Callable[[Any], bool]


def is_known(expectation: Expectation, *, reads_limits: bool = False) -> bool:
    """Whether it has a form that Great Expectations takes. False says nothing.

    With `reads_limits`, its limits may be texts, too: Headgate reads them as the column's type.
    """
    form = _FORMS.get(expectation.type)
    if form is None:
        return False
    required, optional = form
    kwargs = expectation.kwargs
    if not required.keys() <= kwargs.keys():
        return False
    about_rows = not expectation.type.startswith(_NO_ROWS)
    every = {**(_CONDITION if about_rows else {}), **optional, **required}
    if "max_value" in every and not _has_room(kwargs):
        return False
    for key, value in kwargs.items():
        if key not in every:
            return False
        readable = reads_limits and key in _LIMITS and isinstance(value, str)
        if not readable and not every[key](value):
            return False
    return True


def takes_limits(expectation: Expectation) -> bool:
    """Whether Great Expectations takes the texts among its limits: numbers, dates and times."""
    texts = [value for key in _LIMITS if isinstance(value := expectation.kwargs.get(key), str)]
    return all(map(_is_number_or_time, texts))


def _is_number_or_time(text: str) -> bool:
    for read in (float, datetime.fromisoformat):
        with suppress(ValueError):
            read(text.strip())
            return True
    return False


def _has_room(kwargs: Mapping[str, Any]) -> bool:
    """Whether there is a limit, and if there are two, something between them."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None or high is None:
        return not (low is None and high is None)
    return not (_number(low) and _number(high)) or low <= high


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _words(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _character(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and value not in "%_"


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _limit(value: Any) -> bool:
    return value is None or _number(value)


def _count(value: Any) -> bool:
    return value is None or _whole(value)


def _members(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_member, value)) and any(map(_is_value, value))


def _is_value(value: Any) -> bool:
    return value is not None


def _is_member(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _names(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_words, value))


def _several(value: Any) -> bool:
    return _names(value) and len(set(value)) == len(value) > 1


def _pairs(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, list) and len(one) == 2 for one in value)
        and all(map(_is_member, chain.from_iterable(value)))
    )


def _quantiles(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"quantiles", "value_ranges"}:
        return False
    shares, ranges = value["quantiles"], value["value_ranges"]
    return (
        isinstance(shares, list)
        and isinstance(ranges, list)
        and len(shares) == len(ranges) > 0
        and all(map(_share, shares))
        and all(map(_quantile_range, ranges))
    )


def _quantile_range(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_limit, value)):
        return False
    low, high = value
    return low is None or high is None or low <= high


def _one_of(*words: str) -> _Form:
    return lambda value: isinstance(value, str) and value in words


_NO_ROWS: Final = (
    "expect_table_column",
    "expect_column_to_exist",
    "expect_column_type_to_be",
)
"""What is about columns as such takes no condition."""
_LIMITS: Final = ("min_value", "max_value")
_CONDITION: Final[Mapping[str, _Form]] = {
    "row_condition": _words,
    "condition_parser": _one_of("pandas", "great_expectations"),
}
_COLUMN: Final[Mapping[str, _Form]] = {"column": _words}
_PAIR: Final[Mapping[str, _Form]] = {"column_A": _words, "column_B": _words}
_LIST: Final[Mapping[str, _Form]] = {"column_list": _several}
_MOSTLY: Final[Mapping[str, _Form]] = {"mostly": _share}
_STRICT: Final[Mapping[str, _Form]] = {"strict_min": _flag, "strict_max": _flag}
_BETWEEN: Final[Mapping[str, _Form]] = {"min_value": _limit, "max_value": _limit, **_STRICT}
_COUNTED: Final[Mapping[str, _Form]] = {"min_value": _count, "max_value": _count, **_STRICT}
_OF_PAIR: Final[Mapping[str, _Form]] = {
    "ignore_row_if": _one_of("both_values_are_missing", "either_value_is_missing", "neither"),
    **_MOSTLY,
}
_OF_LIST: Final[Mapping[str, _Form]] = {
    "ignore_row_if": _one_of("all_values_are_missing", "any_value_is_missing", "never"),
    **_MOSTLY,
}
_ON: Final[Mapping[str, _Form]] = {"match_on": _one_of("any", "all"), **_MOSTLY}
_LIKE: Final[Mapping[str, _Form]] = {"escape": _character, **_MOSTLY}

_Forms = tuple[Mapping[str, _Form], Mapping[str, _Form]]
"""The arguments that it must have, and those that it may have."""
_OF_COLUMNS: Final[Mapping[str, _Forms]] = {
    "values_to_be_null": ({}, _MOSTLY),
    "values_to_not_be_null": ({}, _MOSTLY),
    "values_to_be_unique": ({}, _MOSTLY),
    "values_to_be_between": ({}, {**_BETWEEN, **_MOSTLY}),
    "values_to_be_in_set": ({"value_set": _members}, _MOSTLY),
    "values_to_not_be_in_set": ({"value_set": _members}, _MOSTLY),
    "values_to_be_increasing": ({}, {"strictly": _flag, **_MOSTLY}),
    "values_to_be_decreasing": ({}, {"strictly": _flag, **_MOSTLY}),
    "values_to_be_of_type": ({"type_": _words}, _MOSTLY),
    "values_to_be_in_type_list": ({"type_list": _names}, _MOSTLY),
    "type_to_be": ({"type_": _words}, {}),
    "values_to_match_regex": ({"regex": _text}, _MOSTLY),
    "values_to_not_match_regex": ({"regex": _text}, _MOSTLY),
    "values_to_match_regex_list": ({"regex_list": _names}, _ON),
    "values_to_not_match_regex_list": ({"regex_list": _names}, _MOSTLY),
    "values_to_match_like_pattern": ({"like_pattern": _text}, _LIKE),
    "values_to_not_match_like_pattern": ({"like_pattern": _text}, _LIKE),
    "values_to_match_like_pattern_list": ({"like_pattern_list": _names}, {**_LIKE, **_ON}),
    "values_to_not_match_like_pattern_list": ({"like_pattern_list": _names}, _LIKE),
    "value_lengths_to_be_between": ({}, {**_COUNTED, **_MOSTLY}),
    "value_lengths_to_equal": ({"value": _whole}, _MOSTLY),
    "value_z_scores_to_be_less_than": (
        {"threshold": _number, "double_sided": _flag}, _MOSTLY,
    ),
    "values_to_not_be_outliers": (
        {}, {"method": _one_of("iqr", "std"), "multiplier": _positive, **_MOSTLY},
    ),
    "quantile_values_to_be_between": (
        {"quantile_ranges": _quantiles},
        {"allow_relative_error": _one_of("linear", "lower", "higher", "midpoint", "nearest")},
    ),
    "distinct_values_to_be_in_set": ({"value_set": _members}, {}),
    "distinct_values_to_contain_set": ({"value_set": _members}, {}),
    "distinct_values_to_equal_set": ({"value_set": _members}, {}),
    "most_common_value_to_be_in_set": ({"value_set": _members}, {"ties_okay": _flag}),
    "unique_value_count_to_be_between": ({}, _COUNTED),
    "proportion_of_unique_values_to_be_between": ({}, _BETWEEN),
    "proportion_of_non_null_values_to_be_between": ({}, _BETWEEN),
    **{f"{name}_to_be_between": ({}, _BETWEEN)
       for name in ("min", "max", "mean", "median", "stdev", "sum")},
    "to_exist": ({}, {"column_index": _whole}),
}  # fmt: skip
_OF_PAIRS: Final[Mapping[str, _Forms]] = {
    "values_to_be_equal": ({}, _OF_PAIR),
    "values_a_to_be_greater_than_b": ({}, {"or_equal": _flag, **_OF_PAIR}),
    "values_to_be_in_set": ({"value_pairs_set": _pairs}, _OF_PAIR),
}
_OF_TABLES: Final[Mapping[str, _Forms]] = {
    "row_count_to_be_between": ({}, _COUNTED),
    "row_count_to_equal": ({"value": _whole}, {}),
    "column_count_to_be_between": ({}, {"min_value": _count, "max_value": _count}),
    "column_count_to_equal": ({"value": _whole}, {}),
    "columns_to_match_ordered_list": ({"column_list": _names}, {}),
    "columns_to_match_set": ({"column_set": _names}, {"exact_match": _flag}),
}
_FORMS: Final[Mapping[str, _Forms]] = {
    **{f"expect_column_{name}": ({**_COLUMN, **required}, optional)
       for name, (required, optional) in _OF_COLUMNS.items()},
    **{f"expect_column_pair_{name}": ({**_PAIR, **required}, optional)
       for name, (required, optional) in _OF_PAIRS.items()},
    **{f"expect_table_{name}": form for name, form in _OF_TABLES.items()},
    "expect_compound_columns_to_be_unique": (_LIST, _OF_LIST),
    "expect_multicolumn_values_to_be_equal": (_LIST, _OF_LIST),
    "expect_select_column_values_to_be_unique_within_record": (_LIST, _OF_LIST),
    "expect_multicolumn_sum_to_equal": ({**_LIST, "sum_total": _number}, _OF_LIST),
}  # fmt: skip
KNOWN: Final = frozenset(_FORMS)
"""The expectation types of which forms are known."""
