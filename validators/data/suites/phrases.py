"""Expectations in words: what is expected, and what values that do not meet it do.

Types without an entry here are reported under their own name.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from specs.figures import clip, number, percent
from validators.data.suites.suite import Expectation

Kwargs = Mapping[str, Any]


class ExpectationWords(NamedTuple):
    """An expectation in words, met and not met."""

    limit: str
    """What is expected, e.g. `no nulls`."""
    missed: str
    """What values that do not meet it do, e.g. `are null`."""


def between(kwargs: Kwargs) -> str:
    """The range that `min_value` and `max_value` allow."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    strict_low, strict_high = kwargs.get("strict_min"), kwargs.get("strict_max")
    if low is not None and high is not None and not strict_low and not strict_high:
        return f"{number(low)} to {number(high)}"
    parts = [
        f"{'>' if strict_low else '≥'} {number(low)}" if low is not None else "",
        f"{'<' if strict_high else '≤'} {number(high)}" if high is not None else "",
    ]
    return " and ".join(part for part in parts if part) or "any value"


def several(values: object) -> str:
    """The members of a set in the suite, or how many if that is too long."""
    items = list(values) if isinstance(values, list | tuple | set) else [values]
    shown = ", ".join(number(item) for item in items)
    return shown if len(items) <= 6 and len(shown) <= 60 else f"a set of {len(items):,}"


def _range(kwargs: Kwargs) -> ExpectationWords:
    return ExpectationWords(f"values {between(kwargs)}", f"are {_out_of(kwargs)}")


def _lengths(kwargs: Kwargs) -> ExpectationWords:
    return ExpectationWords(
        f"lengths {between(kwargs)}", f"have a length that is {_out_of(kwargs)}"
    )


def _out_of(kwargs: Kwargs) -> str:
    both = all(kwargs.get(key) is not None for key in ("min_value", "max_value"))
    return f"{'outside' if both else 'not'} {between(kwargs)}"


def _one_of(kwargs: Kwargs) -> ExpectationWords:
    members = several(kwargs.get("value_set"))
    return ExpectationWords(f"only {members}", f"are not in {members}")


def _none_of(kwargs: Kwargs) -> ExpectationWords:
    members = several(kwargs.get("value_set"))
    return ExpectationWords(f"none of {members}", f"are in {members}")


def _matches(key: str, *, wanted: bool) -> Callable[[Kwargs], ExpectationWords]:
    def words(kwargs: Kwargs) -> ExpectationWords:
        pattern = clip(str(kwargs.get(key)), 60)
        if wanted:
            return ExpectationWords(f"matches {pattern}", f"do not match {pattern}")
        return ExpectationWords(f"does not match {pattern}", f"match {pattern}")

    return words


def _always(limit: str, missed: str) -> Callable[[Kwargs], ExpectationWords]:
    return lambda _: ExpectationWords(limit, missed)


def _statistic(name: str) -> Callable[[Kwargs], ExpectationWords]:
    return lambda kwargs: ExpectationWords(f"{name} {between(kwargs)}", name)


def _key(name: str, limit: str) -> Callable[[Kwargs], ExpectationWords]:
    return lambda kwargs: ExpectationWords(f"{limit} {clip(several(kwargs.get(name)), 60)}", limit)


def _exists(kwargs: Kwargs) -> ExpectationWords:
    index = kwargs.get("column_index")
    limit = "exists" if index is None else f"column index {index} (the first is 0)"
    return ExpectationWords(limit, "is missing")


def _outliers(kwargs: Kwargs) -> ExpectationWords:
    reach = number(kwargs.get("multiplier", 1.5))
    if kwargs.get("method", "iqr") == "std":
        return ExpectationWords(
            f"within {reach} standard deviations of the mean", "are further from the mean"
        )
    return ExpectationWords(
        f"within {reach} interquartile ranges of the quartiles", "are further from the quartiles"
    )


