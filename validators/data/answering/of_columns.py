"""Expectations on the values of a column, each or as a set."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from specs.figures import clip
from validators.data.metrics.distinct import Alike, AllValues, FewValues, Hashed, repetition_of
from validators.data.metrics.hits import Hits, InRange, Members, Present, Strangers
from validators.data.metrics.measured import Measured
from validators.data.metrics.metric import Extremes, Nulls, RowCount, position_of
from validators.data.metrics.order import InOrder
from validators.data.metrics.tally import MostFrequent, Repeats, Repetition, has_keys, key_at
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.values.literals import (
    Position,
    Unfit,
    decimal_of,
    members,
    number_of,
    position,
)
from validators.data.values.type_names import answers_to

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


def listed_in(kwargs: Kwargs, kind: Any) -> tuple[object, ...]:
    """The members of `value_set`, without null. Raises `Unfit` for one that is not of the type."""
    listed = kwargs.get("value_set")
    if not isinstance(listed, list):
        raise Unfit("`value_set` must be a list")
    wanted = tuple(one for one in listed if one is not None)
    try:
        members(wanted, kind)
    except Unfit as error:
        raise Unfit(f"`value_set`: {error}") from None
    return wanted


def values_in(of: Measured, column: str) -> int:
    """How many values of the column are not null."""
    rows, nulls = of(Nulls(column))
    return int(rows - nulls)


def null(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    rows, nulls = of(Nulls(kwargs["column"]))
    return mapped(rows, nulls, kwargs)


def not_null(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    rows, nulls = of(Nulls(kwargs["column"]))
    return mapped(rows, rows - nulls, kwargs)


def each_value(
    of: Measured, kwargs: Kwargs, rule: Hits, *, against: bool = False
) -> ExpectationOutcome:
    """The outcome for a rule that each value has to meet or, with `against`, that none may meet."""
    (rows, nulls), met = of.each(Nulls(rule.column), rule)
    n = rows - nulls
    met = n - met if against else met
    some: tuple[str, ...] = ()
    if met < n and rule.column in of.shows:
        some = tuple(of(Strangers(rule.column, rule, against)))
    return mapped(n, met, kwargs, strangers=some)


def between(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    column = kwargs["column"]
    kind = of.kinds[column]
    strict = [bool(kwargs.get(key)) for key in ("strict_min", "strict_max")]
    rule = InRange(column, *limits(kwargs, kind), *strict)
    _, extremes = of.each(rule, Extremes(column))
    found = each_value(of, kwargs, rule)
    return replace(found, span=_span(extremes, kind)) if found.unexpected else found


def _span(extremes: list[Any], kind: Any) -> tuple[Any, Any] | None:
    """Least and greatest value, for numbers and dates only: text would reveal a raw value."""
    ends = [shown(fraction_of(at), kind) for at in extremes]
    return (ends[0], ends[1]) if ends and None not in ends else None


def fraction_of(kept: Any) -> Position:
    """The position that a metric gives, as positions are computed with."""
    at = position_of(kept)
    return Fraction(at) if isinstance(at, int) else at


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


def in_set(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _members(of, kwargs))


def not_in_set(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _members(of, kwargs), against=True)


def _members(of: Measured, kwargs: Kwargs) -> Members:
    column = kwargs["column"]
    return Members(column, listed_in(kwargs, of.kinds[column]))


def distinct_in_set(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    n, strangers = _strangers(of, kwargs)
    return ExpectationOutcome(place=0, success=not strangers, unexpected=strangers, n=n)


def _strangers(of: Measured, kwargs: Kwargs) -> tuple[int, int]:
    """How many values there are, and how many distinct ones are not in the set."""
    column = kwargs["column"]
    listed = listed_in(kwargs, of.kinds[column])
    (rows, nulls), met, present = of.each(
        Nulls(column), Members(column, listed), Present(column, listed)
    )
    n = rows - nulls
    if met == n:
        return n, 0
    there = [one for one, found in zip(listed, present, strict=True) if found]
    known = len(members(there, of.kinds[column]).unique())
    return n, distinct(of, column).distinct - known


def distinct_contain_set(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    lacking = _lacking(of, kwargs)
    n = values_in(of, kwargs["column"])
    return ExpectationOutcome(place=0, success=not lacking, lacking=lacking, n=n)


def distinct_equal_set(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    n, strangers = _strangers(of, kwargs)
    lacking = _lacking(of, kwargs)
    return ExpectationOutcome(
        place=0,
        success=not strangers and not lacking,
        unexpected=strangers or None,
        lacking=lacking,
        n=n,
    )


def _lacking(of: Measured, kwargs: Kwargs) -> tuple[str, ...]:
    """The members that the column lacks, as written in the suite."""
    column = kwargs["column"]
    listed = listed_in(kwargs, of.kinds[column])
    present = of(Present(column, listed))
    lacking = [one for one, found in zip(listed, present, strict=True) if not found]
    return tuple(clip(str(one), 40) for one in lacking)


def most_common_in_set(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = kwargs["column"]
    kind = of.kinds[column]
    listed = listed_in(kwargs, kind)
    if has_keys(kind):
        keys = [key for one in listed if (key := key_at(position(one, kind))) is not None]
        modes, held = of(MostFrequent(column, tuple(dict.fromkeys(keys))))
    else:
        found = _modes(of, column)
        mask = pc.is_in(found, value_set=members(listed, kind))
        modes, held = len(found), int(pc.sum(mask).as_py() or 0)
    success = held > 0 if kwargs.get("ties_okay") else held == modes == 1
    return ExpectationOutcome(place=0, success=success, n=values_in(of, column))


def _modes(of: Measured, column: str) -> Any:
    """The most frequent values of texts, or of what else has no keys, as an Arrow array."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = of.kinds[column]
    few = of(FewValues(column))
    if few is not None:
        values, counts = few
        return values.filter(pa.array(counts == counts.max()))
    every = pc.value_counts(pa.chunked_array(of(AllValues(column)), kind))
    values, times = every.field("values"), every.field("counts")
    return values.filter(pc.equal(times, pc.max(times)))


