"""Tables of every Arrow type that Parquet can store, and expectations on them, as hypothesis
draws them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from validators.data.suites.suite import Expectation

DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1))
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 - some have no zone
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, float("nan"), float("inf"), float("-inf"), 2.0**53, 0.1]),
    st.floats(width=32, allow_nan=False, min_value=-1e6, max_value=1e6),
)
TEXTS = st.one_of(
    st.sampled_from(["", "a", "A", "ä", "NULL", "a" * 70, "1", "1.0", "2024-05-01"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5),
)
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    **{f"int{bits}": (getattr(pa, f"int{bits}")(), st.one_of(
        st.integers(-3, 3), st.sampled_from([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1])))
       for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (getattr(pa, f"uint{bits}")(), st.one_of(
        st.integers(0, 3), st.sampled_from([2**bits - 1, 2 ** (bits - 1)])))
       for bits in (8, 16, 32, 64)},
    "float32": (pa.float32(), FLOATS),
    "float64": (pa.float64(), FLOATS),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), TEXTS),
    "large_string": (pa.large_string(), TEXTS),
    "category": (pa.dictionary(pa.int32(), pa.string()), TEXTS),
    "binary": (pa.binary(), st.binary(max_size=3)),
    "date": (pa.date32(), DAYS),
    "seconds": (pa.timestamp("s"), TIMES.map(lambda at: at.replace(microsecond=0))),
    "micros": (pa.timestamp("us"), TIMES),
    "nanos": (pa.timestamp("ns"), TIMES),
    "berlin": (pa.timestamp("us", "Europe/Berlin"), TIMES.map(lambda at: at.replace(tzinfo=UTC))),
    "clock": (pa.time64("us"), st.times()),
    "span": (pa.duration("us"), st.timedeltas(timedelta(-9), timedelta(9))),
    "money": (pa.decimal128(9, 2), st.decimals(-999, 999, places=2)),
    "exact": (pa.decimal128(38, 4), st.decimals(-(10**20), 10**20, places=4)),
    "widest": (pa.decimal256(60, 0), st.integers(-(10**59), 10**59).map(Decimal)),
    "list": (pa.list_(pa.int64()), st.lists(st.one_of(st.none(), st.integers(0, 2)), max_size=2)),
    "struct": (pa.struct([("a", pa.int64())]), st.fixed_dictionaries({"a": st.integers(0, 2)})),
    "nothing": (pa.null(), st.none()),
}  # fmt: skip
_VALUES = "expect_column_values_to_be_"
_ABOUT = (
    "expect_column_values_to_be_null",
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_unique_value_count_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
    "expect_column_min_to_be_between",
    "expect_column_max_to_be_between",
    "expect_column_mean_to_be_between",
    "expect_column_sum_to_be_between",
    "expect_column_stdev_to_be_between",
    "expect_column_median_to_be_between",
    "expect_column_values_to_not_be_outliers",
    "expect_column_value_z_scores_to_be_less_than",
    "expect_column_quantile_values_to_be_between",
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
    "expect_column_distinct_values_to_be_in_set",
    "expect_column_distinct_values_to_contain_set",
    "expect_column_distinct_values_to_equal_set",
    "expect_column_most_common_value_to_be_in_set",
    "expect_column_values_to_match_regex",
    "expect_column_value_lengths_to_be_between",
)
_IN_RECORDS = (
    "expect_compound_columns_to_be_unique",
    "expect_select_column_values_to_be_unique_within_record",
    "expect_multicolumn_values_to_be_equal",
)


@st.composite
def tables(draw: st.DrawFn, kinds: Sequence[str] = tuple(KINDS)) -> pa.Table:
    """A table of one to four columns, each of one of these kinds, some values null."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(0, 12))
    columns = {}
    for name in chosen:
        kind, values = KINDS[name]
        drawn = st.lists(st.one_of(st.none(), values, values), min_size=rows, max_size=rows)
        columns[name] = pa.array(draw(drawn), kind)
    return pa.table(columns)


def written(value: Any) -> Any:
    """A value as a suite writes it."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes():
            return value.decode("latin-1")
        case timedelta() | list() | dict():
            return str(value)
    return value


@st.composite
def expectations(draw: st.DrawFn, table: pa.Table) -> Expectation:
    """An expectation on some column, with limits and members that the table may hold."""
    name = draw(st.sampled_from(table.column_names))
    held = [written(one) for one in table.column(name).to_pylist() if one is not None]
    some = st.sampled_from(held or [1, "a"])
    kind = draw(st.sampled_from((*_ABOUT, *(_IN_RECORDS if table.num_columns > 1 else ()))))
    kwargs: dict[str, Any] = {"column": name}
    if kind in _IN_RECORDS:
        kwargs = {"column_list": table.column_names[:3]}
        kwargs["ignore_row_if"] = draw(
            st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])
        )
    elif "_set" in kind:
        kwargs["value_set"] = draw(st.lists(some, min_size=1, max_size=3))
    elif "quantile" in kind:
        limits = draw(st.one_of(st.none(), some))
        kwargs["quantile_ranges"] = {"quantiles": [0.25, 0.5], "value_ranges": [[limits, None]] * 2}
    elif "z_scores" in kind:
        kwargs |= {"threshold": draw(st.sampled_from([0.5, 1.0, 3.0])), "double_sided": True}
    elif "outliers" in kind:
        kwargs["method"] = draw(st.sampled_from(["iqr", "std"]))
    elif "regex" in kind:
        kwargs["regex"] = draw(st.sampled_from(["^a", "[0-9]$", "ä", ""]))
    elif "count" in kind or "lengths" in kind:
        kwargs["min_value"] = draw(st.integers(0, 4))
    elif "proportion" in kind:
        kwargs["min_value"] = draw(st.sampled_from([0.25, 0.5, 1]))
    elif "between" in kind:
        kwargs["min_value"] = draw(st.one_of(st.none(), some))
        kwargs["max_value"] = draw(some)
    if draw(st.booleans()):
        other = draw(st.sampled_from(table.column_names))
        kwargs["row_condition"] = f"`{other}`.notnull()"
        kwargs["condition_parser"] = "pandas"
    return Expectation(kind, kwargs)
