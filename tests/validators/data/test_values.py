"""How values meet members and limits, by the type of their column: every case is one expectation
of one suite, which the gate's own process judges with the real Great Expectations."""

import fcntl
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from validators.report import Check, Report
from validators.verdict import Verdict

BIG = 2**53
PASS, FAIL, ERROR = Verdict.PASS, Verdict.FAIL, Verdict.ERROR
NOTHING = Verdict.INCONCLUSIVE


def _days(*days: int) -> list[datetime | None]:
    return [datetime(2024, 5, day, 12, 0, tzinfo=UTC) for day in days]


def _column(values: list[Any], kind: Any) -> Any:
    return pa.array(values, kind)


D = Decimal
ZONE = timezone(timedelta(hours=2))
NOON = [datetime(2024, 5, day, 12) for day in (1, 2, 3)]  # noqa: DTZ001 - a column without a zone
TABLE = pa.table(
    {
        "day": _column([date(2024, 5, 1), date(2024, 5, 2), None, date(2024, 5, 3)], pa.date32()),
        "day64": _column([date(2024, 5, 1), date(2024, 5, 2), None, date(2024, 5, 3)], pa.date64()),
        "at": _column([*NOON, None], pa.timestamp("us")),
        "midnight": _column([datetime(2024, 5, 1), None, datetime(2024, 5, 2), None],  # noqa: DTZ001
                            pa.timestamp("ms")),
        "utc": _column([*_days(1, 2, 3), None], pa.timestamp("us", "UTC")),
        "berlin": _column([*_days(1, 2, 3), None], pa.timestamp("ns", "Europe/Berlin")),
        "price": _column([D("1.10"), D("2.20"), None, D("1.50")], pa.decimal128(10, 2)),
        "huge": _column([D("1.10"), D("2.20"), None, D("1.50")], pa.decimal256(50, 2)),
        "small": _column([D("1.10"), D("2.20"), None, D("1.50")], pa.decimal64(10, 2)),
        "id": _column([BIG, BIG + 1, None, BIG + 2], pa.int64()),
        "few": _column([1, 2, 2, 3], pa.int8()),
        "max": _column([2**63 - 1, 2**63 - 1, 2**63 - 3, None], pa.int64()),
        "unsigned": _column([2**64 - 1, 1, None, 2], pa.uint64()),
        "ratio": _column([0.5, 1.1, math.nan, None], pa.float64()),
        "single": _column([0.1, 0.2, None, 0.3], pa.float32()),
        "half": _column([0.5, 1.0, None, 1.5], pa.float16()),
        "flag": _column([True, False, None, True], pa.bool_()),
        "code": _column(["01", "1", "A", None], pa.string()),
        "category": _column(["x", "y", "x", None], pa.string()).dictionary_encode(),
        "raw": _column([b"x", b"y", None, b"x"], pa.binary()),
        "clock": _column([time(9, 30), time(12), None, time(18)], pa.time64("us")),
        "none": _column([None] * 4, pa.int64()),
        "nil": pa.nulls(4),
        "same": _column([7, 7, 7, 7], pa.int64()),
        "same_price": _column([D("7.10")] * 4, pa.decimal128(10, 2)),
        "one": _column([None, None, 1.5, None], pa.float64()),
        "endless": _column([1.0, math.inf, 2.0, 3.0], pa.float64()),
        "zero": _column([0.0, -0.0, 1.0, None], pa.float64()),
        "cents": _column([D("1.1"), D("2.2"), None, D("1.6")], pa.decimal128(20, 1)),
        "later": _column([*_days(2, 3, 4), None], pa.timestamp("ms", "UTC")),
        "lists": _column([[1], [1], None, [2]], pa.list_(pa.int64())),
        "spread out": _column([1, 2, 3, 4], pa.int32()),
    }
)  # fmt: skip


class Case(NamedTuple):
    """An expectation and the true answer."""

    verdict: Verdict
    kind: str
    kwargs: dict[str, Any]
    says: str = ""
    """A part of the message."""
    meta: dict[str, Any] | None = None