def _quantiles(kwargs: Kwargs) -> ExpectationWords:
    asked = kwargs.get("quantile_ranges")
    asked = asked if isinstance(asked, Mapping) else {}
    shares, ranges = asked.get("quantiles"), asked.get("value_ranges")
    if not isinstance(shares, list) or not isinstance(ranges, list):
        return ExpectationWords("quantiles", "quantiles")
    told = [
        f"{number(share)}: {between({'min_value': pair[0], 'max_value': pair[1]})}"
        for share, pair in zip(shares, ranges, strict=False)
        if isinstance(pair, list) and len(pair) == 2
    ]
    return ExpectationWords(clip(f"quantiles {', '.join(told)}", 120), "quantiles")


def _patterns(missed: str) -> Callable[[Kwargs], ExpectationWords]:
    def words(kwargs: Kwargs) -> ExpectationWords:
        said = several(kwargs.get("regex_list") or kwargs.get("like_pattern_list"))
        which = "all" if kwargs.get("match_on") == "all" else "one"
        none = missed.startswith("match")
        return ExpectationWords(f"matches {'none' if none else which} of {said}", missed)

    return words


_WORDS: Final[dict[str, Callable[[Kwargs], ExpectationWords]]] = {
    "expect_column_values_to_not_be_null": _always("no nulls", "are null"),
    "expect_column_values_to_be_null": _always("only nulls", "are not null"),
    "expect_column_values_to_be_unique": _always("unique values", "are not unique"),
    "expect_compound_columns_to_be_unique": _always("unique together", "are not unique together"),
    "expect_select_column_values_to_be_unique_within_record": _always(
        "unique within each row", "repeat within a row"
    ),
    "expect_column_values_to_be_between": _range,
    "expect_column_values_to_be_in_set": _one_of,
    "expect_column_values_to_not_be_in_set": _none_of,
    "expect_column_values_to_match_regex": _matches("regex", wanted=True),
    "expect_column_values_to_not_match_regex": _matches("regex", wanted=False),
    "expect_column_values_to_match_strftime_format": _matches("strftime_format", wanted=True),
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_value_lengths_to_equal": lambda kwargs: ExpectationWords(
        f"length {number(kwargs.get('value'))}", f"have a length other than {kwargs.get('value')}"
    ),
    "expect_column_values_to_be_of_type": _key("type_", "type"),
    "expect_column_type_to_be": _key("type_", "type"),
    "expect_column_values_to_be_in_type_list": _key("type_list", "type"),
    "expect_column_values_to_be_increasing": _always("increasing", "do not increase"),
    "expect_column_values_to_be_decreasing": _always("decreasing", "do not decrease"),
    "expect_column_values_to_be_dateutil_parseable": _always("dates", "are not dates"),
    "expect_column_values_to_be_json_parseable": _always("JSON", "are not JSON"),
    "expect_column_pair_values_a_to_be_greater_than_b": lambda kwargs: ExpectationWords(
        f"{kwargs.get('column_A')} {'≥' if kwargs.get('or_equal') else '>'} "
        f"{kwargs.get('column_B')}",
        "are in the wrong order",
    ),
    "expect_column_pair_values_to_be_equal": _always("equal values", "differ"),
    "expect_column_pair_values_to_be_in_set": lambda kwargs: ExpectationWords(
        f"one of {len(kwargs.get('value_pairs_set') or ()):,} pairs", "are another pair"
    ),
    "expect_multicolumn_values_to_be_equal": _always("equal within each row", "differ in a row"),
    "expect_column_values_to_match_regex_list": _patterns("match too few patterns"),
    "expect_column_values_to_not_match_regex_list": _patterns("match a pattern"),
    "expect_column_values_to_match_like_pattern": _matches("like_pattern", wanted=True),
    "expect_column_values_to_not_match_like_pattern": _matches("like_pattern", wanted=False),
    "expect_column_values_to_match_like_pattern_list": _patterns("do not match the patterns"),
    "expect_column_values_to_not_match_like_pattern_list": _patterns("match a pattern"),
    "expect_column_values_to_match_json_schema": _always(
        "JSON by a schema", "do not meet the schema"
    ),
    "expect_column_values_to_not_be_outliers": _outliers,
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_kl_divergence_to_be_less_than": lambda kwargs: ExpectationWords(
        f"divergence (KL) below {number(kwargs.get('threshold'))}", "divergence"
    ),
    "expect_multicolumn_sum_to_equal": lambda kwargs: ExpectationWords(
        f"sum {number(kwargs.get('sum_total'))}", "have another sum"
    ),
    "expect_column_value_z_scores_to_be_less_than": lambda kwargs: ExpectationWords(
        f"z-scores {'within ±' if kwargs.get('double_sided') else 'below '}"
        f"{number(kwargs.get('threshold'))}",
        "have a z-score beyond that",
    ),
    "expect_column_distinct_values_to_be_in_set": lambda kwargs: ExpectationWords(
        f"only {several(kwargs.get('value_set'))}", "distinct values"
    ),
    "expect_column_distinct_values_to_contain_set": _key("value_set", "contains"),
    "expect_column_distinct_values_to_equal_set": _key("value_set", "exactly"),
    "expect_column_most_common_value_to_be_in_set": _key("value_set", "most common value in"),
    "expect_column_min_to_be_between": _statistic("minimum"),
    "expect_column_max_to_be_between": _statistic("maximum"),
    "expect_column_mean_to_be_between": _statistic("mean"),
    "expect_column_median_to_be_between": _statistic("median"),
    "expect_column_stdev_to_be_between": _statistic("standard deviation"),
    "expect_column_sum_to_be_between": _statistic("sum"),
    "expect_column_unique_value_count_to_be_between": _statistic("distinct values"),
    "expect_column_proportion_of_unique_values_to_be_between": _statistic(
        "share of distinct values"
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": _statistic(
        "share of non-null values"
    ),
    "expect_table_row_count_to_be_between": _statistic("rows"),
    "expect_table_row_count_to_equal": _key("value", "rows"),
    "expect_table_column_count_to_be_between": _statistic("columns"),
    "expect_table_column_count_to_equal": _key("value", "columns"),
    "expect_table_columns_to_match_set": lambda kwargs: ExpectationWords(
        f"{'exactly' if kwargs.get('exact_match', True) else 'at least'} "
        f"{several(kwargs.get('column_set'))}",
        "columns",
    ),
    "expect_table_columns_to_match_ordered_list": _key("column_list", "in this order:"),
    "expect_column_to_exist": _exists,
}


