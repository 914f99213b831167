"""`row_condition` as Spark evaluates it: with the meaning that it has elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from validators.data.metrics.conditions import (
    Both,
    Compare,
    Condition,
    In,
    Not,
    Null,
    PandasQuery,
)
from validators.data.spark.columns import at_least, at_most, form_needed, members_of
from validators.data.values.literals import Unfit, position

_SIGNS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": lambda one, other: one == other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


class HeldColumn(NamedTuple):
    """A column of a dataset in Spark."""

    column: Any
    """A Spark column, in the form of `columns.held`."""
    kind: Any
    """Its settled Arrow type."""


def met(condition: Condition, columns: Mapping[str, HeldColumn]) -> Any:
    """Spark's condition: true or false, never null. Raises `Unfit`."""
    import pyspark.sql.functions as F  # noqa: N812

    match condition:
        case Both(left=left, right=right, either=either):
            one, other = met(left, columns), met(right, columns)
            return one | other if either else one & other
        case Not(part=part):
            return ~met(part, columns)
        case Null(column=name):
            return columns[name].column.isNull()
        case In(column=name, values=values):
            return _among(name, columns[name], values)
        case Compare():
            return F.coalesce(_compared(condition, columns), F.lit(False))
        case PandasQuery():
            raise Unfit(
                "its `row_condition` goes to pandas' `query`, which Spark does not have: use "
                "comparisons, `in`, `isnull`, `notnull`, `and`, `or` and `not`"
            )


def _compared(condition: Compare, columns: Mapping[str, HeldColumn]) -> Any:
    name, sign = condition.column, condition.sign
    if sign == "!=":
        return ~met(Compare(name, "==", condition.value, condition.other), columns)
    column, kind = columns[name]
    if condition.other is not None:
        same_kind(name, kind, condition.other, columns[condition.other].kind)
        return _SIGNS[sign](column, columns[condition.other].column)
    if sign == "==":
        return _among(name, columns[name], (condition.value,))
    try:
        limit = position(condition.value, kind)
    except Unfit as error:
        raise Unfit(f"its condition on `{name}`: {error}") from None
    beyond = at_least if sign.startswith(">") else at_most
    return beyond(column, limit, strict="=" not in sign)


def _among(name: str, column: HeldColumn, values: tuple[object, ...]) -> Any:
    import pyspark.sql.functions as F  # noqa: N812

    try:
        found = members_of(values, column.kind)
    except Unfit as error:
        raise Unfit(f"its condition on `{name}`: {error}") from None
    is_one = column.column.isin(found) if found else F.lit(False)
    return F.coalesce(is_one, F.lit(False))


def same_kind(name: str, kind: Any, other: str, other_kind: Any) -> None:
    """Raises `Unfit` unless two columns are counted in the same steps."""
    if _steps(name, kind) != _steps(other, other_kind):
        raise Unfit(
            f"`{name}` is {kind} and `{other}` is {other_kind}, which are not compared on Spark: "
            "judge them without `engine: spark`, or store them as one type"
        )


def _steps(name: str, kind: Any) -> tuple[object, ...]:
    """What values are, and in which steps they are counted."""
    from pyarrow import types

    form = form_needed(name, kind)
    if types.is_timestamp(kind):
        return form, "time", kind.unit
    if types.is_date(kind):
        return form, "date"
    return form, "number" if form == "bigint" else "", getattr(kind, "scale", 0)