def _members() -> Iterator[Case]:
    """(column, all its members in ways that a suite writes them, a member that it has)"""
    days, moments = ["2024-05-01", "2024-05-02", "2024-05-03"], "2024-05-0{}T12:00"
    iso = [moments.format(day) for day in (1, 2, 3)]
    good: list[tuple[str, list[Any]]] = [
        ("day", days),
        ("day64", days),
        ("day", ["2024-05-01T00:00", "2024-05-02", "2024-05-03 00:00:00"]),
        ("at", iso),
        ("at", [f"{one}:00.000Z" for one in iso]),
        ("midnight", ["2024-05-01", "2024-05-02"]),
        ("utc", iso),
        ("utc", [f"{one}Z" for one in iso]),
        ("utc", ["2024-05-01T14:00+02:00", *iso[1:]]),
        ("berlin", iso),
        ("berlin", ["2024-05-01T14:00+02:00", *iso[1:]]),
        ("price", [1.1, 2.2, 1.5]),
        ("price", ["1.10", "2.2", "1.500"]),
        ("huge", [1.1, "2.20", 1.5]),
        ("small", [1.1, "2.20", 1.5]),
        ("id", [BIG, BIG + 1, BIG + 2]),
        ("id", [str(BIG), str(BIG + 1), BIG + 2]),
        ("few", [1, 2, 3]),
        ("few", ["1", "2", "3"]),
        ("few", [1.0, 2.0, 3.0, None, 1000, 1.5]),
        ("unsigned", [2**64 - 1, 1, 2]),
        ("ratio", [0.5, 1.1]),
        ("ratio", ["0.5", "1.10"]),
        ("single", [0.1, 0.2, 0.3]),
        ("half", [0.5, 1, 1.5]),
        ("flag", [True, False]),
        ("flag", [1, 0]),
        ("flag", ["true", "False"]),
        ("code", ["01", "1", "A"]),
        ("category", ["x", "y"]),
        ("raw", ["x", "y"]),
        ("clock", ["09:30", "12:00:00", "18:00"]),
        ("zero", [0, 1]),
    ]
    for name, several in good:
        without = several[1:]
        about = {"column": name}
        yield Case(PASS, "column_values_to_be_in_set", {**about, "value_set": several})
        yield Case(FAIL, "column_values_to_be_in_set", {**about, "value_set": without})
        yield Case(FAIL, "column_values_to_not_be_in_set", {**about, "value_set": several[:1]})
        yield Case(PASS, "column_distinct_values_to_be_in_set", {**about, "value_set": several})
        yield Case(FAIL, "column_distinct_values_to_be_in_set", {**about, "value_set": without})
        if 1000 not in several:
            kind = "column_distinct_values_to_equal_set"
            yield Case(PASS, kind, {**about, "value_set": several})
            kind = "column_distinct_values_to_contain_set"
            yield Case(PASS, kind, {**about, "value_set": several[:1]})
        yield Case(FAIL, "column_distinct_values_to_equal_set", {**about, "value_set": without})
    yield Case(PASS, "column_values_to_not_be_in_set", {"column": "id", "value_set": [BIG + 3]})
    yield Case(
        PASS, "column_values_to_not_be_in_set", {"column": "day", "value_set": ["2024-05-04"]}
    )
    yield Case(
        FAIL,
        "column_distinct_values_to_contain_set",
        {"column": "day", "value_set": ["2024-05-01", "2024-06-01"]},
        "2024-06-01 missing",
    )
    for name, member in [("day", "2024-05-03"), ("price", 1.5), ("utc", "2024-05-01T12:00")]:
        kind = "column_most_common_value_to_be_in_set"
        one = {"column": name, "value_set": [member]}
        yield Case(FAIL, kind, one)  # all are as common
        yield Case(PASS, kind, {**one, "ties_okay": True})
    yield Case(
        PASS, "column_most_common_value_to_be_in_set", {"column": "category", "value_set": ["x"]}
    )


