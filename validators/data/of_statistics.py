"""Expectations on aggregates of one column: exact, or floats if the column holds floats."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import isclose, isnan, sqrt
from typing import Any

from specs.figures import number, significant
from validators.data.literals import Position, Unfit, decimal_of, number_of, of_value, steps
from validators.data.of_columns import limits, mapped, shown, within
from validators.data.outcome import ExpectationOutcome
from validators.data.rows import Rows

Kwargs = Mapping[str, Any]
_PIECE = 1 << 20
_CLOSE = 1e-4
"""A float quantile within this share of a limit counts as the limit, as in Great Expectations."""


def least(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _extreme(rows, kwargs, "min")


def greatest(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _extreme(rows, kwargs, "max")


def _extreme(rows: Rows, kwargs: Kwargs, which: str) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    return _between(of_value(pc.min_max(column)[which]), column, kwargs)


def mean(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _numbers(rows, kwargs)
    if pa.types.is_floating(column.type):
        return _between_floats(float(pc.mean(column).as_py()), column, kwargs)
    return _between(total(column, "mean") / len(column), column, kwargs)


def total_between(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _numbers(rows, kwargs)
    if pa.types.is_floating(column.type):
        return _between_floats(float(pc.sum(column).as_py()), column, kwargs)
    if pa.types.is_temporal(column.type):
        raise Unfit(f"a column of {column.type} has no sum")
    return _between(total(column, "sum"), column, kwargs)


def deviation(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    column = _numbers(rows, kwargs)
    _, found = _spread(column)
    if found is None:
        return ExpectationOutcome(
            place=0, success=False, n=1, nothing="one value has no standard deviation"
        )
    return _between_floats(found, column, kwargs)


def median(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    column = _numbers(rows, kwargs)
    return _between(next(_quantiles(column, [Fraction(1, 2)], "linear")), column, kwargs)


def quantiles(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    """Each quantile within its own range; null means no limit."""
    column = _numbers(rows, kwargs)
    asked = kwargs["quantile_ranges"]
    shares = [Fraction(number_of(share)) for share in asked["quantiles"]]
    found = list(_quantiles(column, shares, kwargs.get("allow_relative_error") or "nearest"))
    good = [
        _close(at, pair, column.type) for at, pair in zip(found, asked["value_ranges"], strict=True)
    ]
    told = [
        f"{number(share)}: {significant(value) if isinstance(value, float) else number(value)}"
        for share, at in zip(asked["quantiles"], found, strict=True)
        if (value := shown(at, column.type)) is not None
    ]
    observed = ", ".join(told) or None
    return ExpectationOutcome(place=0, success=all(good), observed=observed, n=len(column))


def _close(at: Position, pair: list[Any], kind: Any) -> bool:
    kwargs = dict(zip(("min_value", "max_value"), pair, strict=True))
    if within(at, kwargs, kind):
        return True
    ends = [end for end in limits(kwargs, kind) if isinstance(end, float)]
    return isinstance(at, float) and any(isclose(at, end, rel_tol=_CLOSE) for end in ends)


def distinct_count(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    found = int(pc.count_distinct(column).as_py())
    return ExpectationOutcome(
        place=0, success=within(Fraction(found), kwargs), observed=found, n=len(column)
    )


def distinct_share(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    import pyarrow.compute as pc

    column = rows.values(kwargs)
    return _share(int(pc.count_distinct(column).as_py()), len(column), kwargs)


def non_null_share(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    return _share(len(rows) - rows.column(kwargs).null_count, len(rows), kwargs)


def _share(part: int, whole: int, kwargs: Kwargs) -> ExpectationOutcome:
    share = Fraction(part, whole)
    return ExpectationOutcome(
        place=0, success=within(share, kwargs), observed=float(share), n=whole
    )


def z_scores(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    """Each value's distance from the mean, in standard deviations; undefined if all are equal."""
    import numpy as np

    away, deviation_found = _spread(_numbers(rows, kwargs))
    if not deviation_found or isnan(deviation_found):
        return _no_spread(len(away), deviation_found, "so there are no z-scores")
    threshold = float(number_of(kwargs["threshold"]))
    scores = away / deviation_found
    met = abs(scores) < abs(threshold) if kwargs.get("double_sided") else scores < threshold
    return mapped(len(away), int(np.count_nonzero(met)), kwargs)


def no_outliers(rows: Rows, kwargs: Kwargs) -> ExpectationOutcome:
    """Within some standard deviations of the mean, or interquartile ranges of the quartiles."""
    import numpy as np

    away, deviation_found = _spread(_numbers(rows, kwargs))
    reach = float(number_of(kwargs.get("multiplier", 1.5)))
    if deviation_found is None or isnan(deviation_found):
        return _no_spread(len(away), deviation_found, "so outliers are not defined")
    if kwargs.get("method", "iqr") == "std":
        reach *= deviation_found
        met = abs(away) < reach if reach > 0 else away == 0
    else:
        low, high = np.quantile(away, [0.25, 0.75])
        reach *= high - low
        met = (away >= low - reach) & (away <= high + reach)
    return mapped(len(away), int(np.count_nonzero(met)), kwargs)