def subject_of(expectation: Expectation) -> str | None:
    """The column or columns that it is about; None for the whole table."""
    kwargs = expectation.kwargs
    if isinstance(column := kwargs.get("column"), str):
        return column
    if "column_A" in kwargs:
        return f"{kwargs.get('column_A')}, {kwargs.get('column_B')}"
    if isinstance(columns := kwargs.get("column_list"), list) and not expectation.type.startswith(
        "expect_table_"
    ):
        return clip(", ".join(str(column) for column in columns))
    return None


def words_for(expectation: Expectation) -> ExpectationWords:
    """The expectation in words, with its tolerance and its condition."""
    plain = expectation.type.removeprefix("expect_").replace("_", " ")
    words = _WORDS.get(expectation.type, _always(plain, f"do not meet `{expectation.type}`"))
    limit, missed = words(expectation.kwargs)
    if allowed := tolerance(expectation):
        limit += f" in at least {percent(1 - allowed)}"
    if condition := expectation.kwargs.get("row_condition"):
        limit += f" where {clip(_condition(condition), 60)}"
    return ExpectationWords(limit, missed)


def _condition(said: object) -> str:
    """A condition as its author would write it, from text or an object of Great Expectations."""
    match said:
        case {"type": "comparison", "column": {"name": name}, "operator": sign, "parameter": value}:
            written = repr(value) if isinstance(value, str) else str(value)
            return f"{name} {str(sign).lower().replace('_', ' ')} {written}"
        case {"type": "nullity", "column": {"name": name}, "is_null": is_null}:
            return f"{name} is {'' if is_null else 'not '}null"
        case {"type": "and" | "or" as join, "conditions": [*parts]}:
            return f" {join} ".join(_condition(part) for part in parts)
        case {"pass_through_filter": text}:
            return str(text)
    return str(said)


def tolerance(expectation: Expectation) -> float:
    """The share of values that need not meet it: 0 without `mostly`."""
    mostly = expectation.kwargs.get("mostly", 1)
    return round(1 - float(mostly), 12) if isinstance(mostly, int | float) else 0.0
