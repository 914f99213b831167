"""Members and limits of a suite, read as the type of their column.

A suite is JSON or YAML: dates, times and decimals are written as text or floats. Each is read
exactly as the column's type, or refused with a message that names the fix.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, inf, isfinite, isnan
from typing import Any, Final

from specs.figures import clip

Position = Fraction | float | str | bytes
"""Where a value lies among those of a column. Numbers, dates, times and booleans are counted in
steps of the column's type (cents for a decimal with two places, microseconds since 1970 for a
timestamp of that unit): values are whole numbers, limits may lie between two."""

_NUMBER: Final = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d{1,3})?")
_FINE: Final = re.compile(r"(.*\d\d:\d\d:\d\d)[.,](\d{1,12})(.*)")
_TRUTH: Final = {"true": 1, "false": 0}
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Unfit(Exception):  # noqa: N818 - becomes a check
    """A member or limit that cannot be read as the column's type; the message has the fix."""


def position(value: object, kind: Any) -> Position:
    """The position of a suite's `value` in a column of the Arrow type `kind`."""
    import pyarrow as pa

    types = pa.types
    if types.is_floating(kind):
        return _rounded(_number(value), kind)
    if types.is_boolean(kind):
        return _truth(value)
    if types.is_integer(kind) or types.is_decimal(kind):
        number = _number(value)
        return number * steps(kind) if isinstance(number, Fraction) else number
    if types.is_date(kind) or types.is_timestamp(kind):
        return _moment(value, kind)
    if types.is_time(kind):
        return _time_of_day(value, kind)
    if types.is_string(kind) or types.is_large_string(kind):
        return _text(value)
    if types.is_binary(kind) or types.is_large_binary(kind):
        return _text(value).encode()
    raise Unfit(f"a suite cannot write members or limits for a column of {kind}")


def steps(kind: Any) -> Fraction:
    """How many steps of the type make 1: 100 for a decimal of two places."""
    import pyarrow as pa

    return Fraction(10) ** kind.scale if pa.types.is_decimal(kind) else Fraction(1)


def number_of(value: object) -> Fraction | float:
    """A number in the suite that is not a column's value, such as a count or a share."""
    return _number(value)


def _number(value: object) -> Fraction | float:
    """By its shortest text: 1.1 is eleven tenths, not the nearest binary number. Infinity stays a
    float."""
    if isinstance(value, bool | int):
        return Fraction(int(value))
    if isinstance(value, float) and not isnan(value):
        return Fraction(Decimal(repr(value))) if isfinite(value) else value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return Fraction(Decimal(value.strip()))
    zeros = isinstance(value, str) and re.fullmatch(r"[-+]?0\d+", value.strip())
    fix = "; if its zeros matter, make it a `string` in the dataset's `types:`" if zeros else ""
    raise Unfit(f"`{_shown(value)}` is not a number{fix}")


def _rounded(number: Fraction | float, kind: Any) -> float:
    import pyarrow as pa

    try:
        return float(pa.scalar(float(number), kind).as_py())
    except OverflowError:
        return inf if number > 0 else -inf


def _truth(value: object) -> Fraction:
    if isinstance(value, bool | int | float) and value in (0, 1):
        return Fraction(int(value))
    if isinstance(value, str) and value.strip().lower() in _TRUTH:
        return Fraction(_TRUTH[value.strip().lower()])
    raise Unfit(f"`{_shown(value)}` is neither true nor false")


