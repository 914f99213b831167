"""Expectations on several columns per row, and on the table, computed exactly by Arrow."""

import operator
from collections.abc import Mapping
from functools import reduce
from itertools import combinations
from typing import Any, Final

from validators.data.literals import Unfit, number_of, position, scalar
from validators.data.of_columns import mapped, within
from validators.data.outcome import ExpectationOutcome
from validators.data.rows import Rows, counted

Kwargs = Mapping[str, Any]
_IN_PYTHON: Final = {
    "equal": operator.eq,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
}


def equal_pair(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _compared(rows, kwargs, "equal")


def greater_pair(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _compared(rows, kwargs, "greater_equal" if kwargs.get("or_equal") else "greater")


def _compared(rows: Rows, kwargs: Kwargs, name: str) -> ExpectationOutcome:
    met = compare(rows.column(kwargs, "column_A"), rows.column(kwargs, "column_B"), name)
    return mapped(len(rows), counted(met), kwargs)


def compare(left: Any, right: Any, name: str) -> Any:
    """Compare two columns by value across types; null never compares as true."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left, right = _alike(left, right)
    try:
        return pc.fill_null(getattr(pc, name)(left, right), fill_value=False)
    except pa.ArrowInvalid:
        # A whole number that no float equals: Arrow refuses, Python compares exactly.
        both = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return pa.array([None not in pair and _IN_PYTHON[name](*pair) for pair in both])


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """The columns in comparable types; a time without a zone is UTC. Raises Unfit."""
    import pyarrow as pa

    families = [_family(column.type) for column in (left, right)]
    if families[0] != families[1]:
        raise Unfit(f"{left.type} and {right.type} cannot be compared")
    if families[0] == "a moment" and left.type != right.type:
        zoned = pa.timestamp("ns" if "ns" in (_unit(left), _unit(right)) else "us", "UTC")
        return _zoned(left, zoned), _zoned(right, zoned)
    if families[0] == "number":
        whole = pa.types.is_boolean
        return tuple(one.cast(pa.int8()) if whole(one.type) else one for one in (left, right))
    return left, right


def _unit(column: Any) -> str:
    return str(getattr(column.type, "unit", "us"))


def _zoned(column: Any, kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    return column.cast(pa.timestamp(column.type.unit, "UTC")).cast(kind)


def _family(kind: Any) -> str:
    import pyarrow as pa

    types = pa.types
    if types.is_floating(kind) or types.is_integer(kind):
        return "number"
    if types.is_decimal(kind) or types.is_boolean(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "a moment"
    return str(kind)


def pair_in_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    pairs = kwargs.get("value_pairs_set")
    if not isinstance(pairs, list) or any(len(pair) != 2 for pair in pairs):
        raise Unfit("`value_pairs_set` must be a list of pairs")
    columns = [rows.column(kwargs, key) for key in ("column_A", "column_B")]
    masks = [
        reduce(pc.and_, [_is(column, one) for column, one in zip(columns, pair, strict=True)])
        for pair in pairs
    ]
    met = counted(reduce(pc.or_, masks)) if masks else 0
    return mapped(len(rows), met, kwargs)


def _is(column: Any, value: object) -> Any:
    import pyarrow.compute as pc

    if value is None:
        return pc.is_null(column)
    found = scalar(position(value, column.type), column.type)
    if found is None:
        return pc.and_(pc.is_null(column), pc.is_valid(column))
    return pc.fill_null(pc.equal(column, found), fill_value=False)


def unique_together(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    names = kwargs["column_list"]
    groups = rows.table.select(names).group_by(names).aggregate([([], "count_all")])
    return mapped(len(rows), counted(pc.equal(groups["count_all"], 1)), kwargs)


def unique_in_record(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    columns = [rows.table.column(name) for name in kwargs["column_list"]]
    twice = [_same(left, right) for left, right in combinations(columns, 2)]
    return mapped(len(rows), counted(pc.invert(reduce(pc.or_, twice))), kwargs)


def equal_in_record(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    first, *others = (rows.table.column(name) for name in kwargs["column_list"])
    return mapped(
        len(rows), counted(reduce(pc.and_, [_same(first, other) for other in others])), kwargs
    )


def _same(left: Any, right: Any) -> Any:
    """Mask of equal values; null equals null."""
    import pyarrow.compute as pc

    return pc.or_(compare(left, right, "equal"), pc.and_(pc.is_null(left), pc.is_null(right)))


def sum_in_record(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    """The sum of each row; a row with a null has none and does not meet it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [rows.table.column(name) for name in kwargs["column_list"]]
    for name, column in zip(kwargs["column_list"], columns, strict=True):
        if _family(column.type) != "number":
            raise Unfit(f"`{name}` is {column.type}, which has no sum")
    floats = any(pa.types.is_floating(column.type) for column in columns)
    sums = reduce(pc.add, [_addable(column, floats=floats) for column in columns])
    wanted = scalar(position(kwargs["sum_total"], sums.type), sums.type)
    met = 0 if wanted is None else counted(pc.equal(sums, wanted))
    return mapped(len(rows), met, kwargs)


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


def row_count(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _counted(len(rows), kwargs)


def column_count(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _counted(len(rows.names), kwargs)


def _counted(found: int, kwargs: Kwargs) -> ExpectationOutcome:
    if "value" in kwargs:
        success = number_of(kwargs["value"]) == found
    else:
        success = within(number_of(found), kwargs)
    return ExpectationOutcome(place=0, success=success, observed=found)


def column_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    wanted = set(kwargs.get("column_set") or rows.names)
    exact = kwargs.get("exact_match", True)
    success = wanted == set(rows.names) if exact in (True, None) else wanted <= set(rows.names)
    return ExpectationOutcome(place=0, success=success, names=rows.names)


def ordered_columns(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    wanted = kwargs.get("column_list")
    success = wanted is None or list(wanted) == list(rows.names)
    return ExpectationOutcome(place=0, success=success, names=rows.names)


def column_exists(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    index = kwargs.get("column_index")
    there = kwargs["column"] in rows.names
    place = there and rows.names.index(kwargs["column"])
    return ExpectationOutcome(place=0, success=there and index in (None, place))