def _refused() -> Iterator[Case]:
    """Members and limits that do not fit the column's type: named, with the fix."""
    wrong: list[tuple[str, Any, str]] = [
        ("day", "01/05/2024", "write 2024-05-01"),
        ("day", 20240501, "write 2024-05-01"),
        ("utc", "May 1st", "write 2024-05-01"),
        ("few", "one", "`one` is not a number"),
        ("id", "02134", "`types:`"),
        ("price", "1,10", "`1,10` is not a number"),
        ("price", "2024-05-01", "is not a number"),
        ("ratio", "high", "`high` is not a number"),
        ("flag", "yes", "neither true nor false"),
        ("flag", 2, "neither true nor false"),
        ("code", 1, "put it in quotes"),
        ("category", 1.5, "put it in quotes"),
        ("clock", "half past nine", "write 12:30"),
        ("lists", 1, "cannot write members or limits"),
    ]
    for name, value, says in wrong:
        yield Case(
            ERROR, "column_values_to_be_in_set", {"column": name, "value_set": [value]}, says
        )
        yield Case(ERROR, "column_values_to_be_between", {"column": name, "min_value": value}, says)
        yield Case(
            ERROR, "column_values_to_not_be_in_set", {"column": name, "value_set": [value]}, says
        )
    backwards = {"column": "day", "min_value": "2024-05-02", "max_value": "2024-05-01"}
    yield Case(ERROR, "column_values_to_be_between", backwards, "greater than `max_value`")


def _limits() -> Iterator[Case]:
    """(column, the widest limits that fail on either side, the narrowest that hold)"""
    rows: list[tuple[str, Any, Any, Any, Any]] = [
        # column, min that holds, max that holds, min that fails, max that fails
        ("day", "2024-05-01", "2024-05-03", "2024-05-01T00:00:01", "2024-05-02T23:59"),
        ("day", "2024-04-30T12:00", "2024-05-03T12:00Z", "2024-05-02", "2024-05-02"),
        ("day64", "2024-05-01", "2024-05-03", "2024-05-02", "2024-05-02"),
        ("at", "2024-05-01", "2024-05-04", "2024-05-02", "2024-05-03"),
        ("at", "2024-05-01T12:00", "2024-05-03T12:00:00Z", "2024-05-01T12:00:00.000001",
         "2024-05-03T11:59:59.999999999"),
        ("midnight", "2024-05-01", "2024-05-02", "2024-05-01T00:00:00.0001", "2024-05-01"),
        ("utc", "2024-05-01", "2024-05-04", "2024-05-02", "2024-05-03"),
        ("utc", "2024-05-01T14:00+02:00", "2024-05-03T12:00", "2024-05-01T14:01+02:00",
         "2024-05-03T13:59+02:00"),
        ("berlin", "2024-05-01", "2024-05-04", "2024-05-02", "2024-05-03"),
        ("berlin", "2024-05-01T12:00", "2024-05-03T14:00+02:00", "2024-05-01T12:01", "2024-05-03"),
        ("price", 1.1, 2.2, 1.11, 2.19),
        ("price", "1.10", "2.20", "1.101", "2.199"),
        ("huge", 1.1, 2.2, 1.11, 2.19),
        ("small", 1.1, 2.2, 1.11, 2.19),
        ("id", BIG, BIG + 2, BIG + 1, BIG + 1),
        ("id", str(BIG), f"{BIG + 2}", f"{BIG + 1}", f"{BIG + 1}"),
        ("few", 0.5, 3.5, 1.5, 2.5),
        ("few", -1000, 1000, 1000, -1000),
        ("unsigned", -1, 2**64 - 1, 2, 2**64 - 2),
        ("ratio", 0.5, 1.1, 0.6, 1.0),
        ("single", 0.1, 0.3, 0.11, 0.29),
        ("half", 0.5, 1.5, 0.6, 1.4),
        ("flag", False, True, True, False),
        ("code", "01", "A", "1", "1"),
        ("clock", "09:30", "18:00", "09:31", "17:59:59"),
    ]  # fmt: skip
    for name, low, high, above, below in rows:
        about = {"column": name}
        kind = "column_values_to_be_between"
        yield Case(PASS, kind, {**about, "min_value": low, "max_value": high})
        yield Case(FAIL, kind, {**about, "min_value": above})
        yield Case(FAIL, kind, {**about, "max_value": below})
        if name not in ("flag", "few"):
            yield Case(FAIL, kind, {**about, "min_value": above, "mostly": 0.99})
            yield Case(PASS, kind, {**about, "max_value": below, "mostly": 0.3})
        kind = "column_min_to_be_between"
        yield Case(PASS, kind, {**about, "min_value": low, "max_value": high})
        yield Case(FAIL, kind, {**about, "min_value": above})
        kind = "column_max_to_be_between"
        yield Case(PASS, kind, {**about, "min_value": low, "max_value": high})
        yield Case(FAIL, kind, {**about, "max_value": below})
    exact: list[tuple[str, Any]] = [
        ("day", "2024-05-01"), ("at", "2024-05-01T12:00"), ("utc", "2024-05-01T14:00+02:00"),
        ("price", 1.1), ("id", BIG), ("few", 1), ("ratio", 0.5), ("single", 0.1), ("code", "01"),
    ]  # fmt: skip
    for name, least in exact:
        strict = {"column": name, "min_value": least, "strict_min": True}
        yield Case(FAIL, "column_values_to_be_between", strict)
        yield Case(FAIL, "column_min_to_be_between", strict)
        yield Case(PASS, "column_max_to_be_between", strict)


