"""Expectations on the values of a column, each or as a set, computed exactly by Arrow."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from specs.figures import clip
from validators.data.literals import (
    Position,
    Unfit,
    at_least,
    at_most,
    decimal_of,
    members,
    number_of,
    of_value,
    position,
)
from validators.data.outcome import ExpectationOutcome
from validators.data.rows import Rows, counted
from validators.data.type_names import answers_to

Kwargs = Mapping[str, Any]


def mapped(n: int, met: int, kwargs: Kwargs, **more: Any) -> ExpectationOutcome:
    """The outcome for an expectation on each of `n` values, of which `met` meet it."""
    mostly = kwargs.get("mostly", 1)
    mostly = 1 if mostly is None else mostly
    success = n == 0 or met / n >= float(mostly)
    return ExpectationOutcome(
        place=0, success=success, unexpected=n - met, evaluated=n, n=n, **more
    )


def limits(kwargs: Kwargs, kind: Any = None) -> tuple[Position | None, Position | None]:
    """`min_value` and `max_value`, read as the type `kind`, or as numbers without one."""
    found: list[Position | None] = []
    for key in ("min_value", "max_value"):
        value = kwargs.get(key)
        try:
            read = number_of(value) if kind is None else position(value, kind)
            found.append(None if value is None else read)
        except Unfit as error:
            if value is not None:
                raise Unfit(f"`{key}`: {error}") from None
            found.append(None)
    low, high = found
    if low is not None and high is not None and low > high:  # type: ignore[operator]  # of one kind
        raise Unfit("`min_value` is greater than `max_value`")
    return low, high


def within(at: Position, kwargs: Kwargs, kind: Any = None) -> bool:
    """Whether a value lies between `min_value` and `max_value`."""
    low, high = limits(kwargs, kind)
    above: Any = True
    below: Any = True
    if low is not None:
        above = at > low if kwargs.get("strict_min") else at >= low  # type: ignore[operator]
    if high is not None:
        below = at < high if kwargs.get("strict_max") else at <= high  # type: ignore[operator]
    return bool(above and below)


def value_set(kwargs: Kwargs, kind: Any) -> Any:
    """The members of `value_set` that a column of the type can hold."""
    listed = kwargs.get("value_set")
    if not isinstance(listed, list):
        raise Unfit("`value_set` must be a list")
    try:
        return members(listed, kind)
    except Unfit as error:
        raise Unfit(f"`value_set`: {error}") from None


def null(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return mapped(len(rows), rows.column(kwargs).null_count, kwargs)


def not_null(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return mapped(len(rows), len(rows) - rows.column(kwargs).null_count, kwargs)


def between(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    low, high = limits(kwargs, column.type)
    met = pc.is_valid(column)
    if low is not None:
        met = pc.and_(met, at_least(column, low, strict=bool(kwargs.get("strict_min"))))
    if high is not None:
        met = pc.and_(met, at_most(column, high, strict=bool(kwargs.get("strict_max"))))
    found = counted(met)
    span = _span(column) if found < len(column) else None
    return mapped(len(column), found, kwargs, span=span)


def _span(column: Any) -> tuple[Any, Any] | None:
    """Least and greatest value, for numbers and dates only: text would reveal a raw value."""
    import pyarrow.compute as pc

    both = pc.min_max(column)
    low, high = (shown(of_value(both[key]), column.type) for key in ("min", "max"))
    return None if low is None or high is None else (low, high)


def shown(at: Position | None, kind: Any) -> Any:
    """An aggregate that may be shown: a number or date, never text."""
    import pyarrow as pa

    if at is None or isinstance(at, str | bytes) or pa.types.is_boolean(kind):
        return None
    if isinstance(at, float):
        return at
    if pa.types.is_temporal(kind):
        return _moment(at, kind)
    return _number(at, kind)


def _moment(at: Fraction, kind: Any) -> Any:
    """Truncated to the microsecond."""
    import pyarrow as pa

    whole = pa.int32() if kind.bit_width == 32 else pa.int64()
    value = pa.scalar(at.numerator // at.denominator, whole).cast(kind)
    if kind.bit_width == 64 and getattr(kind, "unit", None) == "ns":
        coarse = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.time64("us")
        value = value.cast(coarse, safe=False)
    found = value.as_py()
    return found if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else str(found)


def _number(at: Fraction, kind: Any) -> Any:
    import pyarrow as pa

    if not pa.types.is_decimal(kind):
        return at.numerator if at.denominator == 1 else float(at)
    if at.denominator != 1:
        return float(at / Fraction(10) ** kind.scale)
    return decimal_of(at.numerator, kind.scale)


def in_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    held = counted(pc.is_in(column, value_set=value_set(kwargs, column.type)))
    return mapped(len(column), held, kwargs)


def not_in_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    held = counted(pc.is_in(column, value_set=value_set(kwargs, column.type)))
    return mapped(len(column), len(column) - held, kwargs)


def distinct_in_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    found = pc.unique(column)
    strangers = len(found) - counted(pc.is_in(found, value_set=value_set(kwargs, column.type)))
    return ExpectationOutcome(place=0, success=not strangers, unexpected=strangers, n=len(column))


def distinct_contain_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    column = rows.values(kwargs)
    lacking = _lacking(column, kwargs)
    return ExpectationOutcome(place=0, success=not lacking, lacking=lacking, n=len(column))


def distinct_equal_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    strangers = distinct_in_set(rows, kwargs)
    lacking = _lacking(rows.values(kwargs), kwargs)
    return ExpectationOutcome(
        place=0,
        success=strangers.success and not lacking,
        unexpected=strangers.unexpected or None,
        lacking=lacking,
        n=strangers.n,
    )


def _lacking(column: Any, kwargs: Kwargs) -> tuple[str, ...]:
    """The members that the column lacks, as written in the suite."""
    import pyarrow.compute as pc

    found = pc.unique(column)
    wanted = [one for one in kwargs.get("value_set") or [] if one is not None]
    value_set(kwargs, column.type)  # raises, naming the key
    has = [
        len(array := members([one], column.type)) > 0
        and counted(pc.is_in(array, value_set=found)) > 0
        for one in wanted
    ]
    return tuple(clip(str(one), 40) for one, held in zip(wanted, has, strict=True) if not held)


def most_common_in_set(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    allowed = value_set(kwargs, column.type)
    counts = pc.value_counts(column)
    values, times = counts.field("values"), counts.field("counts")
    modes = values.filter(pc.equal(times, pc.max(times)))
    held = counted(pc.is_in(modes, value_set=allowed))
    success = held > 0 if kwargs.get("ties_okay") else held == len(modes) == 1
    return ExpectationOutcome(place=0, success=success, n=len(column))


def unique(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    times = pc.value_counts(column).field("counts")
    return mapped(len(column), counted(pc.equal(times, 1)), kwargs)


def increasing(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _ordered(rows, kwargs, "greater")


def decreasing(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _ordered(rows, kwargs, "less")


def _ordered(rows: Rows, kwargs: Kwargs, name: str) -> ExpectationOutcome:
    """Each value compared with the one before it; the first always counts as met."""
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    if len(column) == 0:
        return mapped(0, 0, kwargs)
    compare = getattr(pc, name if kwargs.get("strictly") else f"{name}_equal")
    met = compare(column.slice(1), column.slice(0, len(column) - 1))
    return mapped(len(column), 1 + counted(met), kwargs)


def of_type(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _typed(rows, kwargs, [kwargs["type_"]])


def in_type_list(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    listed = kwargs.get("type_list")
    if not isinstance(listed, list):
        raise Unfit("`type_list` must be a list of names")
    return _typed(rows, kwargs, listed)


def _typed(rows: Rows, kwargs: Kwargs, names: list[Any]) -> ExpectationOutcome:
    kind = rows.types[kwargs["column"]]
    answers = [answers_to(kind, name) for name in names]  # all names, so that an unknown one raises
    return ExpectationOutcome(place=0, success=any(answers), observed=str(kind), n=len(rows))
