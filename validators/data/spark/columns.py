"""Columns as Spark holds them here: whole numbers, floats and texts, with one representation each.

Numbers, dates and times are counted in steps of the column's type, like the positions of a suite's
limits (see `literals`); NaN is null and -0.0 is 0.0. So Spark has no types of its own to compare.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor, isnan
from typing import Any, Final, Literal

from validators.data.values.literals import Position, Unfit, members, of_value

Form = Literal["bigint", "double", "string"]
MOST: Final = 2**63 - 1
LEAST: Final = -(2**63)


def form_of(kind: Any) -> Form | None:
    """How Spark holds a column of a settled Arrow type; None if it cannot."""
    from pyarrow import types

    if types.is_string(kind) or types.is_large_string(kind):
        return "string"
    if types.is_floating(kind):
        return "double"
    if types.is_boolean(kind) or types.is_date(kind) or types.is_timestamp(kind):
        return "bigint"
    if types.is_integer(kind) and not types.is_uint64(kind):
        return "bigint"
    return "bigint" if types.is_decimal128(kind) and kind.precision <= 18 else None


def is_read_by_spark(kind: Any) -> bool:
    """Whether Spark reads a Parquet column that Arrow sees as this type, and as Arrow does."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return is_read_by_spark(kind.value_type)
    plain = (types.is_string(kind), types.is_large_string(kind), types.is_string_view(kind))
    if any(plain) or types.is_date32(kind) or types.is_float16(kind):
        return not types.is_float16(kind)
    return form_of(kind) is not None


def held(column: Any, found: str, kind: Any) -> Any:
    """A Spark column of Spark's type `found` in the form of the settled Arrow type `kind`."""
    import pyspark.sql.functions as F  # noqa: N812 - as everywhere
    from pyarrow import types

    if form_of(kind) == "string":
        return column.cast("string")
    if form_of(kind) == "double":
        number = column.cast("double")
        return F.when(~F.isnan(number), number + F.lit(0.0))
    if types.is_decimal(kind):
        exact = column.cast(f"decimal({kind.precision},{kind.scale})")
        return (exact * F.lit(10**kind.scale).cast(f"decimal({kind.scale + 1},0)")).cast("bigint")
    if types.is_date(kind):
        return F.unix_date(column).cast("bigint")
    if types.is_timestamp(kind) and found != "bigint":  # which is a time in nanoseconds
        at = column.cast("timestamp")
        count = {"s": F.unix_seconds, "ms": F.unix_millis}.get(kind.unit, F.unix_micros)
        return count(at) * F.lit(1000 if kind.unit == "ns" else 1).cast("bigint")
    return column.cast("bigint")


def plain(value: Any) -> int | float | str | None:
    """An Arrow value of a settled type in that form."""
    at = of_value(value)
    if at is None or (isinstance(at, float) and isnan(at)):
        return None
    return _plain(at)


def _plain(at: Position) -> int | float | str:
    if isinstance(at, Fraction):
        return at.numerator
    return at + 0.0 if isinstance(at, float) else str(at)


def members_of(values: Iterable[object], kind: Any) -> list[int | float | str]:
    """The members of a suite that the column can hold, each once. Raises `Unfit`."""
    found = dict.fromkeys(plain(one) for one in members(list(values), kind))
    return [one for one in found if one is not None]


def at_least(column: Any, limit: Position, *, strict: bool) -> Any:
    """Spark's condition that values are at or above a limit; only above it if `strict`."""
    import pyspark.sql.functions as F  # noqa: N812

    if not isinstance(limit, Fraction):
        return column > F.lit(limit) if strict else column >= F.lit(limit)
    first = floor(limit) + 1 if strict else ceil(limit)
    if not LEAST <= first <= MOST:
        return column.isNotNull() & F.lit(first < LEAST)
    return column >= F.lit(first).cast("bigint")


def at_most(column: Any, limit: Position, *, strict: bool) -> Any:
    """Spark's condition that values are at or below a limit; only below it if `strict`."""
    import pyspark.sql.functions as F  # noqa: N812

    if not isinstance(limit, Fraction):
        return column < F.lit(limit) if strict else column <= F.lit(limit)
    last = ceil(limit) - 1 if strict else floor(limit)
    if not LEAST <= last <= MOST:
        return column.isNotNull() & F.lit(last > MOST)
    return column <= F.lit(last).cast("bigint")


def form_needed(name: str, kind: Any) -> Form:
    """The form of a column. Raises `Unfit` if Spark cannot hold it."""
    form = form_of(kind)
    if form is None:
        raise Unfit(
            f"Great Expectations on Spark is not asked about columns of {kind}; judge `{name}` "
            "without `engine: spark`, or leave it out of the suite"
        )
    return form