def _statistics() -> Iterator[Case]:
    """(statistic, column, a limit on either side of the true value, as closely as it can be)"""
    rows: list[tuple[str, str, Any, Any]] = [
        ("mean", "price", 1.6, 1.6),
        ("mean", "huge", "1.6", 1.6),
        ("mean", "id", BIG + 1, BIG + 1),
        ("mean", "few", 2, 2),
        ("mean", "flag", 0.66666, 0.66667),
        ("mean", "day", "2024-05-02", "2024-05-02"),
        ("mean", "utc", "2024-05-02T12:00", "2024-05-02T12:00Z"),
        ("mean", "ratio", 0.8, 0.8),
        ("median", "price", 1.5, 1.5),
        ("median", "id", BIG + 1, BIG + 1),
        ("median", "day", "2024-05-02", "2024-05-02"),
        ("median", "berlin", "2024-05-02T12:00", "2024-05-02T14:00+02:00"),
        ("median", "ratio", 0.8, 0.8),
        ("sum", "price", 4.8, 4.8),
        ("sum", "huge", 4.8, 4.8),
        ("sum", "id", 3 * BIG + 3, 3 * BIG + 3),
        ("sum", "max", 3 * 2**63 - 5, 3 * 2**63 - 5),
        ("sum", "unsigned", 2**64 + 2, 2**64 + 2),
        ("sum", "few", 8, 8),
        ("sum", "ratio", 1.6, 1.6),
        ("stdev", "price", 0.5567, 0.5568),
        ("stdev", "id", 1, 1),
        ("stdev", "max", 1.1547, 1.1548),
        ("stdev", "few", 0.8164, 0.8165),
        ("stdev", "ratio", 0.4242, 0.4243),
        ("stdev", "same_price", 0, 0),
        ("unique_value_count", "id", 3, 3),
        ("unique_value_count", "few", 3, 3),
        ("unique_value_count", "zero", 2, 2),
        ("proportion_of_unique_values", "id", 1, 1),
        ("proportion_of_unique_values", "few", 0.75, 0.75),
        ("proportion_of_non_null_values", "id", 0.75, 0.75),
        ("proportion_of_non_null_values", "ratio", 0.5, 0.5),
        ("proportion_of_non_null_values", "none", 0, 0),
    ]
    for name, column, low, high in rows:
        kind = f"column_{name}_to_be_between"
        about = {"column": column, "min_value": low, "max_value": high}
        yield Case(PASS, kind, about)
        if low == high:
            yield Case(FAIL, kind, {**about, "strict_min": True})
            yield Case(FAIL, kind, {**about, "strict_max": True})
    within: dict[str, list[list[Any]]] = {
        "price": [[1.1, 1.1], ["1.50", 1.5], [2.2, None]],
        "id": [[BIG, BIG], [BIG + 1, BIG + 1], [BIG + 2, BIG + 2]],
        "day": [["2024-05-01", "2024-05-01"], ["2024-05-02"] * 2, [None, "2024-05-03"]],
        "utc": [["2024-05-01", "2024-05-02"], ["2024-05-02T14:00+02:00"] * 2, ["2024-05-03", None]],
    }
    for column, ranges in within.items():
        kind = "column_quantile_values_to_be_between"
        asked = {"quantiles": [0.0, 0.5, 1.0], "value_ranges": ranges}
        yield Case(PASS, kind, {"column": column, "quantile_ranges": asked})
        wrong = {**asked, "value_ranges": [ranges[2], *ranges[1:]]}
        if column != "day":
            yield Case(FAIL, kind, {"column": column, "quantile_ranges": wrong})
    for name, column in [("mean", "code"), ("sum", "day"), ("stdev", "utc"), ("median", "code"),
                         ("sum", "code"), ("min", "lists")]:  # fmt: skip
        yield Case(ERROR, f"column_{name}_to_be_between", {"column": column, "min_value": 0})


