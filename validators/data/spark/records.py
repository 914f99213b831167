"""Expectations on several columns of each row, as Great Expectations is asked on Spark.

It has no say on nulls there: a pair of nulls is equal, a comparison with null counts as met, and a
sum takes null for 0. So rows are left out, and rows with nulls made to fail, before it is asked.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any, Final

from validators.data.spark.columns import Form, form_needed, members_of
from validators.data.spark.conditions import HeldColumn, same_kind
from validators.data.spark.questions import INSTEAD
from validators.data.suites.suite import Expectation
from validators.data.values.literals import Unfit, position, scalar

_PAIRS: Final = (
    "expect_column_pair_values_to_be_equal",
    "expect_column_pair_values_a_to_be_greater_than_b",
    "expect_column_pair_values_to_be_in_set",
)
_LISTS: Final = (
    "expect_compound_columns_to_be_unique",
    "expect_select_column_values_to_be_unique_within_record",
    "expect_multicolumn_values_to_be_equal",
    "expect_multicolumn_sum_to_equal",
)
OF_RECORDS: Final = frozenset((*_PAIRS, *_LISTS))
_SUM: Final = "expect_multicolumn_sum_to_equal"
_UNEQUAL: Final[Mapping[Form, tuple[Any, Any]]] = {
    "bigint": (0, 1),
    "double": (0.0, 1.0),
    "string": ("", "a"),
}
"""Two values of which the first is less."""


def columns_of_record(one: Expectation) -> tuple[str, ...]:
    """The columns that it is about, in order."""
    if one.type in _PAIRS:
        return one.kwargs["column_A"], one.kwargs["column_B"]
    return tuple(one.kwargs["column_list"])


def asked_of_records(
    one: Expectation, frame: Any, columns: Mapping[str, HeldColumn]
) -> tuple[Expectation, Any]:
    """The expectation, and the frame of the rows that it is asked about. Raises `Unfit`."""
    names = columns_of_record(one)
    chosen = [columns[name] for name in names]
    for name, held in zip(names, chosen, strict=True):
        form_needed(name, held.kind)
        if one.type not in (_PAIRS[2], _LISTS[0]):
            same_kind(names[0], chosen[0].kind, name, held.kind)
    rows = _with_values(frame, [held.column for held in chosen], one)
    called = [f"r{at}" for at in range(len(names))]
    kwargs: dict[str, Any] = {"column_list": called, "ignore_row_if": "never"}
    if one.type in _PAIRS:
        kwargs = {"column_A": called[0], "column_B": called[1], "ignore_row_if": "neither"}
    given = one.kwargs  # of these, 0 and false say something
    kwargs |= {key: given[key] for key in ("mostly", "or_equal") if given.get(key) is not None}
    if one.type == _SUM:
        kwargs["sum_total"] = _total(one, chosen)
    if one.type == _PAIRS[2]:
        kwargs["value_pairs_set"] = _pairs(one, chosen)
    found = _failing_if_null(one, chosen, kwargs)
    selected = rows.select(*(each.alias(name) for each, name in zip(found, called, strict=True)))
    return dataclasses.replace(one, kwargs=kwargs), selected


def _with_values(frame: Any, columns: Sequence[Any], one: Expectation) -> Any:
    """Without the rows that `ignore_row_if` leaves out."""
    ignored = one.kwargs.get("ignore_row_if") or "all_values_are_missing"
    if ignored in ("never", "neither"):
        return frame
    there = [column.isNotNull() for column in columns]
    every = ignored in ("any_value_is_missing", "either_value_is_missing")
    if not every and ignored not in ("all_values_are_missing", "both_values_are_missing"):
        raise Unfit(f"`ignore_row_if` cannot be `{ignored}`")
    return frame.filter(reduce(lambda a, b: a & b if every else a | b, there))


def _failing_if_null(
    one: Expectation, chosen: Sequence[HeldColumn], kwargs: Mapping[str, Any]
) -> list[Any]:
    """The columns, with values that fail in place of those of rows with a null where on pandas such
    rows fail."""
    import pyspark.sql.functions as F  # noqa: N812

    columns = [held.column for held in chosen]
    form = form_needed("", chosen[0].kind)
    failing: list[Any]
    if one.type in _PAIRS[:2]:
        failing = list(_UNEQUAL[form])
    elif one.type == _SUM:
        failing = [kwargs["sum_total"] + 1, *([0] * (len(columns) - 1))]
    else:
        return columns
    lacks = reduce(lambda a, b: a | b, [column.isNull() for column in columns])
    return [
        F.when(lacks, F.lit(value).cast(form)).otherwise(column)
        for column, value in zip(columns, failing, strict=True)
    ]


def _total(one: Expectation, chosen: Sequence[HeldColumn]) -> Any:
    """The sum that is asked for, in steps."""
    import pyarrow as pa

    kind = chosen[0].kind
    if form_needed("", kind) == "string" or pa.types.is_temporal(kind):
        raise Unfit(f"a column of {kind} has no sum")
    kind = kind if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else pa.int64()
    if pa.types.is_floating(kind):
        return position(one.kwargs["sum_total"], pa.float64())
    at = position(one.kwargs["sum_total"], kind)
    if scalar(at, kind) is None or not isinstance(at, Fraction) or abs(at) >= 2**53:
        raise Unfit(f"`sum_total` is no sum of values of {kind}, or is too large" + INSTEAD)
    return int(at)


def _pairs(one: Expectation, chosen: Sequence[HeldColumn]) -> list[list[Any]]:
    found = []
    for pair in one.kwargs["value_pairs_set"]:
        both = [_member(value, held.kind) for value, held in zip(pair, chosen, strict=True)]
        if all(both):
            found.append([value for (value,) in both])
    if not found:
        raise Unfit("no pair of `value_pairs_set` can be values of its columns")
    return found


def _member(value: object, kind: Any) -> tuple[Any, ...]:
    """The value as Spark holds it; nothing if the column cannot hold it."""
    return (None,) if value is None else tuple(members_of([value], kind))
