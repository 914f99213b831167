"""Expectations on several columns per row, and on the table."""

from collections.abc import Mapping
from functools import reduce
from itertools import combinations
from typing import Any

from validators.data.answering.of_columns import groups, mapped, within
from validators.data.metrics.batch import RowBatch
from validators.data.metrics.measured import Measured
from validators.data.metrics.metric import RowCount
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.values.comparing import compare, family_of
from validators.data.values.literals import Unfit, number_of, position, scalar

Kwargs = Mapping[str, Any]


def unique_together(of: Measured, kwargs: Kwargs, ignored: str) -> ExpectationOutcome | None:
    """Rows that occur once, of those that `ignored` leaves; None if it leaves none."""
    tally = groups(of, tuple(kwargs["column_list"]), ignored)
    return mapped(tally.n, tally.once, kwargs) if tally.n else None


# -- rules for each row: masks of the rows that meet them ------------------------------------------


def equal_pair(rows: RowBatch, kwargs: Kwargs) -> Any:
    return _compared(rows, kwargs, "equal")


def greater_pair(rows: RowBatch, kwargs: Kwargs) -> Any:
    return _compared(rows, kwargs, "greater_equal" if kwargs.get("or_equal") else "greater")


def _compared(rows: RowBatch, kwargs: Kwargs, name: str) -> Any:
    return compare(rows.column(kwargs["column_A"]), rows.column(kwargs["column_B"]), name)


def pair_in_set(rows: RowBatch, kwargs: Kwargs) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = kwargs.get("value_pairs_set")
    if not isinstance(pairs, list) or any(len(pair) != 2 for pair in pairs):
        raise Unfit("`value_pairs_set` must be a list of pairs")
    columns = [rows.column(kwargs[key]) for key in ("column_A", "column_B")]
    masks = [
        reduce(pc.and_, [_is(column, one) for column, one in zip(columns, pair, strict=True)])
        for pair in pairs
    ]
    return reduce(pc.or_, masks) if masks else pa.array([False] * rows.rows)


def _is(column: Any, value: object) -> Any:
    import pyarrow.compute as pc

    if value is None:
        return pc.is_null(column)
    found = scalar(position(value, column.type), column.type)
    if found is None:
        return pc.and_(pc.is_null(column), pc.is_valid(column))
    return pc.fill_null(pc.equal(column, found), fill_value=False)


def unique_in_record(rows: RowBatch, kwargs: Kwargs) -> Any:
    import pyarrow.compute as pc

    columns = [rows.column(name) for name in kwargs["column_list"]]
    twice = [_same(left, right) for left, right in combinations(columns, 2)]
    return pc.invert(reduce(pc.or_, twice))


def equal_in_record(rows: RowBatch, kwargs: Kwargs) -> Any:
    import pyarrow.compute as pc

    first, *others = (rows.column(name) for name in kwargs["column_list"])
    return reduce(pc.and_, [_same(first, other) for other in others])


def _same(left: Any, right: Any) -> Any:
    """Mask of equal values; null equals null."""
    import pyarrow.compute as pc

    return pc.or_(compare(left, right, "equal"), pc.and_(pc.is_null(left), pc.is_null(right)))


def sum_in_record(rows: RowBatch, kwargs: Kwargs) -> Any:
    """The sum of each row; a row with a null has none and does not meet it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [rows.column(name) for name in kwargs["column_list"]]
    for name, column in zip(kwargs["column_list"], columns, strict=True):
        if family_of(column.type) != "number":
            raise Unfit(f"`{name}` is {column.type}, which has no sum")
    floats = any(pa.types.is_floating(column.type) for column in columns)
    sums = reduce(pc.add, [_addable(column, floats=floats) for column in columns])
    wanted = scalar(position(kwargs["sum_total"], sums.type), sums.type)
    return pa.array([False] * rows.rows) if wanted is None else pc.equal(sums, wanted)


def _addable(column: Any, *, floats: bool) -> Any:
    import pyarrow as pa

    if floats:
        return column.cast(pa.float64())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    decimal = pa.types.is_decimal(column.type)
    return column.cast(
        pa.decimal256(column.type.precision, column.type.scale) if decimal else pa.decimal256(20, 0)
    )


# -- the table -------------------------------------------------------------------------------------


def row_count(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return _counted(of(RowCount()), kwargs)


def column_count(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return _counted(len(of.names), kwargs)


def _counted(found: int, kwargs: Kwargs) -> ExpectationOutcome:
    if "value" in kwargs:
        success = number_of(kwargs["value"]) == found
    else:
        success = within(number_of(found), kwargs)
    return ExpectationOutcome(place=0, success=success, observed=found)


def column_set(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    wanted = set(kwargs["column_set"])
    exact = kwargs.get("exact_match", True)
    success = wanted == set(of.names) if exact else wanted <= set(of.names)
    return ExpectationOutcome(place=0, success=success, names=of.names)


def ordered_columns(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    success = list(kwargs["column_list"]) == list(of.names)
    return ExpectationOutcome(place=0, success=success, names=of.names)


def column_exists(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    index = kwargs.get("column_index")
    if index is None:
        return ExpectationOutcome(place=0, success=kwargs["column"] in of.names)
    places = [at for at, name in enumerate(of.names) if name == kwargs["column"]]
    wanted = index if index >= 0 else index + len(of.names)
    return ExpectationOutcome(
        place=0, success=wanted in places, observed=places[0] if places else None
    )