def _others() -> Iterator[Case]:
    """Uniqueness, order, pairs, rows, patterns."""
    for name in ("id", "day", "utc", "price", "code", "ratio", "clock", "raw", "unsigned"):
        verdict = FAIL if name == "raw" else PASS
        yield Case(verdict, "column_values_to_be_unique", {"column": name})
        yield Case(FAIL, "column_values_to_not_be_null", {"column": name})
        yield Case(FAIL, "column_values_to_be_null", {"column": name})
        yield Case(PASS, "column_values_to_not_be_null", {"column": name, "mostly": 0.5})
    for name in ("few", "max", "category", "flag", "zero"):
        yield Case(FAIL, "column_values_to_be_unique", {"column": name})
    for name in ("id", "day", "utc", "berlin", "clock", "spread out"):
        up = {"column": name, "strictly": True}
        yield Case(PASS, "column_values_to_be_increasing", up)
        yield Case(FAIL, "column_values_to_be_decreasing", up)
    yield Case(FAIL, "column_values_to_be_increasing", {"column": "price"})
    yield Case(PASS, "column_values_to_be_decreasing", {"column": "max"})

    pair = "column_pair_values_to_be_equal"
    more = "column_pair_values_a_to_be_greater_than_b"
    for a, b, equal, greater in [
        ("day", "day64", PASS, FAIL),
        ("price", "huge", PASS, FAIL),
        ("utc", "berlin", PASS, FAIL),
        ("at", "utc", PASS, FAIL),
        ("later", "utc", FAIL, PASS),
        ("at", "day", FAIL, FAIL),
        ("id", "ratio", FAIL, FAIL),
        ("price", "cents", FAIL, FAIL),
        ("code", "few", ERROR, ERROR),
    ]:
        yield Case(equal, pair, {"column_A": a, "column_B": b})
        yield Case(greater, more, {"column_A": a, "column_B": b})
    pairs = [["2024-05-01", 1.1], ["2024-05-02", "2.20"], ["2024-05-03", 1.5]]
    both = {"column_A": "day", "column_B": "price"}
    kind = "column_pair_values_to_be_in_set"
    yield Case(PASS, kind, {**both, "value_pairs_set": pairs})
    yield Case(FAIL, kind, {**both, "value_pairs_set": pairs[1:]})
    yield Case(FAIL, kind, {**both, "value_pairs_set": pairs[1:], "ignore_row_if": "neither"})
    yield Case(
        PASS,
        kind,
        {**both, "value_pairs_set": [*pairs, [None, None]], "ignore_row_if": "neither"},
    )

    yield Case(PASS, "compound_columns_to_be_unique", {"column_list": ["few", "id"]})
    yield Case(FAIL, "compound_columns_to_be_unique", {"column_list": ["same", "same_price"]})
    within = "select_column_values_to_be_unique_within_record"
    yield Case(FAIL, within, {"column_list": ["price", "huge"]})
    yield Case(
        PASS, within, {"column_list": ["utc", "later"], "ignore_row_if": "any_value_is_missing"}
    )
    yield Case(PASS, "multicolumn_values_to_be_equal", {"column_list": ["price", "huge", "small"]})
    yield Case(FAIL, "multicolumn_values_to_be_equal", {"column_list": ["price", "cents"]})
    total = "multicolumn_sum_to_equal"
    yield Case(FAIL, total, {"column_list": ["price", "cents"], "sum_total": 2.2})
    yield Case(PASS, total, {"column_list": ["same", "same_price"], "sum_total": 14.1})
    yield Case(PASS, total, {"column_list": ["same", "same"], "sum_total": "14"})

    # Great Expectations' own answers, which are about text: nothing of it has become a float.
    regex = "column_values_to_match_regex"
    yield Case(PASS, regex, {"column": "id", "regex": "^90071992547409[0-9]{2}$"})
    yield Case(PASS, regex, {"column": "price", "regex": "^[12][.][0-9]0$"})
    yield Case(PASS, regex, {"column": "flag", "regex": "^(True|False)$"})
    yield Case(PASS, regex, {"column": "day", "regex": "^2024-05-0[123]$"})
    yield Case(FAIL, regex, {"column": "code", "regex": "^[0-9]"})
    broken = "`(` is not a regular expression: missing )"
    yield Case(ERROR, regex, {"column": "code", "regex": "("}, broken)
    lengths = {"column": "id", "min_value": 16, "max_value": 16}
    yield Case(PASS, "column_value_lengths_to_be_between", lengths)
    yield Case(PASS, "column_value_lengths_to_equal", {"column": "price", "value": 4})