def unique(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    column = kwargs["column"]
    if has_keys(of.kinds[column]):
        once = of(Repeats(column)).once
    else:
        once = groups(of, (column,), "any_value_is_missing").once
    return mapped(values_in(of, column), once, kwargs)


def distinct(of: Measured, column: str) -> Repetition:
    """How many distinct values the column has, and how many occur once."""
    if has_keys(of.kinds[column]):
        repeats: Repetition = of(Repeats(column))
        return repeats
    few = of(FewValues(column))
    if few is not None:
        return Repetition(int(few.counts.sum()), len(few.values), int((few.counts == 1).sum()))
    return groups(of, (column,), "any_value_is_missing")


def groups(of: Measured, columns: tuple[str, ...], ignored: str) -> Repetition:
    """How many distinct rows there are, of those that `ignored` leaves, and how many occur once."""
    found = of(Hashed(columns, ignored))
    if len(found.repeated) == 0:
        return Repetition(found.n, found.distinct, found.once)
    return repetition_of(found, of(Alike(columns, ignored, found.repeated)))


def increasing(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return _ordered(of, kwargs, "greater")


def decreasing(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return _ordered(of, kwargs, "less")


def _ordered(of: Measured, kwargs: Kwargs, sign: str) -> ExpectationOutcome:
    """Each value compared with the one before it; the first always counts as met."""
    sign = sign if kwargs.get("strictly") else f"{sign}_equal"
    n, met, *_ = of(InOrder(kwargs["column"], sign))
    return mapped(n, met, kwargs)


def of_type(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return _typed(of, kwargs, [kwargs["type_"]])


def in_type_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    listed = kwargs.get("type_list")
    if not isinstance(listed, list):
        raise Unfit("`type_list` must be a list of names")
    return _typed(of, kwargs, listed)


def _typed(of: Measured, kwargs: Kwargs, names: list[Any]) -> ExpectationOutcome:
    kind = of.types[kwargs["column"]]
    answers = [answers_to(kind, name) for name in names]  # all names, so that an unknown one raises
    return ExpectationOutcome(place=0, success=any(answers), observed=str(kind), n=of(RowCount()))