def _moment(value: object, kind: Any) -> Fraction:
    """Dates and times; those without a zone are UTC, as in a column without one."""
    import pyarrow as pa

    fix = "write 2024-05-01, 2024-05-01T12:00 or 2024-05-01T12:00:00Z"
    if not isinstance(value, str):
        raise Unfit(f"`{_shown(value)}` is not a date or time: {fix}")
    text, rest = value.strip(), Fraction(0)
    if fine := _FINE.fullmatch(text):
        text, rest = fine[1] + fine[3], Fraction(int(fine[2]), 10 ** len(fine[2]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit(f"`{_shown(value)}` is not a date or time: {fix}") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    seconds = Fraction(since // timedelta(microseconds=1), 10**6) + rest
    return seconds / 86400 if pa.types.is_date(kind) else seconds * _PER_SECOND[kind.unit]


def _time_of_day(value: object, kind: Any) -> Fraction:
    try:
        found = time.fromisoformat(value.strip() if isinstance(value, str) else "")
    except ValueError:
        found = None
    if found is None or found.tzinfo:
        raise Unfit(f"`{_shown(value)}` is not a time of day: write 12:30 or 12:30:00")
    seconds = found.hour * 3600 + found.minute * 60 + found.second
    return (seconds + Fraction(found.microsecond, 10**6)) * _PER_SECOND[kind.unit]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    kind = "a number, " if isinstance(value, int | float) else ""
    kind = "true or false, " if isinstance(value, bool) else kind
    raise Unfit(f"`{_shown(value)}` is {kind}not text: put it in quotes")


def _shown(value: object) -> str:
    return clip(str(value), 40)


# -- from a position back to the column ------------------------------------------------------------


def scalar(at: Position, kind: Any) -> Any:
    """The Arrow value at a position, or None if the column's type has none there."""
    import pyarrow as pa

    if not isinstance(at, Fraction):
        discrete = isinstance(at, float) and not pa.types.is_floating(kind)
        return None if discrete else pa.scalar(at, kind)
    low, high = _bounds(kind)
    if at.denominator != 1 or not low <= at <= high:
        return None
    return _scalar(at.numerator, kind)


def _scalar(at: int, kind: Any) -> Any:
    import pyarrow as pa

    types = pa.types
    if types.is_boolean(kind):
        return pa.scalar(bool(at))
    if types.is_decimal(kind):
        return pa.scalar(decimal_of(at, kind.scale), kind)
    if types.is_integer(kind):
        return pa.scalar(at, kind)
    return pa.scalar(at, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)


def decimal_of(at: int, scale: int) -> Decimal:
    """The decimal of `at` steps with `scale` places; unlike decimal arithmetic, never rounded."""
    return Decimal((int(at < 0), tuple(int(digit) for digit in str(abs(at))), -scale))


def _bounds(kind: Any) -> tuple[int, int]:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return 0, 1
    if pa.types.is_decimal(kind):
        most = 10**kind.precision - 1
        return -most, most
    bits = int(kind.bit_width)
    if pa.types.is_unsigned_integer(kind):
        return 0, int(2**bits - 1)
    return -(2 ** (bits - 1)), int(2 ** (bits - 1) - 1)


def of_value(value: Any) -> Position | None:
    """The position of an Arrow value; None for null."""
    import pyarrow as pa

    if not value.is_valid:
        return None
    kind = value.type
    if pa.types.is_decimal(kind):
        return Fraction(value.as_py()) * steps(kind)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return Fraction(int(value.as_py()))
    if pa.types.is_temporal(kind):
        whole = pa.int32() if kind.bit_width == 32 else pa.int64()
        return Fraction(value.cast(whole).as_py())
    found: Position = value.as_py()
    return found


def members(values: Sequence[object], kind: Any) -> Any:
    """The members that the column's type can hold, as an Arrow array without nulls."""
    import pyarrow as pa

    read = [scalar(position(one, kind), kind) for one in values if one is not None]
    return pa.array([one for one in read if one is not None], kind)


def at_least(column: Any, limit: Position, *, strict: bool) -> Any:
    """Mask of the values at or above the limit; only above it if `strict`."""
    import pyarrow.compute as pc

    if not isinstance(limit, Fraction):
        return _beyond(column, limit, above=True, strict=strict)
    first = floor(limit) + 1 if strict else ceil(limit)
    low, high = _bounds(column.type)
    if not low <= first <= high:
        return _all(column, first < low)
    return pc.greater_equal(column, _scalar(first, column.type))


def at_most(column: Any, limit: Position, *, strict: bool) -> Any:
    """Mask of the values at or below the limit; only below it if `strict`."""
    import pyarrow.compute as pc

    if not isinstance(limit, Fraction):
        return _beyond(column, limit, above=False, strict=strict)
    last = ceil(limit) - 1 if strict else floor(limit)
    low, high = _bounds(column.type)
    if not low <= last <= high:
        return _all(column, last > high)
    return pc.less_equal(column, _scalar(last, column.type))


def _beyond(column: Any, limit: Position, *, above: bool, strict: bool) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(limit, float) and not pa.types.is_floating(column.type):
        return _all(column, (limit < 0) is above)
    name = ("greater" if above else "less") + ("" if strict else "_equal")
    return getattr(pc, name)(column, pa.scalar(limit, column.type))


def _all(column: Any, answer: bool) -> Any:
    import pyarrow.compute as pc

    return pc.and_(pc.is_valid(column), answer)