def _types() -> Iterator[Case]:
    named: dict[str, list[str]] = {
        "id": ["int64", "Int64", "Int64Dtype", "bigint", "BIGINT", "int", "INTEGER", "np.int64",
               "int64[pyarrow]", "long", "LongType"],
        "few": ["int8", "tinyint", "int"],
        "unsigned": ["uint64", "UInt64", "int"],
        "ratio": ["float64", "float", "double", "Float64", "double precision"],
        "single": ["float32", "real", "float"],
        "code": ["object", "str", "string", "O", "string[python]", "string[pyarrow]", "VARCHAR",
                 "varchar(20)", "text", "StringDtype", "StringType"],
        "category": ["category", "str", "object"],
        "flag": ["bool", "boolean", "BooleanDtype"],
        "day": ["date", "date32", "DATE", "object", "date32[day]"],
        "at": ["datetime64[ns]", "datetime64[us]", "datetime64", "timestamp", "datetime",
               "Timestamp", "timestamp[us]", "timestamp without time zone"],
        "utc": ["datetime64[ns, UTC]", "timestamp", "datetime64[us, UTC]", "TIMESTAMPTZ",
                "timestamp[us, tz=UTC]", "DatetimeTZDtype"],
        "price": ["decimal", "Decimal", "numeric", "object", "decimal(10,2)", "decimal128(10, 2)",
                  "NUMERIC(10,2)", "DecimalType"],
        "clock": ["time", "time64[us]", "object"],
        "raw": ["bytes", "binary", "object"],
        "lists": ["list", "object"],
    }  # fmt: skip
    for column, names in named.items():
        for name in names:
            yield Case(PASS, "column_values_to_be_of_type", {"column": column, "type_": name})
        listed = {"column": column, "type_list": ["null", names[0]]}
        yield Case(PASS, "column_values_to_be_in_type_list", listed)
    wrong = [
        ("id", "float64"),
        ("id", "int32"),
        ("code", "int64"),
        ("day", "timestamp"),
        ("at", "datetime64[ns, UTC]"),
        ("utc", "datetime64[ns]"),
        ("few", "object"),
        ("price", "decimal(10,3)"),
        ("ratio", "int"),
    ]
    for column, name in wrong:
        yield Case(FAIL, "column_values_to_be_of_type", {"column": column, "type_": name}, "found ")
        yield Case(
            FAIL, "column_values_to_be_in_type_list", {"column": column, "type_list": [name]}
        )
    unknown = {"column": "id", "type_": "integr"}
    yield Case(ERROR, "column_values_to_be_of_type", unknown, "did you mean `integer`?")