def _no_spread(n: int, deviation_found: float | None, so: str) -> ExpectationOutcome:
    why = f"all {n:,} values are equal"
    if deviation_found is None:
        why = "there is one value"
    elif isnan(deviation_found):
        why = "some values are infinite"
    return ExpectationOutcome(place=0, success=False, n=n, nothing=f"{why}, {so}")


# -- computing them --------------------------------------------------------------------------------


def _numbers(rows: Rows, kwargs: Kwargs) -> Any:
    """The values, with true as 1 and false as 0."""
    import pyarrow as pa

    column = rows.values(kwargs)
    return column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column


def _between(at: Position | None, column: Any, kwargs: Kwargs) -> ExpectationOutcome:
    if at is None:
        raise Unfit(f"a column of {column.type} has no least or greatest value")
    observed = shown(at, column.type)
    return ExpectationOutcome(
        place=0, success=within(at, kwargs, column.type), observed=observed, n=len(column)
    )


def _between_floats(found: float, column: Any, kwargs: Kwargs) -> ExpectationOutcome:
    """For aggregates that are always floats: the limits are read as floats, too."""
    import pyarrow as pa

    success = within(found, kwargs, pa.float64())
    return ExpectationOutcome(place=0, success=success, observed=found, n=len(column))


def _pieces(column: Any) -> Iterator[Any]:
    """The column in pieces small enough to be cast to wider types."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), _PIECE):
            yield chunk.slice(start, _PIECE)


def total(column: Any, what: str) -> Fraction:
    """The sum in steps of the column's type; it may not fit in 64 bits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if not (_countable(kind) or pa.types.is_temporal(kind)):
        raise Unfit(f"a column of {kind} has no {what}")
    return sum(
        (Fraction(pc.sum(_wide(piece)).as_py()) for piece in _pieces(column)), Fraction(0)
    ) * steps(kind)


def _countable(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _wide(piece: Any) -> Any:
    """Whole numbers and decimals as a type with room for sums and differences."""
    import pyarrow as pa

    kind = piece.type
    if pa.types.is_temporal(kind):
        piece = piece.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    return piece.cast(pa.decimal256(75, kind.scale if pa.types.is_decimal(kind) else 0))


def _spread(column: Any) -> tuple[Any, float | None]:
    """The values' distances from their mean as floats, and the standard deviation (n - 1).

    The mean is subtracted before anything becomes a float, so that large numbers that are close
    together keep their differences.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_floating(kind):
        away = column.cast(pa.float64()).to_numpy()
    elif _countable(kind):
        middle = round(total(column, "mean") / len(column))
        scale = kind.scale if pa.types.is_decimal(kind) else 0
        centre = pa.scalar(decimal_of(middle, scale), pa.decimal256(75, scale))
        parts = [
            pc.subtract(_wide(piece), centre).cast(pa.float64()).to_numpy(zero_copy_only=False)
            for piece in _pieces(column)
        ]
        away = np.concatenate(parts)
    else:
        raise Unfit(f"a column of {kind} has no standard deviation")
    if len(away) < 2:
        return away, None
    if away.min() == away.max():
        return away * 0, 0.0
    with np.errstate(invalid="ignore"):
        away = away - away.mean()
    return away, sqrt(float((away**2).sum()) / (len(away) - 1))


def _quantiles(column: Any, shares: list[Fraction], how: str) -> Iterator[Position]:
    """The values at these shares of the sorted column."""
    import pyarrow as pa

    if not (_countable(column.type) or pa.types.is_temporal(column.type)) and not (
        pa.types.is_floating(column.type)
    ):
        raise Unfit(f"a column of {column.type} has no quantiles")
    ordered = column.sort()
    for share in shares:
        place = share * (len(ordered) - 1)
        low, rest = int(place), place - int(place)
        high = min(low + 1, len(ordered) - 1)
        yield _mixed(of_value(ordered[low]), of_value(ordered[high]), rest, low, how)


def _mixed(low: Any, high: Any, rest: Fraction, place: int, how: str) -> Position:
    """Interpolate between two neighbours, like numpy's method of the same name."""
    weights: Mapping[str, Callable[[], Fraction]] = {
        "linear": lambda: rest,
        "lower": lambda: Fraction(0),
        "higher": lambda: Fraction(rest > 0),
        "midpoint": lambda: Fraction(1, 2) if rest else Fraction(0),
        "nearest": lambda: Fraction(round(place + rest) - place),
    }
    if how not in weights:
        raise Unfit(f"`allow_relative_error` must be one of {', '.join(weights)}")
    weight = weights[how]()
    if weight in (0, 1) or low == high:
        found: Position = high if weight == 1 else low
        return found
    mixed: Position = low + (high - low) * (float(weight) if isinstance(low, float) else weight)
    return mixed