def _conditions() -> Iterator[Case]:
    """The same expectation on the rows of a condition: in each, `few` is 2 or 3."""
    left = [
        "day > '2024-05-01'",
        "day64 > '2024-05-01T12:00'",
        "utc >= '2024-05-02'",
        "berlin >= '2024-05-02T14:00+02:00'",
        "at in ['2024-05-02T12:00', '2024-05-03T12:00']",
        "price > 1.1",
        "price == 2.2 or price == '1.50'",
        f"id > {BIG}",
        f"id == {BIG + 1} | id == {BIG + 2}",
        f"~(id == {BIG}) & id.notnull()",
        "few > 1",
        "1 < few <= 3",
        "few.isin([2, 3])",
        "few != 1 and not ratio.isna() and ratio > 1",
        "code == 'A' and `spread out` == 3",
        "`spread out` > few",
        "category != 'x' and code.notna()",
        "code.str.len() == 1",
        "few + 1 > 2",
        "price + 1 > 2.15",
        "single == 0.2",
    ]
    for at, condition in enumerate(left):
        where = {"row_condition": condition, "condition_parser": "pandas"}
        about = {"column": "few", **where}
        yield Case(PASS, "column_values_to_be_between", {**about, "min_value": 2})
        yield Case(FAIL, "column_values_to_be_between", {**about, "max_value": 1})
        if at % 5 == 0:  # each is a frame of its own for Great Expectations
            yield Case(PASS, "column_values_to_match_regex", {**about, "regex": "^[23]$"})
    objects: list[Any] = [
        {
            "type": "comparison",
            "column": {"name": "day"},
            "operator": ">",
            "parameter": "2024-05-01",
        },
        {"type": "nullity", "column": {"name": "nil"}, "is_null": False},
    ]
    limits = {"column": "few", "min_value": 2}
    kind = "column_values_to_be_between"
    yield Case(PASS, kind, {**limits, "row_condition": objects[0]})
    yield Case(NOTHING, kind, {**limits, "row_condition": objects[1]})
    for own in ('col("day") > date("2024-05-01")', 'col("price")>1.1', f'col("id") >= {BIG + 1}'):
        where = {"row_condition": own, "condition_parser": "great_expectations"}
        yield Case(PASS, kind, {"column": "few", "min_value": 2, **where})
        yield Case(FAIL, kind, {"column": "few", "min_value": 3, **where})
    for wrong, says in {
        "day > 'May'": "its condition on `day`: `May` is not a date",
        "few == 'two'": "`two` is not a number",
        "code == 1": "put it in quotes",
        "few >": "cannot be read",
    }.items():
        where = {"row_condition": wrong, "condition_parser": "pandas"}
        yield Case(ERROR, "column_values_to_be_unique", {"column": "id", **where}, says)


def _nothing() -> Iterator[Case]:
    """With nothing to check, no expectation passes, whatever its type, unless it may be empty."""
    nobody = {"row_condition": "few > 100", "condition_parser": "pandas"}
    limit, members = {"min_value": 0}, {"value_set": [1]}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("column_values_to_be_between", limit),
        ("column_values_to_be_in_set", members),
        ("column_values_to_not_be_in_set", members),
        ("column_distinct_values_to_be_in_set", members),
        ("column_distinct_values_to_contain_set", members),
        ("column_distinct_values_to_equal_set", members),
        ("column_most_common_value_to_be_in_set", members),
        ("column_values_to_be_unique", {}),
        ("column_values_to_be_increasing", {}),
        ("column_min_to_be_between", limit),
        ("column_max_to_be_between", limit),
        ("column_mean_to_be_between", limit),
        ("column_median_to_be_between", limit),
        ("column_stdev_to_be_between", limit),
        ("column_sum_to_be_between", limit),
        ("column_unique_value_count_to_be_between", limit),
        ("column_proportion_of_unique_values_to_be_between", limit),
        ("column_quantile_values_to_be_between",
         {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]}}),
        ("column_value_z_scores_to_be_less_than", {"threshold": 3, "double_sided": True}),
        ("column_values_to_not_be_outliers", {}),
        ("column_values_to_match_regex", {"regex": "x"}),
        ("column_value_lengths_to_be_between", {"min_value": 1}),
        ("column_values_to_match_strftime_format", {"strftime_format": "%Y"}),
        ("column_values_to_be_json_parseable", {}),
    ]  # fmt: skip
    for kind, kwargs in asked:
        for name in ("none", "nil"):
            yield Case(
                NOTHING, kind, {"column": name, **kwargs}, f"all 4 values of `{name}` are null"
            )
        about = {"column": "few", **kwargs, **nobody}
        yield Case(NOTHING, kind, about, "checked nothing, because no row meets its condition")
        yield Case(PASS, kind, about, "`may_be_empty` allows this", {"may_be_empty": True})
    null = {"column": "none", **nobody}
    yield Case(NOTHING, "column_values_to_not_be_null", null)
    yield Case(NOTHING, "column_values_to_be_null", null)
    yield Case(FAIL, "column_values_to_not_be_null", {"column": "none"})
    yield Case(PASS, "column_values_to_be_null", {"column": "none"})
    pair = {"column_A": "none", "column_B": "nil"}
    yield Case(NOTHING, "column_pair_values_to_be_equal", pair, "none of 4 rows has values")
    several = {"column_list": ["none", "nil"]}
    yield Case(NOTHING, "compound_columns_to_be_unique", several, "none of 4 rows has values")
    yield Case(NOTHING, "multicolumn_sum_to_equal", {**several, "sum_total": 0})
    yield Case(
        PASS, "table_row_count_to_be_between", {"max_value": 0, **nobody}
    )  # no rows are its answer
    z = "column_value_z_scores_to_be_less_than"
    for name, says in {
        "same": "all 4 values are equal, so there are no z-scores",
        "same_price": "all 4 values are equal",
        "one": "there is one value",
        "endless": "some values are infinite",
    }.items():
        for threshold in (-1, 0, 3):
            about = {"column": name, "threshold": threshold, "double_sided": threshold > 0}
            yield Case(NOTHING, z, about, says)
    scored = [
        ("few", 1.3, PASS),
        ("few", 1.2, FAIL),
        ("id", 1.01, PASS),
        ("id", 0.99, FAIL),
        ("price", 1.1, PASS),
        ("price", 1, FAIL),
    ]
    for name, most, verdict in scored:
        yield Case(verdict, z, {"column": name, "threshold": most, "double_sided": True})
    yield Case(PASS, "column_values_to_not_be_outliers", {"column": "price"})
    far = {"column": "few", "method": "std", "multiplier": 1}
    yield Case(FAIL, "column_values_to_not_be_outliers", far)
    yield Case(NOTHING, "column_values_to_not_be_outliers", {**far, "column": "one"})


CASES = [
    *_members(), *_refused(), *_limits(), *_statistics(), *_others(), *_types(), *_conditions(),
    *_nothing(),
]  # fmt: skip


@pytest.fixture(scope="session")
def checks(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> list[Check]:
    """A check per case, in one report; the import costs seconds, so one process serves all."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "data-gate-values"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "report.json").exists():
            _judge(root)
    report = Report.model_validate_json((root / "report.json").read_bytes())
    assert len(report.checks) == len(CASES)
    return list(report.checks)


def _judge(root: Path) -> None:
    pq.write_table(TABLE, root / "table.parquet")
    suite = [
        {"type": f"expect_{case.kind}", "kwargs": case.kwargs, "meta": case.meta or {}}
        for case in CASES
    ]
    (root / "suite.json").write_text(json.dumps({"name": "cases", "expectations": suite}))
    request = {
        "dataset": "cases",
        "version": "sha256:" + "0f" * 32,
        "objects": [{"key": "table.parquet", "path": str(root / "table.parquet")}],
        "suite": {"path": str(root / "suite.json"), "origin": "suite.json"},
    }
    (root / "request.json").write_text(json.dumps(request))
    files = [str(root / "request.json"), str(root / "report.json")]
    done = subprocess.run(
        [sys.executable, "-m", "validators.data", *files],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def _named(case: Case) -> str:
    kwargs = ", ".join(f"{key}={value}" for key, value in case.kwargs.items())
    return f"{case.verdict}-{case.kind}-{kwargs}"[:150]


@pytest.mark.parametrize("at", range(len(CASES)), ids=[_named(case) for case in CASES])
def test_each_value_meets_what_is_expected_as_its_column_s_type(
    checks: list[Check], at: int
) -> None:
    case, check = CASES[at], checks[at]
    assert check.verdict is case.verdict, check.message
    assert case.says in check.message
